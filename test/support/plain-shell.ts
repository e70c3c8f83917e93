import type { ShellTask } from "../../src/core/task.ts";

/** A shell step as places get it, of the run `suite@1`: nothing but its text is asked for. */
export function plainShell(text: string, more: Partial<ShellTask> = {}): ShellTask {
  return {
    kind: "shell",
    text,
    shell: ["/bin/sh", "-eu"],
    cwd: "/",
    params: {},
    inputs: {},
    run: { id: "suite@1", pipeline: "suite", attempt: 2 },
    step: "it",
    env: {},
    gracePeriodMs: 300,
    ...more,
  };
}
