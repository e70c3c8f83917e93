/** What a command of the engine prints: read without holding up the daemon, and as lines. */
import type { OutputLine, ShellTask } from "../../core/task.ts";
import type { EngineProcess, EngineTalk } from "./engine.ts";

/** After so many bytes of output, reading rests a moment: the daemon has other things to do. */
const BURST_BYTES = 1024 * 1024;
const REST_MS = 5;

/** @returns the exit status; null: it was ended by a signal, or could not be started */
export function readToEnd(
  child: EngineProcess | EngineTalk,
  take: (stream: "stdout" | "stderr", chunk: Buffer) => void,
): Promise<number | null> {
  return new Promise((resolve, reject) => {
    let burst = 0;
    for (const stream of ["stdout", "stderr"] as const)
      child[stream].on("data", (chunk: Buffer) => {
        take(stream, chunk);
        burst += chunk.length;
        if (burst < BURST_BYTES) return;
        burst = 0;
        child[stream].pause();
        setTimeout(() => child[stream].resume(), REST_MS);
      });
    child.on("error", reject);
    child.on("close", (status) => resolve(status));
  });
}

/** Lines of an attempt, as those who hear it get them. */
export function outputLines(
  { run, step = "" }: Pick<ShellTask, "run" | "step">,
  at: string,
  stream: OutputLine["stream"],
  lines: readonly string[],
): OutputLine[] {
  return lines.map((line) => ({ at, step, attempt: run.attempt, stream, line }));
}
