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
import { slotKey } from "../core/pipeline-state.ts";
import { parseRunId } from "../core/run-id.ts";

/** Where a line tells of a run: a file and the line's number, from 1. */
interface Told {
  readonly file: string;
  readonly line: number;
  readonly type: string;
}

/** What one pipeline's ledger says of its slots and runs. */
export class SlotsTold {
  /** Runs that lines tell of, each with the first such line. */
  readonly runs = new Map<string, Told>();
  readonly #slots = new Set<string>();
  readonly #stretches: (readonly [first: number, last: number])[] = [];
  /** What is not after it was told by files that are gone. */
  #from: number | undefined;
  #through = Number.NEGATIVE_INFINITY;
  #prunedUntil = Number.NEGATIVE_INFINITY;
  #pruningIsTold = false;
  #first = true;

  /** Takes a line in. Files come in their order, the oldest first. */
  add(file: string, line: PipelineLine): void {
    const through = (line as { readonly through?: unknown }).through;
    const at = typeof through === "string" ? Date.parse(through) : Number.NaN;
    if (!Number.isNaN(at)) this.#through = Math.max(this.#through, at);
    switch (line.type) {
      case "slot.fired":
      case "slot.caught_up":
        this.#slots.add(slotKey(line.slot, line.schedule));
        if (line.shadow !== true) this.#tell(line.run, file, line);
        break;
      case "slot.skipped":
      case "slot.missed": {
        this.#slots.add(slotKey(line.slot, line.schedule));
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

  /** Whether a run's slot should have a line, and has none. */
  lacksLine(run: string): boolean {
    const id = parseRunId(run);
    if (id?.slot === undefined || id.suffix !== "" || id.stampMs > this.#through) return false;
    if (this.#from !== undefined && id.stampMs <= this.#from) return false;
    if (this.#slots.has(slotKey(id.slot, id.schedule))) return false;
    return !this.#stretches.some(([first, last]) => id.stampMs >= first && id.stampMs <= last);
  }

  /** Whether retention removed a run, or may have. */
  mayBePruned(run: string): boolean {
    return (parseRunId(run)?.stampMs ?? 0) <= this.#prunedUntil;
  }

  #seeCheckpoint({ prunedUntil }: { readonly prunedUntil?: unknown }): void {
    if (prunedUntil === undefined) return;
    this.#pruningIsTold = true;
    if (typeof prunedUntil === "string")
      this.#prunedUntil = Math.max(this.#prunedUntil, Date.parse(prunedUntil));
  }

  #tell(run: string, file: string, { seq, type }: PipelineLine): void {
    if (this.#pruningIsTold && !this.runs.has(run)) this.runs.set(run, { file, line: seq, type });
  }
}

/** What is wrong with a run that no line tells of. */
export const NO_SLOT_LINE = "no line of its pipeline's ledger says what became of its slot";

/** What is wrong where a line tells of a run that has no ledger. */
export function noLedgerText({ file, line, type }: Told): string {
  return `it is missing: ${basename(file)} tells of this run at line ${line} (${type})`;
}
