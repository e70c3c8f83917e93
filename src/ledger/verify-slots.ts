/**
 * Compares a pipeline's ledger with its runs' ledgers: a run whose slot has no line, and a line
 * whose run is gone. Somebody removed or replaced a ledger by hand, or put a backup in its place.
 *
 * - A slot is decided once it is not after the watermark (`through`). Lines of before the oldest
 *   file's first checkpoint may have been removed with older files.
 * - Runs are removed by retention too. Before it removes any, a `runs.pruned` line says so. A
 *   ledger of an earlier orchd does not say it: lines before the first checkpoint that has
 *   `prunedUntil` prove nothing.
 */
import { basename } from "node:path";
import type { PipelineLine } from "../core/event.ts";
import { parseRunId, type RunId } from "../core/run-id.ts";
import { Times } from "./times.ts";

/** Where a line tells of a run: a file and the line's number, from 1. */
interface Told {
  readonly file: string;
  readonly line: number;
  readonly type: string;
}

/** The lines that tell of a run. */
const TELLING = ["slot.fired", "slot.caught_up", "slot.backfilled", "run.started"];
/** What is known of a run, as one number: these bits, and where a line tells of it. */
const FINISHED = 1;
const THERE = 2;
const PLACE = 4;
/** More than any file has lines. */
const LINES = 2 ** 28;

/**
 * What one pipeline's ledger says of its slots and runs. There may be hundreds of thousands of
 * them: a slot is kept as a time, and all that is known of a run is one number.
 */
export class SlotsTold {
  readonly #runs = new Map<string, number>();
  readonly #files: string[] = [];
  readonly #slots = new Map<string, Times>();
  readonly #stretches: (readonly [first: number, last: number])[] = [];
  /** What is not after it was told by files that are gone. */
  #from: number | undefined;
  #through = Number.NEGATIVE_INFINITY;
  #prunedUntil = Number.NEGATIVE_INFINITY;
  #pruningIsTold = false;
  #first = true;

  /** Takes a line in. Files come in their order, the oldest first. */
  add(file: string, line: PipelineLine): void {
    if (line.type === "run.finished") this.#mark(line.run, FINISHED);
    const through = (line as { readonly through?: unknown }).through;
    const at = typeof through === "string" ? Date.parse(through) : Number.NaN;
    if (!Number.isNaN(at)) this.#through = Math.max(this.#through, at);
    switch (line.type) {
      case "slot.fired":
      case "slot.caught_up":
        this.#decide(line.slot, line.schedule);
        if (line.shadow !== true) this.#tell(line.run, file, line);
        break;
      case "slot.skipped":
      case "slot.missed": {
        this.#decide(line.slot, line.schedule);
        const until = line.type === "slot.missed" ? line.until : undefined;
        if (until !== undefined) this.#stretches.push([Date.parse(line.slot), Date.parse(until)]);
        break;
      }
      case "slot.backfilled":
      case "run.started":
        this.#tell(line.run, file, line);
        break;
      case "runs.pruned":
        this.#prunedUntil = Math.max(this.#prunedUntil, Date.parse(line.until));
        break;
      case "pipeline.checkpoint":
        this.#seeCheckpoint(line as { readonly prunedUntil?: unknown });
        if (this.#first && Object.keys(line.counts).length > 0 && !Number.isNaN(at))
          this.#from = at;
        this.#first = false;
        break;
      default:
        // No other line is about a slot, or about what retention did.
        break;
    }
  }

  /** Whether the pipeline's ledger says that a run finished. */
  hasFinished(run: string): boolean {
    return ((this.#runs.get(run) ?? 0) & FINISHED) !== 0;
  }

  /** Notes that a run's ledger is there. */
  isThere(run: string): void {
    if (this.#runs.has(run)) this.#mark(run, THERE);
  }

  /** The runs that lines tell of and whose ledgers were not seen, with the first such line. */
  *missing(): Generator<readonly [run: string, told: Told]> {
    for (const [run, known] of this.#runs) {
      if (known < PLACE || (known & THERE) !== 0) continue;
      const place = Math.floor(known / PLACE);
      const rest = Math.floor(place / TELLING.length);
      const [file, line] = [this.#files[Math.floor(rest / LINES)]!, rest % LINES];
      yield [run, { file, line, type: TELLING[place % TELLING.length]! }];
    }
  }

  /** Whether a run's slot should have a line, and has none. */
  lacksLine(id: RunId): boolean {
    if (id.slot === undefined || id.suffix !== "" || id.stampMs > this.#through) return false;
    if (this.#from !== undefined && id.stampMs <= this.#from) return false;
    if (this.#slots.get(id.schedule ?? "")?.has(id.stampMs) === true) return false;
    return !this.#stretches.some(([first, last]) => id.stampMs >= first && id.stampMs <= last);
  }

  /** Whether retention removed a run, or may have. */
  mayBePruned(run: string): boolean {
    return (parseRunId(run)?.stampMs ?? 0) <= this.#prunedUntil;
  }

  #decide(slot: string, schedule: string | undefined): void {
    let times = this.#slots.get(schedule ?? "");
    if (times === undefined) this.#slots.set(schedule ?? "", (times = new Times()));
    times.add(Date.parse(slot));
  }

  #mark(run: string, bit: number): void {
    const known = this.#runs.get(run) ?? 0;
    if ((known & bit) === 0) this.#runs.set(run, known + bit);
  }

  #seeCheckpoint({ prunedUntil }: { readonly prunedUntil?: unknown }): void {
    if (prunedUntil === undefined) return;
    this.#pruningIsTold = true;
    if (typeof prunedUntil === "string")
      this.#prunedUntil = Math.max(this.#prunedUntil, Date.parse(prunedUntil));
  }

  #tell(run: string, file: string, { seq, type }: PipelineLine): void {
    const known = this.#runs.get(run) ?? 0;
    if (!this.#pruningIsTold || known >= PLACE) return;
    if (this.#files.at(-1) !== file) this.#files.push(file);
    const line = (this.#files.length - 1) * LINES + seq;
    this.#runs.set(run, known + PLACE * (TELLING.indexOf(type) + TELLING.length * line));
  }
}

/** What is wrong with a run that no line tells of. */
export const NO_SLOT_LINE = "no line of its pipeline's ledger says what became of its slot";

/** What is wrong where a line tells of a run that has no ledger. */
export function noLedgerText({ file, line, type }: Told): string {
  return `it is missing: ${basename(file)} tells of this run at line ${line} (${type})`;
}
