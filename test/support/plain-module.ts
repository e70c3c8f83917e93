import type { ModuleTask } from "../../src/core/task.ts";

/** A module step as places get it, of the run `r@1`: nothing but its code is asked for. */
export function plainModule(more: Partial<ModuleTask> = {}): ModuleTask {
  return {
    kind: "module",
    code: { bundle: "code", pick: "export:default", source: "./code.ts" },
    isolated: false,
    params: {},
    inputs: {},
    run: { id: "r@1", pipeline: "r", attempt: 1 },
    step: "it",
    env: {},
    gracePeriodMs: 300,
    ...more,
  };
}
