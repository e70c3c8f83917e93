/**
 * What one attempt prints, as lines: cut, masked and bounded.
 *
 * A line is complete at its line break, even if several writes made it. Only complete lines are
 * masked, so a secret that is split over two writes is found. A line that never ends is cut at 64
 * KiB, but never within a secret. After the limit only the count of dropped bytes is kept, and a
 * last line tells it.
 */
import { StringDecoder } from "node:string_decoder";
import { LINE_OVERHEAD, OUTPUT_LIMIT, type OutputLine } from "../core/task.ts";
import type { Masker } from "../core/mask.ts";

/** Where a line comes from. */
export type Stream = OutputLine["stream"];

const LONGEST_LINE = 64 * 1024;
/** Larger writes are taken in parts, so that a write of a gigabyte is not copied whole. */
const PIECE = 256 * 1024;

/** Turns what is written to the outputs of one attempt into lines. */
export class LineCapture {
  readonly #masker: Masker;
  readonly #give: (stream: Stream, lines: readonly string[]) => void;
  readonly #limit: number;
  /** Made at the first write, because most steps print nothing. */
  readonly #open: {
    [stream in "stdout" | "stderr"]?: { readonly decoder: StringDecoder; rest: string };
  } = {};
  #kept = 0;
  #dropped = 0;

  /**
   * @param give takes lines, in the order in which they were completed
   * @param limit how many bytes are kept; each line counts LINE_OVERHEAD more than its text
   */
  constructor(
    masker: Masker,
    give: (stream: Stream, lines: readonly string[]) => void,
    limit: number = OUTPUT_LIMIT,
  ) {
    this.#masker = masker;
    this.#give = give;
    this.#limit = limit;
  }

  /** Takes what was written to stdout or stderr. */
  write(stream: "stdout" | "stderr", chunk: Uint8Array | string): void {
    if (this.#kept >= this.#limit) {
      this.#dropped += typeof chunk === "string" ? Buffer.byteLength(chunk) : chunk.byteLength;
      return;
    }
    if (chunk.length > PIECE) {
      for (let at = 0; at < chunk.length; at += PIECE) {
        this.write(
          stream,
          typeof chunk === "string" ? chunk.slice(at, at + PIECE) : chunk.subarray(at, at + PIECE),
        );
      }
      return;
    }
    const open = (this.#open[stream] ??= { decoder: new StringDecoder("utf8"), rest: "" });
    const text = typeof chunk === "string" ? chunk : open.decoder.write(chunk);
    const lines = (open.rest + text).split("\n");
    open.rest = lines.pop()!;
    const reach = LONGEST_LINE + this.#masker.longest;
    while (open.rest.length > reach) {
      const at = this.#masker.cut(open.rest, LONGEST_LINE);
      lines.push(open.rest.slice(0, at));
      open.rest = open.rest.slice(at);
    }
    this.#keep(stream, lines);
  }

  /**
   * Takes what a child process printed, and frees the memory at once. That memory lies outside the
   * heap, and the collector lets tens of megabytes of it pile up before it looks.
   *
   * @param chunk what was read from a pipe; nobody else may use it, since it is empty afterwards
   */
  drain(stream: "stdout" | "stderr", chunk: Buffer): void {
    this.write(stream, chunk);
    release(chunk);
  }

  /** Takes whole lines of another stream: what `context.log` wrote, or what orchd itself says. */
  lines(stream: "log" | "orchd", lines: readonly string[]): void {
    this.#keep(stream, lines);
  }

  /**
   * Gives the text after the last line break, and tells how much was dropped. Call it once, at the
   * end.
   */
  end(): void {
    for (const stream of ["stdout", "stderr"] as const) {
      const open = this.#open[stream];
      if (open === undefined) continue;
      const rest = open.rest + open.decoder.end();
      open.rest = "";
      if (rest !== "") this.#keep(stream, [rest]);
    }
    if (this.#dropped > 0) {
      const limitMib = Math.round(this.#limit / 1024 / 1024);
      this.#give("orchd", [
        `[orchd: the output is longer than ${limitMib} MiB; ` +
          `${this.#dropped} bytes after that are dropped]`,
      ]);
      this.#dropped = 0;
    }
  }

  #keep(stream: Stream, lines: readonly string[]): void {
    if (lines.length === 0) return;
    const kept: string[] = [];
    for (const line of lines) {
      const size = Buffer.byteLength(line) + 1;
      if (this.#kept >= this.#limit) {
        this.#dropped += size;
        continue;
      }
      this.#kept += size + LINE_OVERHEAD;
      // A carriage return before the line break is part of the break.
      kept.push(this.#masker.text(line.endsWith("\r") ? line.slice(0, -1) : line));
    }
    if (kept.length > 0) this.#give(stream, kept);
  }
}

/**
 * Frees the memory of a chunk that was read from a pipe and is no longer needed. A chunk of the
 * shared pool belongs to others too, so it stays.
 */
export function release(chunk: Buffer): void {
  const memory = chunk.buffer as ArrayBuffer & { transfer?(length: number): ArrayBuffer };
  // Node 20 has no `transfer`, and collects sooner by itself.
  if (chunk.byteLength === memory.byteLength) memory.transfer?.(0);
}
