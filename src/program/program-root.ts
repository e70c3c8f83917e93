/**
 * A root that a program has open. It stands before the orchestrators that the program uses
 * (orchestrators/program-runs.ts): their submissions, stops and questions about its runs come here.
 *
 * States: open -> closed. While it is open, the process does not end by itself: like a server, it
 * goes on until the root is closed.
 */
import { realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { shellWord } from "../core/shell-word.ts";
import { defined } from "../core/defined.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { isPipelineFileName, nameOfFile } from "../core/pipeline-file-name.ts";
import type { RunState } from "../core/run-state.ts";
import { runStatus } from "../core/run-status.ts";
import type { OrchestratorRef, Snapshot } from "../core/snapshot.ts";
import { isFinal, STATUSES, type Status } from "../core/status.ts";
import { errorOf } from "../core/thrown.ts";
import { HeldRoot } from "../engine/held-root.ts";
import { readDaemon } from "../ledger/daemon-info.ts";
import { RunStore } from "../ledger/run-store.ts";
import type { BaseOrchestrator } from "../orchestrators/base-orchestrator.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import { LocalOrchestrator } from "../orchestrators/local-orchestrator.ts";
import { openRoots, type ProgramRuns } from "../orchestrators/program-runs.ts";
import type {
  DynamicPipelineSubmission,
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "../orchestrators/submission.ts";
import { loadSettings } from "../schedules/load-settings.ts";
import type { LoadResult } from "../schedules/load-file.ts";
import { formatProblem } from "../schedules/problem.ts";
import { FollowedRun } from "../views/followed-run.ts";
import type { Roots } from "../views/roots.ts";
import { AskedRuns } from "./asked-runs.ts";
import { HeldRuns } from "./held-runs.ts";
import { NamedOrchestrator } from "./named-orchestrator.ts";
import { originOf } from "./definition-origin.ts";
import { checkedOptions, submissionOf } from "./given-submission.ts";
import type { OpenRoot, OpenRootOptions, PlaceholderOptions, RootOrchestrator } from "./root.ts";
import type { RootRuns } from "./root-runs.ts";

/** The runs folders that this process has open: real paths. */
const opened = new Set<string>();

/** An orchestrator of orchd.yaml. */
interface Named {
  readonly ref: OrchestratorRef;
  readonly flavor: Flavor;
}

/** What {@link openRoot} gives. */
export class ProgramRoot implements OpenRoot, ProgramRuns {
  readonly path: string;
  readonly #store: RunStore;
  readonly #runs: RootRuns;
  readonly #schedules: string;
  readonly #key: string;
  readonly #loaded = new WeakMap<Snapshot, LoadedPipeline>();
  /** The snapshots of definitions that no file of the drop folder holds. */
  readonly #inline = new WeakSet<Snapshot>();
  /** The snapshots of the runs that it made, by id. */
  readonly #made = new Map<string, Snapshot>();
  readonly #followed = new Map<string, FollowedRun>();
  readonly #named: Readonly<Record<string, Named | Error>>;
  #closing: Promise<void> | undefined;

  private constructor(
    roots: Roots,
    key: string,
    runs: RootRuns,
    orchestrators: Readonly<Record<string, Named | Error>>,
  ) {
    this.#named = orchestrators;
    this.path = roots.root;
    this.#store = new RunStore(roots.runs);
    this.#schedules = roots.schedules;
    this.#key = key;
    this.#runs = runs;
    openRoots().add(this);
  }

  /** Opens a root. @throws Error, a sentence */
  static async open(path: string, options: OpenRootOptions): Promise<ProgramRoot> {
    const roots = foldersOf(path, options);
    const key = realPathOf(roots.runs);
    if (opened.has(key))
      throw new Error(
        `this program has ${roots.root} open already: use the root that it has, or close it first.`,
      );
    opened.add(key);
    try {
      const runs = await runsOf(roots);
      return new ProgramRoot(roots, key, runs, await orchestratorsOf(runs));
    } catch (error) {
      opened.delete(key);
      throw error;
    }
  }

  orchestrator(name: string): RootOrchestrator {
    this.#checkOpen();
    if (name === "local") return new LocalOrchestrator();
    if (typeof name !== "string") throw new Error("orchestrator() takes a name.");
    const ref = Object.hasOwn(this.#named, name) ? this.#named[name] : undefined;
    if (ref instanceof Error) throw ref;
    if (ref !== undefined) return new NamedOrchestrator(name, ref.ref, ref.flavor);
    const known = ["local", ...Object.keys(this.#runs.settings.orchestrators)];
    throw new Error(
      `there is no orchestrator ${JSON.stringify(name)}: orchd.yaml and orchd itself have ` +
        `${known.join(", ")}${didYouMean(name, known)}`,
    );
  }

  async snapshot(of: string | object): Promise<Snapshot> {
    this.#checkOpen();
    const loaded = typeof of === "string" ? await this.#load(of) : await this.#loadInline(of);
    // A copy: what the program does to it must not reach the run, which has the file's digest.
    const snapshot = frozen(structuredClone(loaded.snapshot));
    this.#loaded.set(snapshot, loaded);
    if (typeof of !== "string" && !this.#isDropped(loaded)) this.#inline.add(snapshot);
    return snapshot;
  }

  async placeholder(snapshot: Snapshot, options: PlaceholderOptions = {}): Promise<PlaceholderRun> {
    this.#checkOpen();
    const loaded = this.#loaded.get(snapshot);
    if (loaded === undefined)
      throw new Error("placeholder() takes a snapshot that snapshot() of this root gave.");
    const run = await this.#runs.placeholder(loaded, checkedOptions(options));
    this.#made.set(run.id, snapshot);
    return run;
  }

  close(options: { readonly force?: boolean } = {}): Promise<void> {
    const closing = this.#runs.close(options.force === true ? "force" : "graceful");
    this.#closing ??= closing.finally(() => {
      openRoots().delete(this);
      opened.delete(this.#key);
      for (const followed of this.#followed.values()) followed.close();
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  has({ id }: Pick<PlaceholderRun, "id">): boolean {
    return this.#made.has(id);
  }

  async submit(
    orchestrator: object,
    method: "submitPipeline" | "submitDynamicPipeline",
    submission: PipelineSubmission | DynamicPipelineSubmission,
  ): Promise<SubmissionResult> {
    this.#checkOpen();
    const { id } = submission.placeholderRun;
    const made = this.#made.get(id)!;
    const given = submissionOf(orchestrator as BaseOrchestrator, method, submission, made);
    return this.#runs.submit(id, { ...given, isInline: this.#inline.has(made) });
  }

  async fetchStatus(
    _orchestrator: object,
    run: PlaceholderRun,
    { includeSteps = false }: { readonly includeSteps?: boolean },
  ): Promise<FetchedStatus> {
    const told = knownOf(await this.#runs.elsewhere(run, includeSteps));
    const state = this.#read(run.id);
    const status = statusOf(state, told);
    if (!includeSteps) return { status };
    const known =
      state === undefined
        ? this.#made.get(run.id)!.steps.map(({ id }) => [id, "initializing"] as const)
        : [...state.steps].map(([id, step]) => {
            const said = step.phase === "ended" ? undefined : told.steps?.[id];
            return [id, said ?? step.status] as const;
          });
    return { status, steps: Object.fromEntries(known) };
  }

  stopRun(
    _orchestrator: object,
    { id }: PlaceholderRun,
    { graceful = false }: { readonly graceful?: boolean },
  ): Promise<void> {
    return this.#runs.stop(id, graceful ? "graceful" : "force");
  }

  /** A run as its ledger says; undefined while it has none. */
  #read(run: string): RunState | undefined {
    const followed = this.#followed.get(run) ?? new FollowedRun(this.#store, run);
    this.#followed.set(run, followed);
    followed.read();
    const { state } = followed;
    if (state?.finished !== undefined) {
      followed.close();
      this.#followed.delete(run);
    }
    return state;
  }

  async #load(of: string): Promise<LoadedPipeline> {
    if (PIPELINE_NAME.test(of)) {
      const found = await this.#runs.find(of);
      if (!found.ok) throw new Error(found.reason);
      return found.loaded;
    }
    return loadedOf(await this.#runs.load(resolve(of)));
  }

  /**
   * Loads the file that made a definition. Where that is a pipeline file of the drop folder, the
   * definition is what the file exports.
   */
  async #loadInline(definition: object): Promise<LoadedPipeline> {
    const { file, name } = originOf(definition);
    if (dirname(file) === this.#schedules && isPipelineFileName(basename(file))) {
      const dropped = await this.#runs.load(file, { folder: this.#schedules });
      if (dropped.ok && dropped.loaded.name === (name || nameOfFile(basename(file))))
        return dropped.loaded;
    }
    return loadedOf(await this.#runs.load(file, { definition: name }));
  }

  /** Whether a pipeline is what a file of the drop folder exports. */
  #isDropped({ file, snapshot }: LoadedPipeline): boolean {
    const picks = JSON.stringify([snapshot.steps, snapshot.dynamic ?? null]);
    return dirname(file) === this.#schedules && !picks.includes('"pick":"in:');
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new Error(`the root ${this.path} is closed.`);
  }
}

/** A value of JSON that nobody can change. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) Object.values(value).forEach(frozen);
  return Object.freeze(value);
}

/** @throws Error with a sentence for each thing that is wrong */
function loadedOf(result: LoadResult): LoadedPipeline {
  if (!result.ok) throw new Error(result.errors.map(formatProblem).join("\n"));
  return result.loaded;
}

/** What an instance told, without what is no status. */
function knownOf(told: FetchedStatus | undefined): FetchedStatus {
  const isStatus = (said: unknown): said is Status =>
    (STATUSES as readonly unknown[]).includes(said);
  const steps = Object.entries(told?.steps ?? {}).filter(([, said]) => isStatus(said));
  return defined({
    status: isStatus(told?.status) ? told.status : undefined,
    steps: Object.fromEntries(steps),
  });
}

/** A run's status. What is told never takes back an end, or a stop. */
function statusOf(state: RunState | undefined, told: FetchedStatus): Status {
  if (state === undefined) return "initializing";
  const { status } = runStatus(state);
  const said = state.finished === undefined ? told.status : undefined;
  return said === undefined || (status === "stopping" && !isFinal(said)) ? status : said;
}

/** Asks the daemon where one runs, and holds the root itself otherwise. */
async function runsOf(roots: Roots): Promise<RootRuns> {
  const store = new RunStore(roots.runs);
  for (;;) {
    if (readDaemon(store.orchdDir) !== null) {
      const read = await loadSettings(roots.root, store.bundles);
      if (!read.ok) throw new Error(read.errors.map(formatProblem).join("\n"));
      return new AskedRuns(roots, read.settings);
    }
    const holding = await HeldRoot.open({ ...roots, role: "program" });
    if (holding.ok) return new HeldRuns(holding.held);
    // A daemon may have taken the lock a moment ago.
    if (readDaemon(store.orchdDir) === null) throw new Error(holding.reason);
  }
}

/** The orchestrators and places of orchd.yaml; for one that cannot be used, why. */
async function orchestratorsOf(runs: RootRuns): Promise<Record<string, Named | Error>> {
  const { orchestrators, places } = runs.settings;
  const refs: [name: string, ref: OrchestratorRef][] = [
    ...Object.entries(orchestrators),
    ...Object.keys(places).map((name): [string, OrchestratorRef] => [
      name,
      { flavor: name, place: true, config: {} },
    ]),
  ];
  const each = refs.map(async ([name, ref]) => {
    const found = await runs.flavor(ref).then(
      (flavor) => ({ ref, flavor }),
      (error: unknown) => errorOf(error),
    );
    return [name, found] as const;
  });
  return Object.fromEntries(await Promise.all(each));
}

/** The folders of a root. @throws Error, a sentence, if the root is none */
function foldersOf(path: string, { schedules, runs }: OpenRootOptions): Roots {
  // An empty text would be the folder that the program happens to run in.
  if (typeof path !== "string" || path === "")
    throw new Error("openRoot() takes the path of a root: the folder of orchd.yaml.");
  const root = resolve(path);
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new Error(
      `the root ${root} is no folder; make one with \`orchd init ${shellWord(root)}\`.`,
    );
  return {
    root,
    schedules: resolve(schedules ?? join(root, "schedules")),
    runs: resolve(runs ?? join(root, "runs")),
  };
}

/** The path by which a folder is known, whatever links lead to it. It may not be there yet. */
function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
