/**
 * Runs that are made together because many pipelines were due at the same moment.
 *
 * No ledger is made before all of them are decided: making one takes longer than a decision, and
 * the last decision would be late by all of them. So what carries out a decision takes its turn
 * here, and nothing of it is prepared before: what a thousand promises hold survives one collection
 * of garbage after the other, and these take more time than the decisions.
 *
 * Turns are given to a few at a time. More than are written at once would only be made into text
 * earlier, and be in the way of the calls that those before them wait for.
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
/** How many runs are made at once: as many ledgers as are created at once, and half as many that
 * wait for the sync of their folder. */
const LANES = 24;
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
  #isDecided = false;
  /** How many runs may be made beside those that are being made. */
  #free = LANES;
  #waiting: { readonly runs: number; readonly goOn: () => void }[] = [];
  /** The first of those that wait. */
  #next = 0;
  readonly #settled: Gate;

  constructor(clock: Clock) {
    this.#settled = new Gate(clock);
  }

  /**
   * So many runs are about to be made.
   *
   * @param goOn called once it is their turn: all that was due is decided, and few others are being
   *   made
   */
  join(runs: number, goOn: () => void): void {
    this.#size += runs;
    this.#open += runs;
    this.#waiting.push({ runs, goOn });
    this.#serve();
  }

  /** All that was due is decided: no further run joins. */
  allJoined(): void {
    this.#isDecided = true;
    this.#serve();
    this.#end();
  }

  /** The header of a run that joined is durable, or could not be written. */
  leave(): void {
    this.#free += 1;
    this.#serve();
    this.#end();
  }

  /** Resolves when a run of the burst may go on after its header. Undefined: it may at once. */
  over(): Promise<void> | undefined {
    return this.#size <= SMALL || this.#open === 0 ? undefined : this.#settled.pass();
  }

  #end(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#settled.open();
  }

  #serve(): void {
    while (this.#isDecided && this.#free > 0 && this.#next < this.#waiting.length) {
      const { runs, goOn } = this.#waiting[this.#next]!;
      this.#next += 1;
      this.#free -= runs;
      goOn();
    }
  }
}
