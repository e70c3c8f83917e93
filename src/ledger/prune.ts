/**
 * Removes old runs, and what only they needed: logs, empty month folders, artifacts, step code.
 * Also removes old files of the pipelines' own ledgers, and evidence of damage.
 *
 * prune-facts.ts reads what there is, retention.ts decides, and this file removes; sweep.ts removes
 * what nothing refers to then. Only the holder of the daemon's lock may prune. Pruning gives way to
 * other work between files. A run's log is removed before its ledger: a crash in between leaves a
 * run without a log, and never a log without a run.
 */
import { statSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { PipelineEvent } from "../core/event.ts";
import { parseRunId } from "../core/run-id.ts";
import { HOUR_MS, iso } from "../core/time.ts";
import { syncDirectory } from "../disk/directories.ts";
import { errorCode } from "../disk/disk-error.ts";
import { systemDisk } from "../disk/disk.ts";
import { isPathFault } from "../disk/path-fault.ts";
import { removeFileOffThread } from "../disk/remove-file.ts";
import { PruneDecision } from "./prune-decision.ts";
import { PruneFacts, type FactsOptions, type Leftovers } from "./prune-facts.ts";
import type { PipelineFacts } from "./retention.ts";
import { monthsAmong, RunStore } from "./run-store.ts";
import { sweep, type SweepOptions } from "./sweep.ts";

/** How to {@link prune}. */
export interface PruneOptions extends FactsOptions, SweepOptions {
  /**
   * Writes the line of a pipeline's ledger that says that runs are about to be removed. It may give
   * up: removing makes room on a full disk.
   */
  readonly onPruning?: ((pipeline: string, line: PipelineEvent) => Promise<void>) | undefined;
  /** Aborts when the lock is lost. */
  readonly signal?: AbortSignal | undefined;
}

/** What was removed, or would be. */
export interface Pruned {
  /** The runs, each with the reason. */
  readonly runs: { readonly run: string; readonly because: string }[];
  /** The runs that a limit would remove and something else keeps, each with what keeps it. */
  readonly kept: { readonly run: string; readonly because: string }[];
  /** How many bytes the runs and the files had. */
  readonly bytes: number;
  /**
   * How many files: artifacts and bundles that nothing refers to any more, rotated ledgers of
   * pipelines, evidence of damage.
   */
  readonly files: number;
}

/**
 * Removes what retention decides. @throws a Node error if something cannot be removed: the rest
 * stays, and the next call goes on with it
 */
export async function prune(runsDir: string, options: PruneOptions): Promise<Pruned> {
  const store = new RunStore(runsDir);
  const { nowMs, signal } = options;
  const giveWay = async (): Promise<void> => {
    signal?.throwIfAborted();
    await new Promise((resolve) => void setImmediate(resolve));
  };
  const facts = new PruneFacts(store, options, giveWay);
  const read: string[] = [];
  const collect = async (pipeline: string): Promise<PipelineFacts[]> => {
    const found = await unlessBlocked(() => facts.of(pipeline));
    if (found === undefined) return [];
    read.push(pipeline);
    return [found];
  };
  const decision = new PruneDecision();
  const pipelines = store.pipelines();
  if (options.totalBytes === undefined) {
    // No limit is over all of them, so the facts of one pipeline at a time are in memory.
    for (const pipeline of pipelines) decision.add(await collect(pipeline), nowMs);
  } else {
    const all: PipelineFacts[] = [];
    for (const pipeline of pipelines) all.push(...(await collect(pipeline)));
    decision.add(all, nowMs, options.totalBytes);
  }
  const { prune: going, kept, files } = decision;
  await decision.keepUsed(store, giveWay);
  if (options.dryRun !== true) {
    for (const pipeline of decision.losing) await syncFile(store.pipelineLedger(pipeline));
    for (const [pipeline, line] of prunedLines(going.keys()))
      await options.onPruning?.(pipeline, line);
    const folders = await removeRuns(store, going.keys(), giveWay);
    for (const path of files.keys()) {
      await unlessBlocked(() => removeFileOffThread(path));
      folders.add(dirname(path));
      await giveWay();
    }
    await removeLeftovers(facts.leftovers, folders, nowMs, giveWay);
  }
  // Runs that cannot be read may refer to any of them.
  const swept =
    read.length < pipelines.length
      ? { files: 0, bytes: 0 }
      : await sweep(store, options, going, facts.references, giveWay);
  return {
    runs: listed(going),
    kept: listed(kept),
    bytes: decision.bytes + swept.bytes,
    files: files.size + swept.files,
  };
}

function listed(runs: ReadonlyMap<string, string>): { run: string; because: string }[] {
  return Array.from(runs, ([run, because]) => ({ run, because }));
}

/** What the ledgers say of the runs that are about to be removed, by pipeline. */
function prunedLines(runs: Iterable<string>): Map<string, PipelineEvent> {
  const found = new Map<string, { until: number; count: number }>();
  for (const run of runs) {
    const { pipeline, stampMs } = parseRunId(run)!;
    const { until, count } = found.get(pipeline) ?? { until: stampMs, count: 0 };
    found.set(pipeline, { until: Math.max(until, stampMs), count: count + 1 });
  }
  return new Map(
    Array.from(found, ([pipeline, { until, count }]) => [
      pipeline,
      { type: "runs.pruned", until: iso(until), runs: count },
    ]),
  );
}

/**
 * Makes durable what was read of a ledger: it may have been written and not yet synced. The
 * `through` that runs are removed by has to be durable (semantics.md 24).
 */
async function syncFile(path: string): Promise<void> {
  const fd = await systemDisk.open(path, "r").catch((error: unknown) => {
    if (errorCode(error) !== "ENOENT") throw error;
  });
  if (fd === undefined) return;
  try {
    await systemDisk.fsync(fd);
  } finally {
    await systemDisk.close(fd);
  }
}

/** @returns the folders that had the runs' files */
async function removeRuns(
  store: RunStore,
  runs: Iterable<string>,
  giveWay: () => Promise<void>,
): Promise<Set<string>> {
  const directories = new Set<string>();
  for (const run of runs) {
    await unlessBlocked(async () => {
      await removeFileOffThread(store.runLog(run));
      await removeFileOffThread(store.runLedger(run));
      directories.add(store.runDir(run));
    });
    await giveWay();
  }
  for (const directory of directories) await syncDirectory(systemDisk, directory);
  return directories;
}

/**
 * Removes dot-names that a crash left behind, and month folders that have become empty.
 *
 * @param folders those from which something was removed
 */
async function removeLeftovers(
  { dotNames, months }: Leftovers,
  folders: Iterable<string>,
  nowMs: number,
  giveWay: () => Promise<void>,
): Promise<void> {
  for (const path of dotNames) {
    await unlessBlocked(async () => {
      if (ageOf(path, nowMs) > HOUR_MS) await removeFileOffThread(path);
    });
    await giveWay();
  }
  const thisMonth = iso(nowMs).slice(0, 7);
  for (const folder of new Set([...months, ...folders])) {
    const month = basename(folder);
    if (monthsAmong([month]).length === 0 || month >= thisMonth) continue;
    await unlessBlocked(() => removeFolder(folder));
    await giveWay();
  }
}

async function removeFolder(path: string): Promise<void> {
  // If something came into the folder meanwhile, it stays.
  await rmdir(path).catch((error: unknown) => {
    if (errorCode(error) !== "ENOTEMPTY" && errorCode(error) !== "ENOENT") throw error;
  });
}

/**
 * Does something for one pipeline, unless a path of it is bad: the others are not held up.
 *
 * @returns undefined if one is
 */
async function unlessBlocked<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (!isPathFault(error)) throw error;
    return undefined;
  }
}

function ageOf(path: string, nowMs: number): number {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? 0 : nowMs - stats.mtimeMs;
}
