/** Cuts the text of a runner's own stdout or stderr into lines, and remembers the last of it. */
import { StringDecoder } from "node:string_decoder";
import type { Masker } from "../../core/mask.ts";

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
  readonly #masker: () => Masker;
  #rest = "";

  /**
   * @param masker knows the secrets, in which no line may be cut
   * @param give called with each batch of whole lines
   */
  constructor(masker: () => Masker, give: (lines: readonly string[]) => void) {
    this.#masker = masker;
    this.#give = give;
  }

  /** Takes a chunk. */
  add(chunk: Buffer): void {
    const text = this.#decoder.write(chunk);
    this.recent = (this.recent + text).slice(-REMEMBERED);
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    if (this.#rest.length > LONGEST_LINE) this.#cut(lines);
    if (lines.length > 0) this.#give(lines);
  }

  #cut(lines: string[]): void {
    const masker = this.#masker();
    while (this.#rest.length > LONGEST_LINE + masker.longest) {
      const at = masker.cut(this.#rest, LONGEST_LINE);
      lines.push(this.#rest.slice(0, at));
      this.#rest = this.#rest.slice(at);
    }
  }

  /** Gives what follows the last line break. */
  end(): void {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = "";
    if (rest !== "") this.#give([rest]);
  }
}
