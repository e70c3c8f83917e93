/**
 * The fold of a run's ledger, a part in each turn of the event loop. A run may have thousands of
 * steps: then its header alone is megabytes, in an artifact (semantics.md 18), which is read
 * elsewhere (value-thread.ts).
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { isArtifactRef } from "../core/artifact-ref.ts";
import type { RunHeader, RunLine } from "../core/event.ts";
import { evolve } from "../core/run-fold.ts";
import type { RunState } from "../core/run-state.ts";
import type { Json, Snapshot, SnapshotStep } from "../core/snapshot.ts";
import type { Artifacts } from "./artifacts.ts";
import { readLedger, readLedgerInTurns } from "./ledger-reader.ts";
import { restoreEvent } from "./spill-event.ts";
import { AT_ONCE_BYTES, bytesOf } from "./value-job.ts";
import type { ValueThread } from "./value-thread.ts";

/** A run as its ledger says. */
export interface FoldedRun {
  /** Its header with the framing of the line, and with its long fields. */
  readonly header: RunHeader & RunLine;
  readonly state: RunState;
  /** Acknowledged lines are bad: the state is that of the good ones before them. */
  readonly damaged: boolean;
}

/** Where the values of a run's lines are. */
export interface FoldParts {
  readonly artifacts: Artifacts;
  /** Default: large values are read like small ones. */
  readonly values?: Pick<ValueThread, "ask"> | undefined;
}

/**
 * Folds a run's ledger.
 *
 * @returns undefined if it has no good header
 * @throws LedgerFormatError, ArtifactUnusable, a Node error
 */
export async function foldInTurns(path: string, parts: FoldParts): Promise<FoldedRun | undefined> {
  let first: RunLine | undefined;
  readLedger<RunLine>(path, {
    each: (line) => {
      first ??= line;
      return false;
    },
  });
  if (first?.type !== "run.submitted") return undefined;
  const snapshot = await snapshotOf(first.snapshot as unknown as Json, parts);
  const header = restoreEvent({ ...first, snapshot }, parts.artifacts);
  let state: RunState | undefined;
  const { end } = await readLedgerInTurns<RunLine>(path, {
    each: (line) => {
      state = evolve(state, line.seq === 1 ? header : restoreEvent(line, parts.artifacts));
    },
  });
  return state === undefined ? undefined : { header, state, damaged: end === "damaged" };
}

async function snapshotOf(recorded: Json, { artifacts, values }: FoldParts): Promise<Snapshot> {
  if (!isArtifactRef(recorded)) return recorded as unknown as Snapshot;
  const job = { kind: "snapshot", ref: recorded } as const;
  if (values === undefined || bytesOf(job) <= AT_ONCE_BYTES)
    return artifacts.get(recorded) as unknown as Snapshot;
  const [head, ...lists] = await values.ask(job);
  const steps: SnapshotStep[] = [];
  for (const list of lists) {
    for (const step of JSON.parse(list) as SnapshotStep[]) steps.push(step);
    await nextTurn();
  }
  return { ...(JSON.parse(head!) as Snapshot), steps };
}
