/**
 * The daemon's composition root: settings, lock, workshop, engine, drop folder, signals. It wires
 * and holds no logic.
 *
 * In this order: settings (a bad orchd.yaml ends it before it holds anything), the lock (waits for
 * a run in the foreground, refuses beside another daemon), processes that an earlier daemon left
 * (ended), recovery, the first reading of the drop folder, ready.
 */
import { accessSync, constants } from "node:fs";
import { setFlagsFromString } from "node:v8";
import pino from "pino";
import type { LineListener } from "../src/core/durable-line.ts";
import { folderSentence } from "../src/disk/folder-sentence.ts";
import { Terminal } from "../src/cli/terminal.ts";
import { whatRanOut } from "../src/disk/disk-error.ts";
import { makeFolder } from "../src/disk/make-folder.ts";
import { systemClock, type Timer } from "../src/clock.ts";
import { Engine } from "../src/engine/engine.ts";
import { Upkeep } from "../src/engine/upkeep.ts";
import { openWorkshop, tokenOf } from "../src/engine/workshop.ts";
import { DaemonLockHeld, waitForDaemonLock, type DaemonLock } from "../src/ledger/lock.ts";
import { logDurableLine } from "../src/observe/event-log.ts";
import { ServiceManager } from "../src/observe/service-manager.ts";
import { killByToken } from "../src/places/local/kill-by-token.ts";
import { stopBundler } from "../src/schedules/bundler.ts";
import { DropFolder } from "../src/schedules/drop-folder.ts";
import { loadPipelineFile } from "../src/schedules/load-file.ts";
import { loadSettings } from "../src/schedules/load-settings.ts";
import { formatProblem } from "../src/schedules/problem.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { VERSION } from "../src/version.ts";

/**
 * The time-zone data that everything after this release's knows of offsets; older data is wrong in
 * places.
 */
const GOOD_TZDATA = "2026c";

/** Where the daemon works, and how it logs. */
export interface DaemonOptions {
  readonly root: string;
  readonly schedules: string;
  readonly runs: string;
  /** Logs for people rather than JSON. */
  readonly pretty: boolean;
}

/**
 * Runs the daemon until it is told to end. @returns the exit status: 0 after a drain, 1 where it
 * could not start, 2 for a bad orchd.yaml
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const log = makeLog(options.pretty);
  const tell = (sentence: string): void => refuseStart(log, options.pretty, sentence);
  const clock = systemClock;
  const store = new RunStore(options.runs);
  try {
    makeFolder(store.orchdDir, 0o750);
    accessSync(options.runs, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code = "unknown", syscall, path } = error as NodeJS.ErrnoException;
    const what = `the runs folder ${options.runs} cannot be written (${code}); give this user the right to, or name another with --runs.`;
    tell(syscall === "mkdir" ? folderSentence(path ?? options.runs, code) : what);
    return 1;
  }
  const first = await loadSettings(options.root, store.bundles);
  if (!first.ok) {
    for (const problem of first.errors) tell(formatProblem(problem));
    return 2;
  }
  let { settings } = first;
  const lock = await takeLock(store.orchdDir, log, tell);
  if (lock === undefined) return 1;
  const upSince = clock.now();
  const tzdata = process.versions["tz"] ?? "";
  if (tzdata < GOOD_TZDATA) {
    log.warn(
      { tzdata },
      `this Node's time-zone data is ${tzdata}, older than ${GOOD_TZDATA}: offsets are wrong in some zones; use a newer Node`,
    );
  }
  const die = (error: Error): void => {
    log.fatal({ err: error }, "a ledger can no longer be written: the daemon ends at once");
    process.exit(1);
  };
  const lost = new AbortController();
  lock.onLost(() => {
    lost.abort();
    log.fatal("the lock is no longer this daemon's: it ends at once and writes nothing more");
    process.exit(1);
  });
  const left = killByToken(tokenOf(options.runs));
  if (left > 0)
    log.warn({ processes: left }, `${left} processes that an earlier daemon left were ended`);
  /** How many files wait to be written, and why the last of them does. */
  let waiting = 0;
  let ranOut = "";
  const onHeld = (held: boolean, error?: unknown): void => {
    waiting += held ? 1 : -1;
    if (held)
      log.error({ err: error }, `${(ranOut = whatRanOut(error))}: what cannot be written waits`);
    else log.info("what waited was written");
  };
  const onDurableLine: LineListener = (durable) => logDurableLine(log, durable);
  const workshop = openWorkshop({
    runs: options.runs,
    clock,
    log,
    settings,
    epoch: lock.epoch,
    onFatal: die,
    onHeld,
    onDurableLine,
  });
  const upkeep = new Upkeep({
    clock,
    log,
    store,
    cacheIndex: workshop.cacheIndex,
    onFatal: die,
    signal: lost.signal,
    linesWait: () => waiting > 0,
  });
  const engine: Engine = new Engine({
    clock,
    log,
    store,
    maker: workshop.maker,
    settings,
    upSince,
    tzdata,
    load: (path) =>
      loadPipelineFile(path, {
        root: options.root,
        bundlesDir: store.bundles,
        settings,
        evaluate: (code) => workshop.evaluate(code),
        refuses: (snapshot, scheduled) => workshop.refuses(snapshot, scheduled),
        folder: options.schedules,
        now: clock.now(),
      }),
    watch: (path, watched, since) => drops.follow(path, watched, since),
    rescan: () => drops.rescan(),
    header: (run) => workshop.header(run),
    onFatal: die,
    onHeld,
    onMissed: (loaded, slots) => workshop.missed(loaded, slots),
    onDurableLine,
    onHour: (running) => upkeep.retain(running),
    wantsHour: (running) => upkeep.filling(running),
    upkeep: (request, running) => upkeep.carryOut(request, running),
  });
  const drops: DropFolder = new DropFolder({
    dir: options.schedules,
    clock,
    onChange: (changes) => engine.filesChanged(changes),
    onError: (error, what) => log.error({ err: error }, `the drop folder: ${what} failed`),
  });
  const manager = new ServiceManager({
    environment: process.env,
    clock,
    onError: (error) =>
      log.warn(
        { err: error },
        "systemd-notify could not be run: systemd is not told how the daemon is",
      ),
  });

  const reload = async (): Promise<void> => {
    const again = await loadSettings(options.root, store.bundles);
    if (again.ok) {
      settings = again.settings;
      workshop.setSettings(settings);
      await engine.setSettings(settings);
      log.info("orchd.yaml was read again");
    } else
      for (const problem of again.errors)
        log.error(`${formatProblem(problem)}; the settings that were in force stay`);
    await drops.rescan();
  };
  process.on("SIGHUP", () => {
    reload().catch((error: unknown) =>
      log.error({ err: error }, "reading everything again failed"),
    );
  });

  const patience: Timer[] = [];
  const ended = new Promise<void>((resolve, reject) => {
    let asked = 0;
    const end = (signal: NodeJS.Signals): void => {
      asked += 1;
      const periodMs = asked === 1 ? settings.drainPeriodMs : 0;
      log.info(
        { signal, drainPeriodMs: periodMs },
        asked === 1
          ? "draining: nothing new starts; a second signal ends it at once"
          : "ending at once",
      );
      if (asked === 1) manager.stopping();
      engine.stop(periodMs).then(resolve, reject);
      // What waits for room was acknowledged to nobody, and every ledger is whole: the next daemon
      // decides it as after a crash.
      const timer = clock.after(periodMs + settings.gracePeriodMs, () => {
        if (waiting === 0) return;
        log.error({ files: waiting }, `${ranOut}: what waits is given up, and the daemon ends`);
        process.exit(1);
      });
      patience.push(timer);
    };
    process.on("SIGTERM", end);
    process.on("SIGINT", end);
  });

  // Reading what there is makes garbage for which V8 would widen the young heap to 32 MiB and keep
  // it so: with a thousand pipelines 130 MiB in all, not 90.
  setFlagsFromString("--optimize-for-size");
  const recovered = await comeUp(async () => {
    const taken = await engine.recover();
    await drops.start();
    await engine.begin();
    await lock.setReady();
    return taken;
  }, log);
  setFlagsFromString("--no-optimize-for-size");
  const status = `${engine.inForce} pipelines, ${recovered.runs} runs taken over`;
  log.info(
    {
      pid: process.pid,
      epoch: lock.epoch,
      version: VERSION,
      tzdata,
      root: options.root,
      readyMs: Math.round(clock.now() - upSince),
    },
    `ready: ${status}`,
  );
  manager.ready(`ready: ${status}`);
  await ended;
  for (const timer of patience) timer.cancel();
  await drops.close();
  await workshop.close(false);
  await stopBundler();
  manager.close();
  await lock.release();
  log.info("ended");
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.removeAllListeners(signal);
  return 0;
}

/**
 * What has begun by then has timers, and would go on without a daemon that is ready: where coming
 * up fails, the process ends.
 */
async function comeUp<T>(steps: () => Promise<T>, log: pino.Logger): Promise<T> {
  try {
    return await steps();
  } catch (error) {
    log.fatal(
      { err: error },
      "the daemon could not come up, and ends at once: see to what the error says, then start it again",
    );
    process.exit(1);
  }
}

/**
 * Why it does not start: a line of the log where one is kept, a sentence to a person at a terminal.
 */
function refuseStart(log: pino.Logger, pretty: boolean, sentence: string): void {
  if (process.stderr.isTTY && !pretty) new Terminal(process).error(sentence);
  else log.fatal(sentence);
}

async function takeLock(
  orchdDir: string,
  log: pino.Logger,
  tell: (sentence: string) => void,
): Promise<DaemonLock | undefined> {
  try {
    return await waitForDaemonLock(orchdDir, {
      clock: systemClock,
      role: "daemon",
      version: VERSION,
      onWaiting: (holder) =>
        log.info(
          { holder: holder?.pid },
          `waiting for ${holder?.role === "foreground" ? `a run in the foreground (${holder.run ?? "not yet begun"})` : "another process"} to end`,
        ),
    });
  } catch (error) {
    if (!(error instanceof DaemonLockHeld)) throw error;
    tell(error.message);
    return undefined;
  }
}

function makeLog(pretty: boolean): pino.Logger {
  const level = process.env["ORCHD_LOG_LEVEL"] ?? "info";
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!pretty) return pino(options, pino.destination({ dest: 2, sync: true }));
  return pino(
    { level, base: null },
    pino.transport({
      target: "pino-pretty",
      options: { destination: 2, translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname" },
    }) as pino.DestinationStream,
  );
}
