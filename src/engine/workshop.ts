/**
 * What runs are made with, wired together: ledgers, artifacts, the cache's index, the runners, and
 * a run-loop for each run. The daemon has one workshop, and so has a root that is held without
 * one.
 */
import { createHash } from "node:crypto";
import { readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { whyOtherRelease } from "../disk/built-program.ts";
import { removeTrees } from "../disk/remove-tree.ts";
import { makeFolder } from "../disk/make-folder.ts";
import type { RunHeader } from "../core/event.ts";
import type { LoadedDefinition } from "../core/loaded-definition.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Fault } from "../core/fault.ts";
import type { CodeRef, OrchestratorRef, Snapshot } from "../core/snapshot.ts";
import { Artifacts } from "../ledger/artifacts.ts";
import { CacheIndex } from "../ledger/cache-index.ts";
import type { LedgerHost } from "../ledger/ledger-host.ts";
import { daemonsSeen } from "../ledger/daemon-history.ts";
import { foldInTurns, type FoldedRun } from "../ledger/folded-run.ts";
import { RunStore } from "../ledger/run-store.ts";
import { ValueThread } from "../ledger/value-thread.ts";
import { Flavors, type Flavor } from "../orchestrators/flavors.ts";
import { createRun, give } from "../run/open-run.ts";
import { RunLoop } from "../run/run-loop.ts";
import type { RunDeps } from "../run/run-deps.ts";
import { evaluateCode } from "../places/evaluate-code.ts";
import { STAGED_PREFIX } from "../core/task.ts";
import { ContainerPlace } from "../places/container/container-place.ts";
import type { Place } from "../places/place.ts";
import { PlaceByLane } from "../places/place-by-lane.ts";
import { ClaimsFolder } from "../places/pool/claims.ts";
import { localReport } from "../places/local/local-report.ts";
import { forkRunner } from "../places/local/runner-child.ts";
import { RunnerPool } from "../places/pool/runner-pool.ts";
import { SecretFiles } from "../disk/secret-files.ts";
import { NamedFarPlaces } from "./far-places.ts";
import { DrivenRuns } from "./driven-runs.ts";
import { callMissedHook } from "./missed-hook.ts";
import type { ReservedRun, RunMaker } from "./ports.ts";
import type { MissedSlot } from "./slot-recorder.ts";

/** What a workshop is made from. */
export interface WorkshopOptions
  extends LedgerHost, Pick<RunDeps, "log" | "settings" | "onDurableLine" | "onLedgerRestored"> {
  /** The runs folder. */
  readonly runs: string;
  /** The lock's epoch: part of the token by which this daemon's processes are found. */
  readonly epoch: number;
}

/** Makes runs, and answers what the engine asks of their code. */
export interface Workshop {
  readonly store: RunStore;
  readonly maker: RunMaker;
  readonly cacheIndex: CacheIndex;
  /**
   * Makes a run whose steps wait until it is driven.
   *
   * @throws LedgerExists if the run was made already; SubmissionRefused
   */
  reserve(header: RunHeader): Promise<ReservedRun>;
  /**
   * Evaluates a pipeline file's code in a runner. @param signal ends it. @throws what the code
   * threw
   */
  evaluate(code: CodeRef, signal?: AbortSignal): Promise<LoadedDefinition>;
  /** An orchestrator of orchd.yaml, or `local`. @throws SubmissionRefused if it cannot be used */
  flavor(ref: OrchestratorRef): Promise<Flavor>;
  /** Why the orchestrator that a pipeline names cannot take it. Undefined: it can. */
  refuses(snapshot: Snapshot, scheduled: boolean): Promise<Fault | undefined>;
  /** The environment of the stack that a pipeline runs on, once its orchestrator took it. */
  stackEnv(snapshot: Snapshot): Promise<Snapshot["stackEnv"]>;
  /**
   * A run as its ledger says, with its long fields; undefined if it has no header. Rejects where
   * its ledger or its artifacts cannot be read.
   */
  folded(run: string): Promise<FoldedRun | undefined>;
  /** Calls a pipeline's `onMissed` hook, if it has one. */
  missed(loaded: LoadedPipeline, slots: readonly MissedSlot[]): void;
  /** What each place says of itself. */
  readonly place: Required<Pick<Place, "reports" | "onReport">>;
  /** Takes the settings of an orchd.yaml that was read again. */
  setSettings(settings: OrchdSettings): void;
  /**
   * Removes containers that an earlier daemon left and no run has taken over. Call it once, after
   * the runs are taken over.
   */
  sweep(): Promise<void>;
  /** Ends every runner. @param force at once */
  close(force: boolean): Promise<void>;
}

/**
 * The token without its epoch: it stands in the environment of each process that a step of this
 * runs folder starts, whichever daemon it is of.
 */
export function tokenOf(runs: string): string {
  makeFolder(runs);
  return `orchd-${createHash("sha256").update(realpathSync(runs)).digest("hex").slice(0, 16)}`;
}

/** Wires a workshop. Nothing is started before it is needed. */
export function openWorkshop(options: WorkshopOptions): Workshop {
  const { clock, disk, log, onDurableLine, onFatal, onHeld } = options;
  const host: LedgerHost = { clock, disk, onFatal, onHeld };
  const store = new RunStore(options.runs);
  const artifacts = new Artifacts(store.artifacts, host);
  const values = new ValueThread(store.artifacts);
  const cacheIndex = new CacheIndex(store.cache, {
    clock,
    onLost: (error) => log.warn({ err: error }, "results could not be put into the cache's index"),
  });
  let { settings } = options;
  // A copy: a thousand runs in one second ask for variables, and each question to the process costs
  // microseconds.
  const environment = { ...process.env };
  const secrets = new SecretFiles([environment["CREDENTIALS_DIRECTORY"]]);
  const places = openPlaces(options, store, secrets);
  const { pool, place } = places;
  const orchestrators = new Flavors({ place: pool, orchestrators: settings.orchestrators });
  const deps: RunDeps = {
    ...host,
    runStore: store,
    cacheIndex,
    artifacts,
    values,
    place,
    orchestrators,
    get settings() {
      return settings;
    },
    log,
    secrets,
    environment,
    onDurableLine,
    onLedgerRestored: options.onLedgerRestored,
  };
  let evaluations = 0;
  return {
    store,
    cacheIndex,
    place,
    ...makersOf(deps, place),
    evaluate: (code, signal) => evaluateCode(pool, `load#${(evaluations += 1)}`, code, signal),
    flavor: async (ref) => orchestrators.resolve(ref),
    refuses: (snapshot, scheduled) => orchestrators.refuses(snapshot, scheduled),
    stackEnv: (snapshot) => orchestrators.stackEnv(snapshot),
    folded: (run) => foldInTurns(store.runLedger(run), { artifacts, values }),
    missed: (loaded, slots) =>
      callMissedHook(loaded, slots, {
        place: pool,
        log,
        secrets,
        environment,
        settingsEnv: () => settings.env,
      }),
    setSettings(next) {
      settings = next;
      places.setSettings(next);
      orchestrators.reload(next.orchestrators);
    },
    sweep: () => places.containers.sweep(),
    async close(force) {
      await Promise.all([places.close(force), values.close()]);
      await cacheIndex.close();
    },
  };
}

/** The places of one workshop. */
interface Places {
  readonly pool: RunnerPool;
  readonly containers: ContainerPlace;
  /** All of them as one. */
  readonly place: PlaceByLane;
  setSettings(settings: OrchdSettings): void;
  close(force: boolean): Promise<void>;
}

function openPlaces(options: WorkshopOptions, store: RunStore, secrets: SecretFiles): Places {
  const { clock, log, settings } = options;
  const pool = openPool(options, store);
  const root = realpathSync(options.runs);
  const containers = new ContainerPlace({
    clock,
    log,
    settings: settings.containers,
    root,
    folder: store.containers,
    runner: {
      memoryMb: settings.runner.memoryMb,
      bundles: store.bundles,
      token: `${tokenOf(options.runs)}.${options.epoch}`,
    },
  });
  const far = new NamedFarPlaces({
    clock,
    log,
    secrets,
    root,
    folder: store.places,
    bundles: store.bundles,
    artifacts: store.artifacts,
    token: `${tokenOf(options.runs)}.${options.epoch}`,
  });
  far.setSettings(settings.places);
  return {
    pool,
    containers,
    place: new PlaceByLane(pool, containers, far, localReport(settings.runner.threads)),
    setSettings(next) {
      containers.setSettings(next.containers);
      far.setSettings(next.places);
    },
    async close(force) {
      await Promise.all([pool.close({ force }), containers.close(), far.close(force)]);
    },
  };
}

function openPool(
  { runs, epoch, clock, log, settings }: WorkshopOptions,
  { artifacts, bundles, scratch, claims }: RunStore,
): RunnerPool {
  makeFolder(scratch, 0o750);
  // The runners write large results into it, and leave behind those that nobody took.
  makeFolder(artifacts, 0o750);
  const left = readdirSync(artifacts).filter((name) => name.startsWith(STAGED_PREFIX));
  void removeTrees(left.map((name) => join(artifacts, name)));
  // What an earlier process left there belongs to steps that have ended.
  void removeTrees(readdirSync(scratch).map((name) => join(scratch, name)));
  const token = `${tokenOf(runs)}.${epoch}`;
  return new RunnerPool({
    clock,
    launch: forkRunner,
    whyNot: () => whyOtherRelease(),
    log,
    settings: { ...settings.runner, bundles, scratch, token },
    claims: new ClaimsFolder(claims, epoch),
  });
}

/** Makes and recovers runs, and tells each of them when room comes free. */
function makersOf(deps: RunDeps, place: PlaceByLane): Pick<Workshop, "maker" | "reserve"> {
  const driven = new DrivenRuns<RunLoop>(place);
  const keep = (run: RunLoop): RunLoop => driven.keep(run);
  let seen: ReturnType<typeof daemonsSeen> | undefined;
  const maker: RunMaker = {
    create: async (header, options) => keep(await RunLoop.create(header, deps, options)),
    recover: async (run) => {
      seen ??= daemonsSeen(deps.runStore.orchdDir);
      const found = await RunLoop.recover(run, deps, undefined, seen);
      return found === undefined ? undefined : keep(found);
    },
  };
  const reserve = async (header: RunHeader): Promise<ReservedRun> => {
    const open = await createRun(header, deps);
    return {
      state: open.state,
      async drive(given, flavor = open.flavor) {
        if (given !== undefined) await give(open, given);
        return keep(new RunLoop({ ...open, flavor }, deps));
      },
    };
  };
  return { maker, reserve };
}
