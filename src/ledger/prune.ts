/**
 * Removes old runs, and what only they needed: logs, empty month folders, artifacts, step code, old files of the pipelines' own ledgers.
 *
 * retention.ts decides; this gathers the facts and removes. Only the holder of the daemon's lock may. It gives way to other work between files. A run's
 * log goes before its ledger, so that a crash in between leaves a run without a log rather than a log without a run.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { rmdir } from "node:fs/promises";
import { join } from "node:path";
import type { PipelineLine, RunLine } from "../core/event.ts";
import { emptyPipelineState, evolvePipeline, type PipelineState } from "../core/pipeline-state.ts";
import { syncDirectory } from "./directories.ts";
import { errorCode, systemDisk } from "./disk.ts";
import { readLedger, readTail } from "./ledger-reader.ts";
import { decideRetention, KEEP_ALL, type PipelineFacts, type RetentionPolicy, type RunFacts } from "./retention.ts";
import { RunStore } from "./run-store.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const SHA_NAME = /^([0-9a-f]{64})(\.mjs)?$/;
/** A reference to an artifact or a bundle, in a ledger or in a spilled snapshot. */
const REFERENCE = /"(?:\$artifact|bundle)":"([0-9a-f]{64})"/g;
const OLD_PIPELINE_LEDGER = /^pipeline-\d{4}-\d\d-\d\d(-\d+)?\.jsonl$/;

/** What {@link prune} is to do. */
export interface PruneOptions {
  readonly nowMs: number;
  readonly policyOf: (pipeline: string) => RetentionPolicy;
  /** Of all pipelines together, ledgers and logs; undefined: no limit. */
  readonly totalBytes?: number | undefined;
  /** Only this pipeline's runs. */
  readonly pipeline?: string | undefined;
  /** Decide and say, and remove nothing. */
  readonly dryRun?: boolean | undefined;
  /** Runs that may not go though no ledger says so. */
  readonly alsoActive?: ReadonlySet<string> | undefined;
  /** Step code that pipelines in force use, by sha256. With `undefined` no step code is removed. */
  readonly bundlesInUse?: ReadonlySet<string> | undefined;
  /** Aborted when the lock is lost. */
  readonly signal?: AbortSignal | undefined;
}

/** What was, or would be, removed. */
export interface Pruned {
  /** The runs, each with the reason. */
  readonly runs: { readonly run: string; readonly because: string }[];
  /** Runs that a limit would remove and something else keeps. */
  readonly kept: { readonly run: string; readonly because: string }[];
  readonly bytes: number;
  /** Artifacts and bundles that nothing refers to any more. */
  readonly files: number;
}

/** Removes what retention lets go. @throws a Node error if something cannot be removed; the rest stays, and the next time goes on */
export async function prune(runsDir: string, options: PruneOptions): Promise<Pruned> {
  const store = new RunStore(runsDir);
  const facts: PipelineFacts[] = [];
  for (const pipeline of store.pipelines()) facts.push(await factsOf(store, pipeline, options));
  const { prune: going, kept } = decideRetention(facts, options.nowMs, (run) => sourcesOf(store, run), options.totalBytes);
  const size = new Map(facts.flatMap(({ runs }) => runs.map(({ run, bytes }) => [run, bytes] as const)));
  const result = {
    runs: [...going].map(([run, because]) => ({ run, because })),
    kept: [...kept].map(([run, because]) => ({ run, because })),
    bytes: [...going.keys()].reduce((sum, run) => sum + (size.get(run) ?? 0), 0),
  };
  if (options.dryRun === true) return { ...result, files: 0 };
  await removeRuns(store, [...going.keys()], options);
  for (const { pipeline, policy } of facts) await removeOldFiles(store, pipeline, policy, options);
  return { ...result, files: await sweep(store, options) };
}

async function factsOf(store: RunStore, pipeline: string, options: PruneOptions): Promise<PipelineFacts> {
  const spared = options.pipeline !== undefined && options.pipeline !== pipeline;
  const policy = spared ? KEEP_ALL : options.policyOf(pipeline);
  const { state, toldUntil } = stateOf(store, pipeline);
  await syncFile(store.pipelineLedger(pipeline));
  const active = new Set([...state.active.keys(), ...state.queued, ...(options.alsoActive ?? [])]);
  const runs: RunFacts[] = [];
  for (const run of store.list(pipeline)) {
    const facts = runFacts(store, run);
    if (facts !== undefined) runs.push(facts);
    await giveWay(options);
  }
  return { pipeline, policy, through: state.through, toldUntil, active, runs };
}

function stateOf(store: RunStore, pipeline: string): { readonly state: PipelineState; readonly toldUntil: number | undefined } {
  const state = emptyPipelineState();
  let last: PipelineLine | undefined;
  try {
    for (last of readTail<PipelineLine>(store.pipelineLedger(pipeline), "pipeline.checkpoint").lines) evolvePipeline(state, last);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  return { state, toldUntil: last === undefined ? undefined : Date.parse(last.at) };
}

/** What was read may have been written and not yet synced; after this it is durable, as semantics.md 24 wants of `through`. */
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
  const ledger = statSync(store.runLedger(run), { throwIfNoEntry: false });
  if (ledger === undefined) return undefined;
  const { lines, end } = readTail<RunLine>(store.runLedger(run), () => true);
  const last = end === "whole" ? lines.at(-1) : undefined;
  return {
    run,
    stampMs: id.stampMs,
    scheduled: id.suffix === "",
    ...(last?.type === "run.finished" ? { finishedAt: Date.parse(last.at) } : {}),
    bytes: ledger.size + (statSync(store.runLog(run), { throwIfNoEntry: false })?.size ?? 0),
  };
}

/** The runs whose results stand in this one. */
function sourcesOf(store: RunStore, run: string): Set<string> {
  const sources = new Set<string>();
  try {
    readLedger<RunLine>(store.runLedger(run), {
      each: (line) => {
        if (line.type === "step.cached") sources.add(line.source.run);
        if (line.type === "run.submitted" && line.reuse !== undefined) for (const source of Object.values(line.reuse)) sources.add(source);
      },
    });
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  return sources;
}

async function removeRuns(store: RunStore, runs: readonly string[], options: PruneOptions): Promise<void> {
  const directories = new Set<string>();
  for (const run of runs) {
    await removeFile(store.runLog(run));
    await removeFile(store.runLedger(run));
    directories.add(store.runDir(run));
    await giveWay(options);
  }
  for (const directory of directories) await syncDirectory(systemDisk, directory);
}

/** Dot-names that a crash left behind, rotated ledgers past their time, and month folders that have become empty. */
async function removeOldFiles(store: RunStore, pipeline: string, policy: RetentionPolicy, options: PruneOptions): Promise<void> {
  const folder = store.pipelineDir(pipeline);
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (OLD_PIPELINE_LEDGER.test(name) && ageOf(path, options.nowMs) > policy.keepDays * DAY_MS) await removeFile(path);
    if (name.startsWith(".") && ageOf(path, options.nowMs) > HOUR_MS) await removeFile(path);
  }
  const thisMonth = new Date(options.nowMs).toISOString().slice(0, 7);
  for (const month of store.months(pipeline)) {
    const directory = join(folder, month);
    let left = 0;
    for (const name of readdirSync(directory)) {
      if (name.startsWith(".") && ageOf(join(directory, name), options.nowMs) > HOUR_MS) await removeFile(join(directory, name));
      else left += 1;
    }
    if (left === 0 && month < thisMonth) await removeFolder(directory);
    await giveWay(options);
  }
}

/** Removes artifacts and step code that no ledger refers to. Young ones stay: the line that refers to them may be about to be written. */
async function sweep(store: RunStore, options: PruneOptions): Promise<number> {
  const old = [
    ...oldFiles(store.artifacts, options.nowMs),
    ...(options.bundlesInUse === undefined ? [] : oldFiles(store.bundles, options.nowMs).filter(({ sha }) => !options.bundlesInUse!.has(sha))),
  ];
  if (old.length === 0) return 0;
  const used = new Set<string>();
  for (const pipeline of store.pipelines()) {
    for (const run of store.list(pipeline)) {
      collect(store.runLedger(run), used);
      await giveWay(options);
    }
  }
  // A spilled snapshot is an artifact that refers to bundles; what is found on the way is visited too.
  for (const sha of used) collect(join(store.artifacts, sha), used);
  const unused = old.filter(({ sha }) => !used.has(sha));
  for (const { path } of unused) {
    await removeFile(path);
    await giveWay(options);
  }
  return unused.length;
}

function oldFiles(directory: string, nowMs: number): { readonly path: string; readonly sha: string }[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
  return names
    .map((name) => ({ path: join(directory, name), sha: SHA_NAME.exec(name)?.[1] }))
    .filter((file): file is { path: string; sha: string } => file.sha !== undefined && ageOf(file.path, nowMs) > DAY_MS);
}

function collect(path: string, used: Set<string>): void {
  let text: string;
  try {
    text = readFileSync(path, "latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  for (const [, sha] of text.matchAll(REFERENCE)) used.add(sha!);
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
  // Something came into it meanwhile: then it stays.
  await rmdir(path).catch((error: unknown) => {
    if (errorCode(error) !== "ENOTEMPTY" && errorCode(error) !== "ENOENT") throw error;
  });
}

async function giveWay({ signal }: PruneOptions): Promise<void> {
  signal?.throwIfAborted();
  await new Promise((resolve) => void setImmediate(resolve));
}
