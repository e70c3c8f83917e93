/**
 * Which slots a pipeline's ledger says fired after a moment: read back where the clock is set back
 * further than the fold remembers (semantics.md 8). Rare, so it reads the file whole, and rotated
 * ones before it for as long as they have any.
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PipelineEvent } from "../core/event.ts";
import { slotKey } from "../core/pipeline-state.ts";
import { slotOfKey } from "../core/schedule/slot-list.ts";
import { readLedger } from "./ledger-reader.ts";

/** So many fit into a line: fourteen hours of a slot each second, a month of one each minute. */
const MOST = 50_000;
const ROTATED = /^pipeline-(\d{4}-\d\d-\d\d)(?:-(\d+))?\.jsonl$/;

/**
 * The keys of the slots that fired and lie after `afterMs` (milliseconds since 1970), the earliest
 * first; of more than a line has room for those that come first once more.
 *
 * @param path of the pipeline's ledger
 * @throws a Node error; LedgerFormatError
 */
export function firedSlotsAfter(path: string, afterMs: number): string[] {
  const found = new Set<string>();
  for (const file of [path, ...rotatedLedgers(dirname(path))]) {
    const before = found.size;
    if (existsSync(file)) {
      readLedger<PipelineEvent>(file, {
        each: (line) => {
          if (line.type !== "slot.fired" && line.type !== "slot.caught_up") return;
          const key = slotKey(line.slot, line.schedule);
          if (slotOfKey(key) > afterMs) found.add(key);
        },
      });
    }
    if (found.size === before && file !== path) break;
  }
  return [...found].toSorted((a, b) => slotOfKey(a) - slotOfKey(b)).slice(0, MOST);
}

/** The newest first. */
function rotatedLedgers(folder: string): string[] {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .flatMap((name) => {
      const [, date, nth = "1"] = ROTATED.exec(name) ?? [];
      return date === undefined ? [] : [{ name, date, nth: Number(nth) }];
    })
    .toSorted((a, b) => (a.date === b.date ? b.nth - a.nth : a.date < b.date ? 1 : -1))
    .map(({ name }) => join(folder, name));
}
