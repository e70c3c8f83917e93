/** What the steps of a run wait for that want a place on another machine. */
import { whyUnserved } from "../core/place-report.ts";
import type { RunState } from "../core/run-state.ts";
import { readPlaces } from "../ledger/place-lines.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { listText } from "./counted.ts";

/** By step, as a sentence that follows its name; the places are read where a step waits for one. */
export function placeWaits(store: RunStore, state: RunState): ReadonlyMap<string, string> {
  const waits = new Map<string, string>();
  if (state.phase !== "started" || state.stop !== undefined || state.timedOut !== undefined)
    return waits;
  let reports: ReturnType<typeof readPlaces> | undefined;
  for (const id of state.ready) {
    const { on } = state.steps.get(id)!.spec;
    if (on === undefined) continue;
    reports ??= readPlaces(store.orchdDir);
    const because =
      whyUnserved(on, reports) ??
      `each place with the ${on.length === 1 ? "label" : "labels"} ${listText(on)} is full`;
    waits.set(id, `it waits: ${because}`);
  }
  return waits;
}
