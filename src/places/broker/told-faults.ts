/** Faults that a person should know. Each is told once a minute, since all is tried again. */
import type { Clock } from "../../clock.ts";

/** How often a sentence is told, in milliseconds. */
const AGAIN_MS = 60_000;
/** How many sentences are remembered. */
const KEPT = 100;

/** Tells faults. */
export class ToldFaults {
  readonly #clock: Clock;
  readonly #say: (sentence: string) => void;
  readonly #told = new Map<string, number>();

  constructor(clock: Clock, say: (sentence: string) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  readonly tell = (sentence: string): void => {
    const now = this.#clock.monotonic();
    if (now - (this.#told.get(sentence) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) return;
    if (this.#told.size >= KEPT) this.#told.clear();
    this.#told.set(sentence, now);
    this.#say(sentence);
  };
}
