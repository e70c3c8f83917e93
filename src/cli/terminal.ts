/**
 * The only way to stdout and stderr.
 *
 * Commands give parts: plain strings and styled spans. Every part is made safe here, so that no
 * command can forget it. Colours are added after that, and only where the stream is a terminal (or
 * FORCE_COLOR asks for them, and NO_COLOR does not forbid them). Results go to stdout, and
 * everything that is said about them to stderr, so that `--json` output is never mixed with words.
 */
import { fstatSync, writeSync } from "node:fs";
import pc from "picocolors";
import { safeText } from "../core/safe-text.ts";
import { EXIT } from "./exit.ts";
import { cutText, escapeJson, safeJson, textWidth } from "./terminal-text.ts";

/** How a span may look. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "blue" | "magenta" | "cyan";

/** Text with a style. */
export interface Span {
  readonly text: string;
  readonly style: Style | undefined;
}

/** A part of a line. */
export type Part = string | Span | readonly Part[];

/** Text with a style. */
export function span(style: Style | undefined, text: string): Span {
  return { text, style };
}

/** How many columns a part takes. */
export function partWidth(part: Part): number {
  if (typeof part === "string") return textWidth(safeText(part));
  if (isSpan(part)) return textWidth(safeText(part.text));
  return part.reduce<number>((sum, inner) => sum + partWidth(inner), 0);
}

function isSpan(part: Span | readonly Part[]): part is Span {
  return !Array.isArray(part);
}

type Colors = ReturnType<typeof pc.createColors>;

/** What a terminal writes to; `process` is one. */
export interface TerminalStreams {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
}

/** The wait between two tries at a pipe that somebody has made non-blocking, in milliseconds. */
const FULL_PIPE_MS = 5;

/** Prints to stdout and stderr. */
export class Terminal {
  readonly #streams: TerminalStreams;
  /**
   * stdout is a file or a pipe. It is written to directly, because Node's stream for it takes 3 ms
   * to start.
   */
  readonly #direct: boolean;
  #out: Colors | undefined;
  #err: Colors | undefined;
  /** How many lines {@link live} drew last, and will draw over. */
  #drawn = 0;

  constructor(streams: TerminalStreams) {
    this.#streams = streams;
    this.#direct = !fstatSync(1).isCharacterDevice();
    if (!this.#direct) streams.stdout.on("error", endOfReading);
  }

  /** Whether stdout is a terminal that a person looks at. */
  get interactive(): boolean {
    return (
      !this.#direct && this.#streams.stdout.isTTY === true && this.#streams.env["TERM"] !== "dumb"
    );
  }

  /** Columns of the terminal; undefined where stdout is no terminal, and nothing is cut. */
  get columns(): number | undefined {
    if (this.#direct) return undefined;
    // A pseudo-terminal whose size nobody has set has 0 columns.
    const { isTTY, columns } = this.#streams.stdout;
    return isTTY === true && columns > 0 ? columns : undefined;
  }

  /** Lines of the terminal; 24 where they are not known. */
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

  /** Prints a line that is JSON already. */
  rawJsonLine(json: string): void {
    this.#write(`${escapeJson(json)}\n`);
  }

  /** Prints orchd's own text with its line ends: a script, a schema. No part is from outside. */
  ownText(text: string): void {
    this.#write(text.split("\n").map(safeText).join("\n"));
  }

  /**
   * One line on stdout from a process that goes on whether somebody reads it or not: errors are
   * ignored.
   */
  offer(...parts: readonly Part[]): void {
    try {
      writeSync(1, `${this.#paint(this.#outColors(), parts)}\n`);
    } catch {
      // Nobody reads it.
    }
  }

  /** One sentence about what happened, on stderr. */
  note(...parts: readonly Part[]): void {
    this.#say(this.#paint(this.#errColors(), parts));
  }

  /** One sentence about what went wrong, on stderr. */
  error(sentence: string): void {
    this.#say(`${this.#errColors().red("orchd:")} ${safeText(sentence)}`);
  }

  /** Draws lines over those of the last call. For an interactive terminal only. */
  live(lines: readonly Part[]): void {
    const columns = this.columns ?? 80;
    let text = this.#drawn > 0 ? `\u001b[${this.#drawn}A` : "";
    for (const line of lines)
      text += `\u001b[2K${this.#paint(this.#outColors(), cutParts(line, columns - 1))}\n`;
    if (this.#drawn > lines.length) text += "\u001b[0J";
    this.#drawn = lines.length;
    this.#write(text);
  }

  /** Keeps what {@link live} drew last. */
  settle(): void {
    this.#drawn = 0;
  }

  /** Clears the screen. */
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

/** The part, cut to `columns`. */
export function cutParts(part: Part, columns: number): Part {
  let left = columns;
  const fitting = (whole: string): string => {
    const text = cutText(whole, left);
    // A wide character may leave a column free before the `…`: nothing follows there.
    left = text === whole ? left - textWidth(text) : 0;
    return text;
  };
  const cut = (inner: Part): Part => {
    if (left <= 0) return "";
    if (typeof inner === "string") return fitting(safeText(inner));
    if (isSpan(inner)) return span(inner.style, fitting(safeText(inner.text)));
    return inner.map(cut);
  };
  return cut(part);
}

/**
 * Ends the process. `orchd tail | head` closes the pipe: the reader has had enough. After any other
 * error a result is lost.
 */
function endOfReading(error: NodeJS.ErrnoException): never {
  if (error.code === "EPIPE") process.exit(EXIT.done);
  try {
    writeSync(
      2,
      `orchd: the result cannot be written (${error.code ?? "?"}); see where stdout goes.\n`,
    );
  } catch {
    // stderr is gone too: only the exit status is left.
  }
  process.exit(EXIT.failed);
}

/** Ignores an error of stderr: nobody reads it, so nothing is lost. */
function nobodyReads(): void {}

function wantsColor(env: NodeJS.ProcessEnv, isTerminal: () => boolean): boolean {
  if (env["NO_COLOR"] !== undefined && env["NO_COLOR"] !== "") return false;
  const force = env["FORCE_COLOR"];
  if (force !== undefined && force !== "") return force !== "0" && force !== "false";
  return env["TERM"] !== "dumb" && isTerminal();
}
