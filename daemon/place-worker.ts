/**
 * Wires `orchd worker`: settings, secrets, lock, cache, runners, broker, signals. It holds no
 * logic.
 *
 * The order: settings and secrets; the lock (it refuses beside another one of its name); what an
 * earlier one left is ended; then the broker is reached, and the daemon hears of this worker.
 */
import { createHash, randomBytes } from "node:crypto";
import { openSync, readFileSync, readSync, readdirSync, realpathSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { availableParallelism, hostname, uptime } from "node:os";
import { join } from "node:path";
import type { WorkerOptions } from "../src/cli/command.ts";
import { systemClock } from "../src/clock.ts";
import { LABEL_PATTERN } from "../src/core/place-schema.ts";
import type { BrokerPlaceSettings } from "../src/core/place-settings.ts";
import type { OrchdSettings } from "../src/core/settings.ts";
import { whyOtherRelease } from "../src/disk/built-program.ts";
import { makeFolder } from "../src/disk/make-folder.ts";
import { hasNone } from "../src/core/did-you-mean.ts";
import { removeTrees } from "../src/disk/remove-tree.ts";
import { SecretFiles } from "../src/disk/secret-files.ts";
import { endProcess } from "../src/engine/end-process.ts";
import { onStopSignals } from "../src/engine/stop-signals.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import type { Log } from "../src/log.ts";
import { badLogLevel, openDaemonLog } from "../src/observe/daemon-log.ts";
import type { Broker } from "../src/places/broker/broker.ts";
import { RUNNER_LEASE_MS } from "../src/places/broker/messages.ts";
import { NatsBroker } from "../src/places/broker/nats-broker.ts";
import { RedisBroker } from "../src/places/broker/redis-broker.ts";
import { Seal } from "../src/places/broker/seal.ts";
import { namesOn, SealedBroker } from "../src/places/broker/sealed-broker.ts";
import { ToldFaults } from "../src/places/broker/told-faults.ts";
import { WorkerLine } from "../src/places/broker/worker-line.ts";
import { forkRunner } from "../src/places/local/runner-child.ts";
import { endByToken } from "../src/places/pool/kill-by-token.ts";
import { RunnerPool } from "../src/places/pool/runner-pool.ts";
import { loadSettings } from "../src/schedules/load-settings.ts";
import { linkOwnPackage } from "../src/schedules/own-package.ts";
import { formatProblem } from "../src/schedules/problem.ts";
import { VERSION } from "../src/version.ts";
import { FileCache } from "../src/worker/file-cache.ts";
import { PlaceWorker, type WorkerAbout } from "../src/worker/place-worker.ts";

const clock = systemClock;
/** A worker's name is a word of the broker's subjects. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;
/** How long what is left of connections may take to end, in milliseconds. */
const LEFT_MS = 1_000;

/** It cannot start. The message is a sentence. */
class CannotStart extends Error {
  readonly status: number;
  constructor(sentence: string, status: number) {
    super(sentence);
    this.status = status;
  }
}

/** What stands before the broker is reached. */
interface Ground {
  readonly options: WorkerOptions;
  readonly log: Log;
  readonly settings: OrchdSettings;
  readonly place: BrokerPlaceSettings;
  readonly about: WorkerAbout;
  /** The folder that it works in, and no other worker. */
  readonly folder: string;
  readonly home: string;
}

/**
 * Serves a place until it is told to end. @returns the exit status: 0 after that, 1 where it could
 * not start, 2 for a bad orchd.yaml or word
 */
export async function runWorker(options: WorkerOptions): Promise<number> {
  const badLevel = badLogLevel();
  if (badLevel !== undefined) {
    options.tell(badLevel);
    return 2;
  }
  try {
    const { settings, place } = await placeOf(options);
    const about = aboutOf(options, settings);
    const secrets = secretsOf(place);
    const folder = folderOf(options, about);
    const home = idOf(`${machineId()}\n${folder}`);
    const lock = await lockOf(home, about, options);
    const log = openDaemonLog(options.isTerminal);
    await serve({ options, log, settings, place, about, folder, home }, secrets);
    lock.close();
    return 0;
  } catch (error) {
    if (!(error instanceof CannotStart)) throw error;
    options.tell(error.message);
    return error.status;
  }
}

/**
 * Milliseconds since the machine's start, with those in which it slept. Each step asks: `uptime`
 * opens the kernel's file each time, which takes thrice as long as to read it.
 */
function sinceBootOf(): () => number {
  let file: number;
  try {
    file = openSync("/proc/uptime", "r");
  } catch {
    return () => uptime() * 1_000;
  }
  const text = Buffer.alloc(64);
  return () =>
    Number.parseFloat(text.toString("latin1", 0, readSync(file, text, 0, 64, 0))) * 1_000;
}

async function serve(ground: Ground, { seal, credentials }: Secrets): Promise<void> {
  const { options, log, place, about, folder, home } = ground;
  const token = `orchd-worker-${home}`;
  const incarnation = randomBytes(8).toString("hex");
  const cache = new FileCache(folder);
  linkOwnPackage(cache.bundles);
  const scratch = join(folder, "scratch");
  makeFolder(scratch, 0o700);
  await endEarlier(token, log);
  const left = readdirSync(scratch).map((name) => join(scratch, name));
  // Nothing else keeps this process alive yet.
  await removeTrees(left, { holdsProcess: true });
  const { prefix, bucket } = namesOn(seal, options.place);
  const Engine = place.engine === "nats" ? NatsBroker : RedisBroker;
  const broker = new Engine(clock, {
    urls: place.urls,
    credentials,
    tls: place.tls,
    bucket,
    name: `orchd worker ${about.worker}`,
  });
  const faults = new ToldFaults(clock, (sentence) => log.warn({}, sentence));
  const sealed = new SealedBroker(broker, seal, prefix, clock, faults.tell);
  const worker = new PlaceWorker({
    clock,
    sinceBoot: sinceBootOf(),
    log,
    line: new WorkerLine(sealed, clock, {
      worker: about.worker,
      incarnation,
      home,
      version: VERSION,
    }),
    cache,
    about,
    incarnation,
    whyNot: () => whyOtherRelease(),
    openPool: poolsOf(ground, `${token}.${incarnation}`, cache, scratch),
    localTask: (task) => ({ ...task, artifacts: cache.artifacts }),
  });
  tellState(broker, log, () => {
    const { worker: name, labels, threads } = about;
    options.serves({ place: options.place, worker: name, labels, threads, urls: place.urls });
  });
  worker.start();
  broker.onState(({ up }) => {
    if (up) worker.beatNow();
  });
  await untilEnded(worker, log);
  // A connection over a link that is dead may take minutes to end.
  setTimeout(() => endProcess(0), LEFT_MS).unref();
  await broker.close();
}

/** Resolves when the worker has left. The first signal asks it to, the second insists. */
async function untilEnded(worker: PlaceWorker, log: Log): Promise<void> {
  await new Promise<void>((ended) => {
    const off = onStopSignals((signal, insists) => {
      const tasks = worker.tasks.length;
      const what = insists ? "its tasks are ended" : "it takes no more tasks";
      log.info({ signal, tasks }, `the worker ends: ${what}`);
      void (insists ? worker.close() : worker.leave()).then(() => {
        off();
        ended();
      });
    });
  });
}

/**
 * Ends what an earlier worker of this name left. Resolves when nothing of it is there: the daemon
 * starts its steps again once this worker says hello.
 */
async function endEarlier(token: string, log: Log): Promise<void> {
  const first = await endByToken(token);
  let { areGone } = first;
  if (!areGone) log.warn({}, "processes that an earlier worker left do not end: it waits for them");
  while (!areGone) ({ areGone } = await endByToken(token));
  if (first.ended > 0)
    log.warn({ processes: first.ended }, "processes that an earlier worker left were ended");
}

/** Makes pools, one after the other: no two runners have the same token. */
function poolsOf(
  { settings, about: { threads }, log }: Ground,
  token: string,
  { bundles }: FileCache,
  scratch: string,
): () => RunnerPool {
  let pools = 0;
  return () => {
    pools += 1;
    return new RunnerPool({
      clock,
      launch: forkRunner,
      log,
      settings: {
        ...settings.runner,
        threads,
        bundles,
        scratch,
        token: `${token}.${pools}`,
        leaseMs: RUNNER_LEASE_MS,
      },
    });
  };
}

/** Logs how the broker is. @param up called once, when it is reached */
function tellState(broker: Broker, log: Log, up: () => void): void {
  let isFirst = true;
  let told: string | undefined;
  broker.onState((state) => {
    if (state.up) {
      if (isFirst) up();
      else log.info({}, "the broker answers again");
      isFirst = false;
      told = undefined;
    } else if (state.because !== told) {
      told = state.because;
      log.warn({}, state.because);
    }
  });
}

/** @throws CannotStart */
async function placeOf({
  root,
  runs,
  place: name,
}: WorkerOptions): Promise<{ settings: OrchdSettings; place: BrokerPlaceSettings }> {
  const read = await loadSettings(root, new RunStore(runs).bundles, { modules: "later" });
  if (!read.ok) throw new CannotStart(read.errors.map(formatProblem).join("\n"), 2);
  const { settings } = read;
  const place = Object.hasOwn(settings.places, name) ? settings.places[name] : undefined;
  if (place === undefined) {
    const sentence = hasNone(join(root, "orchd.yaml"), "place", name, Object.keys(settings.places));
    throw new CannotStart(sentence, 2);
  }
  if (place.engine === "ssh")
    throw new CannotStart(
      `The place ${name} is reached over SSH and needs no worker: orchd place prepare ${name}.`,
      2,
    );
  return { settings, place };
}

/** @throws CannotStart */
function aboutOf(options: WorkerOptions, { runner }: OrchdSettings): WorkerAbout {
  const worker =
    options.name ??
    hostname()
      .replaceAll(/[^A-Za-z0-9_-]/g, "-")
      .slice(0, 63);
  if (!NAME.test(worker))
    throw new CannotStart(
      `--name: ${JSON.stringify(worker)} is no worker's name: 1 to 63 letters, digits, - and _.`,
      2,
    );
  const bad = options.labels.find((label) => !LABEL_PATTERN.test(label) || label === "local");
  if (bad !== undefined)
    throw new CannotStart(
      `--labels: ${JSON.stringify(bad)} is no label: 1 to 64 letters, digits, ., - and _, ` +
        "beginning with a letter or a digit, and not local.",
      2,
    );
  return {
    worker,
    labels: options.labels,
    threads: options.threads ?? runner.threads,
    cores: availableParallelism(),
    version: VERSION,
    node: process.versions.node,
    platform: `${process.platform}/${process.arch}`,
  };
}

interface Secrets {
  readonly seal: Seal;
  readonly credentials: string | undefined;
}

/** @throws CannotStart */
function secretsOf({ key, credentials }: BrokerPlaceSettings): Secrets {
  const files = new SecretFiles([process.env["CREDENTIALS_DIRECTORY"]]);
  const read = (name: string): string => {
    try {
      return files.get(name);
    } catch (error) {
      throw new CannotStart((error as Error).message, 1);
    }
  };
  const text = read(key.secret);
  const shown = credentials === undefined ? undefined : read(credentials.secret);
  try {
    return { seal: new Seal(text), credentials: shown };
  } catch (error) {
    throw new CannotStart(`The secret ${key.secret}: ${(error as Error).message}.`, 1);
  }
}

/** Makes the worker's folder. @throws CannotStart */
function folderOf({ runs, place }: WorkerOptions, { worker }: WorkerAbout): string {
  const folder = join(new RunStore(runs).orchdDir, "workers", place, worker);
  try {
    makeFolder(folder, 0o700);
    return realpathSync(folder);
  } catch (error) {
    throw new CannotStart(
      `${folder} cannot be made: ${(error as Error).message}. ` +
        "Give a folder that it may write: --runs DIR.",
      1,
    );
  }
}

/**
 * Takes the lock: a name of the kernel's, which goes with this process. @throws CannotStart where
 * another worker has it
 */
async function lockOf(home: string, { worker }: WorkerAbout, options: WorkerOptions) {
  const lock: Server = createServer();
  await new Promise<void>((resolve, reject) => {
    lock.on("error", (error: NodeJS.ErrnoException) => {
      const because =
        error.code === "EADDRINUSE"
          ? `A worker ${worker} serves ${options.place} already on this machine: give this one ` +
            "another --name."
          : `The lock of this worker cannot be taken: ${error.message}.`;
      reject(new CannotStart(because, 1));
    });
    lock.listen({ path: `\0orchd-worker-${home}` }, resolve);
  });
  lock.unref();
  return lock;
}

/** Tells this machine from others, as far as it says. */
function machineId(): string {
  try {
    return readFileSync("/etc/machine-id", "utf8").trim();
  } catch {
    return hostname();
  }
}

function idOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
