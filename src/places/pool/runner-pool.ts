/**
 * A pool of runner processes, wherever these are. The **place** on this machine is one (local/).
 * User code runs in the runners, and never in the daemon.
 *
 * There are two shared runners, one for each use. Steps, hooks and all else of a pipeline in force
 * have one. What only asks what code says before it is in force has the other: a file that was just
 * dropped may do anything as it is loaded, and must not hurt the steps of others. Each starts when
 * it is first needed, and again after each death. The one for loads ends when it was idle for a
 * while, and holds less memory. A task that must run alone gets a runner of its own, which ends
 * with the task.
 *
 * A task that was started ends in exactly one of `done` and `died`, or in neither once the pool is
 * closed. `died` comes when the runner's process is gone and nothing that it started is left, so
 * the task can start again at once. A task that may run twice (it loads a file, or asks a function
 * or an orchestrator something) starts again by itself, once, in a runner of its own. It hears
 * `died` only if that runner dies too.
 * It counts the room (thread-room.ts), and knows who had begun at a death (suspects.ts, claims.ts).
 * It stays one file: each message and each death of a runner meets all tasks here.
 */
import { availableParallelism } from "node:os";
import type { Clock, Timer } from "../../clock.ts";
import type { Log } from "../../log.ts";
import { clipError, FAILURE_CODES, toStepError } from "../../core/failure.ts";
import type { Lane, Room } from "../../core/lane.ts";
import type { Json, SnapshotStep } from "../../core/snapshot.ts";
import { iso } from "../../core/time.ts";
import { Masker } from "../../core/mask.ts";
import { StoredOutputs, type Task } from "../../core/task.ts";
import { FramedTask, type TaskFrame } from "../../core/task-frame.ts";
import type { DeathInfo, Place, StartOptions, StepsAhead, TaskHandlers } from "../place.ts";
import { Reservations } from "../reservations.ts";
import { ClaimBook, type ClaimsFolder } from "./claims.ts";
import { CountedRoom } from "./counted-room.ts";
import { ForcedStop } from "./forced-stop.ts";
import {
  dropResult,
  headOf,
  taskResult,
  type FromRunner,
  type PoolMessage,
  type RawResult,
  type RunnerSettings,
} from "./protocol.ts";
import { deathOf, type LaunchRunner, type RunnerExit } from "./runner-process.ts";
import type { RunnerProcess } from "./runner-process.ts";
import { forLoads, mayRepeat, useOf, type Use } from "./runner-use.ts";
import { StartGate } from "./start-gate.ts";
import { strayOutput } from "./stray-output.ts";
import { blameAmong } from "./suspects.ts";
import { ThreadRoom, type RoomTaken } from "./thread-room.ts";
import { beginning } from "../../core/whole-characters.ts";

/** How long the runner for loads waits for the next load before it ends, in milliseconds. */
const LOADS_IDLE_MS = 30_000;
/** Ending a thread can kill its runner. For this long after it answered, a task is a suspect. */
const LATE_DEATH_MS = 5_000;
const CORES = availableParallelism();

/** What the pool needs. */
export interface RunnerPoolOptions {
  readonly clock: Clock;
  readonly settings: RunnerSettings;
  readonly launch: LaunchRunner;
  /** Hears of runners that start and die, and of output that belongs to no step. */
  readonly log?: Log | undefined;
  /** Why no step may begin for now (start-gate.ts). Undefined: none is ever kept waiting. */
  readonly whyNot?: (() => string | undefined) | undefined;
  /** Where the runner leaves which steps had begun. Undefined: nobody asks for it. */
  readonly claims?: ClaimsFolder | undefined;
}

interface Entry extends RoomTaken {
  readonly id: string;
  readonly task: Task;
  readonly handlers: TaskHandlers;
  child: RunnerProcess;
  alone: boolean;
  sentAt: number;
  /** Of a step that was begun ahead: its thread had come to it. */
  begun?: boolean;
  /** What it was told last of its end. */
  told?: Extract<PoolMessage, { readonly type: "stop" }>;
  /** It was told to end by force. */
  forced?: ForcedStop;
  /** How it ended: its handlers hear it once the runner has ended too. */
  stuck?: { readonly result: RawResult; readonly durationMs: number; readonly startedAt: number };
  /** How much it printed past the capture, in characters. */
  stray: number;
}

/** Runs tasks in runner processes on this machine. */
export class RunnerPool implements Place, StepsAhead {
  readonly #clock: Clock;
  readonly #settings: RunnerSettings;
  readonly #launch: LaunchRunner;
  readonly #log: RunnerPoolOptions["log"];
  readonly #entries = new Map<string, Entry>();
  readonly #children = new Set<RunnerProcess>();
  readonly #reservations = new Reservations();
  /** The task that ended last in each runner. */
  readonly #lastEnded = new WeakMap<RunnerProcess, { readonly id: string; readonly at: number }>();
  readonly #capacityListeners = new Set<() => void>();
  readonly #shared: { -readonly [use in Use]?: RunnerProcess | undefined } = {};
  /** Runs while the runner for loads has nothing to do. */
  #loadsIdle: Timer | undefined;
  /** The one that was ended for that. */
  #idle: RunnerProcess | undefined;
  #started = 0;
  readonly #room: ThreadRoom;
  readonly #counted: CountedRoom;
  readonly #gate: StartGate;
  readonly #claims: ClaimsFolder | undefined;
  /** What the next shared runner of steps is told of those before it. */
  readonly #book = new ClaimBook();
  #closed = false;

  constructor(options: RunnerPoolOptions) {
    this.#clock = options.clock;
    this.#settings = options.settings;
    this.#launch = options.launch;
    this.#log = options.log;
    this.#claims = options.claims;
    this.#room = new ThreadRoom(options.settings.threads, CORES);
    this.#counted = new CountedRoom(this.#room, () => this.#entries.values());
    this.#gate = new StartGate({ ...options, onOpen: () => this.#tellCapacity() });
  }

  /** How many more steps may start now, without the room that is promised. */
  capacity(): Room {
    if (this.#closed || !this.#gate.isOpen) return { module: 0, shell: 0 };
    return this.#reservations.leave(this.#counted.left(this.#clock.monotonic()));
  }

  /** What {@link capacity} says of one lane. */
  room(lane: "module" | "shell"): number {
    if (this.#closed || !this.#gate.isOpen) return 0;
    const left = this.#counted.left(this.#clock.monotonic());
    return left[lane] - this.#reservations.promised(lane);
  }

  /** Whether steps may begin for now. */
  get isOpen(): boolean {
    return this.#gate.isOpen;
  }

  /** It takes brief steps ahead. */
  get ahead(): StepsAhead {
    return this;
  }

  /** How much room a step takes: less than 1 where steps of its function are brief. */
  share(spec: SnapshotStep): number {
    return this.#room.shareOf(spec);
  }

  /** Keeps room for a step whose start is decided. */
  promise(lane: Lane, share?: number): void {
    this.#reservations.promise(lane, share);
  }

  /** Ends a promise. */
  redeem(lane: Lane, share?: number): void {
    this.#reservations.redeem(lane, share);
  }

  /** Steps of this run will start. */
  expect(run: string): void {
    this.#book.expect(run);
    // It is on its way before the run's first line of a step is durable.
    if (this.#claims !== undefined) this.#shared.steps?.send({ type: "expect", run });
  }

  /** The ends of these steps are durable. */
  settle(ids: readonly string[]): void {
    this.#book.settle(ids);
    if (this.#claims !== undefined) this.#shared.steps?.settle(ids);
  }

  /** Whether a step of an earlier daemon may have begun. */
  mayHaveBegun(run: string, id: string): boolean {
    return this.#claims?.mayHaveBegun(run, id) ?? true;
  }

  /**
   * Starts a task.
   *
   * @param id its fencing token: all that is heard of it comes under this id
   * @throws Error if the pool is closed, if `id` is in use, or if the package was not built; a Node
   *   error if what an earlier daemon's runner left cannot be removed
   */
  start(id: string, task: Task, handlers: TaskHandlers, options: StartOptions = {}): void {
    if (this.#closed) throw new Error(`"${id}" cannot be started: the runners are closed`);
    if (this.#entries.has(id)) throw new Error(`"${id}" was started already and has not ended`);
    if (task.kind === "module" || task.kind === "shell") this.#claims?.clear();
    const { alone = false, ahead = false } = options;
    const child = this.#childFor(useOf(task), alone);
    if (task.kind === "module" || task.kind === "shell") this.#book.add(id);
    const entry: Entry = {
      id,
      kind: task.kind,
      task,
      handlers,
      child,
      alone,
      sentAt: this.#clock.monotonic(),
      ahead: ahead ? this.#room.aheadEnded : undefined,
      stray: 0,
    };
    this.#entries.set(id, entry);
    this.#counted.began(entry);
    // A runner of its own has one task: a frame would not pay.
    if (task instanceof FramedTask && !child.alone) child.frames.start(id, task);
    else this.#give(entry, child);
  }

  /** No more tasks of a frame are started. */
  forget(frame: TaskFrame): void {
    for (const child of this.#children) child.frames.forget(frame);
  }

  /**
   * Tells a task to end (docs/semantics.md 10). Does nothing where no task has this id: it has just
   * ended.
   *
   * @param because the reason that its `context.signal` carries
   */
  stop(id: string, mode: "graceful" | "force", because: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    if (mode === "force" || entry.forced === undefined)
      entry.told = { type: "stop", id, mode, because };
    entry.child.send({ type: "stop", id, mode, because });
    if (mode === "force")
      entry.forced ??= new ForcedStop(
        this.#clock,
        entry.task.gracePeriodMs,
        because,
        () => entry.child,
      );
  }

  /** Answers that nothing lives: a runner ends with the daemon that started it. */
  adopt(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set());
  }

  /**
   * Calls back when {@link capacity} may have grown: once for all tasks that ended together.
   *
   * @returns a function that ends the calls
   */
  onCapacity(callback: () => void): () => void {
    this.#capacityListeners.add(callback);
    return () => void this.#capacityListeners.delete(callback);
  }

  /** The pids of all runners that live. */
  pids(): number[] {
    return [...this.#children].flatMap((child) => (child.pid === undefined ? [] : [child.pid]));
  }

  /**
   * Ends all runners and all that they started. No handler is called any more.
   *
   * @param options.force at once, with SIGKILL; otherwise the runners end their processes
   *   themselves, in two seconds at most
   */
  async close(options: { readonly force?: boolean } = {}): Promise<void> {
    this.#closed = true;
    this.#gate.close();
    this.#loadsIdle?.cancel();
    for (const entry of this.#entries.values()) entry.forced?.cancel();
    this.#entries.clear();
    await Promise.all(
      [...this.#children].map((child) => {
        if (options.force !== true) return child.close();
        child.kill();
        return child.exited;
      }),
    );
    this.#claims?.end();
  }

  /** Gives a runner a whole task. Its run may have ended, so no frame is told for it. */
  #give(entry: Entry, child: RunnerProcess, isMoved?: boolean): void {
    const { id, task } = entry;
    entry.child = child;
    if (entry.alone !== child.alone) this.#counted.changed();
    entry.alone = child.alone;
    for (const secret of task.secrets ?? []) child.secrets.add(secret);
    child.send({ type: "start", id, task, isMoved });
  }

  #childFor(use: Use, alone: boolean): RunnerProcess {
    if (use === "loads" && !alone) this.#loadsIdle?.cancel();
    const shared = alone ? undefined : this.#shared[use];
    if (shared?.open === true) return shared;
    this.#started += 1;
    const settings = use === "loads" ? forLoads(this.#settings) : this.#settings;
    const child: RunnerProcess = this.#launch(settings, this.#started, alone, {
      started: (runner) => this.#log?.info({ runner, use, alone }, "a runner was started"),
      messages: (batch) => this.#receive(child, batch),
      stray: (stream, lines) => this.#stray(child, stream, lines),
      exit: (exit) => this.#buried(child, exit),
    });
    this.#children.add(child);
    if (!alone) this.#shared[use] = child;
    if (!alone && use === "steps") {
      const path = this.#claims?.begin(this.#started);
      if (path !== undefined) child.send({ type: "leave", path, ...this.#book.claims });
    }
    if (child.pid === undefined)
      this.#log?.warn(
        { use, alone },
        "a runner waits: too few descriptors or processes are left, or orchd was renewed",
      );
    return child;
  }

  #receive(child: RunnerProcess, batch: readonly FromRunner[]): void {
    let ended = false;
    for (const message of batch) {
      if (message.type === "begun") {
        for (const id of message.ids) this.#begun(child, id);
        continue;
      }
      const entry = this.#entries.get(message.id);
      // The task has ended, or another runner has it now: a late message does not count.
      if (entry === undefined || entry.child !== child) {
        if (message.type === "done") dropResult(message.result);
        continue;
      }
      switch (message.type) {
        case "done":
          ended = true;
          this.#end(entry, message.result, message.durationMs, message.startedAt);
          break;
        case "output":
          this.#output(entry, message);
          break;
        case "call":
          this.#answer(entry, message.call, message.method, message.argument);
          break;
        case "aside":
          ended = true;
          this.#entries.delete(entry.id);
          this.#counted.changed();
          entry.forced?.cancel();
          entry.handlers.died({
            inFlight: [entry.id, ...message.beside],
            alone: false,
            because: message.because,
            code: message.code,
          });
          break;
        case "stuck":
          this.#replace(entry, message);
          break;
      }
    }
    if (ended) this.#tellCapacity();
  }

  #begun(child: RunnerProcess, id: string): void {
    const entry = this.#entries.get(id);
    if (entry?.child === child) entry.begun = true;
  }

  #output(
    { task, handlers }: Entry,
    { at, stream, lines }: Extract<FromRunner, { type: "output" }>,
  ): void {
    const { step, attempt } = headOf(task);
    handlers.output(lines.map((line) => ({ at, step, attempt, stream, line })));
  }

  #end(entry: Entry, result: RawResult, durationMs: number, startedAt: number): void {
    this.#entries.delete(entry.id);
    entry.forced?.cancel();
    const now = this.#clock.monotonic();
    this.#lastEnded.set(entry.child, { id: entry.id, at: now });
    this.#room.ended(entry, now);
    if (entry.task.kind === "module" && result.ok) this.#room.paced(entry.task.code, durationMs);
    this.#counted.changed();
    this.#rest(entry.child);
    entry.handlers.done(taskResult(result), durationMs, startedAt);
  }

  /**
   * Closes a runner without tasks that is dedicated or retired. The one for loads is closed later.
   */
  #rest(child: RunnerProcess): void {
    if (this.#isBusy(child)) return;
    if (child.alone || !child.open) void child.close();
    else if (child === this.#shared.loads) {
      this.#loadsIdle?.cancel();
      this.#loadsIdle = this.#clock.after(LOADS_IDLE_MS, () => {
        this.#idle = child;
        void child.close();
      });
    }
  }

  #answer(entry: Entry, call: number, method: string, argument: Json): void {
    const { id, child, handlers } = entry;
    const answer: Promise<Json | StoredOutputs> =
      handlers.call?.(method, argument) ??
      Promise.reject(new Error(`nobody answers the call "${method}" here`));
    answer.then(
      (value) =>
        child.send(
          value instanceof StoredOutputs
            ? { type: "reply", id, call, value: value.outputs, stored: true }
            : { type: "reply", id, call, value },
        ),
      (error: unknown) =>
        child.send({ type: "reply", id, call, error: clipError(toStepError(error)) }),
    );
  }

  /**
   * Replaces a runner in which a thread cannot be ended. The tasks that it has not begun start in
   * the next one.
   */
  #replace(entry: Entry, message: Extract<FromRunner, { type: "stuck" }>): void {
    const old = entry.child;
    entry.stuck = message;
    old.retire();
    this.#forget(old);
    for (const id of message.unstarted) {
      const moved = this.#entries.get(id);
      if (moved === undefined || moved.child !== old) continue;
      this.#move(moved, false);
    }
    this.#log?.warn(
      { runner: old.pid, at: entry.id },
      "a thread does not end when told to; its runner is replaced",
    );
    old.kill();
  }

  /**
   * Gives a task to the next runner, or to one of its own. Where there is none, who started it
   * starts it anew.
   */
  #move(entry: Entry, alone: boolean): void {
    try {
      this.#give(entry, this.#childFor(useOf(entry.task), alone), alone ? undefined : true);
      // It crossed with the word of the one before.
      if (entry.told !== undefined) entry.child.send(entry.told);
    } catch (error) {
      this.#entries.delete(entry.id);
      this.#counted.changed();
      entry.forced?.cancel();
      entry.handlers.died({
        inFlight: [entry.id],
        alone: false,
        because: `the next runner could not be started: ${(error as Error).message}`,
        code: FAILURE_CODES.place,
        blameless: "unbegun",
      });
    }
  }

  #buried(child: RunnerProcess, exit: RunnerExit): void {
    this.#children.delete(child);
    this.#forget(child);
    if (this.#closed) return;
    const lost = [...this.#entries.values()].filter((entry) => entry.child === child);
    if (lost.length === 0 && child === this.#idle)
      this.#log?.info({ use: "loads" }, "a runner had no more files to load and was ended");
    else if (lost.length > 0 || !child.alone)
      this.#log?.[lost.length > 0 ? "warn" : "info"](
        { inFlight: lost.map((entry) => entry.id) },
        `a runner ${exit.detail}`,
      );
    const inFlight = lost.map((entry) => entry.id);
    const last = this.#lastEnded.get(child);
    if (last !== undefined && this.#clock.monotonic() - last.at < LATE_DEATH_MS)
      inFlight.push(last.id);
    for (const entry of lost) {
      this.#entries.delete(entry.id);
      entry.forced?.cancel();
    }
    this.#counted.changed();
    const blame = blameAmong(lost, CORES, inFlight);
    for (const entry of lost) this.#answerDeath(entry, child, exit, blame(entry));
    this.#tellCapacity();
  }

  #forget(child: RunnerProcess): void {
    for (const use of ["steps", "loads"] as const)
      if (this.#shared[use] === child) this.#shared[use] = undefined;
  }

  #answerDeath(
    entry: Entry,
    child: RunnerProcess,
    exit: RunnerExit,
    blame: Pick<DeathInfo, "inFlight" | "behind">,
  ): void {
    const { handlers, stuck, forced } = entry;
    const durationMs = this.#clock.monotonic() - entry.sentAt;
    if (stuck !== undefined) {
      handlers.done(taskResult(stuck.result), stuck.durationMs, stuck.startedAt);
    } else if (forced !== undefined) {
      const error = { name: "StepStopped", message: `stopped with its runner: ${forced.because}` };
      handlers.done(
        { ok: false, outcome: "stopped", error },
        durationMs,
        this.#clock.now() - durationMs,
      );
    } else if (!child.alone && mayRepeat(entry.task)) {
      entry.sentAt = this.#clock.monotonic();
      this.#entries.set(entry.id, entry);
      this.#counted.changed();
      this.#move(entry, true);
    } else {
      handlers.died({ ...blame, ...deathOf(exit, entry.id), alone: child.alone });
    }
  }

  /**
   * Takes output that passed by the capture. It belongs to the one task that can have written it;
   * where there are several, it goes to the daemon's log.
   */
  #stray(child: RunnerProcess, stream: "stdout" | "stderr", lines: readonly string[]): void {
    const suspects = [...this.#entries.values()].filter(
      (entry) => entry.child === child && entry.task.kind !== "shell",
    );
    const [only] = suspects;
    // A step that has ended since may have printed it.
    const masker = new Masker([...child.secrets]);
    if (suspects.length !== 1 || only === undefined) {
      this.#log?.warn(
        { stream, line: beginning(masker.text(lines[0] ?? ""), 500), lines: lines.length },
        "a runner printed what belongs to no step",
      );
      return;
    }
    const kept = strayOutput(only, stream, lines, masker, iso(this.#clock.now()));
    if (kept.length > 0) only.handlers.output(kept);
  }

  #isBusy(child: RunnerProcess): boolean {
    for (const entry of this.#entries.values()) if (entry.child === child) return true;
    return false;
  }

  #tellCapacity(): void {
    for (const callback of this.#capacityListeners) callback();
  }
}
