/**
 * What a task printed, kept until the daemon has taken its end.
 *
 * Lines go to the daemon in batches with numbers, from 0: one at a time, and the same one until it
 * is answered. A batch that the daemon took may still be missing in its log when the daemon is
 * killed. So lines stay here after they were taken, and a new daemon gets all that its log does not
 * have. The capture of the task's runner bounds them: 8 MiB.
 */
import { beginning } from "../core/whole-characters.ts";
import { LINE_OVERHEAD, type OutputLine } from "../core/task.ts";
import type { HeardLines } from "../places/place.ts";

/**
 * How much a batch holds, in characters with {@link LINE_OVERHEAD} for each line. As JSON it is
 * below 1 MiB, whatever the lines hold.
 */
const BATCH_CHARACTERS = 96 * 1024;

/** What stands for the rest of a line that no message takes. */
const CUT = "… (cut: the broker takes no message of this length)";

/** Lines that go out together. */
export interface OutputBatch {
  readonly number: number;
  readonly lines: readonly OutputLine[];
}

/** The lines of one task. */
export class KeptOutput {
  readonly #lines: OutputLine[] = [];
  /** How many of the lines were put into batches, or passed over. */
  #looked = 0;
  /** How many lines of each stream a new daemon has already, and are still to be passed over. */
  #known = { stdout: 0, stderr: 0, log: 0 };
  #batch: OutputBatch | undefined;
  /** The other halves of batches that were too long. */
  readonly #rest: (readonly OutputLine[])[] = [];
  #answered = 0;

  /** How many batches were answered. */
  get batches(): number {
    return this.#answered;
  }

  add(lines: readonly OutputLine[]): void {
    for (const line of lines) this.#lines.push(line);
  }

  /** The batch to send: the same one until it is answered. Undefined: all is sent. */
  batch(): OutputBatch | undefined {
    this.#batch ??= this.#next();
    return this.#batch;
  }

  /** The daemon has the batch. */
  answered(): void {
    if (this.#batch === undefined) return;
    this.#batch = undefined;
    this.#answered += 1;
  }

  /** The batch was too long to be sent: the next one is its first half. Of one line, its own. */
  shorten(): void {
    const lines = this.#batch?.lines ?? [];
    const [only] = lines;
    if (this.#batch === undefined || only === undefined) return;
    if (lines.length === 1) {
      const line = `${beginning(only.line, only.line.length >> 1)}${CUT}`;
      if (line.length < only.line.length)
        this.#batch = { ...this.#batch, lines: [{ ...only, line }] };
      return;
    }
    const half = lines.length >> 1;
    this.#batch = { ...this.#batch, lines: lines.slice(0, half) };
    this.#rest.unshift(lines.slice(half));
  }

  /** Starts again for a new daemon, which has this many lines. */
  restart({ stdout, stderr, log = 0 }: HeardLines): void {
    this.#known = { stdout, stderr, log };
    this.#batch = undefined;
    this.#rest.length = 0;
    this.#looked = 0;
    this.#answered = 0;
  }

  #next(): OutputBatch | undefined {
    const rest = this.#rest.shift();
    if (rest !== undefined) return { number: this.#answered, lines: rest };
    const lines: OutputLine[] = [];
    for (let size = 0; this.#looked < this.#lines.length; this.#looked += 1) {
      const line = this.#lines[this.#looked]!;
      if (this.#isKnown(line)) continue;
      size += line.line.length + LINE_OVERHEAD;
      if (lines.length > 0 && size > BATCH_CHARACTERS) break;
      lines.push(line);
    }
    return lines.length === 0 ? undefined : { number: this.#answered, lines };
  }

  #isKnown({ stream }: OutputLine): boolean {
    if (stream === "orchd" || this.#known[stream] === 0) return false;
    this.#known[stream] -= 1;
    return true;
  }
}
