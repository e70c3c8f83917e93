/** What a feed gives: one line of one ledger, whole, and the position after it. */

/** Which ledgers' lines are given. Default: those of all pipelines and of their runs. */
export interface FeedScope {
  /** Only this pipeline's ledger, and the ledgers of its runs. */
  readonly pipeline?: string | undefined;
  /** Only this run's ledger. */
  readonly run?: string | undefined;
}

/** Which lines are given, and until when. */
export interface FeedOptions extends FeedScope {
  /**
   * The lines after this position: a text that an earlier feed gave. `start`: every line that there
   * is. Default: the lines that come.
   */
  readonly from?: string | undefined;
  /** Ends the feed. */
  readonly signal?: AbortSignal | undefined;
}

/** One line of a ledger. */
export interface FeedLine {
  /**
   * The position after this line, as a text: `FILE:SEQ;VECTOR`. A feed that is opened there, by any
   * process, goes on after this line. Made when it is asked for: ask only where it is needed.
   */
  readonly position: string;
  readonly pipeline: string;
  /** Undefined for a line of the pipeline's own ledger. */
  readonly run?: string | undefined;
  /** The ledger's path below the runs folder, as `etl/pipeline.jsonl`. */
  readonly file: string;
  readonly seq: number;
  /** The line as it stands in the ledger, without its line feed. */
  readonly raw: string;
  /** The same, parsed; parsed when it is asked for. Types of a newer release come as they are. */
  readonly line: Readonly<Record<string, unknown>>;
}

/** The lines of ledgers, for one reader: one `for await`. */
export interface Feed extends AsyncIterable<FeedLine> {
  /** The position after the line that was taken last; before the first, where the feed begins. */
  readonly position: string;
  /** Ends the feed. A reader that waits for a line is told that there is none. */
  close(): void;
}
