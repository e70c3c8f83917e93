/**
 * Repairs a run that is quarantined: cuts its ledger back to the good lines, and keeps a copy of
 * the damaged file beside it. Nothing is invented. A run that had not ended goes on from its last
 * good line. Of a run that had ended, the pipeline's ledger says how, and that becomes its last
 * line.
 */
import { copyFileSync, existsSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { countText } from "../core/counted.ts";
import type { Clock } from "../clock.ts";
import { defined } from "../core/defined.ts";
import type { PipelineLine, RunEvent, RunLine } from "../core/event.ts";
import { syncPath } from "../disk/sync-path.ts";
import { refused, type Reply } from "../core/request.ts";
import { parseRunId } from "../core/run-id.ts";
import { damagedName, freeDamagedName } from "../ledger/damaged-name.ts";
import type { LedgerFailed } from "../ledger/ledger-error.ts";
import { LedgerFile } from "../ledger/ledger-file.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import { rotatedLedgers } from "../ledger/rotated-ledgers.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { hasSlotLine } from "./adopted-run.ts";
import type { Engine } from "./engine.ts";
import type { Log } from "../log.ts";

/** What repairing needs. */
export interface RepairPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: RunStore;
  readonly onFatal: (error: LedgerFailed) => void;
}

type EndLine = Extract<PipelineLine, { type: "run.finished" }>;

/**
 * Repairs a run's ledger, or says why there is nothing to repair.
 *
 * @throws a Node error; the damaged ledger is then unchanged
 */
export async function repairRun(run: string, engine: Engine, ports: RepairPorts): Promise<Reply> {
  const { store, log } = ports;
  const { pipeline, suffix } = parseRunId(run)!;
  const path = store.runLedger(run);
  if (!existsSync(path)) return refused(`there is no run ${run}`);
  if (engine.runs.get(run) !== undefined)
    return refused(`run ${run} is going on: its ledger is not damaged`);
  const { lines, end, size, validBytes } = readLedger<RunLine>(path);
  const told = endOf(store, pipeline, run);
  const endIsMissing = told !== undefined && lines.at(-1)?.type !== "run.finished";
  if (end === "whole" && lines.length > 0 && !endIsMissing) {
    const kept = newestCopy(path);
    if (kept === undefined) return refused(`the ledger of run ${run} is whole`);
    return {
      accepted: true,
      run,
      reason: `it was repaired already; the damaged ledger is kept as ${kept}`,
    };
  }
  if (
    lines.length === 0 &&
    told === undefined &&
    suffix === "" &&
    !hasSlotLine(store, pipeline, run)
  )
    return refused(
      `the ledger of run ${run} has no readable header, and it alone says that its slot was ` +
        "fired: it stays, so that the slot does not fire again",
    );
  const copy = keepCopy(path);
  const cut = size - validBytes;
  if (lines.length === 0) {
    rmSync(path);
    syncPath(dirname(path));
    log.warn(
      { run, kept: copy },
      `the ledger of run ${run} had no readable header and was put aside`,
    );
    const desk = await engine.desk(pipeline);
    const because = `its ledger had no readable header; it is kept as ${copy}`;
    if (told === undefined)
      await desk.append([{ type: "run.finished", run, status: "failed", durationMs: 0, because }]);
  } else {
    truncateSync(path, validBytes);
    syncPath(path);
    log.warn(
      { run, kept: copy, bytes: cut },
      `the ledger of run ${run} was cut back to its ${lines.length} good lines`,
    );
    if (told === undefined) await engine.takeOver(run, pipeline);
    else if (endIsMissing) await writeEnd(path, told, ports);
  }
  return {
    accepted: true,
    run,
    reason:
      `${countText(cut, "byte")} ${cut === 1 ? "was" : "were"} cut; ` +
      `the damaged ledger is kept as ${copy}`,
    result: { lines: lines.length, bytes: cut, keptAs: copy },
  };
}

/** What the pipeline's ledger said last of a run's end; undefined if it says nothing. */
function endOf(store: RunStore, pipeline: string, run: string): EndLine | undefined {
  let found: EndLine | undefined;
  const folder = store.pipelineDir(pipeline);
  const current = store.pipelineLedger(pipeline);
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  const names = files.map(({ name }) => name);
  const oldestFirst = rotatedLedgers(names).toReversed();
  if (names.includes(basename(current))) oldestFirst.push(basename(current));
  for (const name of oldestFirst) {
    readLedger<PipelineLine>(join(folder, name), {
      each: (line) => {
        if (line.type === "run.finished" && line.run === run) found = line;
      },
    });
  }
  return found;
}

/** Writes the run's last line. How the steps ended is lost with the lines after the damage. */
async function writeEnd(
  path: string,
  { status, durationMs, workedMs }: EndLine,
  { clock, onFatal }: RepairPorts,
): Promise<void> {
  const { file } = await LedgerFile.open<RunEvent>(path, { clock, onFatal });
  try {
    await file.append([
      defined({
        type: "run.finished",
        status,
        durationMs,
        workedMs,
        because:
          "the pipeline's ledger says so; this one was damaged, and lines before this are missing",
      }),
    ]);
  } finally {
    await file.close();
  }
}

function keepCopy(path: string): string {
  const copy = freeDamagedName(path);
  try {
    copyFileSync(path, copy);
    syncPath(copy);
    syncPath(dirname(path));
  } catch (error) {
    // Half a copy proves nothing.
    rmSync(copy, { force: true });
    throw error;
  }
  return copy;
}

function newestCopy(path: string): string | undefined {
  let n = 0;
  while (existsSync(damagedName(path, n + 1))) n += 1;
  return n === 0 ? undefined : damagedName(path, n);
}
