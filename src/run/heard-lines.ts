/** How much of what a step printed its run's log has. */
import { open } from "node:fs/promises";
import type { StepState } from "../core/run-state.ts";
import type { OutputLine } from "../core/task.ts";
import { errorCode } from "../disk/disk-error.ts";
import type { HeardLines } from "../places/place.ts";

/**
 * Counts the lines of a step's present attempt. A re-run has the same number, so only lines since
 * its start count.
 *
 * @param path of the run's log; where there is none, there is no line
 * @throws a Node error if it cannot be read
 */
export async function heardLines(
  path: string,
  { spec, attempts }: Pick<StepState, "spec" | "attempts">,
): Promise<HeardLines> {
  const heard = { stdout: 0, stderr: 0, log: 0 };
  const now = attempts.at(-1);
  if (now === undefined) return heard;
  try {
    const file = await open(path);
    for await (const text of file.readLines()) {
      const line = lineIn(text);
      if (line?.step !== spec.id || line.attempt !== now.attempt || line.at < now.startedAt)
        continue;
      // The rest are orchd's own: they come from here.
      if (line.stream !== "orchd") heard[line.stream] += 1;
    }
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  return heard;
}

/** Undefined where a crash cut it off. */
function lineIn(text: string): OutputLine | undefined {
  try {
    return JSON.parse(text) as OutputLine;
  } catch {
    return undefined;
  }
}
