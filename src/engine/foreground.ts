/**
 * One run without a daemon (`orchd run --foreground`). This process holds the daemon's lock for the
 * run, drives it to its end, and carries out requests that name it. It decides no slot, takes over
 * no other run, and leaves every other request to the next daemon (semantics.md 25).
 */
import { readdirSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { systemClock, type Timer } from "../clock.ts";
import { defined } from "../core/defined.ts";
import type { RunHeader } from "../core/event.ts";
import { checkGivenParams } from "../core/given-params.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { wasInForce, type InForce } from "../core/name-holder.ts";
import { refused } from "../core/request.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Json } from "../core/snapshot.ts";
import { LedgerBlocked, LedgerExists } from "../ledger/ledger-error.ts";
import { acquireDaemonLock, DaemonLockHeld, type DaemonLock } from "../ledger/lock.ts";
import { PipelineLedger } from "../ledger/pipeline-ledger.ts";
import type { ReadRequest } from "../ledger/requests.ts";
import { RunStore } from "../ledger/run-store.ts";
import { stopBundler } from "../schedules/bundler.ts";
import { isPipelineFileName } from "../core/pipeline-file-name.ts";
import { loadPipelineFile } from "../schedules/load-file.ts";
import { loadSettings } from "../schedules/load-settings.ts";
import { formatProblem } from "../schedules/problem.ts";
import { VERSION } from "../version.ts";
import { silentLog } from "../log.ts";
import type { RunEnd, RunHandle } from "./ports.ts";
import { RequestInbox, type TakenRequest } from "./request-inbox.ts";
import { runHeader } from "./run-header.ts";
import { endProcess } from "./end-process.ts";
import { foreignRunsFolder } from "./runs-folder.ts";
import { onStopSignals } from "./stop-signals.ts";
import { openWorkshop, type Workshop } from "./workshop.ts";

const clock = systemClock;
/** How long after a forced stop and the grace period the process may be there, in milliseconds. */
const LAST_MS = 3_000;

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
  const { root, runs, pipeline } = options;
  const store = new RunStore(runs);
  const foreign = foreignRunsFolder(store);
  if (foreign !== undefined) return refused(foreign);
  const read = await loadSettings(root, store.bundles);
  if (!read.ok) return refused(read.errors.map(formatProblem).join("\n"));
  const { settings } = read;
  const run = store.nextManual(pipeline, clock.now());
  const taken = await takeLock(store.orchdDir, run);
  if (!taken.ok) return refused(taken.reason);
  const { lock } = taken;
  const workshop = openWorkshop({
    runs,
    clock,
    log: silentLog,
    settings,
    epoch: lock.epoch,
    onFatal: die,
  });
  const close = async (): Promise<void> => {
    await workshop.close(false);
    await stopBundler();
    await lock.release();
  };
  try {
    const ledger = await PipelineLedger.open(runs, pipeline, { clock, onFatal: die });
    const made = await makeHeader(options, run, workshop, { settings, inForce: ledger.state });
    if (!made.ok) {
      await ledger.close();
      await close();
      return refused(made.reason);
    }
    const { header, remark } = made;
    const handle = await workshop.maker.create(header);
    const recorded = ledger.append([{ type: "run.started", run, trigger: "manual" }]);
    // It hears signals from before the run starts: no Ctrl-C may leave a run that has no end.
    const finished = drive(handle, { run, store, ledger, close });
    handle.start(header.because ?? "asked for");
    await recorded;
    return { accepted: true, run, remark, finished };
  } catch (error) {
    await close();
    if (error instanceof LedgerExists) return refused(`run ${run} exists already; try again`);
    if (error instanceof LedgerBlocked) return refused(error.message);
    throw error;
  }
}

/** Ends the process: it may write nothing more. */
function die(error: Error): never {
  process.stderr.write(`orchd: ${error.message}\n`);
  process.exit(1);
}

/** Takes the daemon's lock for one run, or says who has it. */
async function takeLock(
  orchdDir: string,
  run: string,
): Promise<
  { readonly ok: true; readonly lock: DaemonLock } | { readonly ok: false; readonly reason: string }
> {
  try {
    const role = "foreground";
    const lock = await acquireDaemonLock(orchdDir, { clock, role, version: VERSION, run });
    lock.onLost(() =>
      die(
        new Error("the lock is no longer this process's; it ends at once and writes nothing more."),
      ),
    );
    return { ok: true, lock };
  } catch (error) {
    if (error instanceof DaemonLockHeld) return { ok: false, reason: error.message };
    throw error;
  }
}

/** What is known before the pipeline's file is read. */
interface Known {
  readonly settings: OrchdSettings;
  /** The version that the last daemon had in force. */
  readonly inForce: InForce;
}

/** The run's header, and a remark on its params; or why there can be no run. */
async function makeHeader(
  options: ForegroundOptions,
  run: string,
  workshop: Workshop,
  known: Known,
): Promise<
  | { readonly ok: true; readonly header: RunHeader; readonly remark: string | undefined }
  | { readonly ok: false; readonly reason: string }
> {
  const found = await findPipeline(options, workshop, known);
  if (!found.ok) return found;
  const params = checkGivenParams(found.loaded, options.params);
  if (!params.ok) return { ok: false, reason: params.message };
  const made = runHeader(found.loaded, {
    run,
    trigger: defined({ kind: "manual", noCache: options.noCache === true || undefined }),
    params: options.params,
    because: "asked for on the command line, in the foreground",
  });
  if (!made.ok) return { ok: false, reason: made.message };
  return { ok: true, header: made.header, remark: params.remark };
}

/** Drives the run to its end, carries out signals and requests, and closes everything. */
async function drive(
  handle: RunHandle,
  parts: {
    readonly run: string;
    readonly store: RunStore;
    readonly ledger: PipelineLedger;
    readonly close: () => Promise<void>;
  },
): Promise<RunEnd> {
  const { run, store, ledger } = parts;
  const inbox = new RequestInbox({
    clock,
    log: silentLog,
    store,
    accepts: (read) => names(read, run),
    carryOut: (taken) => stop(handle, taken),
  });
  const { gracePeriodMs } = handle.state.snapshot;
  let last: Timer | undefined;
  const ignoreSignals = onStopSignals((signal, insists) => {
    const mode = insists ? "force" : "graceful";
    // Whatever keeps the run after that (a file system that has stopped) is left behind.
    if (insists) last ??= clock.after(gracePeriodMs + LAST_MS, () => endProcess(1));
    handle
      .requestStop({ mode, by: "terminal", because: `stopped by ${signal}` })
      .catch(() => undefined);
  });
  inbox.start();
  try {
    const end = await handle.finished;
    await ledger.append([
      {
        type: "run.finished",
        run,
        status: end.status,
        durationMs: end.durationMs,
        because: end.because,
      },
    ]);
    return end;
  } finally {
    ignoreSignals();
    await inbox.close();
    await ledger.close();
    await parts.close();
    last?.cancel();
  }
}

function names(read: ReadRequest, run: string): boolean {
  return read.ok && read.request.type === "stop" && read.request.run === run;
}

async function stop(
  handle: RunHandle,
  taken: TakenRequest,
): Promise<{ accepted: boolean; run?: string; reason?: string }> {
  if (taken.request.type !== "stop")
    return refused("this process runs one run and does nothing else");
  const { run, mode } = taken.request;
  const answer = await handle.requestStop({ mode, by: taken.by, requestId: taken.id });
  return answer.accepted
    ? { accepted: true, run }
    : { accepted: false, run, reason: answer.reason };
}

/** Finds the pipeline: in the file of its name first, then in any other. */
async function findPipeline(
  options: ForegroundOptions,
  workshop: Workshop,
  { settings, inForce }: Known,
): Promise<
  | { readonly ok: true; readonly loaded: LoadedPipeline }
  | { readonly ok: false; readonly reason: string }
> {
  const { root, schedules, pipeline } = options;
  const own = (name: string): boolean => basename(name, extname(name)) === pipeline;
  const rank = (name: string): number => (wasInForce(inForce, name) ? 0 : own(name) ? 1 : 2);
  const files = readdirSync(schedules)
    .filter(isPipelineFileName)
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  let fault: string | undefined;
  for (const name of files) {
    const path = join(schedules, name);
    const result = await loadPipelineFile(path, {
      root,
      bundlesDir: workshop.store.bundles,
      settings,
      evaluate: (code) => workshop.evaluate(code),
      refuses: (snapshot, scheduled) => workshop.refuses(snapshot, scheduled),
      stackEnv: (snapshot) => workshop.stackEnv(snapshot),
      folder: schedules,
      now: clock.now(),
    });
    if (result.ok && result.loaded.name === pipeline) return result;
    if (result.ok) continue;
    const errors = result.errors.map(formatProblem).join("\n");
    // The file that holds the name keeps it while it is bad.
    if (wasInForce(inForce, name)) return { ok: false, reason: errors };
    if (own(name)) fault = errors;
  }
  return {
    ok: false,
    reason: fault ?? `there is no pipeline ${JSON.stringify(pipeline)} in ${schedules}`,
  };
}
