/**
 * How far a reader of all ledgers has come: for each pipeline the last line that was given, and the
 * same for each run that goes on. As a text it can be kept, and a later reader goes on from it.
 *
 * A pipeline's ledger is known by the checksum of its first line: rotation renames the file and
 * begins another, whose `seq` counts from 1 again. A run's ledger is not rotated. A run is in the
 * mark from the pipeline's line that begins it to the one that ends it.
 */
/** One ledger line, and its pipeline and run. */
export interface TailLine {
  readonly pipeline: string;
  /** Undefined for a line of the pipeline's own ledger. */
  readonly run?: string;
  readonly line: Readonly<Record<string, unknown>>;
}

/** The last line that was given of a pipeline's ledger. */
export interface PipelineMark {
  /** The `crc` of the first line of the file that holds it. */
  readonly first: string;
  readonly seq: number;
  /** When it was written, ISO 8601. */
  readonly at: string;
}

const BEGINNINGS: ReadonlySet<unknown> = new Set([
  "slot.fired",
  "slot.caught_up",
  "slot.backfilled",
  "run.queued",
  "run.started",
]);

/** How many ended runs are remembered. */
const ENDED_KEPT = 1_000;

/** The run that goes on from a pipeline's line; undefined for any other line. */
export function runBegun({ run, line }: TailLine): string | undefined {
  return run === undefined && BEGINNINGS.has(line["type"]) ? textOf(line["run"]) : undefined;
}

/** The run of whose end a pipeline's line tells; undefined for any other line. */
export function runEnded({ run, line }: TailLine): string | undefined {
  return run === undefined && line["type"] === "run.finished" ? textOf(line["run"]) : undefined;
}

/** How far a reader has come. */
export class LedgerMark {
  readonly pipelines = new Map<string, PipelineMark>();
  /** For each run that goes on, the `seq` of its last line that was given; 0 before the first. */
  readonly runs = new Map<string, number>();
  /** Runs that ended last. Where the clock went back, lines of theirs may come after the end. */
  readonly #ended = new Set<string>();

  /** @throws TypeError where the text is none that {@link toString} gave */
  static parse(text: string): LedgerMark {
    const mark = new LedgerMark();
    try {
      const [pipelines, runs] = JSON.parse(text) as [
        Record<string, [string, number, string]>,
        Record<string, number>,
      ];
      for (const [name, [first, seq, at]] of Object.entries(pipelines))
        mark.pipelines.set(name, { first, seq, at });
      for (const [run, seq] of Object.entries(runs)) mark.runs.set(run, seq);
    } catch {
      throw new TypeError(
        `${JSON.stringify(text.slice(0, 80))} is no position in the ledgers; ` +
          "give the text that follow() gave as its position.",
      );
    }
    return mark;
  }

  /** Takes note that a line was given. Lines of one ledger come in their order. */
  took(given: TailLine): void {
    const { pipeline, run, line } = given;
    const seq = Number(line["seq"]);
    if (run !== undefined) {
      if (!this.#ended.has(run)) this.runs.set(run, seq);
      return;
    }
    const first = seq === 1 ? textOf(line["crc"]) : this.pipelines.get(pipeline)?.first;
    this.pipelines.set(pipeline, { first: first ?? "", seq, at: textOf(line["at"]) ?? "" });
    const begun = runBegun(given);
    if (begun !== undefined && !this.runs.has(begun)) this.runs.set(begun, 0);
    const ended = runEnded(given);
    if (ended === undefined) return;
    this.runs.delete(ended);
    this.#ended.add(ended);
    if (this.#ended.size > ENDED_KEPT) this.#ended.delete(this.#ended.values().next().value!);
  }

  /** The mark as a text. */
  toString(): string {
    const pipelines = [...this.pipelines].map(
      ([name, { first, seq, at }]) => [name, [first, seq, at]] as const,
    );
    return JSON.stringify([Object.fromEntries(pipelines), Object.fromEntries(this.runs)]);
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
