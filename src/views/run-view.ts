/** One run as `orchd status RUN` shows it, in a shape that scripts rely on. */
import { defined } from "../core/defined.ts";
import type { Trigger } from "../core/event.ts";
import type { StepError } from "../core/failure.ts";
import type { PlacedAt, RunState, StepState } from "../core/run-state.ts";
import { runStatus } from "../core/run-status.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { NoView } from "./no-view.ts";
import { readRunNear } from "./near-run.ts";
import { placeWaits } from "./place-waits.ts";
import { PresentRuns } from "./present-runs.ts";
import { pullWaits } from "./pull-waits.ts";
import type { RunReading } from "./run-reading.ts";

/** `orchd status RUN --json`. Times are ISO 8601 in UTC; null where there is none yet. */
export interface RunView {
  readonly run: string;
  readonly pipeline: string;
  readonly status: string;
  readonly inProgress: boolean;
  readonly trigger: Trigger;
  readonly submittedAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly because: string | null;
  readonly steps: readonly StepView[];
  /** What is wrong with the ledger, if anything is: the lines after it were not read. */
  readonly fault?: string;
}

/** One step of a {@link RunView}. */
export interface StepView {
  readonly step: string;
  readonly status: string;
  /** How many attempts have started. */
  readonly attempts: number;
  readonly because: string | null;
  /**
   * It could begin, and waits for its place or for its image: `because` says why. Absent: it does
   * not.
   */
  readonly waits?: true;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  /** Where its last attempt runs or ran. Absent: in a process of the daemon's machine. */
  readonly placed?: PlacedAt;
  /** Where each attempt ran; absent where the last one alone had a place, or none. */
  readonly placements?: readonly Placement[];
  readonly error?: StepError;
}

/** Where one attempt runs or ran. */
export interface Placement extends PlacedAt {
  readonly attempt: number;
}

/** The view of a run that was read. */
export function viewRun({ state, fault }: Pick<RunReading, "state" | "fault">): RunView {
  const { status, inProgress } = runStatus(state);
  return {
    run: state.run,
    pipeline: state.pipeline,
    status,
    inProgress,
    trigger: state.trigger,
    submittedAt: state.submittedAt,
    startedAt: state.startedAt ?? null,
    finishedAt: state.finished?.at ?? null,
    because: state.finished?.because ?? stopReason(state) ?? state.because ?? null,
    steps: [...state.steps].map(([step, it]) => viewStep(step, it)),
    ...defined({ fault }),
  };
}

/** Why it stops; undefined where it does not. */
function stopReason({ stop }: RunState): string | undefined {
  if (stop === undefined) return undefined;
  return stop.because ?? `${stop.by} asked it to stop${stop.mode === "force" ? " by force" : ""}`;
}

/** A run as `orchd status RUN` shows it: a waiting one says what it waits for now. */
export function viewRunNow(
  store: RunStore,
  run: string,
): { readonly ok: true; readonly view: RunView } | NoView {
  const reading = readRunNear(store, run);
  return reading.ok ? { ok: true, view: viewNow(store, reading) } : reading;
}

/** The view of a run that was read just now. */
export function viewNow(store: RunStore, reading: RunReading): RunView {
  const { state } = reading;
  const waits = new Map([...pullWaits(store, state), ...placeWaits(store, state)]);
  const view = withWaits(viewRun(reading), waits);
  const { run, phase, stop } = state;
  return phase !== "queued" || stop !== undefined
    ? view
    : { ...view, because: `it waits: ${new PresentRuns(store).waitsFor(run)}` };
}

/** A step that waits for a place, or for its image, says so. */
function withWaits(view: RunView, waits: ReadonlyMap<string, string>): RunView {
  if (waits.size === 0) return view;
  const steps = view.steps.map((step) => {
    const because = waits.get(step.step);
    return because === undefined ? step : { ...step, because, waits: true as const };
  });
  return { ...view, steps };
}

function viewStep(step: string, state: StepState): StepView {
  const placed = state.attempts.at(-1)?.placed;
  return {
    step,
    status: state.status,
    attempts: state.attempt,
    because: state.because ?? null,
    startedAt: state.startedAt ?? null,
    finishedAt: state.finishedAt ?? null,
    ...defined({ placed, placements: placementsOf(state), error: state.error }),
  };
}

function placementsOf({ attempts }: StepState): readonly Placement[] | undefined {
  const placed = attempts.flatMap((one) =>
    one.placed === undefined ? [] : [{ attempt: one.attempt, ...one.placed }],
  );
  return placed.length < 2 ? undefined : placed;
}
