/**
 * Which of a slot's runs is the newest: the daemon goes by it in a backfill of failed slots, and so
 * does the price of one.
 */
import { rankInSlot } from "../core/run-id.ts";
import { readHeaderLine } from "./header-line.ts";
import type { RunStore } from "./run-store.ts";

/**
 * The newest of a slot's runs: the one that was made last, as its header says. The time of its file
 * says less: a copy has another, and an older run may end after a newer one. Where clocks were set,
 * two may say the same: then the ids tell. Undefined: there is none.
 */
export function newestRun(store: RunStore, runs: readonly string[]): string | undefined {
  if (runs.length < 2) return runs[0];
  const made = runs.map((run) => ({ run, at: madeAt(store, run), rank: rankInSlot(run) }));
  return made.reduce((newest, one) => (isNewer(one, newest) ? one : newest)).run;
}

interface MadeRun {
  readonly run: string;
  /** In milliseconds since 1970. */
  readonly at: number;
  readonly rank: number;
}

function isNewer(one: MadeRun, other: MadeRun): boolean {
  return one.at === other.at ? one.rank > other.rank : one.at > other.at;
}

/** When a run was made. One whose header cannot be read counts as older than all others. */
function madeAt(store: RunStore, run: string): number {
  const at = Date.parse(readHeaderLine(store.runLedger(run))?.at ?? "");
  return Number.isNaN(at) ? -Infinity : at;
}
