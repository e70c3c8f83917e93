/**
 * Which of a slot's runs is the newest: the daemon goes by it in a backfill of failed slots, and so
 * does the price of one.
 */
import { statSync } from "node:fs";
import { rankInSlot } from "../core/run-id.ts";
import type { RunStore } from "./run-store.ts";

/**
 * The newest of a slot's runs: the one whose ledger was written last. Where files were copied, many
 * have one time: then the ids tell. Undefined: there is none.
 */
export function newestRun(store: RunStore, runs: readonly string[]): string | undefined {
  let [newest] = runs;
  for (const run of runs.slice(1)) if (isNewer(store, run, newest!)) newest = run;
  return newest;
}

function isNewer(store: RunStore, run: string, other: string): boolean {
  const apart = writtenAt(store, run) - writtenAt(store, other);
  return apart === 0 ? rankInSlot(run) > rankInSlot(other) : apart > 0;
}

function writtenAt(store: RunStore, run: string): number {
  return statSync(store.runLedger(run), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
