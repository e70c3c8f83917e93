/**
 * A place on NATS with one worker in this process, and real runners below it. What is between them
 * is a real server.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "./running-test.ts";
import { systemClock as clock } from "../../src/clock.ts";
import { silentLog } from "../../src/log.ts";
import { BrokerPlace } from "../../src/places/broker/broker-place.ts";
import { PATIENCE_MS } from "../../src/places/broker/messages.ts";
import { NatsBroker } from "../../src/places/broker/nats-broker.ts";
import { Seal } from "../../src/places/broker/seal.ts";
import { namesOn, SealedBroker } from "../../src/places/broker/sealed-broker.ts";
import { WorkerLine } from "../../src/places/broker/worker-line.ts";
import { forkRunner } from "../../src/places/local/runner-child.ts";
import { RunnerPool } from "../../src/places/pool/runner-pool.ts";
import { FileCache } from "../../src/worker/file-cache.ts";
import { PlaceWorker } from "../../src/worker/place-worker.ts";
import { NamedPlace } from "./named-place.ts";
import type { NatsServer } from "./nats-server.ts";
import { tempRoot } from "./temp-root.ts";

/** A place for one test. */
export class NatsRig {
  readonly place: NamedPlace;
  readonly #inner: BrokerPlace;
  readonly #pools: RunnerPool[] = [];
  readonly #folder = tempRoot().root;
  readonly #bundles = join(this.#folder, "bundles");

  private constructor(server: NatsServer, threads: number) {
    const secret = randomBytes(32).toString("hex");
    mkdirSync(this.#bundles);
    const side = (): SealedBroker => {
      const seal = new Seal(secret);
      const { prefix, bucket } = namesOn(seal, "farm");
      const broker = new NatsBroker(clock, { urls: [server.url], bucket, name: "test" });
      return new SealedBroker(broker, seal, prefix, clock, (sentence) => expect.fail(sentence));
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
    this.place = new NamedPlace(this.#inner, this.#folder);
  }

  /** Opens one whose worker is here. */
  static async open(server: NatsServer, threads: number): Promise<NatsRig> {
    const rig = new NatsRig(server, threads);
    await expect.poll(() => rig.place.capacity().module, { timeout: 30_000 }).toBe(threads);
    return rig;
  }

  /** Makes `text` the module `name`. */
  module(name: string, text: string): void {
    this.place.module(name, text);
  }

  /** Ends the worker's runners. */
  crash(): void {
    for (const pool of this.#pools) for (const pid of pool.pids()) process.kill(pid, "SIGKILL");
  }

  #worker(broker: SealedBroker, threads: number): PlaceWorker {
    const cache = new FileCache(join(this.#folder, "cache"));
    const incarnation = randomBytes(4).toString("hex");
    const known = { version: "1", node: "20", platform: "x" };
    const about = { worker: "w", labels: [], threads, cores: 2, ...known };
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
}
