/** What the steps of a run wait for that want a place on another machine. */
import { whyUnserved } from "../core/place-report.ts";
import type { RunState } from "../core/run-state.ts";
import { readPlaces } from "../ledger/place-lines.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { listText } from "../core/counted.ts";

/** By step, as a sentence that follows its name; the places are read where a step waits for one. */
export function placeWaits(store: RunStore, state: RunState): ReadonlyMap<string, string> {
  const waits = new Map<string, string>();
  if (!startsSteps(state)) return waits;
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

/** How many steps wait that no place takes, by the run's own ledger (`run.waits`). */
export function stepsWithoutPlace(state: RunState): number {
  if (!startsSteps(state)) return 0;
  return [...state.ready].filter((id) => {
    const { on } = state.steps.get(id)!.spec;
    return on !== undefined && state.waits.has(on.join("+"));
  }).length;
}

/** Whether a run starts what is ready: one that stops starts nothing. */
function startsSteps({ phase, stop, timedOut }: RunState): boolean {
  return phase === "started" && stop === undefined && timedOut === undefined;
}
