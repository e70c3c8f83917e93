/**
 * One task as the daemon knows it, from its start to when its end is durable.
 *
 * States: **nowhere** -> **given** to a worker, which may not begin yet -> **claimed** by it -> its
 * end is **taken**. A task that is given may go to another worker: the first one's claim is then
 * refused. One that is claimed stays with its worker until it ends, or nothing of it can run any
 * more. One that is **granted** is as one that is claimed, but it is not known whether it has
 * begun.
 */
import { FAILURE_CODES, type StepError } from "../../core/failure.ts";
import {
  LINE_OVERHEAD,
  OUTPUT_LIMIT,
  type OutputLine,
  type Task,
  type TaskResult,
} from "../../core/task.ts";
import type { TaskHandlers } from "../place.ts";
import type { FarWorker } from "./far-worker.ts";
import type { SentTask } from "./task-files.ts";

/** How much more than a runner's capture lets through a task may say, in bytes. */
const SLACK = 1024 * 1024;

/** How often a worker is asked for a file that it said it had put. */
const MOST_LACKS = 5;

/** What came of an end that was heard. `silent`: it cannot be taken now, and is said again. */
export type Taken = "taken" | "silent" | { readonly lacks: string };

/** Where a task is. `number`: its worker's list names it in every later beat. */
export type TaskState =
  | { readonly at: "nowhere" }
  | { readonly at: "given"; readonly worker: FarWorker; readonly number?: number }
  | { readonly at: "granted"; readonly worker: FarWorker }
  | { readonly at: "claimed"; readonly worker: FarWorker; number: number }
  | { readonly at: "over" };

/** What a task is made of. */
export interface GivenTaskParts {
  readonly id: string;
  readonly task: Task;
  readonly handlers: TaskHandlers;
  readonly sent: SentTask;
  readonly alone: boolean;
  /** It is brief: it may wait in a thread behind others. */
  readonly isAhead: boolean;
}

/** One task. */
export class GivenTask {
  readonly id: string;
  readonly task: Task;
  readonly alone: boolean;
  readonly isAhead: boolean;
  /** Of one that is ahead: how many of its worker's had ended when it was given. */
  ahead: number | undefined;
  /** When it was given to its worker. Monotonic. */
  sentAt = 0;
  /** As its worker gets it. */
  readonly sent: SentTask;
  #state: TaskState = { at: "nowhere" };
  /** Some worker was asked to take it: it is not granted a second time. */
  wasGiven = false;
  /** The names of objects that are removed with it. */
  readonly objects: string[] = [];
  /** How it was told to stop. */
  told: { readonly mode: "graceful" | "force"; readonly because: string } | undefined;
  /** Its end came with the answer to its give: its worker waits to hear that it is durable. */
  endWasAnswer = false;
  /** Its end is being taken. */
  ending: Promise<Taken> | undefined;
  readonly #handlers: TaskHandlers;
  /** How often its worker was asked for a file of its result again. */
  #lacked = 0;
  #batches = 0;
  #printed = 0;
  #placed = false;

  constructor({ id, task, handlers, sent, alone, isAhead }: GivenTaskParts) {
    this.id = id;
    this.task = task;
    this.#handlers = handlers;
    this.sent = sent;
    this.alone = alone;
    this.isAhead = isAhead;
  }

  get state(): TaskState {
    return this.#state;
  }

  /** Its worker's room is counted by it. */
  set state(state: TaskState) {
    if ("worker" in this.#state) this.#state.worker.loses(this);
    this.#state = state;
    if ("worker" in state) state.worker.gets(this);
  }

  get kind(): "module" | "shell" {
    return this.task.kind === "shell" ? "shell" : "module";
  }

  get labels(): readonly string[] {
    return this.task.kind === "module" || this.task.kind === "shell" ? (this.task.on ?? []) : [];
  }

  /** It is given to a worker. @param now monotonic time */
  goesTo(worker: FarWorker, grants: boolean, now: number): TaskState {
    this.sentAt = now;
    this.ahead = this.isAhead ? worker.aheadEnded : undefined;
    this.state = { at: grants ? "granted" : "given", worker };
    return this.state;
  }

  isAt(worker: FarWorker): boolean {
    return "worker" in this.state && this.state.worker === worker;
  }

  /** Whether it runs at its worker, or may run there. */
  get mayRun(): boolean {
    return this.state.at === "granted" || this.state.at === "claimed";
  }

  isClaimedBy(worker: FarWorker): boolean {
    return this.state.at === "claimed" && this.state.worker === worker;
  }

  /** A worker begins it. */
  claim(worker: FarWorker, number: number, place: string): void {
    this.state = { at: "claimed", worker, number };
    if (this.#placed) return;
    this.#placed = true;
    this.#handlers.placed?.({ place, host: worker.name, ref: worker.incarnation });
  }

  /** An earlier daemon's task goes on, and its output is numbered from 0 again. */
  adopt(worker: FarWorker, number: number): void {
    this.state = { at: "claimed", worker, number };
    this.#placed = true;
  }

  /** Takes a batch of output. False: batches before it are missing. */
  output(batch: number, lines: readonly OutputLine[]): boolean {
    if (batch > this.#batches) return false;
    if (batch < this.#batches) return true;
    this.#batches += 1;
    const { step, run } = this.task;
    const kept: OutputLine[] = [];
    for (const line of lines) {
      // A worker's own capture keeps less: this one lies.
      if (this.#printed > OUTPUT_LIMIT + SLACK) break;
      this.#printed += line.line.length + LINE_OVERHEAD;
      kept.push({ ...line, step: step ?? line.step, attempt: run.attempt });
    }
    if (kept.length > 0) this.#handlers.output(kept);
    return true;
  }

  /** Whether its worker may be asked once more for a file of its result. */
  mayLack(): boolean {
    this.#lacked += 1;
    return this.#lacked <= MOST_LACKS;
  }

  /** It ended. @param now wall time */
  done(result: TaskResult, durationMs: number, now: number): void {
    this.state = { at: "over" };
    this.#handlers.done(result, durationMs, now - durationMs);
  }

  /** It was told to stop, and had not begun. */
  stopped(because: string, now: number): void {
    const error = { name: "Stopped", message: because };
    this.done({ ok: false, outcome: "stopped", error }, 0, now);
  }

  /** What it ran in died under it, at the worker. */
  died(info: Parameters<TaskHandlers["died"]>[0]): void {
    this.state = { at: "over" };
    this.#handlers.died(info);
  }

  /** No task is to blame. @param blameless `unbegun`: nothing of it had begun */
  lose(because: string, blameless: "lost" | "unbegun"): void {
    const code = FAILURE_CODES.place;
    this.died({ inFlight: [this.id], alone: false, blameless, because, code });
  }

  /** A result of a task that was given up: who started it refuses it. */
  late(result: TaskResult, durationMs: number, now: number): void {
    this.#handlers.done(result, durationMs, now - durationMs);
  }
}

/** The error of a task whose place cannot run it, or not give its result. */
export function placeError(message: string): StepError {
  return { name: "PlaceError", message, code: FAILURE_CODES.place };
}
