/**
 * Wires `orchd notify`: settings, lock, ledger, feed, fold, channels, heartbeat, signals. It holds
 * no logic.
 *
 * The order: settings (without `notify` it ends); the lock (it refuses beside another one); the
 * ledger, recovered; the feed, from where the ledger says; then what waits is sent, and lines are
 * taken.
 */
import { hostname } from "node:os";
import type { NotifyOptions } from "../src/cli/command.ts";
import { systemClock } from "../src/clock.ts";
import { notifyProgramSettings, type NotifyProgramSettings } from "../src/core/notify-program.ts";
import { endProcess } from "../src/engine/end-process.ts";
import { foreignRunsFolder, makeOrchdFolder } from "../src/engine/runs-folder.ts";
import { whyFull } from "../src/disk/room.ts";
import { SecretFiles } from "../src/disk/secret-files.ts";
import type { Feed } from "../src/feed/feed-line.ts";
import { openFeed } from "../src/feed/open-feed.ts";
import { changedDaemonLines, readDaemonPast } from "../src/ledger/daemon-history.ts";
import { readDaemon } from "../src/ledger/daemon-info.ts";
import { DamagedFiles } from "../src/ledger/damaged-files.ts";
import { NotifyLedger } from "../src/ledger/notify-ledger.ts";
import { takeNotifyLock, type NotifyLock } from "../src/ledger/notify-lock.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import type { Log } from "../src/log.ts";
import { AlertFold } from "../src/notify/alert-fold.ts";
import { makeChannel } from "../src/notify/channels/channel-list.ts";
import { askHttp } from "../src/notify/channels/heartbeat-call.ts";
import { Deliveries, type TimedChannel } from "../src/notify/deliveries.ts";
import { Heartbeat } from "../src/notify/heartbeat.ts";
import { makeMessage } from "../src/notify/message-maker.ts";
import { Notifier } from "../src/notify/notifier.ts";
import { RootWatch } from "../src/notify/root-watch.ts";
import { RuleBook } from "../src/notify/rule-book.ts";
import { ChannelSecrets } from "../src/notify/secrets.ts";
import { badLogLevel, openDaemonLog } from "../src/observe/daemon-log.ts";
import { loadSettings } from "../src/schedules/load-settings.ts";
import { formatProblem } from "../src/schedules/problem.ts";
import { onParentGone } from "../src/supervise/parent-gone.ts";
import { VERSION } from "../src/version.ts";
import { activeRunIds } from "../src/views/active-run-ids.ts";
import { readLogEnd } from "../src/views/log-end.ts";
import { OldestUndecided } from "../src/views/oldest-undecided.ts";
import { allToldOf, slotsBetween } from "../src/views/pipeline-facts.ts";
import { tryChannel, tryReplay } from "./notify-trial.ts";

const clock = systemClock;
/** How long messages that are under way may take at the end, in milliseconds. */
const PATIENCE_MS = 700;
/** How long the end may take in all, in milliseconds: a full disk lets nothing come to one. */
const END_MS = 3_000;
/** How often the ledger is looked at, and what is old removed, in milliseconds. */
const LOOK_MS = 5_000;
const PRUNE_MS = 3_600_000;

/** What stands before the first line is taken. */
interface Ground {
  readonly options: NotifyOptions;
  readonly log: Log & { fatal(fields: object, message: string): void };
  readonly store: RunStore;
  readonly secrets: ChannelSecrets;
  inForce: NotifyProgramSettings;
}

/**
 * Tells people until it is told to end. @returns the exit status: 0 after that, 1 where it could
 * not start or a message was not sent, 2 for a bad orchd.yaml or word
 */
export async function runNotify(options: NotifyOptions): Promise<number> {
  const badLevel = badLogLevel();
  if (badLevel !== undefined) {
    options.tell(badLevel);
    return 2;
  }
  const read = await readSettings(options);
  if (!read.ok) {
    for (const sentence of read.because) options.tell(sentence);
    return 2;
  }
  const { inForce } = read;
  const store = new RunStore(options.runs);
  const secrets = new ChannelSecrets(new SecretFiles([process.env["CREDENTIALS_DIRECTORY"]]));
  secrets.learn(inForce.notify);
  const make = (name: string): TimedChannel => channelOf(name, inForce, secrets, options);
  const trial = { options, store, secrets, make, ...inForce };
  if (options.test !== undefined) return tryChannel(options.test, trial);
  if (options.replay !== undefined) return tryReplay(options.replay, trial);
  const unwritable = foreignRunsFolder(store) ?? makeOrchdFolder(store);
  if (unwritable !== undefined) {
    options.tell(unwritable);
    return 1;
  }
  const taken = takeNotifyLock(store, { clock, version: VERSION });
  if (!taken.ok) {
    options.tell(taken.because);
    return 1;
  }
  const log = openDaemonLog(options.isTerminal);
  await serve({ options, log, store, secrets, inForce }, taken.lock);
  return 0;
}

async function serve(ground: Ground, lock: NotifyLock): Promise<void> {
  const { options, log, store, inForce } = ground;
  const onFatal = (error: Error): void => {
    log.fatal({ err: error }, "the ledger of what is told can no longer be written: it ends");
    process.exit(1);
  };
  const disk: { watch?: RootWatch } = {};
  const ledger = await NotifyLedger.open(store, {
    clock,
    onFatal,
    onHeld: (held) => disk.watch?.held(held),
    onRestored: (because) => log.warn({}, `${store.notifyLedger}: ${because}`),
    keepDays: () => ground.inForce.keepDays,
  });
  tellDamage(ground, ledger);
  const feed = feedOf(ground, ledger);
  const fold = foldOf(ground, ledger);
  const deliveries: Deliveries = new Deliveries({
    clock,
    log,
    store: ledger,
    compose: (alert) => makeMessage(alert, { ...worldOf(ground), settings: ground.inForce.notify }),
    onChannel: (fact) => notifier.tell({ type: "channel", now: clock.now(), ...atText(fact) }),
    onFatal,
  });
  const notifier = new Notifier({ clock, log, store: ledger, feed, fold, deliveries });
  deliveries.setChannels(channelsOf(ground));
  const watch = (disk.watch = rootWatch(ground, fold, notifier));
  let heartbeat = heartbeatOf(ground);
  const upkeep = keepLedger(ground, ledger, lock);
  const following = followSettings(ground, () => {
    fold.use(bookOf(ground.inForce));
    deliveries.setChannels(channelsOf(ground));
    heartbeat?.close();
    heartbeat = heartbeatOf(ground);
    notifier.refresh();
  });
  const end = (): void => {
    notifier.close();
    // What found no room is decided again by the next one, and sent under the keys that it has.
    setTimeout(() => endProcess(0), END_MS).unref();
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, end);
  onParentGone(end);
  const { channels, rules, heartbeat: beat } = inForce.notify;
  options.reads({
    channels: Object.keys(channels),
    rules: rules.length,
    heartbeat: beat !== undefined,
  });
  await notifier.run();
  following.close();
  heartbeat?.close();
  watch.close();
  upkeep.close();
  await deliveries.close(PATIENCE_MS);
  await ledger.close();
  lock.release();
}

function tellDamage({ log, store }: Ground, { damage }: NotifyLedger): void {
  if (damage === undefined) return;
  const { line, fault, keptAs } = damage;
  log.error(
    { line, fault, keptAs },
    `${store.notifyLedger} was damaged at line ${line} (${fault}); it is kept as ${keptAs}`,
  );
}

/**
 * Reads orchd.yaml again at each SIGHUP, one after the other: what was read last is what holds.
 *
 * @param use is called when other settings are in force
 */
function followSettings(ground: Ground, use: () => void): { readonly close: () => void } {
  const { options, log, secrets } = ground;
  let isOver = false;
  const reload = async (): Promise<void> => {
    const again = await readSettings(options);
    // A heartbeat that begins after the end would beat on.
    if (isOver) return;
    if (!again.ok) {
      for (const sentence of again.because)
        log.error({}, `${sentence}; the settings that were in force stay`);
      return;
    }
    ground.inForce = again.inForce;
    secrets.learn(again.inForce.notify);
    use();
    log.info({}, "orchd.yaml was read again");
  };
  let reloaded = Promise.resolve();
  const onHangup = (): void => {
    reloaded = reloaded
      .then(reload)
      .catch((error: unknown) => log.error({ err: error }, "orchd.yaml"));
  };
  process.on("SIGHUP", onHangup);
  return {
    close() {
      isOver = true;
      process.off("SIGHUP", onHangup);
    },
  };
}

/** Reads `notify:` of orchd.yaml. */
async function readSettings(
  options: NotifyOptions,
): Promise<
  | { readonly ok: true; readonly inForce: NotifyProgramSettings }
  | { readonly ok: false; readonly because: readonly string[] }
> {
  const { bundles } = new RunStore(options.runs);
  const read = await loadSettings(options.root, bundles, { modules: "later" });
  if (!read.ok) return { ok: false, because: read.errors.map(formatProblem) };
  const inForce = notifyProgramSettings(read.settings);
  if (inForce !== undefined) return { ok: true, inForce };
  const because =
    "orchd.yaml has no `notify`, so there is nobody to tell: give it channels and rules, as " +
    "docs/alerts.md shows.";
  return { ok: false, because: [because] };
}

function channelOf(
  name: string,
  { notify, env: variables }: NotifyProgramSettings,
  secrets: ChannelSecrets,
  { root }: NotifyOptions,
): TimedChannel {
  const settings = notify.channels[name]!;
  const host = { clock, env: process.env, root, machine: hostname(), variables };
  return { channel: makeChannel(name, settings, secrets, host), timeoutMs: settings.timeoutMs };
}

function channelsOf({ inForce, secrets, options }: Ground): Map<string, TimedChannel> {
  return new Map(
    Object.keys(inForce.notify.channels).map((name) => [
      name,
      channelOf(name, inForce, secrets, options),
    ]),
  );
}

function worldOf({ store, secrets }: Pick<Ground, "store" | "secrets">) {
  return { secrets, logEnd: (run: string, most: number) => readLogEnd(store, run, most) };
}

function bookOf({ notify, timezone }: NotifyProgramSettings): RuleBook {
  return new RuleBook(notify, timezone);
}

/** The feed from where the ledger says; the first one, from the ledgers' ends. */
function feedOf({ store, log }: Ground, ledger: NotifyLedger): Feed {
  try {
    return openFeed(store, { from: ledger.checkpoint?.position });
  } catch (error) {
    log.error(
      { err: error },
      "the position in the ledgers cannot be read: what was written while orchd notify was down " +
        "is not told",
    );
    return openFeed(store);
  }
}

/** The fold as the ledger knows it; the first one, as the pipelines' ledgers are now. */
function foldOf({ store, inForce }: Ground, { checkpoint }: NotifyLedger): AlertFold {
  const fold = new AlertFold({
    packed: checkpoint?.state,
    book: bookOf(inForce),
    slotsBetween: (pipeline, from, until) => slotsBetween(store, pipeline, from, until),
  });
  if (checkpoint !== undefined) return fold;
  const now = clock.now();
  for (const facts of allToldOf(store)) fold.take({ type: "pipeline", now, ...facts });
  // What came before the first start is not told.
  const { lines } = readDaemonPast(store.orchdDir);
  fold.state.epoch = Math.max(0, ...lines.map(({ epoch }) => epoch));
  return fold;
}

function rootWatch({ store, log }: Ground, fold: AlertFold, notifier: Notifier): RootWatch {
  const files = new DamagedFiles(store);
  return new RootWatch(fold.state, {
    clock,
    log,
    tell: (fact) => notifier.tell(fact),
    daemons: changedDaemonLines(store.orchdDir),
    full: () => whyFull(store.runsDir),
    damaged: (isNew) => files.now(isNew ? activeRunIds(store) : []),
  });
}

function heartbeatOf({ inForce: { notify }, store, secrets, log }: Ground): Heartbeat | undefined {
  const { heartbeat } = notify;
  if (heartbeat === undefined) return undefined;
  const undecided = new OldestUndecided(store);
  const host = { clock, env: process.env };
  return new Heartbeat({
    clock,
    log,
    everyMs: heartbeat.everyMs,
    timeoutMs: heartbeat.timeoutMs,
    signs: async (now) => ({
      isHeld: readDaemon(store.orchdDir) !== null,
      seenAt: readDaemonPast(store.orchdDir).seenMs,
      undecided: await undecided.at(now),
    }),
    ask: (signal) => askHttp(heartbeat.url, secrets, host, signal),
  });
}

/** Looks after the ledger and the lock. */
function keepLedger(
  { log }: Ground,
  ledger: NotifyLedger,
  lock: NotifyLock,
): { readonly close: () => void } {
  const look = setInterval(() => {
    ledger.look();
    if (lock.stillHeld()) return;
    log.fatal({}, "the lock of orchd notify was removed: it ends, and is to be started again");
    process.exit(1);
  }, LOOK_MS);
  const prune = setInterval(() => {
    const left = ledger.prune();
    if (left === undefined) return;
    log.warn({ err: left }, "old files of the ledger cannot be removed: it is tried again");
  }, PRUNE_MS);
  return {
    close() {
      clearInterval(look);
      clearInterval(prune);
    },
  };
}

function atText<T extends { readonly at: number }>(fact: T): Omit<T, "at"> & { at: string } {
  return { ...fact, at: new Date(fact.at).toISOString() };
}
