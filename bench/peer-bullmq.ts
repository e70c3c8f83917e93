/**
 * BullMQ on a Redis that syncs its append-only file at each write, so that a job is as durable as a
 * step is. The server is started here, on loopback and a free port, with a folder of its own, and
 * ends with the bench.
 *
 * Jobs are added before the clock starts, while the worker is paused. A chain is a flow, in which
 * each job waits for its child.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { createRequire } from "node:module";
import { peerPackages } from "./peer-packages.ts";
import { tookHere, type Took } from "./rounds.ts";

/** The parts of BullMQ that are used here. */
interface BullMq {
  readonly Queue: new (name: string, options: object) => BullQueue;
  readonly Worker: new (name: string, work: () => Promise<unknown>, options: object) => BullWorker;
  readonly FlowProducer: new (options: object) => BullFlows;
}
interface BullQueue {
  addBulk(jobs: readonly { readonly name: string; readonly data: object }[]): Promise<unknown>;
  obliterate(options: { readonly force: boolean }): Promise<void>;
  close(): Promise<void>;
}
interface BullWorker {
  on(event: "completed" | "error", listener: (error: unknown) => void): this;
  off(event: "completed", listener: () => void): this;
  waitUntilReady(): Promise<unknown>;
  pause(): Promise<void>;
  resume(): void;
  close(force: boolean): Promise<void>;
}
interface BullFlows {
  add(flow: Flow): Promise<unknown>;
  close(): Promise<void>;
}
interface Flow {
  readonly name: string;
  readonly queueName: string;
  readonly data: object;
  readonly children?: readonly Flow[];
}

const QUEUE = "bench";
/** As many jobs are under way as steps of a run may be. */
const UNDER_WAY = 64;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Starts a server. @throws Error if there is no redis-server, or it does not come up */
async function startRedis(folder: string, port: number): Promise<ChildProcess> {
  const dir = join(folder, "redis");
  mkdirSync(dir, { recursive: true });
  const words = ["--bind", "127.0.0.1", "--port", String(port), "--dir", dir, "--save", ""];
  const server = spawn(
    "redis-server",
    [...words, "--appendonly", "yes", "--appendfsync", "always"],
    {
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  await new Promise<void>((resolve, reject) => {
    let log = "";
    server.stdout.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      if (log.includes("eady to accept connections")) resolve();
    });
    server.on("error", reject);
    server.on("exit", () => reject(new Error(`redis-server ended: ${log.slice(-500)}`)));
  });
  return server;
}

/** A worker, its queue and their server. */
export class PeerBullMq {
  readonly #server: ChildProcess;
  readonly #queue: BullQueue;
  readonly #worker: BullWorker;
  readonly #flows: BullFlows;

  private constructor(server: ChildProcess, { Queue, Worker, FlowProducer }: BullMq, port: number) {
    const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };
    this.#server = server;
    this.#queue = new Queue(QUEUE, { connection });
    this.#flows = new FlowProducer({ connection });
    this.#worker = new Worker(QUEUE, () => Promise.resolve(null), {
      connection,
      concurrency: UNDER_WAY,
    });
    this.#worker.on("error", (error) => process.stderr.write(`BullMQ: ${String(error)}\n`));
  }

  /** @throws Error if BullMQ or redis-server is not installed */
  static async start(folder: string): Promise<PeerBullMq> {
    const bull = createRequire(join(peerPackages, "bullmq/package.json"))("bullmq") as BullMq;
    const port = await freePort();
    const peer = new PeerBullMq(await startRedis(folder, port), bull, port);
    await peer.#worker.waitUntilReady();
    await peer.#worker.pause();
    return peer;
  }

  async fan(count: number): Promise<Took> {
    await this.#queue.addBulk(Array.from({ length: count }, () => ({ name: "step", data: {} })));
    return this.#work(count);
  }

  async chain(count: number): Promise<Took> {
    const step = { name: "step", queueName: QUEUE, data: {} };
    let flow: Flow = step;
    for (let left = count - 1; left > 0; left -= 1)
      flow = Object.assign({ children: [flow] }, step);
    await this.#flows.add(flow);
    return this.#work(count);
  }

  /** Lets the worker do what was added: `count` jobs. */
  async #work(count: number): Promise<Took> {
    let left = count;
    const took = await tookHere(async () => {
      const ended = new Promise<void>((resolve) => {
        const ends = (): void => {
          if ((left -= 1) > 0) return;
          this.#worker.off("completed", ends);
          resolve();
        };
        this.#worker.on("completed", ends);
      });
      this.#worker.resume();
      await ended;
    }, this.#server.pid!);
    await this.#worker.pause();
    await this.#queue.obliterate({ force: true });
    return took;
  }

  async end(): Promise<void> {
    await this.#worker.close(true);
    await this.#flows.close();
    await this.#queue.close();
    const ended = once(this.#server, "exit");
    this.#server.kill("SIGTERM");
    await ended;
  }
}
