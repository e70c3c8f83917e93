/**
 * How long the readers of pipeline files wait for one that takes long to be loaded.
 *
 * The first reading has more patience: all files should be known when the daemon is ready. Later,
 * edits should be in force within 15 s. A file that was slow keeps nobody waiting again, until it
 * is loaded in time. And who asks for a run does not wait that long for the files of others.
 */
import type { Clock, Timer } from "../clock.ts";

const FIRST_MS = 10_000;
const LATER_MS = 4_000;
/** For a file that was slow before. */
const SLOW_MS = 100;
/** While somebody waits for the turn to run a pipeline. */
const HASTY_MS = 1_000;

/** Waits for the loads of one drop folder. */
export class LoadPatience {
  readonly #clock: Clock;
  readonly #slow = new Set<string>();
  readonly #hurries = new Set<() => void>();
  #hasty = 0;
  #first = true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The first reading is done. */
  firstReadingDone(): void {
    this.#first = false;
  }

  /** Whether a file was slow the last time. */
  isSlow(path: string): boolean {
    return this.#slow.has(path);
  }

  /** A file was loaded in time, or is gone. */
  forget(path: string): void {
    this.#slow.delete(path);
  }

  /** A load is late. @returns what it calls at its end: it was not that slow, perhaps */
  late(path: string): () => void {
    this.#slow.add(path);
    const since = this.#clock.monotonic();
    return () => {
      if (this.#clock.monotonic() - since < LATER_MS) this.#slow.delete(path);
    };
  }

  /** What a load gives in time. Undefined where it takes longer. */
  async soon<T>(path: string, load: Promise<T>): Promise<T | undefined> {
    const begun = this.#clock.monotonic();
    let timer: Timer | undefined;
    let runOut!: () => void;
    const patience = new Promise<undefined>((resolve) => (runOut = () => resolve(undefined)));
    const wait = (milliseconds: number): void => {
      timer?.cancel();
      const left = begun + milliseconds - this.#clock.monotonic();
      timer = this.#clock.after(Math.max(0, left), runOut);
    };
    const hurry = (): void => wait(HASTY_MS);
    if (this.isSlow(path)) wait(SLOW_MS);
    else {
      wait(this.#hasty > 0 ? HASTY_MS : this.#first ? FIRST_MS : LATER_MS);
      this.#hurries.add(hurry);
    }
    const soon = await Promise.race([load, patience]);
    timer?.cancel();
    this.#hurries.delete(hurry);
    return soon;
  }

  /** Waits less for all loads while this goes on, those under way included. */
  async hastily<T>(act: () => Promise<T>): Promise<T> {
    this.#hasty += 1;
    for (const hurry of this.#hurries) hurry();
    try {
      return await act();
    } finally {
      this.#hasty -= 1;
    }
  }
}
