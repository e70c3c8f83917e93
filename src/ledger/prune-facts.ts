/**
 * The facts that retention decides by, read from the folders and ledgers of a root, a pipeline at a
 * time. Reading gives way to other work between files.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { PipelineLine, RunLine } from "../core/event.ts";
import { evolvePipeline } from "../core/pipeline-fold.ts";
import { emptyPipelineState } from "../core/pipeline-state.ts";
import { errorCode } from "../disk/disk-error.ts";
import { namesIn } from "../disk/names-in.ts";
import { ledgerOfDamaged } from "./damaged-name.ts";
import { LedgerFormatError } from "./ledger-error.ts";
import { readTail, type LedgerReading } from "./ledger-reader.ts";
import { addReferences, noReferences, type ReferencesOfRuns } from "./references.ts";
import type { ArtifactFacts } from "./removable-list.ts";
import {
  KEEP_ALL,
  type FileFacts,
  type PipelineFacts,
  type RetentionPolicy,
  type RunFacts,
} from "./retention.ts";
import { isRotatedLedger } from "./rotated-ledgers.ts";
import { RunFactsList } from "./run-facts-list.ts";
import { monthsAmong, type RunStore } from "./run-store.ts";

const SHA_NAME = /^[0-9a-f]{64}$/;
/** What most runs refer to: nothing. It is one object for all of them. */
const NONE = noReferences();

/** What {@link PruneFacts} needs to be told. */
export interface FactsOptions {
  readonly policyOf: (pipeline: string) => RetentionPolicy;
  /** The limit for the ledgers, logs and artifacts of all pipelines together; undefined: none. */
  readonly totalBytes?: number | undefined;
  /** Remove runs of this pipeline only. */
  readonly pipeline?: string | undefined;
  /** Runs that must stay although no ledger says so. */
  readonly alsoActive?: ReadonlySet<string> | undefined;
}

/** What the folders of pipelines hold that may be of no use any more. */
export interface Leftovers {
  /** The paths of dot-names: a crash left them behind, or somebody writes them now. */
  readonly dotNames: string[];
  /** The paths of month folders without a run. */
  readonly months: string[];
}

/** Reads what retention has to know of each pipeline. */
export class PruneFacts {
  /** What was seen in the folders besides runs. */
  readonly leftovers: Leftovers = { dotNames: [], months: [] };
  /** What the runs refer to whose ledgers were read to their beginning. */
  readonly references: ReferencesOfRuns = new Map();
  readonly #store: RunStore;
  readonly #options: FactsOptions;
  readonly #giveWay: () => Promise<void>;
  readonly #artifactBytes: ReadonlyMap<string, number>;

  /** @param giveWay called after each run, and each pipeline */
  constructor(store: RunStore, options: FactsOptions, giveWay: () => Promise<void>) {
    this.#store = store;
    this.#options = options;
    this.#giveWay = giveWay;
    this.#artifactBytes = sizesIn(store.artifacts);
  }

  /**
   * The facts of a pipeline. Each of its folders is listed once. Its ledger is read only if there
   * is anything that it could keep.
   *
   * @throws a Node error
   */
  async of(pipeline: string): Promise<PipelineFacts> {
    const store = this.#store;
    const folder = store.pipelineDir(pipeline);
    const policy = this.#policyOf(pipeline);
    const { totalBytes, alsoActive = [] } = this.#options;
    const byBytes =
      this.#artifactBytes.size > 0 && (policy.keepBytes !== undefined || totalBytes !== undefined);
    const names = this.#namesIn(folder);
    const files = [...rotatedLedgers(folder, names), ...evidenceIn(folder, names).values()].flat();
    const runs = new RunFactsList();
    let recorded: Recorded | undefined;
    for (const month of monthsAmong(names)) {
      const path = join(folder, month);
      const monthNames = this.#namesIn(path);
      const ids = store.runsAmong(monthNames, pipeline, month);
      if (ids.length === 0) this.leftovers.months.push(path);
      // It is read before the runs: one that ends meanwhile then counts as active, and stays.
      else recorded ??= recordedIn(store, pipeline);
      const evidence = evidenceIn(path, monthNames);
      await this.#addRuns(runs, ids, { evidence, byBytes });
      files.push(...[...evidence.values()].flat());
    }
    if (files.length > 0) recorded ??= recordedIn(store, pipeline);
    await this.#giveWay();
    const { through, recordedUntil, active = [] } = recorded ?? {};
    return {
      pipeline,
      policy,
      through,
      recordedUntil,
      active: new Set([...active, ...alsoActive]),
      runs,
      files,
    };
  }

  /** Adds the runs of a month. What is kept beside them is taken out of `evidence`. */
  async #addRuns(
    runs: RunFactsList,
    ids: readonly string[],
    { evidence, byBytes }: { evidence: Map<string, FileFacts[]>; byBytes: boolean },
  ): Promise<void> {
    const store = this.#store;
    runs.begin(ids.length);
    for (const run of ids) {
      const facts = runFacts(store, run);
      if (facts !== undefined) {
        const path = store.runLedger(run);
        const kept = evidence.get(path) ?? [];
        // Evidence beside a run stays as long as the run, and is counted with it.
        evidence.delete(path);
        runs.add({
          ...facts,
          bytes: kept.reduce((sum, { bytes }) => sum + bytes, facts.bytes),
          artifacts: byBytes ? this.#artifactsOf(facts) : undefined,
        });
      }
      await this.#giveWay();
    }
  }

  /** Lists a folder, and notes its dot-names. */
  #namesIn(folder: string): string[] {
    const names = readdirSync(folder);
    for (const name of names)
      if (name.startsWith(".")) this.leftovers.dotNames.push(join(folder, name));
    return names;
  }

  #policyOf(pipeline: string): RetentionPolicy {
    const { pipeline: only, policyOf } = this.#options;
    return only === undefined || only === pipeline ? policyOf(pipeline) : KEEP_ALL;
  }

  #artifactsOf({ run, finishedAt }: RunFacts): ArtifactFacts[] {
    const own = noReferences();
    addReferences(this.#store.runLedger(run), own);
    // A run that has not finished may get more lines before the sweep.
    if (finishedAt !== undefined) this.references.set(run, own.shas.size > 0 ? own : NONE);
    return [...own.shas].flatMap((sha) => {
      const bytes = this.#artifactBytes.get(sha);
      return bytes === undefined ? [] : [{ sha, bytes }];
    });
  }
}

function rotatedLedgers(folder: string, names: readonly string[]): FileFacts[] {
  return names.filter(isRotatedLedger).flatMap((name) => {
    const path = join(folder, name);
    const file = statSync(path, { throwIfNoEntry: false });
    if (file?.isFile() !== true) return [];
    return [{ path, stampMs: file.mtimeMs, bytes: file.size, evidence: false }];
  });
}

/**
 * The damaged ledgers that were set aside in a folder, by the path of the ledger. A renamed file
 * keeps its mtime; the inode's ctime says when it got its name.
 */
function evidenceIn(folder: string, names: readonly string[]): Map<string, FileFacts[]> {
  const found = new Map<string, FileFacts[]>();
  for (const name of names) {
    const ledger = ledgerOfDamaged(name);
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

/** What a pipeline's ledger says of its runs. */
type Recorded = Pick<PipelineFacts, "through" | "recordedUntil" | "active">;

function recordedIn(store: RunStore, pipeline: string): Recorded {
  const state = emptyPipelineState();
  let last: PipelineLine | undefined;
  try {
    for (last of readTail<PipelineLine>(store.pipelineLedger(pipeline), "pipeline.checkpoint")
      .lines)
      evolvePipeline(state, last);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  return {
    through: state.through,
    recordedUntil: last === undefined ? undefined : Date.parse(last.at),
    active: new Set([...state.active.keys(), ...state.queued]),
  };
}

function runFacts(store: RunStore, run: string): RunFacts | undefined {
  const id = store.parseRunId(run);
  const path = store.runLedger(run);
  const ledger = statSync(path, { throwIfNoEntry: false });
  // What has the name of a ledger may be none.
  if (ledger?.isFile() !== true) return undefined;
  const { lines, end } = tailOf(path);
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

/** A run's last line. Nothing is known of a run that a newer release wrote: it has not finished. */
function tailOf(path: string): Pick<LedgerReading<RunLine>, "lines" | "end"> {
  try {
    return readTail<RunLine>(path, () => true);
  } catch (error) {
    if (!(error instanceof LedgerFormatError)) throw error;
    return { lines: [], end: "whole" };
  }
}
