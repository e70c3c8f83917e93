/**
 * Writes the log to stderr. It never waits there, and no fault of it ends the process: whoever
 * reads the log may stand still (a terminal after Ctrl-S, a pager, a journal that hangs), and its
 * disk may be full. Slots are due all the same.
 *
 * What cannot be written waits here, in order, and is tried again. Lines that come when
 * {@link MOST_BYTES} wait are lost; `onLost` is told how many, once the others are written. A
 * reader that is gone (EPIPE) never comes back: nothing is written any more.
 *
 * States: free -> waiting -> free, or gone.
 *
 * Node makes a pipe and a socket non-blocking when it makes `process.stderr` of it. A terminal it
 * opens anew for itself, so that is done here too. A file is written as it is: it takes all.
 *
 * When the process exits, what waits is tried for {@link LAST_MS} more: a reader that is only slow
 * gets it.
 */
import { constants, fstatSync, openSync, writeSync } from "node:fs";

const STDERR = 2;
/** How much may wait. */
const MOST_BYTES = 1024 * 1024;
/** When it is tried again, in milliseconds: at first, and at most. */
const SOON_MS = 20;
const LATER_MS = 1_000;
/** How long an exit waits for the reader, and between two tries, in milliseconds. */
const LAST_MS = 1_000;
const LAST_TRY_MS = 10;

/** What was lost. */
export interface LostLines {
  readonly lines: number;
  /** For how long nothing could be written, in milliseconds. */
  readonly forMs: number;
  /** The code of the system's error: `EAGAIN` where the reader stood still. */
  readonly code: string;
}

/** A stream for the log. */
export class LogWriter {
  readonly #fd: number;
  readonly #onLost: (lost: LostLines) => void;
  /** What waits, as it was given; of the first a part may be written. */
  readonly #waiting: Buffer[] = [];
  #bytes = 0;
  #lost = 0;
  #code = "";
  #since = 0;
  #delayMs = SOON_MS;
  #timer: NodeJS.Timeout | undefined;
  #isGone = false;

  /**
   * @param onLost is told after what waited is written; it may write
   * @param fd default: stderr, made so that it does not block
   */
  constructor(onLost: (lost: LostLines) => void, fd = unblockedStderr()) {
    this.#onLost = onLost;
    this.#fd = fd;
    process.once("exit", () => this.#atExit());
  }

  /** Writes whole lines, now or later. Never throws. */
  write(text: string): void {
    if (this.#isGone) return;
    const bytes = Buffer.from(text);
    if (this.#bytes > 0 && this.#bytes + bytes.length > MOST_BYTES) {
      this.#lost += text.split("\n").length - 1;
      return;
    }
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    if (this.#timer === undefined) this.#go();
  }

  #go(): void {
    if (this.#flush()) return this.#restored();
    if (this.#since === 0) this.#since = performance.now();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#go();
    }, this.#delayMs).unref();
    this.#delayMs = Math.min(2 * this.#delayMs, LATER_MS);
  }

  /** @returns whether nothing waits any more */
  #flush(): boolean {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      try {
        const wrote = writeSync(this.#fd, first);
        this.#bytes -= wrote;
        this.#delayMs = SOON_MS;
        if (wrote < first.length) this.#waiting[0] = first.subarray(wrote);
        else this.#waiting.shift();
      } catch (error) {
        this.#code = (error as NodeJS.ErrnoException).code ?? "";
        if (this.#code === "EINTR") continue;
        if (this.#code === "EPIPE") this.#give();
        return this.#isGone;
      }
    }
    return true;
  }

  #give(): void {
    this.#isGone = true;
    this.#waiting.length = 0;
    this.#bytes = 0;
    this.#lost = 0;
  }

  #restored(): void {
    const [lines, since] = [this.#lost, this.#since];
    this.#lost = 0;
    this.#since = 0;
    if (lines > 0)
      this.#onLost({ lines, forMs: Math.round(performance.now() - since), code: this.#code });
  }

  #atExit(): void {
    clearTimeout(this.#timer);
    const until = performance.now() + LAST_MS;
    while (!this.#flush() && this.#code === "EAGAIN" && performance.now() < until)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LAST_TRY_MS);
  }
}

/** A descriptor of stderr that does not block, as far as the system gives one. */
function unblockedStderr(): number {
  try {
    const stats = fstatSync(STDERR);
    if (stats.isFIFO() || stats.isSocket()) void process.stderr;
    else if (stats.isCharacterDevice())
      return openSync(
        `/proc/self/fd/${STDERR}`,
        constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY,
      );
  } catch {
    // It is closed, or may not be opened anew: it is written as it is.
  }
  return STDERR;
}
