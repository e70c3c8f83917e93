/** A worker with a played daemon, a played pool and a virtual clock. */
import { createHash } from "node:crypto";
import { silentLog } from "../../src/log.ts";
import type { OutputLine, ShellTask, Task, TaskResult } from "../../src/core/task.ts";
import { BrokerSilence } from "../../src/places/broker/broker.ts";
import type {
  FromWorker,
  FromWorkerAnswer,
  ToWorker,
  ToWorkerAnswer,
} from "../../src/places/broker/messages.ts";
import type { HearsDaemon } from "../../src/places/broker/worker-line.ts";
import type { TaskHandlers } from "../../src/places/place.ts";
import { FileCache } from "../../src/worker/file-cache.ts";
import { PlaceWorker, type WorkerPool } from "../../src/worker/place-worker.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

type Say = FromWorker["type"];
type Said<T extends Say> = Extract<FromWorker, { readonly type: T }>;

/** A task that the played pool runs. */
export interface Running {
  readonly task: Task;
  readonly handlers: TaskHandlers;
  readonly alone: boolean;
}

/** A pool whose tasks end when the test says so. */
export class PlayedPool implements WorkerPool {
  readonly running = new Map<string, Running>();
  readonly stops: string[] = [];
  closed = false;
  /** Closing it waits for this. */
  untilClosed: Promise<void> = Promise.resolve();

  start(id: string, task: Task, handlers: TaskHandlers, { alone = false }): void {
    if (this.running.has(id)) throw new Error(`${id} was started twice`);
    this.running.set(id, { task, handlers, alone });
  }

  stop(id: string, mode: string, because: string): void {
    this.stops.push(`${mode} ${id}: ${because}`);
  }

  async close(): Promise<void> {
    await this.untilClosed;
    this.closed = true;
    this.running.clear();
  }
}

/** The world around one worker. */
export class WorkerWorld {
  readonly clock = new VirtualClock();
  readonly cacheFolder = tempRoot().root;
  readonly cache: FileCache;
  readonly pools: PlayedPool[] = [];
  readonly worker: PlaceWorker;
  /** All that the worker said, in order. */
  readonly said: FromWorker[] = [];
  /** What the broker keeps. */
  readonly files = new Map<string, Uint8Array>();
  readonly bodies = new Map<string, string>();
  readonly warnings: string[] = [];
  /** Why the worker can start no program. */
  whyNot: string | undefined;
  /** Nothing reaches anybody. */
  cut = false;
  /** The broker keeps no more files. */
  isFull = false;
  refusedPuts = 0;
  /** Answers in place of the usual daemon. Undefined: as usual. A promise: later. */
  answer: (message: FromWorker) => Promise<ToWorkerAnswer> | ToWorkerAnswer | undefined = () =>
    undefined;
  #hear: HearsDaemon | undefined;

  constructor(cacheLimit?: number) {
    this.cache = new FileCache(this.cacheFolder, cacheLimit);
    const { clock } = this;
    this.worker = new PlaceWorker({
      clock,
      sinceBoot: () => clock.monotonic(),
      log: {
        ...silentLog,
        warn: (_, message) => void this.warnings.push(message),
        error: (_, message) => void this.warnings.push(message),
      },
      line: {
        answerLength: 2_000,
        ask: (said) => this.#asked(typeof said === "function" ? said() : said),
        hear: (hear) => {
          this.#hear = hear;
          return () => (this.#hear = undefined);
        },
        body: async (name) => {
          this.#reach();
          return this.bodies.get(name)!;
        },
        getFile: async (hash) => {
          this.#reach();
          return this.files.get(hash);
        },
        putFile: async (hash, content) => {
          this.#reach();
          if (this.isFull) {
            this.refusedPuts += 1;
            throw new BrokerSilence("the broker is full");
          }
          this.files.set(hash, content);
        },
      },
      cache: this.cache,
      about: {
        worker: "w1",
        labels: ["gpu"],
        threads: 2,
        cores: 2,
        version: "0.1.0",
        node: "20.20.0",
        platform: "linux/x64",
      },
      incarnation: "first",
      whyNot: () => this.whyNot,
      openPool: () => {
        const pool = new PlayedPool();
        this.pools.push(pool);
        return pool;
      },
      localTask: (task) => ({ ...task, artifacts: this.cache.artifacts }),
    });
  }

  get pool(): PlayedPool {
    return this.pools.at(-1)!;
  }

  /** What the worker said of one type. */
  of<T extends Say>(type: T): Said<T>[] {
    return this.said.filter((message): message is Said<T> => message.type === type);
  }

  /** The daemon says something. */
  tell(message: ToWorker, settled: readonly string[] = []): FromWorkerAnswer {
    if (this.#hear === undefined) throw new Error("the worker does not listen");
    const answer = this.#hear(message, settled, true);
    if (answer instanceof Promise) throw new Error("the worker answers later");
    return answer;
  }

  /** The daemon gives a task that may begin without a claim. */
  grant(
    id: string,
    parts: Partial<Extract<ToWorker, { type: "give" }>> = {},
    isAlone = true,
  ): Promise<FromWorkerAnswer> {
    const body = JSON.stringify(shellTask());
    const give = {
      type: "give",
      id,
      body,
      files: [],
      alone: false,
      grants: true,
      ...parts,
    } as const;
    return Promise.resolve(this.#hear!(give, [], isAlone));
  }

  give(id: string, parts: Partial<Extract<ToWorker, { type: "give" }>> = {}): FromWorkerAnswer {
    const body = JSON.stringify(shellTask());
    return this.tell({ type: "give", id, body, files: [], alone: false, ...parts });
  }

  /** Gives a task, and waits until it runs. */
  async running(id: string): Promise<Running> {
    this.give(id);
    await this.clock.settle();
    return this.pool.running.get(id)!;
  }

  /** Has the broker keep a file. @returns its hash */
  keep(content: string): string {
    const hash = hashOf(content);
    this.files.set(hash, Buffer.from(content));
    return hash;
  }

  #reach(): void {
    if (this.cut) throw new BrokerSilence("the broker is down");
  }

  async #asked(message: FromWorker): Promise<ToWorkerAnswer> {
    this.#reach();
    this.said.push(message);
    const answer = await this.answer(message);
    this.#reach();
    return answer ?? (message.type === "beat" ? { type: "beat", unwanted: [] } : { type: "yes" });
  }
}

export function hashOf(content: string): string {
  return createHash("sha256").update(content).digest("hex");
}

export function shellTask(): ShellTask {
  return {
    kind: "shell",
    text: "true",
    shell: ["/bin/sh", "-eu"],
    cwd: "/",
    params: {},
    inputs: {},
    run: { id: "etl@1", pipeline: "etl", attempt: 1 },
    step: "it",
    env: {},
    gracePeriodMs: 500,
  };
}

export const FIVE: TaskResult = { ok: true, value: 5 };

export function printed(text: string, stream: OutputLine["stream"] = "stdout"): OutputLine {
  return { at: "2026-11-23T02:00:00.000Z", step: "it", attempt: 1, stream, line: text };
}
