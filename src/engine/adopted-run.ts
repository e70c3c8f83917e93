/**
 * Takes over runs that an earlier daemon made: runs that the pipeline's ledger calls active, and
 * runs whose header was durable when a crash came before the pipeline's line.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defined } from "../core/defined.ts";
import type { PipelineEvent, RunLine } from "../core/event.ts";
import { parseRunId } from "../core/run-id.ts";
import { runResults } from "../core/run-results.ts";
import { fold } from "../core/run-fold.ts";
import type { RunState } from "../core/run-state.ts";
import { errorCode, lacksDescriptor } from "../disk/disk-error.ts";
import { isPathFault, PathFault, regularFile } from "../disk/path-fault.ts";
import { LedgerBlocked, LedgerDamaged, LedgerFormatError } from "../ledger/ledger-error.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { ActiveRun, ActiveRuns, QueueTerms, RunTicket } from "./active-runs.ts";
import type { Log } from "../log.ts";
import { endLine } from "./end-line.ts";
import type { RunHandle, RunMaker } from "./ports.ts";

/** What taking over needs. */
export interface AdoptPorts {
  readonly store: RunStore;
  readonly maker: RunMaker;
  readonly runs: ActiveRuns;
  readonly log: Log;
  /**
   * An unfinished run's ledger cannot be opened now, since its path is bad, or no descriptor is
   * left: the run is taken over once it can.
   */
  readonly onBlockedRun?: ((run: string, error: unknown) => void) | undefined;
}

/** What taking over a run gave. */
export interface TakenOver {
  /** The lines that its pipeline's ledger lacks. */
  readonly lines: readonly PipelineEvent[];
  /**
   * The run, where it goes on: the caller gives the lines to the ledger, and then records it. It
   * may end before, and the line of its end must not stand before these.
   */
  readonly going?: ActiveRun;
}

/** What taking over a slot's run gave. The lines follow the slot's line. */
export interface Adopted extends TakenOver {
  /** The slot has a line already: nothing was taken over. */
  readonly recorded: boolean;
  readonly kind: RunTicket["kind"];
}

/** A run as its ledger says; undefined where there is no ledger, or no readable header. */
export function readRunState(store: RunStore, run: string): RunState | undefined {
  const path = store.runLedger(run);
  return existsSync(path) ? fold(readLedger<RunLine>(path).lines) : undefined;
}

/**
 * Takes over the run that a slot has already.
 *
 * @throws PathFault if what has its ledger's name is no file; a Node error if that cannot be read
 */
export async function adoptRun(
  run: string,
  pipeline: string,
  ports: AdoptPorts,
  terms: QueueTerms,
): Promise<Adopted> {
  const path = ports.store.runLedger(run);
  if (regularFile(path) === undefined) throw new PathFault(path, "ENOENT");
  const kind = readRunState(ports.store, run)?.trigger.kind ?? "schedule";
  if (hasSlotLine(ports.store, pipeline, run)) return { recorded: true, kind, lines: [] };
  return { recorded: false, kind, ...(await takeOver(run, pipeline, ports, terms)) };
}

/**
 * What opening a run's ledger again gave: the run's handle, no handle where the run had finished,
 * or why the ledger cannot be opened.
 */
export type Reopened = { readonly handle: RunHandle | undefined } | { readonly error: unknown };

/** Opens a run's ledger again; its running steps end as interrupted. Never rejects. */
export async function reopen(run: string, { maker, runs }: AdoptPorts): Promise<Reopened> {
  if (runs.get(run) !== undefined) return { handle: undefined };
  try {
    return { handle: await maker.recover(run) };
  } catch (error) {
    return { error };
  }
}

/**
 * Lets an unfinished run go on, or finds out how it ended.
 *
 * @param reopening its ledger, being opened: a caller may open several at once
 */
export async function takeOver(
  run: string,
  pipeline: string,
  ports: AdoptPorts,
  terms: QueueTerms,
  reopening: Promise<Reopened> = reopen(run, ports),
): Promise<TakenOver> {
  const reopened = await reopening;
  if (ports.runs.get(run) !== undefined) return { lines: [] };
  if ("error" in reopened) return { lines: cannotGoOn(run, reopened.error, ports) };
  const { handle } = reopened;
  if (handle === undefined) {
    const ended = readRunState(ports.store, run);
    if (ended?.finished === undefined) return { lines: [] };
    return { lines: [endLine(run, { ...ended.finished, results: runResults(ended) })] };
  }
  const { state } = handle;
  const left = await endPlaceholder(handle);
  if (left !== undefined) return { lines: [left] };
  const { kind, requestId } = state.trigger;
  const own =
    kind === "backfill" && requestId !== undefined
      ? { lane: `backfill ${requestId}`, backfill: requestId }
      : {};
  const whole: RunTicket = {
    ...termsOf(terms, state),
    ...own,
    run,
    pipeline,
    kind,
    order: turnOf(state),
    gracePeriodMs: state.snapshot.gracePeriodMs,
  };
  const entry = ports.runs.takeOver(whole, handle);
  const line: PipelineEvent = entry.going
    ? defined({ type: "run.started", run, trigger: kind, requestId })
    : defined({ type: "run.queued", run, because: entry.because, requestId });
  return { lines: [line], going: entry };
}

/**
 * Since when a run waits for its turn, as when it was made. A re-run's id has the stamp of the
 * first run, and the re-run waits since it was asked for.
 */
function turnOf({ run, trigger, submittedAt }: RunState): number {
  return trigger.kind === "rerun" ? Date.parse(submittedAt) : (parseRunId(run)?.stampMs ?? 0);
}

/**
 * The terms under which a run waits. No limit may mean that no version of its pipeline is in force:
 * then those count that it was queued under.
 */
function termsOf(terms: QueueTerms, { limits, group }: RunState): QueueTerms {
  return terms.limit === Number.POSITIVE_INFINITY
    ? { ...terms, limit: limits?.lane ?? terms.limit, group: terms.group ?? group }
    : terms;
}

/**
 * Ends a run that a program made and has not submitted: nobody asked for it to run.
 *
 * @returns the line of its end; undefined if it was submitted, or made in another way
 */
async function endPlaceholder(handle: RunHandle): Promise<PipelineEvent | undefined> {
  const { run, phase, trigger } = handle.state;
  if (trigger.placeholder !== true || phase !== "submitted") return undefined;
  const because = "its program ended before it submitted the run";
  const answer = await handle.requestStop({ mode: "graceful", by: "daemon", because });
  if (!answer.accepted) return undefined;
  const { status, durationMs, results } = await handle.finished;
  return endLine(run, { status, durationMs, because, results });
}

/**
 * A run that cannot go on. Where its ledger is gone, the run has failed. Where the ledger is
 * damaged, nothing touches the run until it is repaired. Where the path is bad, or no more files
 * can be opened, it waits.
 */
function cannotGoOn(
  run: string,
  error: unknown,
  { log, onBlockedRun }: AdoptPorts,
): PipelineEvent[] {
  const isGone = errorCode(error) === "ENOENT" && !(error instanceof LedgerBlocked);
  if ((isPathFault(error) && !isGone) || lacksDescriptor(error)) {
    onBlockedRun?.(run, error);
    return [];
  }
  if (isGone) {
    log.error({ run }, `run ${run} was active and its ledger is gone`);
    return [
      { type: "run.finished", run, status: "failed", durationMs: 0, because: "its ledger is gone" },
    ];
  }
  const quarantined = error instanceof LedgerDamaged || error instanceof LedgerFormatError;
  log.error(
    { run, err: error },
    quarantined
      ? `run ${run} is quarantined: ${error.message}`
      : `run ${run} could not be taken over`,
  );
  return [];
}

/**
 * Whether any file of the pipeline's ledger holds the line of the run's slot. It reads them whole:
 * it is called only after a crash, or after the clock went back.
 */
export function hasSlotLine(store: RunStore, pipeline: string, run: string): boolean {
  const directory = store.pipelineDir(pipeline);
  const needle = `"run":${JSON.stringify(run)}`;
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => /^pipeline.*\.jsonl$/.test(entry.name) && entry.isFile())
    .map(({ name }) => name)
    .some((name) =>
      readFileSync(join(directory, name), "utf8")
        .split("\n")
        .some(
          (line) =>
            line.includes(needle) &&
            (line.includes('"type":"slot.fired"') || line.includes('"type":"slot.caught_up"')),
        ),
    );
}
