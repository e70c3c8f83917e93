/**
 * Removes old runs, and what only they needed: logs, empty month folders, artifacts, step code.
 * Also removes old files of the pipelines' own ledgers, and evidence of damage.
 *
 * retention.ts decides. This file collects the facts, and removes. Only the holder of the daemon's
 * lock may prune. Pruning gives way to other work between files. A run's log is removed before its
 * ledger: a crash in between leaves a run without a log, and never a log without a run. Collecting
 * and removing walk the same folders, so they stay one file.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { join } from "node:path";
import type { PipelineEvent, PipelineLine, RunLine } from "../core/event.ts";
import { emptyPipelineState, evolvePipeline, type PipelineState } from "../core/pipeline-state.ts";
import { parseRunId } from "../core/run-id.ts";
import { DAY_MS, HOUR_MS, iso } from "../core/time.ts";
import { syncDirectory } from "../disk/directories.ts";
import { errorCode } from "../disk/disk-error.ts";
import { namesIn } from "../disk/names-in.ts";
import { systemDisk } from "../disk/disk.ts";
import { isPathFault } from "../disk/path-fault.ts";
import { readTail } from "./ledger-reader.ts";
import { isRotatedLedger } from "./rotated-ledgers.ts";
import { PruneDecision } from "./prune-decision.ts";
import type { ArtifactFacts } from "./removable-list.ts";
import {
  KEEP_ALL,
  type FileFacts,
  type PipelineFacts,
  type RetentionPolicy,
  type RunFacts,
} from "./retention.ts";
import { RunFactsList } from "./run-facts-list.ts";
import { RunStore } from "./run-store.ts";
import { SPILLED_FIELDS } from "./spill-event.ts";

/**
 * How long an artifact is young, and stays. It is far longer than writing all outputs of a step
 * takes. An hour would be too long: everything written in it would escape a limit in bytes.
 */
const YOUNG_MS = 600_000;
const SHA_NAME = /^([0-9a-f]{64})(\.mjs(?:\.map)?)?$/;
/**
 * A reference to an artifact or a bundle, in a ledger or in a spilled field. It comes with the name
 * of the field, if that field may refer to more.
 */
const REFERENCE = new RegExp(
  String.raw`(?:"(${SPILLED_FIELDS.join("|")})":\{)?"(?:\$artifact|bundle)":"([0-9a-f]{64})"`,
  "g",
);
/** The name of a damaged ledger that was set aside; it holds the name that the ledger had. */
const EVIDENCE = /^(.+\.jsonl)\.damaged-\d+$/;

/** How to {@link prune}. */
export interface PruneOptions {
  readonly nowMs: number;
  readonly policyOf: (pipeline: string) => RetentionPolicy;
  /** The limit for the ledgers, logs and artifacts of all pipelines together; undefined: none. */
  readonly totalBytes?: number | undefined;
  /** Remove runs of this pipeline only. */
  readonly pipeline?: string | undefined;
  /** Only say what would be removed. */
  readonly dryRun?: boolean | undefined;
  /** Runs that must stay although no ledger says so. */
  readonly alsoActive?: ReadonlySet<string> | undefined;
  /** The step code of the pipelines in force, by sha256. If undefined, no step code is removed. */
  readonly bundlesInUse?: ReadonlySet<string> | undefined;
  /** Lines wait for room on the disk: an artifact may have waited a long time for its line. */
  readonly linesWait?: boolean | undefined;
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

/** What files refer to, by sha256. */
interface References {
  /** Artifacts and bundles. */
  readonly shas: Set<string>;
  /**
   * The artifacts that are a whole field of a line (spill-event.ts): these may refer to more. A
   * single output refers to nothing, however long it is.
   */
  readonly fields: Set<string>;
}

/** What most runs refer to: nothing. It is one object for all of them. */
const NONE = noReferences();

/** What each run refers to. With it, no ledger is read twice in one sweep. */
type ReferencesOfRuns = Map<string, References>;

/**
 * Removes what retention decides. @throws a Node error if something cannot be removed: the rest
 * stays, and the next call goes on with it
 */
export async function prune(runsDir: string, options: PruneOptions): Promise<Pruned> {
  const store = new RunStore(runsDir);
  const references: ReferencesOfRuns = new Map();
  const artifactBytes = sizesIn(store.artifacts);
  const pipelines: string[] = [];
  let unread = 0;
  const collect = async (pipeline: string): Promise<PipelineFacts[]> => {
    const facts: PipelineFacts[] = [];
    await unlessBlocked(
      async () =>
        void facts.push(await factsOf(store, pipeline, options, references, artifactBytes)),
      () => (unread += 1),
    );
    if (facts.length > 0) pipelines.push(pipeline);
    return facts;
  };
  const { nowMs } = options;
  const decision = new PruneDecision();
  if (options.totalBytes === undefined) {
    // No limit is over all of them, so the facts of one pipeline at a time are in memory.
    for (const pipeline of store.pipelines()) decision.add(await collect(pipeline), nowMs);
  } else {
    const all: PipelineFacts[] = [];
    for (const pipeline of store.pipelines())
      for (const facts of await collect(pipeline)) all.push(facts);
    decision.add(all, nowMs, options.totalBytes);
  }
  const { prune: going, kept, files } = decision;
  await decision.keepUsed(store, () => giveWay(options));
  if (options.dryRun !== true) {
    for (const [pipeline, line] of prunedLines(going.keys()))
      await options.onPruning?.(pipeline, line);
    await removeRuns(store, going.keys(), options);
    for (const path of files.keys()) {
      await unlessBlocked(() => removeFile(path));
      await giveWay(options);
    }
    for (const pipeline of pipelines)
      await unlessBlocked(() => removeOldFiles(store, pipeline, options));
  }
  // Runs that cannot be read may refer to any of them.
  const swept =
    unread > 0 ? { files: 0, bytes: 0 } : await sweep(store, options, going, references);
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

async function factsOf(
  store: RunStore,
  pipeline: string,
  options: PruneOptions,
  references: ReferencesOfRuns,
  artifactBytes: ReadonlyMap<string, number>,
): Promise<PipelineFacts> {
  const spared = options.pipeline !== undefined && options.pipeline !== pipeline;
  const policy = spared ? KEEP_ALL : options.policyOf(pipeline);
  const { state, recordedUntil } = stateOf(store, pipeline);
  await syncFile(store.pipelineLedger(pipeline));
  const active = new Set([...state.active.keys(), ...state.queued, ...(options.alsoActive ?? [])]);
  const byBytes =
    artifactBytes.size > 0 && (policy.keepBytes !== undefined || options.totalBytes !== undefined);
  const files = [
    ...rotatedLedgers(store, pipeline),
    ...evidenceIn(store.pipelineDir(pipeline)).values(),
  ].flat();
  const runs = new RunFactsList();
  for (const month of store.months(pipeline)) {
    const evidence = evidenceIn(join(store.pipelineDir(pipeline), month));
    const names = store.listMonth(pipeline, month);
    runs.begin(names.length);
    for (const run of names) {
      const facts = runFacts(store, run);
      if (facts !== undefined) {
        const path = store.runLedger(run);
        const kept = evidence.get(path) ?? [];
        // Evidence beside a run stays as long as the run, and is counted with it.
        evidence.delete(path);
        runs.add({
          ...facts,
          bytes: kept.reduce((sum, { bytes }) => sum + bytes, facts.bytes),
          artifacts: byBytes ? artifactsOf(store, facts, references, artifactBytes) : undefined,
        });
      }
      await giveWay(options);
    }
    files.push(...[...evidence.values()].flat());
  }
  return {
    pipeline,
    policy,
    through: state.through,
    recordedUntil,
    active,
    runs,
    files,
  };
}

function artifactsOf(
  store: RunStore,
  { run, finishedAt }: RunFacts,
  references: ReferencesOfRuns,
  sizes: ReadonlyMap<string, number>,
): ArtifactFacts[] {
  const own = noReferences();
  collect(store.runLedger(run), own);
  // A run that has not finished may get more lines before the sweep.
  if (finishedAt !== undefined) references.set(run, own.shas.size > 0 ? own : NONE);
  return [...own.shas].flatMap((sha) => {
    const bytes = sizes.get(sha);
    return bytes === undefined ? [] : [{ sha, bytes }];
  });
}

function rotatedLedgers(store: RunStore, pipeline: string): FileFacts[] {
  const folder = store.pipelineDir(pipeline);
  return readdirSync(folder).flatMap((name) => {
    const file = isRotatedLedger(name)
      ? statSync(join(folder, name), { throwIfNoEntry: false })
      : undefined;
    return file === undefined
      ? []
      : [{ path: join(folder, name), stampMs: file.mtimeMs, bytes: file.size, evidence: false }];
  });
}

/**
 * The damaged ledgers that were set aside in a folder, by the path of the ledger. A renamed file
 * keeps its mtime; the inode's ctime says when it got its name.
 */
function evidenceIn(folder: string): Map<string, FileFacts[]> {
  const found = new Map<string, FileFacts[]>();
  for (const name of readdirSync(folder)) {
    const ledger = EVIDENCE.exec(name)?.[1];
    const file =
      ledger === undefined ? undefined : statSync(join(folder, name), { throwIfNoEntry: false });
    if (ledger === undefined || file?.isFile() !== true) continue;
    const facts = {
      path: join(folder, name),
      stampMs: file.ctimeMs,
      bytes: file.size,
      evidence: true,
    };
    found.set(join(folder, ledger), [...(found.get(join(folder, ledger)) ?? []), facts]);
  }
  return found;
}

function sizesIn(directory: string): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const name of namesIn(directory)) {
    const bytes = SHA_NAME.test(name)
      ? statSync(join(directory, name), { throwIfNoEntry: false })?.size
      : undefined;
    if (bytes !== undefined) sizes.set(name, bytes);
  }
  return sizes;
}

function stateOf(
  store: RunStore,
  pipeline: string,
): { readonly state: PipelineState; readonly recordedUntil: number | undefined } {
  const state = emptyPipelineState();
  let last: PipelineLine | undefined;
  try {
    for (last of readTail<PipelineLine>(store.pipelineLedger(pipeline), "pipeline.checkpoint")
      .lines)
      evolvePipeline(state, last);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  return { state, recordedUntil: last === undefined ? undefined : Date.parse(last.at) };
}

/**
 * Makes durable what was read: it may have been written and not yet synced. semantics.md 24 wants a
 * durable `through`.
 */
async function syncFile(path: string): Promise<void> {
  let fd: number;
  try {
    fd = await systemDisk.open(path, "r");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  try {
    await systemDisk.fsync(fd);
  } finally {
    await systemDisk.close(fd);
  }
}

function runFacts(store: RunStore, run: string): RunFacts | undefined {
  const id = store.parseRunId(run);
  const path = store.runLedger(run);
  const ledger = statSync(path, { throwIfNoEntry: false });
  // What has the name of a ledger may be none.
  if (ledger?.isFile() !== true) return undefined;
  const { lines, end } = readTail<RunLine>(path, () => true);
  const last = end === "whole" ? lines.at(-1) : undefined;
  return {
    run,
    stampMs: id.stampMs,
    scheduled: id.suffix === "",
    damaged: end === "damaged",
    finishedAt: last?.type === "run.finished" ? Date.parse(last.at) : undefined,
    bytes: ledger.size + (statSync(store.runLog(run), { throwIfNoEntry: false })?.size ?? 0),
  };
}

async function removeRuns(
  store: RunStore,
  runs: Iterable<string>,
  options: PruneOptions,
): Promise<void> {
  const directories = new Set<string>();
  for (const run of runs) {
    await unlessBlocked(async () => {
      await removeFile(store.runLog(run));
      await removeFile(store.runLedger(run));
      directories.add(store.runDir(run));
    });
    await giveWay(options);
  }
  for (const directory of directories) await syncDirectory(systemDisk, directory);
}

/** Removes dot-names that a crash left behind, and month folders that have become empty. */
async function removeOldFiles(
  store: RunStore,
  pipeline: string,
  options: PruneOptions,
): Promise<void> {
  const folder = store.pipelineDir(pipeline);
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name.startsWith(".") && ageOf(path, options.nowMs) > HOUR_MS) await removeFile(path);
  }
  const thisMonth = iso(options.nowMs).slice(0, 7);
  for (const month of store.months(pipeline)) {
    const directory = join(folder, month);
    let left = 0;
    for (const name of readdirSync(directory)) {
      if (name.startsWith(".") && ageOf(join(directory, name), options.nowMs) > HOUR_MS)
        await removeFile(join(directory, name));
      else left += 1;
    }
    if (left === 0 && month < thisMonth) await removeFolder(directory);
    await giveWay(options);
  }
}

/**
 * Removes artifacts and step code that no ledger refers to once the runs in `going` are removed.
 * Young ones stay. The line that refers to an artifact may be about to be written, which takes long
 * only if the disk is full. And the pipeline file of the step code may be about to be loaded.
 */
async function sweep(
  store: RunStore,
  options: PruneOptions,
  going: ReadonlyMap<string, string>,
  references: ReferencesOfRuns,
): Promise<{ readonly files: number; readonly bytes: number }> {
  const artifactAge = options.linesWait === true ? DAY_MS : YOUNG_MS;
  const old = [
    ...oldFiles(store.artifacts, options.nowMs, artifactAge),
    ...(options.bundlesInUse === undefined
      ? []
      : oldFiles(store.bundles, options.nowMs, DAY_MS).filter(
          ({ sha }) => !options.bundlesInUse!.has(sha),
        )),
  ];
  const swept = { files: 0, bytes: 0 };
  if (old.length === 0) return swept;
  const used = noReferences();
  for (const pipeline of store.pipelines()) {
    for (const run of monthByMonth(store, pipeline)) {
      if (going.has(run)) continue;
      const known = references.get(run);
      if (known === undefined) collect(store.runLedger(run), used);
      else
        for (const set of ["shas", "fields"] as const)
          for (const sha of known[set]) used[set].add(sha);
      await giveWay(options);
    }
  }
  // A spilled snapshot refers to bundles, spilled outputs refer to artifacts. The loop visits the
  // fields that it finds on the way, too.
  for (const sha of used.fields) {
    collect(join(store.artifacts, sha), used);
    await giveWay(options);
  }
  for (const { path, sha, minAge } of old) {
    const file = statSync(path, { throwIfNoEntry: false });
    // A cache hit may have made it young meanwhile, with a line that was not read.
    if (used.shas.has(sha) || file === undefined || options.nowMs - file.mtimeMs <= minAge)
      continue;
    if (options.dryRun !== true) await removeFile(path);
    swept.files += 1;
    swept.bytes += file.size;
    await giveWay(options);
  }
  return swept;
}

/** A pipeline's runs, oldest first. The names of one month at a time are in memory. */
function* monthByMonth(store: RunStore, pipeline: string): Generator<string> {
  for (const month of store.months(pipeline)) yield* store.listMonth(pipeline, month);
}

function oldFiles(
  directory: string,
  nowMs: number,
  minAge: number,
): { readonly path: string; readonly sha: string; readonly minAge: number }[] {
  return namesIn(directory)
    .map((name) => ({ path: join(directory, name), sha: SHA_NAME.exec(name)?.[1], minAge }))
    .filter(
      (file): file is { path: string; sha: string; minAge: number } =>
        file.sha !== undefined && ageOf(file.path, nowMs) > minAge,
    );
}

function noReferences(): References {
  return { shas: new Set(), fields: new Set() };
}

function collect(path: string, into: References): void {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  for (const [, field, sha] of text.matchAll(REFERENCE)) {
    into.shas.add(sha!);
    if (field !== undefined) into.fields.add(sha!);
  }
}

function ageOf(path: string, nowMs: number): number {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? 0 : nowMs - stats.mtimeMs;
}

async function removeFile(path: string): Promise<void> {
  await systemDisk.unlink(path).catch((error: unknown) => {
    if (errorCode(error) !== "ENOENT") throw error;
  });
}

async function removeFolder(path: string): Promise<void> {
  // If something came into the folder meanwhile, it stays.
  await rmdir(path).catch((error: unknown) => {
    if (errorCode(error) !== "ENOTEMPTY" && errorCode(error) !== "ENOENT") throw error;
  });
}

/** Does something for one pipeline, unless a path of it is bad: the others are not held up. */
async function unlessBlocked(act: () => Promise<void>, blocked?: () => void): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!isPathFault(error)) throw error;
    blocked?.();
  }
}

async function giveWay({ signal }: PruneOptions): Promise<void> {
  signal?.throwIfAborted();
  await new Promise((resolve) => void setImmediate(resolve));
}
