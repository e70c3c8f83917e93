/**
 * Wires the daemon: settings, lock, workshop, engine, drop folder, signals. It holds no logic.
 *
 * The order: settings (a bad orchd.yaml ends the daemon before it holds anything); the lock (it
 * waits for a run in the foreground, and refuses beside another daemon); processes that an earlier
 * daemon left are ended; recovery; the first reading of the drop folder; ready; the page, where one
 * is wanted.
 */
import type pino from "pino";
import type { StartOptions } from "../src/cli/command.ts";
import { NO_REAPER } from "../src/cli/first-process.ts";
import { systemClock } from "../src/clock.ts";
import { countText } from "../src/core/counted.ts";
import type { LineListener } from "../src/core/durable-line.ts";
import type { NotifyProgramSettings } from "../src/core/notify-program.ts";
import type { OrchdSettings } from "../src/core/settings.ts";
import type { TelemetrySettings } from "../src/core/telemetry-settings.ts";
import { takeDaemonLock } from "../src/engine/daemon-lock.ts";
import { Drain } from "../src/engine/drain.ts";
import { endProcess } from "../src/engine/end-process.ts";
import { Engine, type EnginePorts } from "../src/engine/engine.ts";
import { HeldWrites } from "../src/engine/held-writes.ts";
import { LiveSettings } from "../src/engine/live-settings.ts";
import type { Recovered } from "../src/engine/recovery.ts";
import { foreignDaemonsFolder, makeRunsFolder } from "../src/engine/runs-folder.ts";
import { Upkeep } from "../src/engine/upkeep.ts";
import { openWorkshop, tokenOf, type Workshop } from "../src/engine/workshop.ts";
import { builtProgram } from "../src/disk/built-program.ts";
import { DaemonHistory } from "../src/ledger/daemon-history.ts";
import { LeftLedgers } from "../src/ledger/left-ledgers.ts";
import { PlaceHistory } from "../src/ledger/place-history.ts";
import type { DaemonLock } from "../src/ledger/lock.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { badLogLevel, openDaemonLog } from "../src/observe/daemon-log.ts";
import { logDurableLine } from "../src/observe/event-log.ts";
import { LoopWatch } from "../src/observe/loop-watch.ts";
import { ServiceManager } from "../src/observe/service-manager.ts";
import { tooFewDescriptors } from "../src/observe/descriptor-limit.ts";
import { checkTimeZoneData } from "../src/observe/time-zone-data.ts";
import { endAtUnforeseen, tellLost } from "../src/observe/unforeseen.ts";
import { killByToken } from "../src/places/pool/kill-by-token.ts";
import { stopBundler } from "../src/schedules/bundler.ts";
import { DropFolder } from "../src/schedules/drop-folder.ts";
import { DefinitionThread } from "../src/schedules/definition-thread.ts";
import { CompiledVersions } from "../src/schedules/compiled-versions.ts";
import { loadPipelineFile } from "../src/schedules/load-file.ts";
import { loadSettings } from "../src/schedules/load-settings.ts";
import { formatProblem } from "../src/schedules/problem.ts";
import { emptyYoungHeap, widenYoungHeap } from "../src/small-heap.ts";
import { superviseNotify } from "../src/supervise/supervised-notify.ts";
import { SupervisedPage } from "../src/supervise/supervised-page.ts";
import type { SupervisedProgram, SupervisionPorts } from "../src/supervise/supervised-program.ts";
import { superviseTelemetry } from "../src/supervise/supervised-telemetry.ts";
import { ignoreUserSignals } from "../src/user-signals.ts";
import { VERSION } from "../src/version.ts";

const clock = systemClock;
/** How long after its end the process may still be there, in milliseconds. */
const LEFT_MS = 500;

/** What stands when a daemon may serve: nothing else writes this runs folder. */
interface Ground {
  readonly options: StartOptions;
  readonly log: pino.Logger;
  readonly store: RunStore;
  readonly settings: LiveSettings;
  readonly lock: DaemonLock;
}

/** The parts that serve. */
interface Parts {
  readonly workshop: Workshop;
  readonly engine: Engine;
  readonly definitions: DefinitionThread;
  readonly compiled: CompiledVersions;
  readonly drops: DropFolder;
  readonly turns: LoopWatch;
  readonly page: SupervisedPage;
  readonly telemetry: SupervisedProgram<TelemetrySettings>;
  readonly notify: SupervisedProgram<NotifyProgramSettings>;
}

/**
 * Runs the daemon until it is told to end. @returns the exit status: 0 after a drain, 1 where it
 * could not start, 2 for a bad orchd.yaml
 */
export async function runDaemon(options: StartOptions): Promise<number> {
  const badLevel = badLogLevel();
  if (badLevel !== undefined) {
    options.tell(badLevel);
    return 2;
  }
  const log = openDaemonLog(options.pretty);
  const refuse = (sentence: string): void => {
    if (options.isTerminal) options.tell(sentence);
    else log.fatal(sentence);
  };
  const few = tooFewDescriptors();
  if (few !== undefined) {
    refuse(few);
    return 1;
  }
  const store = new RunStore(options.runs);
  const unwritable = foreignDaemonsFolder(store) ?? makeRunsFolder(store);
  if (unwritable !== undefined) {
    refuse(unwritable);
    return 1;
  }
  const read = await loadSettings(options.root, store.bundles, { modules: "later" });
  if (!read.ok) {
    for (const problem of read.errors) refuse(formatProblem(problem));
    return 2;
  }
  const taken = await takeDaemonLock(store.orchdDir, { clock, log });
  if (!taken.ok) {
    refuse(taken.reason);
    return 1;
  }
  if (process.pid === 1) log.warn(NO_REAPER);
  ignoreUserSignals((signal) =>
    log.info({ signal }, `${signal} means nothing to orchd: its log is not opened anew`),
  );
  endAtUnforeseen(log);
  const { root } = options;
  const { problems } = read;
  const settings = new LiveSettings(read.settings, {
    root,
    bundlesDir: store.bundles,
    log,
    problems,
  });
  await serve({ options, log, store, settings, lock: taken.lock });
  return 0;
}

async function serve(ground: Ground): Promise<void> {
  const { options, log, settings, lock } = ground;
  const upSince = clock.now();
  const history = await beginHistory(ground, upSince);
  const tzdata = checkTimeZoneData(log);
  const lost = new AbortController();
  lock.onLost(() => {
    lost.abort();
    log.fatal("the lock is no longer this daemon's: it ends at once and writes nothing more");
    process.exit(1);
  });
  const left = killByToken(tokenOf(options.runs));
  if (left > 0)
    log.warn({ processes: left }, `${left} processes that an earlier daemon left were ended`);
  const held = new HeldWrites(log);
  const parts = wiredOrEnded(log, () => wire(ground, { upSince, tzdata, held, lost: lost.signal }));
  const { workshop, engine, drops, turns, page, telemetry, notify } = parts;
  const manager = serviceManager(log);
  const onHangup = (): void => {
    reload(settings, parts).catch((error: unknown) =>
      log.error({ err: error }, "orchd.yaml and the drop folder could not be read again"),
    );
  };
  process.on("SIGHUP", onHangup);
  let closing: string | undefined;
  const drain = new Drain({
    clock,
    log,
    held,
    settings: () => settings.current,
    onBegin: () => manager.stopping(),
    stop: (periodMs) => engine.stop(periodMs),
    waitsFor: () => closing ?? runsOf(engine),
    giveUp: () => endProcess(1),
  });
  const recovered = await comeUp(parts, lock, log);
  const status = readyText(engine.inForce, recovered.runs);
  const readyMs = Math.round(clock.now() - upSince);
  const about = { pid: process.pid, epoch: lock.epoch, version: VERSION, tzdata };
  log.info({ ...about, root: options.root, readyMs }, status);
  manager.ready(status);
  const places = recordPlaces(ground, workshop);
  void workshop.sweep();
  if (engine.inForce === 0) tellEmpty(options.schedules, log);
  telemetry.begin();
  notify.begin();
  await page.begin();
  await drain.done;
  closing = "the page and orchd notify";
  await Promise.all([page.close(), notify.close()]);
  closing = "the export of traces";
  await telemetry.close();
  closing = "the drop folder";
  await drops.close();
  closing = "the runners";
  await places.close();
  await workshop.close(false);
  closing = "the bundler";
  await Promise.all([stopBundler(), parts.definitions.close()]);
  manager.close();
  closing = "the lock";
  history.ended();
  await free(lock, log);
  turns.close();
  log.info({ ...turns.figures }, "ended");
  drain.close();
  process.off("SIGHUP", onHangup);
  // Nothing is left to do. What keeps the process (a file that is still being read) is left behind.
  setTimeout(() => endProcess(0), LEFT_MS).unref();
}

function serviceManager(log: pino.Logger): ServiceManager {
  return new ServiceManager({
    environment: process.env,
    clock,
    onError: (error) =>
      log.warn(
        { err: error },
        "systemd-notify cannot be run: systemd does not learn the state of the daemon",
      ),
  });
}

async function beginHistory({ log, store, lock }: Ground, at: number): Promise<DaemonHistory> {
  const own = { pid: process.pid, epoch: lock.epoch, version: VERSION };
  const history = new DaemonHistory(store.orchdDir, clock, own);
  tellLost(log, await history.began(at));
  return history;
}

/** Where the disk fails, the lock is free all the same. */
async function free(lock: DaemonLock, log: pino.Logger): Promise<void> {
  await lock
    .release()
    .catch((error: unknown) => log.error({ err: error }, "the end could not be written down"));
}

/** From now on, what the places say of themselves is in `places.jsonl`. */
function recordPlaces({ store, lock }: Ground, workshop: Workshop): PlaceHistory {
  const history = new PlaceHistory({
    orchdDir: store.orchdDir,
    clock,
    epoch: lock.epoch,
    reports: () => workshop.place.reports(),
  });
  workshop.place.onReport(() => history.look());
  history.look();
  return history;
}

/** Keeps for the next start what this one compiled. */
function keepCompiled(compiled: CompiledVersions, log: pino.Logger): void {
  compiled
    .close()
    .catch((error: unknown) =>
      log.warn(
        { err: error },
        "the compiled pipeline files could not be kept: the next start compiles all of them",
      ),
    );
}

function tellEmpty(schedules: string, log: pino.Logger): void {
  const sentence = `no pipeline is in force: put a file into ${schedules}, or see \`orchd init\``;
  log.warn({ schedules }, sentence);
}

/** The runs that still go on, for the log of a daemon that cannot wait for them. */
function runsOf(engine: Engine): string {
  const runs = [...engine.runs.ids()];
  return runs.length === 0 ? "requests or ledgers" : `the runs ${runs.slice(0, 5).join(", ")}`;
}

/** Hears each durable line, of a run or of a pipeline. */
function listener(log: pino.Logger, turns: LoopWatch): LineListener {
  return (durable) => {
    turns.stir();
    logDurableLine(log, durable);
  };
}

function wire(
  ground: Ground,
  more: {
    readonly upSince: number;
    readonly tzdata: string;
    readonly held: HeldWrites;
    /** Aborted when the lock is lost. */
    readonly lost: AbortSignal;
  },
): Parts {
  const { options, log, store, settings, lock } = ground;
  const { upSince, tzdata, held } = more;
  const onFatal = (error: Error): void => {
    log.fatal({ err: error }, "a ledger can no longer be written: the daemon ends at once");
    process.exit(1);
  };
  const turns: LoopWatch = new LoopWatch({
    log,
    underWay: () => [...engine.runs.ids()],
    onTick: widenYoungHeap,
  });
  const host = { clock, onFatal, onHeld: held.onHeld, onDurableLine: listener(log, turns) };
  const workshop = openWorkshop({
    ...host,
    onLedgerRestored: (run, because) => engine.disturbedRun(run, because),
    runs: options.runs,
    log,
    settings: settings.current,
    epoch: lock.epoch,
  });
  const upkeep = new Upkeep({
    clock,
    log,
    store,
    cacheIndex: workshop.cacheIndex,
    onFatal,
    signal: more.lost,
    linesWait: () => held.count > 0,
  });
  const files = fileReaders(ground);
  const engine: Engine = new Engine({
    ...host,
    log,
    store,
    maker: workshop.maker,
    settings: settings.current,
    upSince,
    tzdata,
    ...loading(ground, workshop, files),
    left: new LeftLedgers(store.left, { epoch: lock.epoch, user: process.geteuid?.() }),
    watch: (path, watched, since) => drops.follow(path, watched, since),
    rescan: () => drops.rescan(),
    folded: (run) => workshop.folded(run),
    onMany: emptyYoungHeap,
    onMissed: (loaded, slots) => workshop.missed(loaded, slots),
    hourly: {
      act: (running) => upkeep.retain(running),
      isWanted: (running) => upkeep.filling(running),
    },
    upkeep: (request, running) => upkeep.carryOut(request, running),
  });
  const drops: DropFolder = new DropFolder({
    dir: options.schedules,
    clock,
    onChange: (changes) => engine.filesChanged(changes),
    onError: (error, what) => log.error({ err: error }, `the drop folder: ${what} failed`),
  });
  return { workshop, engine, ...files, drops, turns, ...supervised(ground) };
}

/** The programs beside the daemon, which nothing starts yet. */
function supervised(ground: Ground): Pick<Parts, "page" | "telemetry" | "notify"> {
  const { options, log, settings } = ground;
  const portsOf = (name: string): SupervisionPorts => ({
    clock,
    log,
    roots: options,
    program: () => builtProgram("orchd", "bin"),
    mark: `${tokenOf(options.runs)}.${name}`,
  });
  return {
    page: new SupervisedPage({
      ...portsOf("page"),
      settings: () => settings.current.page,
      asked: options.page === true,
      showLink: options.showLink,
    }),
    telemetry: superviseTelemetry({
      ...portsOf("otlp"),
      settings: () => settings.current.telemetry,
      env: process.env,
    }),
    notify: superviseNotify({
      ...portsOf("notify"),
      settings: () => settings.current,
      env: process.env,
    }),
  };
}

/** What reads pipeline files. */
type FileReaders = Pick<Parts, "definitions" | "compiled">;

function fileReaders({ store, settings }: Ground): FileReaders {
  const compiled = new CompiledVersions(store.compiled, settings.current);
  return { definitions: new DefinitionThread(), compiled };
}

/** How the engine comes by pipelines. */
function loading(
  { options, store, settings }: Ground,
  workshop: Workshop,
  { definitions, compiled }: FileReaders,
): Pick<EnginePorts, "load" | "kept"> {
  return {
    load: (path, signal) =>
      loadPipelineFile(path, {
        root: options.root,
        bundlesDir: store.bundles,
        settings: settings.current,
        evaluate: (code) => workshop.evaluate(code, signal),
        refuses: (snapshot, scheduled) => workshop.refuses(snapshot, scheduled),
        stackEnv: (snapshot) => workshop.stackEnv(snapshot),
        readerOf: (file) => definitions.readerOf(file),
        folder: options.schedules,
        compiled,
        now: clock.now(),
      }),
    kept: (path) => definitions.kept(path),
  };
}

/** Reads orchd.yaml and the drop folder again. */
async function reload(
  settings: LiveSettings,
  { workshop, engine, drops, page, telemetry, notify }: Parts,
): Promise<void> {
  await settings.reload(async (fresh: OrchdSettings) => {
    workshop.setSettings(fresh);
    await engine.setSettings(fresh);
    page.refresh();
    telemetry.refresh();
    notify.refresh();
  });
  await drops.rescan();
}

function readyText(inForce: number, runs: number): string {
  return `ready: ${countText(inForce, "pipeline")}, ${countText(runs, "run")} taken over`;
}

/**
 * Takes over what an earlier daemon left, reads the drop folder and is ready. Where that fails the
 * process ends at once: the parts that have begun have timers, and would go on without a daemon
 * that is ready.
 */
async function comeUp(
  { engine, drops, compiled }: Parts,
  lock: DaemonLock,
  log: pino.Logger,
): Promise<Recovered> {
  try {
    // A start makes much, of which little stays, and a narrow heap is collected often. Over 300
    // pipelines that cost 6 to 7 % of the start's processor time on a busy machine. On a quiet one
    // no difference could be measured.
    widenYoungHeap();
    const recovered = await engine.recover();
    await drops.start();
    await engine.begin();
    await lock.setReady();
    keepCompiled(compiled, log);
    return recovered;
  } catch (error) {
    return endUnstarted(log, error);
  }
}

/** Parts that stand already have timers, which would keep the process and its lock. */
function wiredOrEnded(log: pino.Logger, wired: () => Parts): Parts {
  try {
    return wired();
  } catch (error) {
    return endUnstarted(log, error);
  }
}

function endUnstarted(log: pino.Logger, error: unknown): never {
  log.fatal(
    { err: error },
    "the daemon could not start, and ends at once: put right what the error says, then start it",
  );
  return process.exit(1);
}
