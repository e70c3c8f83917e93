/** What a command of the engine prints: read without holding up the daemon, and as lines. */
import type { OutputLine, ShellTask } from "../../core/task.ts";
import { readWithRests } from "../pool/paced-reading.ts";
import type { EngineProcess, EngineTalk } from "./engine.ts";

/** @returns the exit status; null: it was ended by a signal, or could not be started */
export function readToEnd(
  child: EngineProcess | EngineTalk,
  take: (stream: "stdout" | "stderr", chunk: Buffer) => void,
): Promise<number | null> {
  return new Promise((resolve, reject) => {
    for (const stream of ["stdout", "stderr"] as const)
      readWithRests(child[stream], (chunk) => take(stream, chunk));
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
