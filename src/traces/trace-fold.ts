/**
 * Spans of the lines of all ledgers. It holds the runs that go on, and nothing of those that ended.
 *
 * A line of a run whose beginning was not given (the feed began in the middle of the run) has the
 * run's lines before it read, once. What they tell was told before: their spans are not given
 * again.
 */
import type { FeedLine } from "../feed/feed-line.ts";
import { RunTrace, type LedgerLine } from "./run-trace.ts";
import type { Span } from "./span.ts";

/** What of a feed's line is looked at. */
export type TracedLine = Pick<FeedLine, "pipeline" | "run" | "seq" | "line">;

/** Reads a run's ledger from its first line on, until `each` returns false. */
export type EarlierLines = (run: string, each: (line: LedgerLine) => void | false) => void;

/** Makes spans of lines. */
export class TraceFold {
  readonly #earlier: EarlierLines;
  readonly #runs = new Map<string, RunTrace>();
  /** The last line of a run that was told before the feed gives it. */
  readonly #told = new Map<string, number>();

  constructor(earlier: EarlierLines) {
    this.#earlier = earlier;
  }

  /** The spans that have not ended: what the fold holds. */
  get open(): number {
    return [...this.#runs.values()].reduce((sum, { open }) => sum + open, 0);
  }

  /** Tells all that there is of a run that goes on, before the feed gives its next lines. */
  begin(run: string): Span[] {
    const spans: Span[] = [];
    this.#earlier(run, (line) => {
      spans.push(...this.#takeRun(run, line));
      this.#told.set(run, Number(line["seq"]));
    });
    return spans;
  }

  /** Takes the next line. @returns the spans that ended with it */
  take({ run, seq, line }: TracedLine): Span[] {
    if (run === undefined) return this.#takePipeline(line);
    const told = this.#told.get(run);
    if (told !== undefined) {
      if (seq <= told) return [];
      this.#told.delete(run);
    }
    if (!this.#runs.has(run) && line["type"] !== "run.submitted") this.#recall(run, seq);
    return this.#takeRun(run, line);
  }

  #recall(run: string, seq: number): void {
    this.#earlier(run, (line) => {
      if (Number(line["seq"]) >= seq) return false;
      this.#takeRun(run, line);
      return undefined;
    });
  }

  #takeRun(run: string, line: LedgerLine): Span[] {
    let trace = this.#runs.get(run);
    if (line["type"] === "run.submitted") {
      trace = RunTrace.of(line);
      if (trace !== undefined) this.#runs.set(run, trace);
      return [];
    }
    const spans = trace?.take(line) ?? [];
    if (trace?.isOver === true) this.#runs.delete(run);
    return spans;
  }

  /** A run's end in the ledger of its pipeline comes after the run's own lines. */
  #takePipeline(line: LedgerLine): Span[] {
    const { type, run } = line;
    if (type !== "run.finished" || typeof run !== "string") return [];
    const trace = this.#runs.get(run);
    this.#runs.delete(run);
    this.#told.delete(run);
    return trace?.end(line) ?? [];
  }
}
