/**
 * One run without a daemon (`orchd run --foreground`): this process holds the root (held-root.ts)
 * for that one run, drives it to its end, and hears the terminal's signals.
 */
import { systemClock, type Timer } from "../clock.ts";
import { refused } from "../core/request.ts";
import type { Json } from "../core/snapshot.ts";
import { LedgerBlocked } from "../ledger/ledger-error.ts";
import { RunStore } from "../ledger/run-store.ts";
import { endProcess } from "./end-process.ts";
import { HeldRoot } from "./held-root.ts";
import type { HeldRun } from "./held-run.ts";
import type { RunEnd } from "./ports.ts";
import { onStopSignals } from "./stop-signals.ts";

const clock = systemClock;
/** How long after a forced stop and the grace period the process may be there, in milliseconds. */
const LAST_MS = 3_000;
const BECAUSE = "asked for on the command line, in the foreground";

/** What to run, and where. */
export interface ForegroundOptions {
  readonly root: string;
  readonly schedules: string;
  readonly runs: string;
  readonly pipeline: string;
  readonly params?: { readonly [key: string]: Json } | undefined;
  readonly noCache?: boolean | undefined;
}

/**
 * The run that this process drives, or why there is none. `finished` resolves once the run's end is
 * recorded and the lock is released.
 */
export type Foreground =
  | { readonly accepted: false; readonly reason: string }
  | {
      readonly accepted: true;
      readonly run: string;
      readonly remark?: string | undefined;
      readonly finished: Promise<RunEnd>;
    };

/**
 * Makes one run and drives it, without a daemon. SIGINT and SIGTERM ask the run to stop, a second
 * one by force.
 */
export async function runForeground(options: ForegroundOptions): Promise<Foreground> {
  const { pipeline, params, noCache, ...folders } = options;
  const run = new RunStore(options.runs).nextManual(pipeline, clock.now());
  const holding = await HeldRoot.open({ ...folders, role: "foreground", run });
  if (!holding.ok) return refused(holding.reason);
  const { held } = holding;
  try {
    const found = await held.find(pipeline);
    const made = found.ok
      ? await held.reserve(found.loaded, { run, params, noCache, because: BECAUSE })
      : found;
    if (!made.ok) {
      await held.close();
      return refused(made.reason);
    }
    // It hears signals from before the run starts: no Ctrl-C may leave a run that has no end.
    const finished = drive(made.run, held);
    // Where the run cannot be started, that is what is told.
    finished.catch(() => undefined);
    await made.run.start(BECAUSE);
    return { accepted: true, run, remark: made.remark, finished };
  } catch (error) {
    await held.close();
    if (error instanceof LedgerBlocked) return refused(error.message);
    throw error;
  }
}

/** Drives the run to its end, hears signals meanwhile, and closes everything. */
async function drive(run: HeldRun, held: HeldRoot): Promise<RunEnd> {
  const { gracePeriodMs } = run.state.snapshot;
  let last: Timer | undefined;
  const ignoreSignals = onStopSignals((signal, insists) => {
    const mode = insists ? "force" : "graceful";
    // Whatever keeps the run after that (a file system that has stopped) is left behind.
    if (insists) last ??= clock.after(gracePeriodMs + LAST_MS, () => endProcess(1));
    const because = `stopped by ${signal}`;
    run.requestStop({ mode, by: "terminal", because }).catch(() => undefined);
  });
  try {
    return await run.finished;
  } finally {
    ignoreSignals();
    await held.close();
    last?.cancel();
  }
}
