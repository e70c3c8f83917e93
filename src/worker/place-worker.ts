/**
 * A worker: it takes tasks of one place from the daemon, over a broker, and runs them in a pool of
 * runners. src/places/broker/messages.ts has the theory of both sides.
 *
 * - It beats. The daemon's answers are its lease. Where the lease is over, it ends all its runners
 *   at once, and begins with new ones. Results that are there stay until the daemon takes them.
 * - While it leaves, it takes no more tasks, and ends once it holds none.
 * - While it can start no program (another release was installed under it), it takes no more tasks,
 *   and says to the daemon that it leaves.
 *
 * It holds nothing that outlives it: its next incarnation ends what is left, before its first beat.
 */
import type { Clock, Timer } from "../clock.ts";
import type { Task } from "../core/task.ts";
import type { Log } from "../log.ts";
import { BrokerSilence } from "../places/broker/broker.ts";
import {
  BEAT_MS,
  BROKER_PROTOCOL,
  WORKER_LEASE_MS,
  type FromWorker,
  type FromWorkerAnswer,
  type ToWorker,
} from "../places/broker/messages.ts";
import type { StartOptions, TaskHandlers } from "../places/place.ts";
import { StartGate } from "../places/pool/start-gate.ts";
import type { DaemonLine } from "./daemon-line.ts";
import type { FileCache } from "./file-cache.ts";
import { HeldTask, type TaskHost } from "./held-task.ts";
import { KnownTasks } from "./known-tasks.ts";
import { Lease } from "./lease.ts";

/** How long the answer to a beat may take, in milliseconds. */
const ANSWER_MS = 4_000;
/** How often a worker that ends says so, where nobody answers. */
const BYES = 3;
/** How long each of them may take, in milliseconds. */
const BYE_MS = 1_000;

type Give = Extract<ToWorker, { readonly type: "give" }>;

/** What a worker says of itself. */
export interface WorkerAbout {
  /** Its name, unique in its place. */
  readonly worker: string;
  readonly labels: readonly string[];
  readonly threads: number;
  readonly cores: number;
  /** The release of orchd. */
  readonly version: string;
  readonly node: string;
  readonly platform: string;
}

/** What runs the tasks. */
export interface WorkerPool {
  start(id: string, task: Task, handlers: TaskHandlers, options: StartOptions): void;
  stop(id: string, mode: "graceful" | "force", because: string): void;
  /** Resolves when nothing of its tasks is left. No handler is called any more. */
  close(options: { readonly force: boolean }): Promise<void>;
}

/** What a worker is made of. */
export interface PlaceWorkerOptions {
  readonly clock: Clock;
  /** Milliseconds since the machine's start, with those in which it slept. */
  readonly sinceBoot: () => number;
  readonly log: Log;
  readonly line: DaemonLine;
  readonly cache: FileCache;
  readonly about: WorkerAbout;
  /** A chance text, new at each start. */
  readonly incarnation: string;
  /** Why it can start no program for now, in a clause (start-gate.ts). Undefined: it can. */
  readonly whyNot?: (() => string | undefined) | undefined;
  /** Makes a pool. Called again after the lease was over. */
  readonly openPool: () => WorkerPool;
  /** The task as it runs here. */
  readonly localTask: (task: Task) => Task;
}

/** Serves a place until it is told to leave. */
export class PlaceWorker {
  readonly #options: PlaceWorkerOptions;
  readonly #lease: Lease;
  readonly #tasks = new Map<string, HeldTask>();
  readonly #known = new KnownTasks();
  readonly #host: TaskHost;
  readonly #gate: StartGate;
  #pool: WorkerPool;
  /** Pools that are being ended. */
  readonly #ending = new Set<Promise<void>>();
  #endHearing: () => void = () => undefined;
  #nextBeat: Timer | undefined;
  #leaseEnd: Timer | undefined;
  #startedAt = 0;
  #leaving = false;
  #closed = false;
  /** Whether the daemon answered the last time. Undefined: it was not asked yet. */
  #answered: boolean | undefined;
  /** Why the daemon does not want this worker. */
  #refusal: string | undefined;
  /** Called when it holds no task. */
  #onEmpty: (() => void) | undefined;

  constructor(options: PlaceWorkerOptions) {
    const { clock, log, line, cache, about, incarnation, openPool, localTask, whyNot } = options;
    this.#options = options;
    this.#lease = new Lease(clock, WORKER_LEASE_MS, options.sinceBoot);
    this.#pool = openPool();
    this.#gate = new StartGate({ clock, log, whyNot, onOpen: () => this.beatNow() });
    this.#host = {
      clock,
      log,
      line,
      cache,
      localTask,
      worker: about.worker,
      incarnation,
      leaseHolds: () => this.#lease.holds,
      begins: (id) => this.#known.begins(id),
      start: (...given) => this.#pool.start(...given),
      stop: (...given) => this.#pool.stop(...given),
      over: (id) => this.#over(id),
    };
  }

  /** The tasks that it holds. */
  get tasks(): readonly string[] {
    return [...this.#tasks.keys()];
  }

  /** Begins to serve. */
  start(): void {
    this.#startedAt = this.#options.clock.monotonic();
    this.#endHearing = this.#options.line.hear((message, settled, mayWait) => {
      for (const id of settled) this.#tasks.get(id)?.settled();
      return this.#hear(message, mayWait);
    });
    this.#beat();
  }

  /** Takes no more tasks. Resolves when all that it holds have ended and the daemon knows it. */
  async leave(): Promise<void> {
    this.#leaving = true;
    this.beatNow();
    if (this.#tasks.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    if (!this.#closed) await this.close();
  }

  /** Ends its tasks at once, says that nothing is left, and serves no more. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#leaving = true;
    this.#nextBeat?.cancel();
    this.#leaseEnd?.cancel();
    this.#gate.close();
    this.#endHearing();
    const force = this.#tasks.size > 0;
    // What has not begun would begin in runners that are being ended.
    for (const task of this.#tasks.values()) if (task.isPending) task.lose();
    await Promise.all([this.#pool.close({ force }), ...this.#ending]);
    await this.#bye();
    this.#onEmpty?.();
  }

  #hear(message: ToWorker, mayWait: boolean): FromWorkerAnswer | Promise<FromWorkerAnswer> {
    if (message.type === "call") {
      this.beatNow();
      return { type: "here" };
    }
    if (message.type === "settled") return { type: "here" };
    const held = this.#tasks.get(message.id);
    switch (message.type) {
      case "give":
        return held?.given ?? this.#take(message, mayWait);
      case "stop":
        if (held === undefined) return this.#without(message.id);
        held.stop(message.mode, message.because);
        return { type: "taken" };
      case "adopt":
        // It may have ended since the last beat: that is not one that never began.
        return held?.adopt(message.heard) ?? this.#without(message.id);
    }
  }

  #take(give: Give, mayWait: boolean): FromWorkerAnswer | Promise<FromWorkerAnswer> {
    const { id, grants = false } = give;
    if (this.#known.hasBegun(id)) return { type: "had" };
    const isFirst = this.#known.hear(id);
    if (this.#leaving) return { type: "refused", because: "the worker ends" };
    if (!this.#gate.isOpen) return { type: "refused", because: "the worker was renewed" };
    const task = new HeldTask(give, this.#host);
    this.#tasks.set(id, task);
    return task.begin(give, grants && isFirst, mayWait);
  }

  /** The answer where it does not hold a task. What grants it later grants nothing. */
  #without(id: string): FromWorkerAnswer {
    if (this.#known.hasBegun(id)) return { type: "had" };
    this.#known.hear(id);
    return { type: "refused", because: "the worker has no such task" };
  }

  /** Beats, and again after a while. */
  #beat(): void {
    if (this.#closed) return;
    this.#nextBeat = this.#options.clock.after(BEAT_MS, () => this.#beat());
    void this.#askForLease();
  }

  /** Beats at once: the broker has just been reached. */
  beatNow(): void {
    this.#nextBeat?.cancel();
    this.#beat();
  }

  async #askForLease(): Promise<void> {
    const { line, about, incarnation, log } = this.#options;
    // A list that is older than its number would say that a task which has begun is gone.
    const beat = (): FromWorker => ({
      type: "beat",
      incarnation,
      protocol: BROKER_PROTOCOL,
      tasks: this.tasks,
      leaving: this.#leaving || !this.#gate.isOpen,
      ...about,
    });
    const sent = this.#lease.now();
    try {
      const answer = await line.ask(beat, ANSWER_MS);
      if (this.#closed) return;
      if (answer.type === "no") return this.#refused(answer.because);
      this.#lease.extend(sent);
      this.#watchLease();
      this.#heardDaemon();
      if (answer.type === "beat") for (const id of answer.unwanted) this.#tasks.get(id)?.unknown();
    } catch (error) {
      if (!(error instanceof BrokerSilence)) log.warn({ err: error }, "a beat could not be sent");
      if (!this.#closed) this.#missed();
    }
  }

  #heardDaemon(): void {
    this.#refusal = undefined;
    if (this.#answered === true) return;
    this.#answered = true;
    this.#options.log.info({}, "the daemon answers");
  }

  #missed(): void {
    const isEarly = this.#options.clock.monotonic() - this.#startedAt < WORKER_LEASE_MS;
    if (this.#answered === false || this.#lease.holds || isEarly) return;
    this.#answered = false;
    this.#options.log.warn(
      {},
      "no daemon answers: it or the broker is down, it has no such place, or its key is another",
    );
  }

  #refused(because: string): void {
    if (this.#refusal === because) return;
    this.#refusal = because;
    this.#options.log.error({}, `the daemon gives this worker no tasks: ${because}`);
  }

  #watchLease(): void {
    this.#leaseEnd?.cancel();
    this.#leaseEnd = this.#options.clock.after(this.#lease.left, () => this.#leaseMayBeOver());
  }

  #leaseMayBeOver(): void {
    if (this.#closed) return;
    if (this.#lease.holds) return this.#watchLease();
    const held = [...this.#tasks.values()];
    for (const task of held) if (task.isPending) task.lose();
    const running = held.filter((task) => task.isRunning);
    if (running.length > 0) void this.#endRunners(running);
  }

  /** They stay among its tasks until nothing of them is left. */
  async #endRunners(running: readonly HeldTask[]): Promise<void> {
    this.#options.log.error(
      { tasks: running.map(({ id }) => id) },
      `the daemon has not answered for ${WORKER_LEASE_MS / 1_000} s: what runs here is ended`,
    );
    const ended = this.#pool.close({ force: true });
    this.#pool = this.#options.openPool();
    this.#ending.add(ended);
    await ended;
    this.#ending.delete(ended);
    for (const task of running) task.lose();
  }

  #over(id: string): void {
    this.#tasks.delete(id);
    if (this.#tasks.size > 0 || !this.#leaving) return;
    this.#onEmpty?.();
  }

  async #bye(): Promise<void> {
    const { line, about, incarnation } = this.#options;
    const bye = { type: "bye", worker: about.worker, incarnation } as const;
    for (let said = 0; said < BYES; said += 1) {
      try {
        await line.ask(bye, BYE_MS);
        return;
      } catch {
        // The daemon's patience ends it too.
      }
    }
  }
}
