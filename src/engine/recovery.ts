/**
 * Takes over what an earlier daemon left: the runs that the pipelines' ledgers call active, and the
 * runs whose header is newer than the ledger's last line (a crash came in between).
 *
 * Slots are left to the desks, which go over every slot after the watermark anyway, except slots
 * whose run was made while the clock was ahead: the present schedules may never reach them again.
 *
 * All runs are opened first: their running steps end as interrupted. Then the stops that were asked
 * for meanwhile are written. After that runs may start.
 */
import { statSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { defined } from "../core/defined.ts";
import type { PipelineEvent } from "../core/event.ts";
import { parseRunId, runIdForSlot } from "../core/run-id.ts";
import type { Clock } from "../clock.ts";
import { isPathFault, regularFile } from "../disk/path-fault.ts";
import {
  adoptRun,
  type Adopted,
  readRunState,
  reopen,
  takeOver,
  type AdoptPorts,
} from "./adopted-run.ts";
import type { ActiveRun } from "./active-runs.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";

/** What recovery found. */
export interface Recovered {
  readonly pipelines: number;
  readonly runs: number;
}

/** Pipelines that are recovered at the same time. */
const AT_ONCE = 8;
/** How long the event loop may be kept, in milliseconds: months of many runs are listed. */
const TURN_MS = 20;
/**
 * How much older than the ledger's last line a header may be, and still have no line: a write can
 * be held up for that long before the daemon gives up.
 */
const SLACK_MS = 120_000;
/** How far the time of a file may be behind the clock. */
const TICK_MS = 50;

/**
 * Takes over every unfinished run.
 *
 * @param beforeStart called when all are opened, before any of them starts anything
 */
export async function recoverRuns(
  desks: readonly PipelineDesk[],
  ports: RecoveryPorts,
  beforeStart: () => Promise<void>,
): Promise<Recovered> {
  let runs = 0;
  const rest = desks.values();
  let from = ports.clock.monotonic();
  const walk = async (): Promise<void> => {
    for (const desk of rest) {
      // Where nothing is to be taken over, a pipeline waits for nothing, and there may be hundreds.
      if (ports.clock.monotonic() - from >= TURN_MS) {
        await nextTurn();
        from = ports.clock.monotonic();
      }
      // Not `runs += await`, which adds to what there was before the wait: others wait beside it.
      const taken = await recoverPipeline(desk, ports);
      runs += taken;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, walk));
  await beforeStart();
  return { pipelines: desks.length, runs };
}

/** What recovery needs. */
export interface RecoveryPorts extends AdoptPorts {
  readonly clock: Clock;
}

async function recoverPipeline(desk: PipelineDesk, ports: RecoveryPorts): Promise<number> {
  const { active, queued } = desk.state;
  const names = new Set([...active.keys(), ...queued, ...unrecorded(desk, ports)]);
  // Started runs come before runs that waited; among equals the older comes first.
  const inOrder = [...names].sort(
    (a, b) =>
      Number(queued.has(a)) - Number(queued.has(b)) ||
      (parseRunId(a)?.stampMs ?? 0) - (parseRunId(b)?.stampMs ?? 0),
  );
  const isKnownOrAsked = (run: string): boolean => {
    const { slot, suffix } = parseRunId(run) ?? {};
    return slot === undefined || suffix !== "" || active.has(run) || queued.has(run);
  };
  // All are opened at once, so that they share their syncs. The loop below keeps their order.
  const reopening = new Map(
    inOrder.filter(isKnownOrAsked).map((run) => [run, reopen(run, ports)] as const),
  );
  const lines: PipelineEvent[] = [];
  const going: ActiveRun[] = [];
  for (const run of inOrder) {
    const opened = reopening.get(run);
    const { slot, schedule } = parseRunId(run) ?? {};
    if (opened !== undefined || slot === undefined) {
      const taken = await takeOver(run, desk.name, ports, desk.queueTerms(), opened);
      lines.push(...taken.lines.filter((line) => !isKnown(desk, line)));
      if (taken.going !== undefined) going.push(taken.going);
      continue;
    }
    let adopted: Adopted;
    try {
      adopted = await adoptRun(run, desk.name, ports, desk.queueTerms());
    } catch (error) {
      if (!isPathFault(error)) throw error;
      ports.log.warn({ run, err: error }, `run ${run} could not be taken over`);
      desk.mayLackLine();
      continue;
    }
    if (adopted.recorded) continue;
    const type = adopted.kind === "catch_up" ? "slot.caught_up" : "slot.fired";
    const because =
      "its run was there already: a crash came before this line, and the clock was ahead";
    lines.push(defined({ type, slot, run, because, schedule }), ...adopted.lines);
    if (adopted.going !== undefined) going.push(adopted.going);
  }
  const written = lines.length > 0 ? desk.append(lines) : undefined;
  for (const run of going) ports.runs.record(run);
  await written;
  return ports.runs.of(desk.name).length;
}

/** Whether the pipeline's ledger says the same already. */
function isKnown(desk: PipelineDesk, line: PipelineEvent): boolean {
  if (line.type === "run.started") return desk.state.active.get(line.run)?.startedAt !== undefined;
  return line.type === "run.queued" && desk.state.queued.has(line.run);
}

/**
 * Runs by hand, re-runs and backfills whose header was durable when the crash came, and whose line
 * was not. A month folder is listed only if it changed after the ledger's last line. Scheduled runs
 * are left to the desk, which finds them by their slots, unless the slots are in the future.
 */
function unrecorded(desk: PipelineDesk, { store, clock, log }: RecoveryPorts): string[] {
  const { active, ended } = desk.state;
  const since = missingSince(desk, store);
  const lastDue = runIdForSlot(desk.name, Math.floor(clock.now() / 1_000) * 1_000);
  /**
   * True for most runs of a month, and the name alone tells: names of equal length sort by their
   * slots.
   */
  const isDueSlot = (run: string): boolean => run.length === lastDue.length && run <= lastDue;
  const found: string[] = [];
  const findIn = (month: string): void => {
    const folder = statSync(`${store.pipelineDir(desk.name)}/${month}`, { throwIfNoEntry: false });
    if (folder === undefined || folder.mtimeMs < since) return;
    for (const run of store.listMonth(desk.name, month, (name) => !isDueSlot(name))) {
      const id = parseRunId(run);
      if (
        id === undefined ||
        (id.suffix === "" && id.stampMs <= clock.now()) ||
        active.has(run) ||
        ended.has(run) ||
        !isFile(store.runLedger(run))
      )
        continue;
      const written = statSync(store.runLedger(run));
      if (written.birthtimeMs < since && written.mtimeMs < since) continue;
      if (readRunState(store, run)?.finished === undefined) found.push(run);
    }
  };
  for (const month of store.months(desk.name)) {
    try {
      findIn(month);
    } catch (error) {
      if (!isPathFault(error)) throw error;
      log.warn({ pipeline: desk.name, month, err: error }, "a month's folder cannot be read");
      desk.mayLackLine();
    }
  }
  return found;
}

/**
 * Since when headers may have come whose runs the pipeline's ledger does not have, in milliseconds
 * since 1970.
 */
function missingSince(desk: PipelineDesk, store: RunStore): number {
  if (desk.untouchedSince !== undefined) return desk.untouchedSince - TICK_MS;
  const ledger = statSync(store.pipelineLedger(desk.name), { throwIfNoEntry: false });
  // The file was written when it was opened: its time only bounds one of a clock that was ahead.
  return Math.min(desk.leftAt ?? 0, ledger?.mtimeMs ?? 0) - SLACK_MS;
}

/** Whether a path is a regular file that can be looked at. */
function isFile(path: string): boolean {
  try {
    return regularFile(path) !== undefined;
  } catch (error) {
    if (isPathFault(error)) return false;
    throw error;
  }
}
