/** What a run's steps printed. */
import type { OutputLine } from "../core/task.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { FollowedRun } from "../views/followed-run.ts";
import { parseObject } from "../core/json-object.ts";
import { LineFollower } from "../views/line-follower.ts";
import { noSuchStep, readRun } from "../views/run-reading.ts";
import { seen } from "./seen.ts";
import { LOOK_MS, pause } from "./looking.ts";

/** One line that a step printed, wrote with `context.log`, or that orchd says of its output. */
export type LogLine = OutputLine;

/** Which lines are given. */
export interface LogOptions {
  /** Only this step's. */
  readonly step?: string | undefined;
  /** Go on until the run has ended. Default: only what is there. */
  readonly follow?: boolean | undefined;
  /** Ends the lines. */
  readonly signal?: AbortSignal | undefined;
}

/** The lines of a run's log, in the order in which they were printed. @throws ClientError */
export async function* runOutput(
  store: RunStore,
  run: string,
  { step, follow = false, signal }: LogOptions,
): AsyncGenerator<LogLine> {
  const { state } = seen(readRun(store, run));
  if (step !== undefined && !state.steps.has(step)) seen(noSuchStep(state, step));
  const log = new LineFollower(store.runLog(run));
  const followed = new FollowedRun(store, run);
  try {
    for (;;) {
      // Look for the end first: then all lines that were printed before it are read.
      followed.read();
      const ended = followed.isOver;
      for (const raw of log.lines()) {
        const line = parseObject(raw) as unknown as LogLine | undefined;
        if (line !== undefined && (step === undefined || line.step === step)) yield line;
      }
      if (ended || !follow || signal?.aborted === true) return;
      await pause(LOOK_MS, signal);
    }
  } finally {
    log.close();
    followed.close();
  }
}
