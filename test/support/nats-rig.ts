/**
 * A place on NATS with one worker in this process, and real runners below it. What is between them
 * is a real server.
 *
 * The ids of a daemon are never used twice, and code is named by its sha256. A test does both by
 * name, so names are exchanged here.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "./running-test.ts";
import { systemClock as clock } from "../../src/clock.ts";
import type { Task } from "../../src/core/task.ts";
import { silentLog } from "../../src/log.ts";
import { BrokerPlace } from "../../src/places/broker/broker-place.ts";
import { PATIENCE_MS } from "../../src/places/broker/messages.ts";
import { NatsBroker } from "../../src/places/broker/nats-broker.ts";
import { Seal } from "../../src/places/broker/seal.ts";
import { namesOn, SealedBroker } from "../../src/places/broker/sealed-broker.ts";
import { WorkerLine } from "../../src/places/broker/worker-line.ts";
import { forkRunner } from "../../src/places/local/runner-child.ts";
import type { Place, StartOptions, TaskHandlers } from "../../src/places/place.ts";
import { RunnerPool } from "../../src/places/pool/runner-pool.ts";
import { FileCache } from "../../src/worker/file-cache.ts";
import { PlaceWorker } from "../../src/worker/place-worker.ts";
import type { NatsServer } from "./nats-server.ts";
import { tempRoot } from "./temp-root.ts";

/** A place for one test. */
export class NatsRig {
  readonly place: Place;
  readonly #inner: BrokerPlace;
  readonly #pools: RunnerPool[] = [];
  readonly #folder = tempRoot().root;
  readonly #bundles = join(this.#folder, "bundles");
  readonly #codes = new Map<string, string>();
  readonly #tokens = new Map<string, string>();
  #started = 0;

  private constructor(server: NatsServer, threads: number) {
    const secret = randomBytes(32).toString("hex");
    mkdirSync(this.#bundles);
    const side = (): SealedBroker => {
      const seal = new Seal(secret);
      const { prefix, bucket } = namesOn(seal, "farm");
      const broker = new NatsBroker(clock, { urls: [server.url], bucket, name: "test" });
      return new SealedBroker(broker, seal, prefix, (sentence) => expect.fail(sentence));
    };
    this.#inner = new BrokerPlace({
      name: "farm",
      labels: [],
      clock,
      log: silentLog,
      connect: side,
      root: this.#folder,
      bundles: this.#bundles,
      // No daemon was before this one.
      since: clock.monotonic() - PATIENCE_MS,
      bundleFault: () => undefined,
    });
    const mine = side();
    const worker = this.#worker(mine, threads);
    // Before that nobody would hear its first beat, and the next one comes 1.5 s later.
    let begun = false;
    const begin = (): void => {
      const isUp = this.#inner.report().because?.startsWith("no worker") === true;
      if (begun || !isUp || !mine.broker.state.up) return;
      begun = true;
      worker.start();
    };
    const off = [mine.broker.onState(begin), this.#inner.onReport(begin)];
    onTestFinished(async () => {
      for (const end of off) end();
      await Promise.all([worker.close(), this.#inner.close()]);
      await mine.broker.close();
    });
    this.place = this.#named();
  }

  /** Opens one whose worker is here. */
  static async open(server: NatsServer, threads: number): Promise<NatsRig> {
    const rig = new NatsRig(server, threads);
    await expect.poll(() => rig.place.capacity()["module"], { timeout: 10_000 }).toBe(threads);
    return rig;
  }

  /** Makes `text` the module `name`. */
  module(name: string, text: string): void {
    const hash = createHash("sha256").update(text).digest("hex");
    writeFileSync(join(this.#bundles, `${hash}.mjs`), text);
    this.#codes.set(name, hash);
  }

  /** Ends the worker's runners. */
  crash(): void {
    for (const pool of this.#pools) for (const pid of pool.pids()) process.kill(pid, "SIGKILL");
  }

  #worker(broker: SealedBroker, threads: number): PlaceWorker {
    const cache = new FileCache(join(this.#folder, "cache"));
    const incarnation = randomBytes(4).toString("hex");
    const about = { worker: "w", labels: [], threads, version: "1", node: "20", platform: "x" };
    return new PlaceWorker({
      clock,
      sinceBoot: () => clock.monotonic(),
      log: silentLog,
      line: new WorkerLine(broker, clock, { worker: "w", incarnation, home: "h", version: "1" }),
      cache,
      about,
      incarnation,
      openPool: () => {
        const scratch = join(this.#folder, "scratch");
        const token = `rig-${process.pid}-${incarnation}-${this.#pools.length}`;
        const settings = { threads, bundles: cache.bundles, scratch, token };
        const pool = new RunnerPool({ clock, launch: forkRunner, settings });
        this.#pools.push(pool);
        return pool;
      },
      localTask: (task) => ({ ...task, artifacts: cache.artifacts }),
    });
  }

  #named(): Place {
    const inner = this.#inner;
    const room = (kind: "module" | "shell"): number => inner.room(kind, []);
    return {
      capacity: () => ({ module: room("module"), shell: room("shell") }),
      promise: (lane, share) => inner.promise(`${lane}@farm`, share),
      redeem: (lane, share) => inner.redeem(`${lane}@farm`, share),
      start: (id, task, handlers, options) => this.#start(id, task, handlers, options),
      stop: (id, mode, because) => inner.stop(this.#tokens.get(id) ?? id, mode, because),
      adopt: (...given) => inner.adopt(...given),
      forget: () => undefined,
    };
  }

  #start(id: string, task: Task, handlers: TaskHandlers, options?: StartOptions): void {
    if (this.#tokens.has(id)) throw new Error(`"${id}" was started already and has not ended`);
    // The number behind the # stays: it says which attempt it is.
    const token = task.kind === "flavor" ? id : id.replace("#", `~${(this.#started += 1)}#`);
    const code = task.kind === "shell" ? undefined : task.code;
    const coded = code && { code: { ...code, bundle: this.#codes.get(code.bundle)! } };
    const own = { ...task, ...coded, artifacts: join(this.#folder, "artifacts") } as Task;
    const named = (one: string): string => one.replace(/~\d+/, "");
    const over = (): void => {
      this.#tokens.delete(id);
      this.#inner.settle([token]);
    };
    this.#inner.start(
      token,
      own,
      {
        ...handlers,
        done: (...ended) => {
          over();
          handlers.done(...ended);
        },
        died: (info) => {
          over();
          handlers.died({ ...info, inFlight: info.inFlight.map(named) });
        },
      },
      options,
    );
    this.#tokens.set(id, token);
  }
}
