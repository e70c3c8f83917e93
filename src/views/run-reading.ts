/** A run's ledger, read and folded. */
import { statSync, type Stats } from "node:fs";
import type { RunEvent, RunLine } from "../core/event.ts";
import { parseRunId } from "../core/run-id.ts";
import { evolve } from "../core/run-fold.ts";
import type { RunState } from "../core/run-state.ts";
import { Artifacts } from "../ledger/artifacts.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { restoreEvent } from "../ledger/spill-event.ts";
import { listText } from "../core/counted.ts";
import { isCalledFinished } from "./called-finished.ts";
import { damaged, unknown, unlessDamaged, type NoView } from "./no-view.ts";

/** A run as its ledger has it. */
export interface RunReading {
  readonly ok: true;
  readonly state: RunState;
  /** What is wrong with the ledger: the lines after it are not in the state. */
  readonly fault?: string;
}

/** Whether a text looks like a run's id rather than a pipeline's name. */
export function looksLikeRun(text: string): boolean {
  return text.includes("@");
}

/** The pipeline's name in a run's id: the text before the first `@`. */
export function pipelineOfRun(run: string): string {
  return run.slice(0, run.indexOf("@"));
}

/** Where a run's ledger is. @throws a Node error where this user may not look */
export function findRun(
  store: RunStore,
  run: string,
): { readonly ok: true; readonly path: string } | NoView {
  const path = parseRunId(run) === undefined ? undefined : store.runLedger(run);
  return path === undefined || statSync(path, { throwIfNoEntry: false }) === undefined
    ? unknown(`there is no run "${run}"; \`orchd runs\` lists those that there are.`)
    : { ok: true, path };
}

/**
 * Reads and folds a run's ledger.
 *
 * @param until lines after this moment (milliseconds since 1970) are left out
 * @param each called with each line that is folded
 * @throws a Node error where the file cannot be read
 */
export function readRun(
  store: RunStore,
  run: string,
  until = Number.POSITIVE_INFINITY,
  each?: (line: RunLine) => void,
): RunReading | NoView {
  const found = findRun(store, run);
  return found.ok ? unlessDamaged(() => foldRun(store, run, found.path, until, each)) : found;
}

function foldRun(
  store: RunStore,
  run: string,
  path: string,
  until: number,
  each?: (line: RunLine) => void,
): RunReading | NoView {
  let state: RunState | undefined;
  const before = statSync(path);
  const reading = readLedger<RunEvent>(path, {
    each(line: RunLine) {
      if (Date.parse(line.at) > until) return false;
      state = evolve(state, restored(store, line));
      each?.(line);
      return undefined;
    },
  });
  if (state === undefined)
    return until === Number.POSITIVE_INFINITY
      ? damaged(
          `the run "${run}" cannot be shown: its ledger has no whole header; ` +
            "`orchd verify` says what is wrong with it.",
        )
      : unknown(`the run "${run}" cannot be shown: it had not been submitted by then.`);
  const isPast = until !== Number.POSITIVE_INFINITY;
  const isWhole = isPast || state.finished !== undefined || !isCutOff(store, run, before);
  if (reading.end !== "damaged" && isWhole) return { ok: true, state };
  const { line, fault } = reading.fault ?? { line: reading.mark.seq + 1, fault: "it is missing" };
  return { ok: true, state, fault: `line ${line}: ${fault}` };
}

/**
 * Whether a ledger that lacks the run's end has lost it: what looks like a write that was cut off
 * is damage where the pipeline's ledger calls the run finished (semantics.md 28). A ledger that was
 * written meanwhile has not.
 *
 * @param before what its file looked like before it was read
 */
function isCutOff(store: RunStore, run: string, before: Stats): boolean {
  try {
    if (!isCalledFinished(store, run)) return false;
    const now = statSync(store.runLedger(run));
    return now.size === before.size && now.mtimeMs === before.mtimeMs;
  } catch {
    // The pipeline's ledger cannot be read. The run's own can.
    return false;
  }
}

/**
 * A line with what it says of steps in place: a long snapshot is an artifact (semantics.md 18).
 * @throws ArtifactUnusable
 */
export function restored(store: RunStore, line: RunLine): RunLine {
  return line.type === "run.submitted" || line.type === "step.added"
    ? restoreEvent(line, new Artifacts(store.artifacts))
    : line;
}

/**
 * A run's state, for an answer that can do without it: undefined where there is no such run, or
 * where its ledger cannot be read for any reason. `orchd verify` is what speaks of bad ledgers.
 */
export function stateOfRun(store: RunStore, run: string): RunState | undefined {
  try {
    const reading = readRun(store, run);
    return reading.ok ? reading.state : undefined;
  } catch {
    return undefined;
  }
}

/** That a run has no step of a name. */
export function noSuchStep({ run, steps }: RunState, step: string): NoView {
  return unknown(
    `the run "${run}" has no step "${step}"; its steps are ${listText([...steps.keys()])}.`,
  );
}
