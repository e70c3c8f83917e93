/**
 * What a program beside the daemon prints, made fit for the daemon's log: cut into lines, without
 * control characters and secrets, and bounded in length and number. A program in trouble must not
 * fill the log.
 */
import { StringDecoder } from "node:string_decoder";
import type { Clock } from "../clock.ts";
import { withoutControls } from "../core/failure.ts";

/** The longest line, in characters: the rest of a longer one is left out. */
const LONGEST_LINE = 2_000;
/** How many lines are let through in a span of time, and the span in milliseconds. */
const MOST_LINES = 50;
const SPAN_MS = 10_000;
/** What takes the place of a secret. */
const MASK = "***";
/** Where a token stands in an address or a header, whoever made it. */
const TOKEN_PLACES = /(#token=|\bBearer\s+)[^\s"'<>]+/gi;

/** Cuts the chunks of one stream. */
export class ChildLines {
  readonly #decoder = new StringDecoder("utf8");
  readonly #clock: Clock;
  readonly #secrets: readonly string[];
  readonly #longestSecret: number;
  readonly #give: (line: string) => void;
  #rest = "";
  #spanSince = -SPAN_MS;
  #inSpan = 0;
  #leftOut = 0;

  /**
   * @param secrets the texts that no line may hold
   * @param give called with each line
   */
  constructor(clock: Clock, secrets: readonly string[], give: (line: string) => void) {
    this.#clock = clock;
    this.#secrets = secrets.filter((secret) => secret !== "");
    this.#longestSecret = Math.max(0, ...this.#secrets.map(({ length }) => length));
    this.#give = give;
  }

  /** Takes a chunk. */
  add(chunk: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split("\n");
    this.#rest = this.#bounded(lines.pop()!);
    for (const line of lines) this.#pass(line);
  }

  /** Gives what follows the last line break, and how many lines were left out. */
  end(): void {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = "";
    if (rest !== "") this.#pass(rest);
    this.#tellLeftOut();
  }

  /** As much of a line as is looked at. A secret that begins in what is kept is whole. */
  #bounded(line: string): string {
    return line.slice(0, LONGEST_LINE + this.#longestSecret);
  }

  #pass(line: string): void {
    const at = this.#clock.monotonic();
    if (at - this.#spanSince >= SPAN_MS) {
      this.#tellLeftOut();
      this.#spanSince = at;
      this.#inSpan = 0;
    }
    this.#inSpan += 1;
    if (this.#inSpan > MOST_LINES) this.#leftOut += 1;
    else if (line.trim() !== "") this.#give(this.#clean(line));
  }

  #clean(line: string): string {
    const bounded = this.#bounded(line);
    let text = withoutControls(bounded).trimEnd().replaceAll("\n", " ");
    for (const secret of this.#secrets) text = text.replaceAll(secret, MASK);
    text = text.replaceAll(TOKEN_PLACES, `$1${MASK}`);
    if (bounded.length < LONGEST_LINE) return text;
    // The last secret may have been cut in two.
    return `${text.slice(0, Math.max(0, text.length - this.#longestSecret))}…`;
  }

  #tellLeftOut(): void {
    if (this.#leftOut === 0) return;
    const lines = this.#leftOut === 1 ? "line was" : "lines were";
    this.#give(`${this.#leftOut} more ${lines} left out`);
    this.#leftOut = 0;
  }
}
