/**
 * The pool of runner processes: where the daemon puts user code, so that none of it ever runs in
 * the daemon.
 *
 * There is one shared runner, started when first needed and again after it died, any number of
 * times; and runners of their own for what must run alone, which end with it. Every piece of work
 * that was started ends in exactly one of `done` and `died`, or in neither once the pool is closed.
 * `died` comes when the runner's process is gone and nothing that it started is left, so the work
 * can start anew at once. Work that may be done twice (it loads a file, or asks a function or an
 * orchestrator something) starts anew by itself, once and in a runner of its own: only what dies
 * there as well is told `died`.
 *
 * Room is counted here: a runner works on `threads` steps at once; a step more a thread may be sent
 * ahead, but only where steps have been short lately, since one sent ahead of a long step would
 * count as started and yet wait.
 */
import type { Clock, Timer } from "../../clock.ts";
import type { Log } from "../../log.ts";
import { FAILURE_CODES, toStepError } from "../../core/failure.ts";
import type { Lane, Room } from "../../core/lane.ts";
import type { Json } from "../../core/snapshot.ts";
import { iso } from "../../core/time.ts";
import { Masker } from "../../steps/mask.ts";
import { LINE_OVERHEAD, OUTPUT_LIMIT, type Task } from "../../core/task.ts";
import type { Place, TaskHandlers } from "../place.ts";
import { Reservations } from "../reservations.ts";
import { headOf, type FromRunner, type RawResult, type RunnerSettings } from "./protocol.ts";
import { RunnerChild, type RunnerExit } from "./runner-child.ts";

/** A step that takes longer than this is not worth sending another ahead of. */
const SHORT_MS = 50;
/** Begun so long ago, a step counts as a long one. */
const LONG_SINCE_MS = 100;
/** What a forced stop may take after the grace period before the whole runner is ended. */
const STOP_SLACK_MS = 1_250;
/**
 * A thread that has answered may take its runner with it as it is ended: so long after, the death
 * may still be its doing.
 */
const LATE_DEATH_MS = 5_000;

/** What the pool is made of. */
export interface RunnerPoolOptions {
  readonly clock: Clock;
  readonly settings: RunnerSettings;
  /** Told of runners that start and die, and of output that belongs to no step. */
  readonly log?: Log | undefined;
}

interface Entry {
  readonly id: string;
  readonly task: Task;
  readonly handlers: TaskHandlers;
  child: RunnerChild;
  sentAt: number;
  /** Told to end by force, and why. */
  forced?: { readonly because: string; readonly timer: Timer };
  /** How it ended, where only the runner's end is still to come. */
  stuck?: { readonly result: RawResult; readonly durationMs: number; readonly startedAt: number };
  stray: number;
}

/** See the head of this file. */
export class RunnerPool implements Place {
  readonly #clock: Clock;
  readonly #settings: RunnerSettings;
  readonly #log: RunnerPoolOptions["log"];
  readonly #entries = new Map<string, Entry>();
  readonly #children = new Set<RunnerChild>();
  readonly #reservations = new Reservations();
  /** What ended last in each runner. */
  readonly #lastEnded = new WeakMap<RunnerChild, { readonly id: string; readonly at: number }>();
  readonly #capacityListeners = new Set<() => void>();
  #shared: RunnerChild | undefined;
  #started = 0;
  /** How long a step takes, recent ones counting most; infinite before the first. */
  #pace = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: RunnerPoolOptions) {
    this.#clock = options.clock;
    this.#settings = options.settings;
    this.#log = options.log;
  }

  /** How many more steps may be started now. */
  capacity(): Room {
    return this.#reservations.leave(this.#room());
  }

  promise(lane: Lane): void {
    this.#reservations.promise(lane);
  }

  redeem(lane: Lane): void {
    this.#reservations.redeem(lane);
  }

  #room(): Room {
    if (this.#closed) return { module: 0, shell: 0 };
    let young = 0;
    let old = 0;
    let shells = 0;
    const now = this.#clock.monotonic();
    for (const entry of this.#entries.values()) {
      if (entry.task.kind === "shell") shells += 1;
      else if (entry.task.kind !== "module" || entry.child.alone) continue;
      else if (now - entry.sentAt > LONG_SINCE_MS) old += 1;
      else young += 1;
    }
    const { threads } = this.#settings;
    const modules = this.#pace < SHORT_MS ? 2 * threads - young - 2 * old : threads - young - old;
    return { module: Math.max(0, modules), shell: Math.max(0, threads - shells) };
  }

  /**
   * Starts a piece of work.
   *
   * @param id its fencing token; everything about it comes under this name
   * @param options.alone in a runner of its own
   * @throws Error if the pool is closed, if `id` is in use, or if the package was not built
   */
  start(
    id: string,
    task: Task,
    handlers: TaskHandlers,
    options: { readonly alone?: boolean } = {},
  ): void {
    if (this.#closed) throw new Error(`"${id}" cannot be started: the runners are closed`);
    if (this.#entries.has(id)) throw new Error(`"${id}" was started already and has not ended`);
    const child = this.#childFor(options.alone === true);
    const entry: Entry = { id, task, handlers, child, sentAt: this.#clock.monotonic(), stray: 0 };
    this.#entries.set(id, entry);
    this.#give(entry, child);
  }

  /**
   * Tells a piece of work to end (semantics.md 10). Nothing happens where none is known by that id:
   * it has just ended.
   *
   * @param because the reason its `context.signal` carries
   */
  stop(id: string, mode: "graceful" | "force", because: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.child.send({ type: "stop", id, mode, because });
    if (mode === "force" && entry.forced === undefined) {
      // The runner ends it; should the runner itself hang, it goes with all it holds.
      const timer = this.#clock.after(entry.task.gracePeriodMs + STOP_SLACK_MS, () =>
        entry.child.kill(),
      );
      entry.forced = { because, timer };
    }
  }

  /** A runner ends with the daemon that started it: nothing lives. */
  adopt(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set());
  }

  /**
   * Calls back, once for whatever ended together, when {@link capacity} may have grown. Returns how
   * to end that.
   */
  onCapacity(callback: () => void): () => void {
    this.#capacityListeners.add(callback);
    return () => void this.#capacityListeners.delete(callback);
  }

  /** The processes of all runners that live. */
  pids(): number[] {
    return [...this.#children].flatMap((child) => (child.pid === undefined ? [] : [child.pid]));
  }

  /**
   * Ends all runners and everything they started; no handler is called any more.
   *
   * @param options.force at once, with SIGKILL; else the runners end their processes themselves, in
   *   two seconds at most
   */
  async close(options: { readonly force?: boolean } = {}): Promise<void> {
    this.#closed = true;
    for (const entry of this.#entries.values()) entry.forced?.timer.cancel();
    this.#entries.clear();
    await Promise.all(
      [...this.#children].map((child) => {
        if (options.force !== true) return child.close();
        child.kill();
        return child.exited;
      }),
    );
  }

  #give(entry: Entry, child: RunnerChild): void {
    const { id, task } = entry;
    entry.child = child;
    for (const secret of task.secrets ?? []) child.secrets.add(secret);
    child.send({ type: "start", id, head: headOf(task), body: JSON.stringify(task) });
  }

  #childFor(alone: boolean): RunnerChild {
    if (!alone && this.#shared?.open === true) return this.#shared;
    this.#started += 1;
    const child: RunnerChild = new RunnerChild(this.#settings, this.#started, alone, {
      messages: (batch) => this.#receive(child, batch),
      stray: (stream, lines) => this.#stray(child, stream, lines),
      exit: (exit) => this.#buried(child, exit),
    });
    this.#children.add(child);
    if (!alone) this.#shared = child;
    if (child.pid === undefined)
      this.#log?.warn(
        { alone },
        "too few descriptors are left to start a runner: it is started when there are some",
      );
    else this.#log?.info({ runner: child.pid, alone }, "a runner was started");
    return child;
  }

  #receive(child: RunnerChild, batch: readonly FromRunner[]): void {
    let ended = false;
    for (const message of batch) {
      const entry = this.#entries.get(message.id);
      // Answered already, or of another runner: a late word counts for nothing.
      if (entry === undefined || entry.child !== child) continue;
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
          entry.forced?.timer.cancel();
          entry.handlers.died({
            inFlight: [entry.id, ...message.beside],
            alone: false,
            because: message.because,
            code: FAILURE_CODES.memory,
          });
          break;
        case "stuck":
          this.#replace(entry, message);
          break;
      }
    }
    if (ended) this.#tellCapacity();
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
    entry.forced?.timer.cancel();
    this.#lastEnded.set(entry.child, { id: entry.id, at: this.#clock.monotonic() });
    if (entry.task.kind === "module" && result.ok)
      this.#pace = Number.isFinite(this.#pace) ? this.#pace * 0.9 + durationMs * 0.1 : durationMs;
    // A runner of its own ends with what it was for, and a retired one with its last.
    if ((entry.child.alone || !entry.child.open) && !this.#isBusy(entry.child))
      void entry.child.close();
    entry.handlers.done(
      result.ok ? { ok: true, value: JSON.parse(result.json) as Json } : result,
      durationMs,
      startedAt,
    );
  }

  #answer(entry: Entry, call: number, method: string, argument: Json): void {
    const { id, child, handlers } = entry;
    const answer =
      handlers.call?.(method, argument) ??
      Promise.reject(new Error(`nobody answers the call "${method}" here`));
    answer.then(
      (value) => child.send({ type: "reply", id, call, value }),
      (error: unknown) => child.send({ type: "reply", id, call, error: toStepError(error) }),
    );
  }

  /**
   * A thread of this runner cannot be ended: the runner must go; what it had not begun starts in
   * the next one.
   */
  #replace(entry: Entry, message: Extract<FromRunner, { type: "stuck" }>): void {
    const old = entry.child;
    entry.stuck = message;
    old.retire();
    if (this.#shared === old) this.#shared = undefined;
    for (const id of message.unstarted) {
      const moved = this.#entries.get(id);
      if (moved === undefined || moved.child !== old) continue;
      this.#give(moved, this.#childFor(false));
    }
    this.#log?.warn(
      { runner: old.pid, at: entry.id },
      "a thread does not end when told to; its runner is replaced",
    );
    old.kill();
  }

  #buried(child: RunnerChild, exit: RunnerExit): void {
    this.#children.delete(child);
    if (this.#shared === child) this.#shared = undefined;
    if (this.#closed) return;
    const lost = [...this.#entries.values()].filter((entry) => entry.child === child);
    if (lost.length > 0 || !child.alone)
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
      entry.forced?.timer.cancel();
    }
    for (const entry of lost) this.#answerDeath(entry, child, exit, inFlight);
    this.#tellCapacity();
  }

  #answerDeath(
    entry: Entry,
    child: RunnerChild,
    exit: RunnerExit,
    inFlight: readonly string[],
  ): void {
    const { handlers, stuck, forced } = entry;
    const durationMs = this.#clock.monotonic() - entry.sentAt;
    if (stuck !== undefined) {
      handlers.done(
        stuck.result.ok ? { ok: true, value: JSON.parse(stuck.result.json) as Json } : stuck.result,
        stuck.durationMs,
        stuck.startedAt,
      );
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
      this.#give(entry, this.#childFor(true));
    } else {
      const code = exit.outOfMemory ? FAILURE_CODES.memory : FAILURE_CODES.runnerDied;
      handlers.died({ inFlight, alone: child.alone, because: `the runner ${exit.detail}`, code });
    }
  }

  /**
   * Output that passed by the capture goes to the one piece of work that can have written it, and
   * to the log where there are several.
   */
  #stray(child: RunnerChild, stream: "stdout" | "stderr", lines: readonly string[]): void {
    const suspects = [...this.#entries.values()].filter(
      (entry) => entry.child === child && entry.task.kind !== "shell",
    );
    const [only] = suspects;
    // It may have been printed by a step that has ended since.
    const masker = new Masker([...child.secrets]);
    if (suspects.length !== 1 || only === undefined) {
      this.#log?.warn(
        { stream, line: masker.text(lines[0] ?? "").slice(0, 500), lines: lines.length },
        "a runner printed what belongs to no step",
      );
      return;
    }
    if (only.stray > OUTPUT_LIMIT) return;
    for (const line of lines) only.stray += line.length + LINE_OVERHEAD;
    const at = iso(this.#clock.now());
    const { step, attempt } = { step: headOf(only.task).step, attempt: only.task.run.attempt };
    const kept = lines.map((line) => ({ at, step, attempt, stream, line: masker.text(line) }));
    if (only.stray > OUTPUT_LIMIT)
      kept.push({
        at,
        step,
        attempt,
        stream,
        line: "[orchd: more than 8 MiB was written past the capture; the rest is dropped]",
      });
    only.handlers.output(kept);
  }

  #isBusy(child: RunnerChild): boolean {
    for (const entry of this.#entries.values()) if (entry.child === child) return true;
    return false;
  }

  #tellCapacity(): void {
    for (const callback of this.#capacityListeners) callback();
  }
}

/**
 * Whether work that its runner's death cut off may be done again without asking: it answers a
 * question, or (`onMissed`) runs at least once.
 */
function mayRepeat(task: Task): boolean {
  switch (task.kind) {
    case "load":
    case "cacheFunction":
      return true;
    case "flavor":
      return task.method === "describe" || task.method === "fetchStatus";
    case "hook":
      return task.hook === "onMissed";
    case "module":
    case "shell":
    case "dynamic":
      return false;
  }
}
