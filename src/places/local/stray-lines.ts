/**
 * Cuts what a runner's own stdout or stderr carries into lines, within a bound, and remembers the
 * last of it.
 */
import { StringDecoder } from "node:string_decoder";

const LONGEST_LINE = 64 * 1024;
const REMEMBERED = 8 * 1024;

/** A stream's chunks as lines. */
export class StrayLines {
  /** The last few kilobytes, whole or not: why V8 gave up stands there. */
  recent = "";
  readonly #decoder = new StringDecoder("utf8");
  readonly #give: (lines: readonly string[]) => void;
  #rest = "";

  /** @param give is called with every batch of whole lines */
  constructor(give: (lines: readonly string[]) => void) {
    this.#give = give;
  }

  /** Takes a chunk. */
  add(chunk: Buffer): void {
    const text = this.#decoder.write(chunk);
    this.recent = (this.recent + text).slice(-REMEMBERED);
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    while (this.#rest.length > LONGEST_LINE) {
      lines.push(this.#rest.slice(0, LONGEST_LINE));
      this.#rest = this.#rest.slice(LONGEST_LINE);
    }
    if (lines.length > 0) this.#give(lines);
  }

  /** Gives what stands after the last line break. */
  end(): void {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = "";
    if (rest !== "") this.#give([rest]);
  }
}
