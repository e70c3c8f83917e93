/**
 * Gives those that ask the same at about the same time one answer: fifty open pages ask for the
 * Overview after the same line, and over a thousand pipelines each answer takes 0.1 to 0.3 s.
 *
 * An answer is given only to those that asked before its reading began, so it never lacks a line
 * that one of them had heard of. Where several wait for one, or readings follow each other closely,
 * the next one rests for twice as long as the last took: readings of one address take at most a
 * third of the time, however many ask. A page that is alone hardly ever waits.
 *
 * Rejected: an answer that holds until the feed brings a line. Where many pipelines fire there is
 * always a line, and a page that nobody streams from reads no feed.
 */

/** The rest after a reading, in readings; and at most, in milliseconds. */
const REST_READINGS = 2;
const LONGEST_REST_MS = 1_000;
/** From so many addresses on, those that nobody waits for are forgotten. */
const MOST_IDLE = 16;

type Bytes = Uint8Array<ArrayBuffer>;

interface Shared {
  /** The answer whose reading has not begun. */
  coming: Promise<Bytes> | undefined;
  /** How many wait for it. */
  waiting: number;
  /** Until when the next reading rests, by the monotonic clock, in milliseconds. */
  restUntil: number;
  /** The next reading rests after it, where it begins before this. */
  followsUntil: number;
  readings: number;
}

/** The answers that are shared, by address. */
export class SharedAnswers {
  readonly #shared = new Map<string, Shared>();

  /**
   * The answer of an address.
   *
   * @param read makes it; not called where a reading to come is shared
   */
  give(address: string, read: () => Promise<Bytes>): Promise<Bytes> {
    let shared = this.#shared.get(address);
    if (shared === undefined) {
      this.#forgetIdle();
      shared = { coming: undefined, waiting: 0, restUntil: 0, followsUntil: 0, readings: 0 };
      this.#shared.set(address, shared);
    }
    shared.waiting += 1;
    return (shared.coming ??= begin(shared, read));
  }

  #forgetIdle(): void {
    if (this.#shared.size < MOST_IDLE) return;
    const now = performance.now();
    for (const [address, { coming, readings, restUntil }] of this.#shared)
      if (coming === undefined && readings === 0 && restUntil <= now) this.#shared.delete(address);
  }
}

async function begin(shared: Shared, read: () => Promise<Bytes>): Promise<Bytes> {
  await pause(shared.restUntil - performance.now());
  const isWanted = shared.waiting > 1 || performance.now() < shared.followsUntil;
  shared.coming = undefined;
  shared.waiting = 0;
  shared.readings += 1;
  const from = performance.now();
  try {
    return await read();
  } finally {
    const to = performance.now();
    shared.readings -= 1;
    const rest = Math.min(LONGEST_REST_MS, REST_READINGS * (to - from));
    shared.followsUntil = to + rest;
    if (isWanted) shared.restUntil = to + rest;
  }
}

/** Without a rest: what has arrived by now is read first, so that it shares the answer. */
function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    if (milliseconds > 0) setTimeout(resolve, milliseconds);
    else setImmediate(resolve);
  });
}
