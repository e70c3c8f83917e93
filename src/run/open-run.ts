/**
 * A run that can be driven: its open ledger, the ledger's fold, and its orchestrator. The ledger is
 * created with its header, or opened again after an earlier daemon.
 */
import type { RunEvent, RunHeader, RunLine } from "../core/event.ts";
import { clipError, FAILURE_CODES, toStepError } from "../core/failure.ts";
import { evolve, fold } from "../core/run-fold.ts";
import type { RunState } from "../core/run-state.ts";
import { LedgerFile, type LedgerOptions } from "../ledger/ledger-file.ts";
import { shortened } from "../ledger/short-line.ts";
import { needsSpilling, restoreEvent, spillEvent } from "../ledger/spill-event.ts";
import {
  overriddenBy,
  refusalOf,
  SubmissionRefused,
  type Flavor,
} from "../orchestrators/flavors.ts";
import type { RunDeps } from "./run-deps.ts";

/** What a run-loop starts from. */
export interface OpenRun {
  readonly state: RunState;
  readonly file: LedgerFile<RunEvent>;
  readonly flavor: Flavor;
}

/** How a run is created. */
export interface CreateOptions {
  /** The header's time, ISO 8601: when the run was decided. Default: now. */
  readonly decidedAt?: string | undefined;
  /**
   * Called once the header is durable. Nothing more of the run is made before the promise that it
   * may give is resolved.
   */
  readonly durable?: (() => Promise<void> | undefined) | undefined;
}

/**
 * Creates a run: its ledger with the header, durably.
 *
 * @throws SubmissionRefused, with nothing written, if its orchestrator cannot take it; LedgerExists
 *   if the run has been created already
 */
export async function createRun(
  given: RunHeader,
  deps: RunDeps,
  { decidedAt, durable }: CreateOptions = {},
): Promise<OpenRun> {
  const flavor = await deps.orchestrators.resolve(given.snapshot.orchestrator);
  const refusal = refusalOf(flavor, given.snapshot, isScheduled(given));
  if (refusal !== undefined) throw new SubmissionRefused(refusal);
  const header = withHooks(withStack(given, flavor), flavor);
  const whole = needsSpilling(header) ? await spillEvent(header, deps.artifacts) : header;
  let at = "";
  const options = ledgerOptions(header.run, deps, (line) => (at ||= line.at));
  const file = await LedgerFile.create<RunEvent>(
    deps.runStore.runLedger(header.run),
    [whole],
    options,
    decidedAt,
  );
  await durable?.();
  const state = evolve(undefined, { seq: 1, b: 1, at, ...header });
  return { state: state!, file, flavor };
}

/** Records what a program gives with the submission of a run that nothing drives yet. */
export async function give({ state, file }: OpenRun, given: RunEvent): Promise<void> {
  for (const line of await file.append([given])) evolve(state, line);
}

/**
 * Opens a run of an earlier daemon.
 *
 * @returns undefined if it has finished
 * @throws LedgerDamaged, LedgerFormatError, ArtifactUnusable, a Node error
 */
export async function reopenRun(run: string, deps: RunDeps): Promise<OpenRun | undefined> {
  const { file, lines } = await LedgerFile.open<RunEvent>(deps.runStore.runLedger(run), {
    ...ledgerOptions(run, deps),
    // Nothing happens before the line is durable that says that the run was taken over.
    withFirstWrite: true,
  });
  try {
    const state = fold(lines.map((line) => restoreEvent(line as RunLine, deps.artifacts)));
    if (state !== undefined && state.finished === undefined)
      return { state, file, flavor: await flavorOrRemains(state, deps) };
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

/**
 * A header whose snapshot has the stack's environment, so that the run has the same one after a
 * crash. A pipeline that is loaded has it already.
 */
function withStack(header: RunHeader, { environment }: Flavor): RunHeader {
  const { snapshot } = header;
  if (snapshot.stackEnv !== undefined || Object.keys(environment).length === 0) return header;
  return { ...header, snapshot: { ...snapshot, stackEnv: environment } };
}

/** A header that names the hooks that the orchestrator's class overrides. */
function withHooks(header: RunHeader, flavor: Flavor): RunHeader {
  const overridden = overriddenBy(flavor);
  return overridden.length === 0 ? header : { ...header, orchestratorHooks: overridden };
}

/** Whether a run is for a slot: then only a schedulable orchestrator may take it. */
function isScheduled({ trigger }: RunHeader): boolean {
  return trigger.kind === "schedule" || trigger.kind === "catch_up";
}

function ledgerOptions(
  run: string,
  deps: RunDeps,
  first?: (line: RunLine) => void,
): LedgerOptions<RunEvent> {
  const { clock, disk, onDurableLine, onFatal, onHeld, onLedgerRestored } = deps;
  return {
    clock,
    disk,
    onFatal,
    onHeld,
    shorten: shortened,
    onRestored: (because) => onLedgerRestored?.(run, because),
    onDurable: (lines) => {
      for (const line of lines) {
        first?.(line);
        onDurableLine?.({ ledger: "run", run, line });
      }
    },
  };
}

/**
 * The orchestrator of a run of an earlier daemon. If that is not there any more, one that can only
 * end the run.
 */
async function flavorOrRemains(state: RunState, deps: RunDeps): Promise<Flavor> {
  try {
    return await deps.orchestrators.resolve(state.snapshot.orchestrator);
  } catch (error) {
    const lost = {
      name: "SubmissionError",
      message: clipError(toStepError(error)).message,
      code: FAILURE_CODES.submission,
    };
    return {
      ...(await deps.orchestrators.resolve(undefined)),
      name: state.snapshot.orchestrator.flavor,
      lost,
    };
  }
}
