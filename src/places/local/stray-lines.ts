/** Cuts the text of a runner's own stdout or stderr into lines, and remembers the last of it. */
import { StringDecoder } from "node:string_decoder";

/** The longest line, in characters: a longer one is cut into several. */
const LONGEST_LINE = 64 * 1024;
/** How much is remembered, in characters. */
const REMEMBERED = 8 * 1024;

/** Cuts the chunks of one stream. */
export class StrayLines {
  /** The last few kilobytes: they say why V8 gave up. */
  recent = "";
  readonly #decoder = new StringDecoder("utf8");
  readonly #give: (lines: readonly string[]) => void;
  #rest = "";

  /** @param give called with each batch of whole lines */
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

  /** Gives what follows the last line break. */
  end(): void {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = "";
    if (rest !== "") this.#give([rest]);
  }
}
