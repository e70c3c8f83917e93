/**
 * Taking over runs that an earlier daemon made: those its pipeline's ledger calls active, and those
 * whose header was durable when a crash came before the line.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { defined } from "../core/defined.ts";
import type { PipelineEvent, RunLine } from "../core/event.ts";
import { parseRunId } from "../core/run-id.ts";
import { fold, type RunState } from "../core/run-state.ts";
import { LedgerDamaged, LedgerFormatError } from "../ledger/ledger-error.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { ActiveRuns, QueueTerms, RunTicket } from "./active-runs.ts";
import type { Log } from "../log.ts";
import type { RunHandle, RunMaker } from "./ports.ts";

/** What taking over needs. */
export interface AdoptPorts {
  readonly store: RunStore;
  readonly maker: RunMaker;
  readonly runs: ActiveRuns;
  readonly log: Log;
}

/** What became of a run that was there already. */
export interface Adopted {
  /** Its slot has a line already. */
  readonly recorded: boolean;
  readonly kind: RunTicket["kind"];
  /** The lines of its pipeline's ledger that go with its slot's. */
  readonly lines: readonly PipelineEvent[];
}

/** A run as its ledger says; undefined where there is none, or none that can be read. */
export function readRunState(store: RunStore, run: string): RunState | undefined {
  const path = store.runLedger(run);
  return existsSync(path) ? fold(readLedger<RunLine>(path).lines) : undefined;
}

/** Takes over a run that a slot was found to have. */
export async function adoptRun(
  run: string,
  pipeline: string,
  ports: AdoptPorts,
  terms: QueueTerms,
): Promise<Adopted> {
  const kind = readRunState(ports.store, run)?.trigger.kind ?? "schedule";
  if (hasSlotLine(ports.store, pipeline, run)) return { recorded: true, kind, lines: [] };
  return { recorded: false, kind, lines: await takeOver(run, pipeline, ports, terms) };
}

/**
 * What opening a run's ledger again gave: its handle, none if it had finished, or why it cannot be.
 */
export type Reopened = { readonly handle: RunHandle | undefined } | { readonly error: unknown };

/** Opens a run's ledger again, which ends its running steps as interrupted. Never rejects. */
export async function reopen(run: string, { maker, runs }: AdoptPorts): Promise<Reopened> {
  if (runs.get(run) !== undefined) return { handle: undefined };
  try {
    return { handle: await maker.recover(run) };
  } catch (error) {
    return { error };
  }
}

/**
 * Drives an unfinished run on, or says how it ended.
 *
 * @param reopening its ledger, where several are opened at once
 * @returns the lines that its pipeline's ledger lacks
 */
export async function takeOver(
  run: string,
  pipeline: string,
  ports: AdoptPorts,
  terms: QueueTerms,
  reopening: Promise<Reopened> = reopen(run, ports),
): Promise<PipelineEvent[]> {
  const reopened = await reopening;
  if (ports.runs.get(run) !== undefined) return [];
  if ("error" in reopened) return refuse(run, reopened.error, ports);
  const { handle } = reopened;
  if (handle === undefined) {
    const finished = readRunState(ports.store, run)?.finished;
    if (finished === undefined) return [];
    const { status, durationMs, because } = finished;
    return [{ type: "run.finished", run, status, durationMs, because }];
  }
  const { state } = handle;
  const { kind, requestId } = state.trigger;
  const own =
    kind === "backfill" && requestId !== undefined
      ? { lane: `backfill ${requestId}`, backfill: requestId }
      : {};
  const whole: RunTicket = {
    ...terms,
    ...own,
    run,
    pipeline,
    kind,
    order: parseRunId(run)?.stampMs ?? 0,
    gracePeriodMs: state.snapshot.gracePeriodMs,
  };
  const { going, because } = ports.runs.takeOver(whole, handle);
  return [
    going
      ? defined({ type: "run.started", run, trigger: kind, requestId })
      : defined({ type: "run.queued", run, because, requestId }),
  ];
}

/**
 * A run that cannot go on: one whose ledger is gone has ended; a damaged one is left alone until it
 * is repaired.
 */
function refuse(run: string, error: unknown, { log }: AdoptPorts): PipelineEvent[] {
  if ((error as { code?: unknown }).code === "ENOENT") {
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
 * Whether any file of the pipeline's ledger names the run's slot line. Read whole: this is asked
 * only after a crash or a clock that went back.
 */
export function hasSlotLine(store: RunStore, pipeline: string, run: string): boolean {
  const directory = store.pipelineDir(pipeline);
  const needle = `"run":${JSON.stringify(run)}`;
  return readdirSync(directory)
    .filter((name) => /^pipeline.*\.jsonl$/.test(name))
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

/**
 * The first line of a run's ledger, parsed; undefined where it cannot be. Cheap: it reads no more
 * than the header.
 */
export function readHeaderLine(path: string): RunLine | undefined {
  const fd = openSync(path, "r");
  try {
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = Buffer.alloc(65_536);
      const length = readSync(fd, chunk, 0, chunk.length, null);
      const end = chunk.subarray(0, length).indexOf(10);
      chunks.push(end === -1 ? chunk.subarray(0, length) : chunk.subarray(0, end));
      if (end !== -1 || length === 0) break;
    }
    return JSON.parse(Buffer.concat(chunks).toString()) as RunLine;
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}
