/**
 * The only way to stdout and stderr.
 *
 * Commands hand over parts: plain strings and styled spans. Every part is made safe here, so that
 * no command can forget to; colours are added after that, and only where the stream is a terminal
 * (or FORCE_COLOR asks for them, and NO_COLOR does not forbid them). stdout carries results, stderr
 * everything said about them, so that `--json` output is never mixed with words.
 */
import { fstatSync, writeSync } from "node:fs";
import pc from "picocolors";
import { EXIT } from "./exit.ts";
import { cutText, escapeJson, safeJson, safeText, textWidth } from "./terminal-text.ts";

/** How a span may look. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "blue" | "magenta" | "cyan";

/** Text with a style. */
export interface Span {
  readonly text: string;
  readonly style: Style | undefined;
}

/** What a line is made of. */
export type Part = string | Span | readonly Part[];

/** A styled piece of a line. */
export function span(style: Style | undefined, text: string): Span {
  return { text, style };
}

/** How many columns parts take. */
export function partWidth(part: Part): number {
  if (typeof part === "string") return textWidth(safeText(part));
  if (isSpan(part)) return textWidth(safeText(part.text));
  return part.reduce<number>((sum, inner) => sum + partWidth(inner), 0);
}

function isSpan(part: Span | readonly Part[]): part is Span {
  return !Array.isArray(part);
}

type Colors = ReturnType<typeof pc.createColors>;

/** What a terminal is made of; `process` fits. */
export interface TerminalStreams {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
}

/** Between two tries at a pipe that somebody has made non-blocking, in milliseconds. */
const FULL_PIPE_MS = 5;

/** See the head of this file. */
export class Terminal {
  readonly #streams: TerminalStreams;
  /**
   * stdout is a file or a pipe: it is written to directly, since the stream for it takes 3 ms to
   * come up.
   */
  readonly #direct: boolean;
  #out: Colors | undefined;
  #err: Colors | undefined;
  /** Lines that {@link live} drew last and will draw over. */
  #drawn = 0;

  constructor(streams: TerminalStreams) {
    this.#streams = streams;
    this.#direct = !fstatSync(1).isCharacterDevice();
    if (!this.#direct) streams.stdout.on("error", endOfReading);
  }

  /** Whether a person looks at stdout right now. */
  get interactive(): boolean {
    return (
      !this.#direct && this.#streams.stdout.isTTY === true && this.#streams.env["TERM"] !== "dumb"
    );
  }

  /** Columns of the terminal; undefined where stdout is none, and nothing should be cut. */
  get columns(): number | undefined {
    if (this.#direct) return undefined;
    // A pseudo-terminal whose size nobody has set says 0.
    const { isTTY, columns } = this.#streams.stdout;
    return isTTY === true && columns > 0 ? columns : undefined;
  }

  /** Lines of the terminal, or 24 where it does not say. */
  get rows(): number {
    if (this.#direct) return 24;
    const { rows } = this.#streams.stdout;
    return rows > 0 ? rows : 24;
  }

  /** One line of a result, on stdout. */
  line(...parts: readonly Part[]): void {
    this.#write(`${this.#paint(this.#outColors(), parts)}\n`);
  }

  /** One JSON document: on several lines for a person, on one for a program. */
  json(value: unknown): void {
    this.#write(`${safeJson(value, this.interactive ? 2 : undefined)}\n`);
  }

  /** One line of JSON Lines. */
  jsonLine(value: unknown): void {
    this.#write(`${safeJson(value)}\n`);
  }

  /** A line that is JSON already. */
  rawJsonLine(json: string): void {
    this.#write(`${escapeJson(json)}\n`);
  }

  /**
   * Text of orchd's own, with its line ends (a script, a schema): no character of it comes from
   * outside.
   */
  ownText(text: string): void {
    this.#write(text.split("\n").map(safeText).join("\n"));
  }

  /** One sentence about what happened, on stderr. */
  note(...parts: readonly Part[]): void {
    this.#say(this.#paint(this.#errColors(), parts));
  }

  /** One sentence about what went wrong, on stderr. */
  error(sentence: string): void {
    this.#say(`${this.#errColors().red("orchd:")} ${safeText(sentence)}`);
  }

  /** Draws lines over those that the last call drew; only on an interactive terminal. */
  live(lines: readonly Part[]): void {
    const columns = this.columns ?? 80;
    let text = this.#drawn > 0 ? `\u001b[${this.#drawn}A` : "";
    for (const line of lines)
      text += `\u001b[2K${this.#paint(this.#outColors(), cutParts(line, columns - 1))}\n`;
    if (this.#drawn > lines.length) text += "\u001b[0J";
    this.#drawn = lines.length;
    this.#write(text);
  }

  /** Leaves what {@link live} drew where it is. */
  settle(): void {
    this.#drawn = 0;
  }

  /** Empties the screen, for a display that is drawn anew. */
  clear(): void {
    this.#write("\u001b[2J\u001b[H");
  }

  #say(line: string): void {
    const { stderr } = this.#streams;
    if (stderr.listenerCount("error") === 0) stderr.on("error", nobodyReads);
    stderr.write(`${line}\n`);
  }

  #outColors(): Colors {
    return (this.#out ??= pc.createColors(wantsColor(this.#streams.env, () => this.interactive)));
  }

  #errColors(): Colors {
    return (this.#err ??= pc.createColors(
      wantsColor(this.#streams.env, () => this.#streams.stderr.isTTY === true),
    ));
  }

  #write(text: string): void {
    if (!this.#direct) {
      this.#streams.stdout.write(text);
      return;
    }
    const bytes = Buffer.from(text);
    for (let written = 0; written < bytes.length;) {
      try {
        written += writeSync(1, bytes, written);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EAGAIN")
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_MS);
        else endOfReading(error as NodeJS.ErrnoException);
      }
    }
  }

  #paint(colors: ReturnType<typeof pc.createColors>, part: Part): string {
    if (typeof part === "string") return safeText(part);
    if (!isSpan(part)) return part.map((inner) => this.#paint(colors, inner)).join("");
    const text = safeText(part.text);
    return part.style === undefined ? text : colors[part.style](text);
  }
}

/** Parts cut to so many columns. */
export function cutParts(part: Part, columns: number): Part {
  let left = columns;
  const cut = (inner: Part): Part => {
    if (left <= 0) return "";
    if (typeof inner === "string") {
      const text = cutText(safeText(inner), left);
      left -= textWidth(text);
      return text;
    }
    if (isSpan(inner)) {
      const text = cutText(safeText(inner.text), left);
      left -= textWidth(text);
      return span(inner.style, text);
    }
    return inner.map(cut);
  };
  return cut(part);
}

/**
 * `orchd tail | head` closes the pipe; that is how a reader says it has had enough. Anything else
 * is a result that is lost.
 */
function endOfReading(error: NodeJS.ErrnoException): never {
  if (error.code === "EPIPE") process.exit(EXIT.done);
  try {
    writeSync(
      2,
      `orchd: the result cannot be written (${error.code ?? "?"}); see where stdout goes.\n`,
    );
  } catch {
    // stderr is gone too: the exit status is left.
  }
  process.exit(EXIT.failed);
}

/** What would have been said on a stderr that nobody reads is nobody's loss. */
function nobodyReads(): void {}

function wantsColor(env: NodeJS.ProcessEnv, isTerminal: () => boolean): boolean {
  if (env["NO_COLOR"] !== undefined && env["NO_COLOR"] !== "") return false;
  const force = env["FORCE_COLOR"];
  if (force !== undefined && force !== "") return force !== "0" && force !== "false";
  return env["TERM"] !== "dumb" && isTerminal();
}
