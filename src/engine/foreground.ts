/**
 * One run without a daemon (`orchd run --foreground`): this process holds the daemon's lock for it,
 * drives it to its end, and honours requests that name it. It decides no slot, recovers nothing
 * else, and leaves every other request for the next daemon (semantics.md 25).
 */
import { readdirSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { systemClock } from "../clock.ts";
import type { PipelineEvent } from "../core/event.ts";
import { checkGivenParams } from "../core/given-params.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { Json } from "../core/snapshot.ts";
import { LedgerExists } from "../ledger/ledger-error.ts";
import { acquireDaemonLock, DaemonLockHeld } from "../ledger/lock.ts";
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
import { openWorkshop, type Workshop } from "./workshop.ts";

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
 * The run that is being driven, or why there is none. `finished` resolves once its end is recorded
 * and the lock is given back.
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
 * Takes the daemon's place for one run. SIGINT and SIGTERM ask it to stop, the second one by force.
 */
export async function runForeground(options: ForegroundOptions): Promise<Foreground> {
  const { root, runs, pipeline } = options;
  const clock = systemClock;
  const store = new RunStore(runs);
  const settled = await loadSettings(root, store.bundles);
  if (!settled.ok) return { accepted: false, reason: settled.errors.map(formatProblem).join("\n") };
  const run = store.nextManual(pipeline, clock.now());
  let lock;
  try {
    lock = await acquireDaemonLock(store.orchdDir, {
      clock,
      role: "foreground",
      version: VERSION,
      run,
    });
  } catch (error) {
    if (error instanceof DaemonLockHeld) return { accepted: false, reason: error.message };
    throw error;
  }
  const die = (error: Error): void => {
    process.stderr.write(`orchd: ${error.message}\n`);
    process.exit(1);
  };
  lock.onLost(() =>
    die(
      new Error("the lock is no longer this process's; it ends at once and writes nothing more."),
    ),
  );
  const workshop = openWorkshop({
    runs,
    clock,
    log: silentLog,
    settings: settled.settings,
    epoch: lock.epoch,
    onFatal: die,
  });
  const close = async (): Promise<void> => {
    await workshop.close(false);
    await stopBundler();
    await lock.release();
  };
  try {
    const found = await findPipeline(options, workshop, settled.settings);
    const params = found.ok
      ? checkGivenParams(found.loaded, options.params)
      : { ok: false as const, message: found.reason };
    const made =
      found.ok && params.ok
        ? runHeader(found.loaded, {
            run,
            trigger: { kind: "manual", ...(options.noCache === true ? { noCache: true } : {}) },
            params: options.params,
            because: "asked for on the command line, in the foreground",
          })
        : { ok: false as const, message: params.ok ? "" : params.message };
    if (!made.ok) {
      await close();
      return { accepted: false, reason: made.message };
    }
    const ledger = await PipelineLedger.open(runs, pipeline, { clock, onFatal: die });
    const handle = await workshop.maker.create(made.header);
    const started: PipelineEvent = { type: "run.started", run, trigger: "manual" };
    const recorded = ledger.append([started]);
    handle.start(made.header.because ?? "asked for");
    await recorded;
    return {
      accepted: true,
      run,
      remark: params.ok ? params.remark : undefined,
      finished: drive(handle, { run, store, ledger, close }),
    };
  } catch (error) {
    await close();
    if (error instanceof LedgerExists)
      return { accepted: false, reason: `run ${run} exists already; try again` };
    throw error;
  }
}

/** Follows the run to its end, honouring signals and requests, and gives everything back. */
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
    clock: systemClock,
    log: silentLog,
    store,
    accepts: (read) => names(read, run),
    carryOut: (taken) => stop(handle, taken),
  });
  let asked = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    asked += 1;
    void handle
      .requestStop({
        mode: asked === 1 ? "graceful" : "force",
        by: "terminal",
        because: `stopped by ${signal}`,
      })
      .catch(() => undefined);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
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
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
    await inbox.close();
    await ledger.close();
    await parts.close();
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
    return { accepted: false, reason: "this process runs one run and does nothing else" };
  const { run, mode } = taken.request;
  const answer = await handle.requestStop({ mode, by: taken.by, requestId: taken.id });
  return answer.accepted
    ? { accepted: true, run }
    : { accepted: false, run, reason: answer.reason };
}

/** The file that holds the pipeline: the one of its name first, then any. */
async function findPipeline(
  options: ForegroundOptions,
  workshop: Workshop,
  settings: Parameters<typeof openWorkshop>[0]["settings"],
): Promise<
  | { readonly ok: true; readonly loaded: LoadedPipeline }
  | { readonly ok: false; readonly reason: string }
> {
  const { root, schedules, pipeline } = options;
  const own = (name: string): boolean => basename(name, extname(name)) === pipeline;
  const files = readdirSync(schedules)
    .filter(isPipelineFileName)
    .sort((a, b) => Number(own(b)) - Number(own(a)) || (a < b ? -1 : 1));
  let fault: string | undefined;
  for (const name of files) {
    const path = join(schedules, name);
    const result = await loadPipelineFile(path, {
      root,
      bundlesDir: workshop.store.bundles,
      settings,
      evaluate: (code) => workshop.evaluate(code),
      refuses: (snapshot, scheduled) => workshop.refuses(snapshot, scheduled),
      folder: schedules,
      now: systemClock.now(),
    });
    if (result.ok && result.loaded.name === pipeline) return result;
    if (!result.ok && own(name)) fault = result.errors.map(formatProblem).join("\n");
  }
  return {
    ok: false,
    reason: fault ?? `there is no pipeline ${JSON.stringify(pipeline)} in ${schedules}`,
  };
}
