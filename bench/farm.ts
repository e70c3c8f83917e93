/**
 * A warm module step at a worker on NATS, beside what it cannot be faster than: the same step in a
 * runner of this process, and a bare round trip over JetStream (published into a stream, consumed
 * by another process, acknowledged, and published back). One after the other, and many at once.
 */
import { fork, spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock as clock } from "../src/clock.ts";
import type { SnapshotStep } from "../src/core/snapshot.ts";
import type { ModuleTask } from "../src/core/task.ts";
import { silentLog } from "../src/log.ts";
import { openBrokerPlace } from "../src/places/broker/open-broker-place.ts";
import type { FarPlace } from "../src/places/far-place.ts";
import { forkRunner } from "../src/places/local/runner-child.ts";
import type { StartOptions, TaskHandlers } from "../src/places/place.ts";
import { RunnerPool } from "../src/places/pool/runner-pool.ts";
import { NatsServer } from "../test/support/nats-server.ts";
import { inFolder, program, writeFiles } from "./bench-root.ts";
import { Rounds, tookHere, type Took } from "./rounds.ts";
import type { BenchOptions, Row } from "./row.ts";

const THREADS = 2;
const CHAIN = 200;
const MANY = 500;
const ROUNDS = 7;
const SHORT_ROUNDS = 3;
const KEY = "6f".repeat(32);
const CODE = "export default ({ params }) => params.n;\n";
const BUNDLE = createHash("sha256").update(CODE).digest("hex");
/** How many times a round trip and a local step together a far step may take. */
const GOAL = { of: "ratio", atMost: 1.5 } as const;

/** Something that does a step, or what stands for one. */
type Do = (number: number) => Promise<void>;

export async function run({ short, note }: BenchOptions): Promise<Row[]> {
  let server: NatsServer;
  try {
    server = await NatsServer.start();
  } catch (error) {
    note((error as Error).message);
    return [];
  }
  try {
    return await inFolder((folder) => rowsOf(folder, server, short ? SHORT_ROUNDS : ROUNDS));
  } finally {
    await server.remove();
  }
}

async function rowsOf(folder: string, server: NatsServer, rounds: number): Promise<Row[]> {
  const bundles = join(folder, "bundles");
  mkdirSync(bundles);
  writeFileSync(join(bundles, `${BUNDLE}.mjs`), CODE);
  const token = `bench-farm-${process.pid}`;
  const settings = { threads: THREADS, bundles, scratch: join(folder, "scratch"), token };
  const pool = new RunnerPool({ clock, launch: forkRunner, settings });
  const place = placeOn(server, folder, bundles);
  const worker = await workerOn(server, folder);
  const bare = await BareTrips.open(server, folder);
  try {
    while (place.room("module", ["farm"]) < THREADS) await sleep(20);
    const pids = [worker.pid!, bare.pid];
    const steps: readonly [string, Do][] = [
      ["a bare round trip", () => bare.trip()],
      ["in a runner here", (number) => step(pool, `bench@1#${number}`)],
      ["at a worker", (number) => farStep(place, number)],
    ];
    const rows: Row[] = [];
    for (const count of [CHAIN, MANY]) {
      const [trip, here, far] = steps.map(([name]) => new Rounds(name)) as [Rounds, Rounds, Rounds];
      for (let round = -1; round < rounds; round += 1)
        for (const [at, [, once]] of steps.entries()) {
          const took = await tookHere(() => (count === CHAIN ? chain(once) : many(once)), ...pids);
          if (round >= 0) [trip, here, far][at]!.add(scaled(took), count);
        }
      rows.push({
        what: count === CHAIN ? "a module step, one after the other" : `one of ${MANY} at once`,
        unit: "µs",
        orchd: far,
        beside: sumOf(trip, here),
        goal: GOAL,
      });
    }
    return rows;
  } finally {
    await Promise.all([pool.close(), place.close(true), bare.close()]);
    worker.kill("SIGKILL");
  }
}

/** In microseconds. */
function scaled({ ms, cpuUs }: Took): Took {
  return { ms: ms * 1_000, cpuUs };
}

/** A round trip and a local step, round by round. */
function sumOf(trip: Rounds, here: Rounds): Row["beside"] {
  return {
    name: "a bare round trip, and in a runner here",
    samples: trip.samples.map((sample, round) => sample + here.samples[round]!),
    cpuUs: trip.cpuUs.map((sample, round) => sample + here.cpuUs[round]!),
  };
}

let made = 0;

async function chain(once: Do): Promise<void> {
  for (let step = 0; step < CHAIN; step += 1) await once((made += 1));
}

async function many(once: Do): Promise<void> {
  await Promise.all(Array.from({ length: MANY }, () => once((made += 1))));
}

function taskOf(number: number): ModuleTask {
  return {
    kind: "module",
    code: { bundle: BUNDLE, pick: "export:default", source: "./code.ts" },
    params: { n: number },
    inputs: {},
    isolated: false,
    run: { id: "bench@1", pipeline: "bench", attempt: 1 },
    step: "it",
    env: {},
    gracePeriodMs: 200,
  };
}

interface Starts {
  start(id: string, task: ModuleTask, handlers: TaskHandlers, options: StartOptions): void;
}

function step(
  place: Starts,
  id: string,
  over: () => void = () => undefined,
  ahead = false,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const handlers: TaskHandlers = {
      done: (result) => {
        over();
        if (result.ok) resolve();
        else reject(new Error(result.error.message));
      },
      died: ({ because }) => reject(new Error(because)),
      output: () => {},
    };
    place.start(id, taskOf(Number(id.split("#")[1])), handlers, { ahead });
  });
}

/** Steps that wait for room, the first one first. */
const waiting: (() => void)[] = [];
/** What a place must know of them to say how much room one takes. */
const SPEC = { ...taskOf(0), on: ["farm"], hooks: {} } as unknown as SnapshotStep;

/** A step at a worker, once there is room: as a run does, it starts no more than that. */
function farStep(place: FarPlace, number: number): Promise<void> {
  const id = `bench@1#${number}`;
  const hasRoom = (): boolean => place.room("module", ["farm"]) > 0;
  const over = (): void => {
    place.settle?.([id]);
    while (waiting.length > 0 && hasRoom()) waiting.shift()!();
  };
  return new Promise((resolve, reject) => {
    const begin = (): void => {
      const ahead = (place.share?.(SPEC) ?? 1) < 1;
      step(place, id, over, ahead).then(resolve, reject);
    };
    if (hasRoom()) begin();
    else waiting.push(begin);
  });
}

function placeOn(server: NatsServer, root: string, bundles: string): FarPlace {
  return openBrokerPlace({
    name: "farm",
    settings: { engine: "nats", urls: [server.url], key: { secret: "queue.key" }, labels: [] },
    clock,
    log: silentLog,
    secrets: { get: () => KEY },
    root,
    folder: join(root, "places"),
    bundles,
    artifacts: join(root, "artifacts"),
    token: "bench",
    since: clock.monotonic(),
  });
}

async function workerOn(server: NatsServer, folder: string): Promise<ChildProcess> {
  const root = join(folder, "worker");
  const place = `{ engine: nats, url: "${server.url}", key: { secret: queue.key } }`;
  writeFiles(root, { "orchd.yaml": `places: { farm: ${place} }\n`, "secrets/queue.key": KEY });
  const words = ["worker", "--place", "farm", "--name", "w", "--root", root];
  const child = spawn(process.execPath, [program, ...words, "--threads", String(THREADS)], {
    env: { ...process.env, CREDENTIALS_DIRECTORY: join(root, "secrets") },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return child;
}

/** What takes from one stream and publishes into another, in a process of its own. */
const ECHO = `
import { connect } from "${import.meta.resolve("@nats-io/transport-node")}";
import { jetstream, jetstreamManager } from "${import.meta.resolve("@nats-io/jetstream")}";
const connection = await connect({ servers: [process.argv[2]] });
const manager = await jetstreamManager(connection);
for (const name of ["TASKS", "ENDS"]) {
  await manager.streams.add({ name, subjects: [name] });
  await manager.consumers.add(name, { durable_name: "all", ack_policy: "explicit" });
}
const engine = jetstream(connection);
const consumer = await engine.consumers.get("TASKS", "all");
process.on("disconnect", () => process.exit(0));
process.send("ready");
for await (const message of await consumer.consume()) {
  message.ack();
  void engine.publish("ENDS", message.data);
}
`;

/** Bare round trips. */
class BareTrips {
  readonly #child: ChildProcess;
  readonly #publish: (message: Uint8Array) => Promise<unknown>;
  readonly #close: () => Promise<void>;
  /** Trips that are under way, the first one first: the streams keep the order. */
  readonly #waiting: (() => void)[] = [];
  readonly #message = Buffer.from(JSON.stringify(taskOf(1)));

  private constructor(
    child: ChildProcess,
    publish: (message: Uint8Array) => Promise<unknown>,
    close: () => Promise<void>,
  ) {
    this.#child = child;
    this.#publish = publish;
    this.#close = close;
  }

  static async open({ url }: NatsServer, folder: string): Promise<BareTrips> {
    const path = join(folder, "echo.mjs");
    writeFileSync(path, ECHO);
    const child = fork(path, [url], { execArgv: [] });
    await new Promise((resolve) => child.once("message", resolve));
    const { connect } = await import("@nats-io/transport-node");
    const { jetstream } = await import("@nats-io/jetstream");
    const connection = await connect({ servers: [url] });
    const engine = jetstream(connection);
    const ends = await (await engine.consumers.get("ENDS", "all")).consume();
    const trips = new BareTrips(
      child,
      (message) => engine.publish("TASKS", message),
      () => connection.close(),
    );
    void (async () => {
      for await (const message of ends) {
        message.ack();
        trips.#waiting.shift()?.();
      }
    })();
    return trips;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async trip(): Promise<void> {
    const back = new Promise<void>((resolve) => this.#waiting.push(resolve));
    await Promise.all([this.#publish(this.#message), back]);
  }

  async close(): Promise<void> {
    await this.#close();
    this.#child.disconnect();
  }
}
