/**
 * Runs that are made together because many pipelines were due at the same moment.
 *
 * No ledger is made before all of them are decided: making one takes longer than a decision, and
 * the last decision would be late by all of them.
 *
 * A slot is safe once its run's header is durable. The slot's line and the run's first steps would
 * take disk and processors from headers that are still to come. So in a burst they wait until the
 * last header is durable. A run that is made alone goes on at once.
 *
 * What waits goes on as long in each turn of the event loop as others may wait. A thousand in one
 * turn would hold up all else for a quarter of a second, and how many of them are too many differs
 * from machine to machine. So after a few it is looked how long they took. What a run does as it
 * goes on, it does in microtasks. A tick that is asked for in one of them comes after all of them.
 */
import type { Clock } from "../clock.ts";

/** This many runs together, or fewer, are no burst: none of them waits. */
const SMALL = 16;
/** How long runs go on in one turn of the event loop, in milliseconds (promise 37). */
const TURN_MS = 25;
/** After so many it is looked how long they took. */
const LOOK_AFTER = 4;

/** What runs wait at until it is open. */
class Gate {
  readonly #clock: Clock;
  #isOpen = false;
  #waiting: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when who asks may go on. */
  pass(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isOpen && this.#waiting.length === 0) resolve();
      else this.#waiting.push(resolve);
    });
  }

  open(): void {
    this.#isOpen = true;
    this.#letSome(this.#clock.monotonic());
  }

  #letSome(since: number): void {
    for (const goOn of this.#waiting.splice(0, LOOK_AFTER)) goOn();
    if (this.#waiting.length === 0) return;
    const next = (): void => {
      if (this.#clock.monotonic() - since < TURN_MS) this.#letSome(since);
      else setImmediate(() => this.#letSome(this.#clock.monotonic()));
    };
    queueMicrotask(() => process.nextTick(next));
  }
}

/** One burst. It is not over before all its runs have joined. */
export class Burst {
  #size = 0;
  /** Runs whose headers are not durable, and one for those that may still join. */
  #open = 1;
  readonly #decided: Gate;
  readonly #settled: Gate;

  constructor(clock: Clock) {
    this.#decided = new Gate(clock);
    this.#settled = new Gate(clock);
  }

  /** Resolves once all that was due is decided: from then on ledgers are made. */
  decided(): Promise<void> {
    return this.#decided.pass();
  }

  /** A run is about to be made. */
  join(): void {
    this.#size += 1;
    this.#open += 1;
  }

  /** All that was due is decided: no further run joins. */
  allJoined(): void {
    this.#decided.open();
    this.leave();
  }

  /** A run's header is durable, or could not be written. */
  leave(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#settled.open();
  }

  /** Resolves when a run of the burst may go on after its header. Undefined: it may at once. */
  over(): Promise<void> | undefined {
    return this.#size <= SMALL || this.#open === 0 ? undefined : this.#settled.pass();
  }
}
