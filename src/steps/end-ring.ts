/**
 * How a thread tells that brief steps have ended, without a message for each: a ring in memory that
 * both sides share. A message costs the runner's main thread more than all else it does for a brief
 * step.
 *
 * The thread puts an end into the ring before it begins its next piece. So none is lost or late
 * because that one blocks the thread, or has to be ended. The main thread takes out what is there
 * with each message of the thread, before it tells the daemon anything, and every few milliseconds
 * while pieces wait in the thread (warm-threads.ts). The thread says so by a message once it has no
 * further piece, or when some ends have waited.
 *
 * Only good ends with a short result go this way, of pieces that have sent no message: so no end
 * overtakes what its piece printed or called.
 *
 * A slot is changed by the thread while it is free, and read by the main thread while it is not:
 * `written` and `taken` say which, and each side changes one of them.
 */

/** How many ends fit: twice as many as are ever sent ahead to one thread. */
const SLOTS = 64;
/** The bytes of a slot: seq, length, when it started, how long it took, and the result. */
const SLOT_BYTES = 128;
const HEAD_BYTES = 24;
/** The longest result, in characters of ASCII. */
const LONGEST = SLOT_BYTES - HEAD_BYTES;
/** `written` and `taken`, before the slots. */
const COUNTS = 8;
/** How many ends wait at most until the main thread is told. */
const MOST_UNSAID = 32;
/** For how long at most they wait, in milliseconds. It is looked at as the next piece ends. */
const UNSAID_MS = 2;

const { load, store } = Atomics;

/** The length of the shared memory, in bytes. */
export const END_RING_BYTES = COUNTS + SLOTS * SLOT_BYTES;

/** An end that was taken out. */
export interface QuickEnd {
  readonly seq: number;
  /** The value as JSON. */
  readonly json: string;
  readonly startedAt: number;
  readonly durationMs: number;
}

/** One thread's ring. Each side makes its own of the same memory. */
export class EndRing {
  readonly #counts: Int32Array;
  readonly #memory: DataView;
  readonly #bytes: Uint8Array;
  /** How many ends the main thread was not told of, and since when. */
  #unsaid = 0;
  #since = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#counts = new Int32Array(memory, 0, 2);
    this.#memory = new DataView(memory);
    this.#bytes = new Uint8Array(memory);
  }

  /**
   * Puts an end in. For the thread.
   *
   * @param now monotonic, in milliseconds
   * @returns false where it has to be told by a message
   */
  add(seq: number, json: string, startedAt: number, durationMs: number, now: number): boolean {
    const written = load(this.#counts, 0);
    if (this.#unsaid >= MOST_UNSAID || ((written - load(this.#counts, 1)) | 0) >= SLOTS)
      return false;
    if (this.#unsaid > 0 && now - this.#since > UNSAID_MS) return false;
    const at = slotAt(written);
    if (!this.#puts(json, at)) return false;
    this.#memory.setInt32(at, seq);
    this.#memory.setInt32(at + 4, json.length);
    this.#memory.setFloat64(at + 8, startedAt);
    this.#memory.setFloat64(at + 16, durationMs);
    store(this.#counts, 0, (written + 1) | 0);
    if (this.#unsaid === 0) this.#since = now;
    this.#unsaid += 1;
    return true;
  }

  /** Whether ends are in it that the main thread was not told of. For the thread. */
  get hasUnsaid(): boolean {
    return this.#unsaid > 0;
  }

  /** The main thread gets a message, and looks. For the thread. */
  said(): void {
    this.#unsaid = 0;
  }

  /** Takes out the oldest end. Undefined: there is none. For the main thread. */
  take(): QuickEnd | undefined {
    const taken = load(this.#counts, 1);
    if (taken === load(this.#counts, 0)) return undefined;
    const at = slotAt(taken);
    const end = {
      seq: this.#memory.getInt32(at),
      json: this.#textAt(at),
      startedAt: this.#memory.getFloat64(at + 8),
      durationMs: this.#memory.getFloat64(at + 16),
    };
    store(this.#counts, 1, (taken + 1) | 0);
    return end;
  }

  #puts(json: string, at: number): boolean {
    if (json.length > LONGEST) return false;
    for (let index = 0; index < json.length; index += 1) {
      const code = json.charCodeAt(index);
      if (code > 0x7f) return false;
      this.#bytes[at + HEAD_BYTES + index] = code;
    }
    return true;
  }

  #textAt(at: number): string {
    const length = this.#memory.getInt32(at + 4);
    let text = "";
    for (let index = 0; index < length; index += 1)
      text += String.fromCharCode(this.#bytes[at + HEAD_BYTES + index]!);
    return text;
  }
}

/** Counts go round at 2 to the power of 32, of which the number of slots is a part. */
function slotAt(count: number): number {
  return COUNTS + (count & (SLOTS - 1)) * SLOT_BYTES;
}
