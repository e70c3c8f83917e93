/**
 * Finds in a pipeline's ledger which slots fired after a moment. This is needed when the clock is
 * set back further than the fold remembers (semantics.md 8). That is rare, so it reads the whole
 * file, and then the rotated files, newest first, until one of them adds no slot.
 */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PipelineEvent } from "../core/event.ts";
import { slotKey } from "../core/pipeline-state.ts";
import { slotOfKey } from "../core/schedule/slot-list.ts";
import { readLedger } from "./ledger-reader.ts";
import { rotatedLedgers } from "./rotated-ledgers.ts";

/** How many fit into a line: fourteen hours of one slot a second, a month of one a minute. */
const MAX_SLOTS = 50_000;

/**
 * The keys of the slots that fired and lie after `afterMs` (milliseconds since 1970), earliest
 * first. If a line has no room for all of them, the earliest ones: those come first again.
 *
 * @param path of the pipeline's ledger
 * @throws a Node error; LedgerFormatError
 */
export function firedSlotsAfter(path: string, afterMs: number): string[] {
  const found = new Set<string>();
  const folder = dirname(path);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const file of [path, ...rotatedLedgers(names).map((name) => join(folder, name))]) {
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
  return [...found].toSorted((a, b) => slotOfKey(a) - slotOfKey(b)).slice(0, MAX_SLOTS);
}
