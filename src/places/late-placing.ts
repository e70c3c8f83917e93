/**
 * Tells where tasks begin a moment late. The line of that is then written with the one of the
 * task's end, if it is brief: so it costs no write and no sync of its own, which the end would wait
 * for.
 *
 * A daemon that dies in that moment leaves no line of where the task was. The next one asks each
 * place, as it does for a task whose daemon died before that line was written.
 *
 * All tasks of a place share one timer: they wait equally long, so the first one is due first.
 */
import type { Clock } from "../clock.ts";
import type { PlacedAt } from "../core/run-state.ts";
import type { OutputLine, TaskResult } from "../core/task.ts";
import type { DeathInfo, TaskHandlers } from "./place.ts";

/** How long where a task begins may be unsaid, in milliseconds. */
const LATE_MS = 20;

/** The tasks of a place of which it is not told yet where they begin. */
export class LatePlacings {
  readonly #clock: Clock;
  /** The first one first. */
  readonly #waiting = new Set<LatePlacing>();
  /** A timer runs. It is not cancelled as they end: the next ones would need another. */
  #isTimed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Handlers that hear late where a task begins, and before all else of it.
   *
   * @param handlers who hears of the task
   * @param over called as it has ended, before they hear that
   */
  of(handlers: TaskHandlers, over?: () => void): LatePlacing {
    return new LatePlacing(handlers, this, over);
  }

  /** Nobody hears any more where a task begins. */
  end(): void {
    for (const one of this.#waiting) one.drop();
  }

  /** It waits from now on. @returns until when, in monotonic milliseconds */
  add(one: LatePlacing): number {
    this.#waiting.add(one);
    if (!this.#isTimed) this.#wait(LATE_MS);
    return this.#clock.monotonic() + LATE_MS;
  }

  /** It is told. */
  drop(one: LatePlacing): void {
    this.#waiting.delete(one);
  }

  #wait(milliseconds: number): void {
    this.#isTimed = true;
    this.#clock.after(milliseconds, () => this.#tell());
  }

  #tell(): void {
    this.#isTimed = false;
    for (const one of this.#waiting) {
      const left = one.dueAt - this.#clock.monotonic();
      if (left > 0) return this.#wait(left);
      one.tell();
    }
  }
}

/** Who hears of one task. */
export class LatePlacing implements TaskHandlers {
  /** When it is told at the latest where it begins, in monotonic milliseconds. */
  dueAt = 0;
  readonly call: TaskHandlers["call"];
  readonly #handlers: TaskHandlers;
  readonly #placings: LatePlacings;
  readonly #over: (() => void) | undefined;
  #at: PlacedAt | undefined;
  #isDropped = false;

  constructor(handlers: TaskHandlers, placings: LatePlacings, over: (() => void) | undefined) {
    this.#handlers = handlers;
    this.#placings = placings;
    this.#over = over;
    this.call = handlers.call;
  }

  /** It is about to begin, there. */
  placed(at: PlacedAt): void {
    if (this.#isDropped) return;
    this.#at = at;
    this.dueAt = this.#placings.add(this);
  }

  /** Tells where it begins, unless that was told. */
  tell(): void {
    const at = this.#at;
    if (at === undefined) return;
    this.#at = undefined;
    this.#placings.drop(this);
    this.#handlers.placed?.(at);
  }

  /** Nobody hears where it begins any more. */
  drop(): void {
    this.#isDropped = true;
    this.#at = undefined;
    this.#placings.drop(this);
  }

  output(lines: readonly OutputLine[]): void {
    this.tell();
    this.#handlers.output(lines);
  }

  done(result: TaskResult, durationMs: number, startedAt: number): void {
    this.#over?.();
    this.tell();
    this.#handlers.done(result, durationMs, startedAt);
  }

  died(death: DeathInfo): void {
    this.#over?.();
    this.tell();
    this.#handlers.died(death);
  }
}
