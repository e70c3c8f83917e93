/**
 * The runs of a root that a daemon holds: this program asks for them by requests, and reads their
 * ledgers.
 *
 * A placeholder is an id that this program has taken: its run comes to be with the request that
 * submits it, under that very id. A request is kept until it is answered, so a daemon that goes
 * away and comes back is no failure: the program waits.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../clock.ts";
import { canonicalHash } from "../core/canonical-json.ts";
import { snapshotFor } from "../core/compile.ts";
import { defined } from "../core/defined.ts";
import { checkGivenParams } from "../core/given-params.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { Reply, RequestInput } from "../core/request.ts";
import { manualRunId } from "../core/run-id.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { OrchestratorRef, Snapshot } from "../core/snapshot.ts";
import { Evaluator } from "../engine/evaluator.ts";
import { findPipeline, type FoundPipeline } from "../engine/find-pipeline.ts";
import type { LoadOptions } from "../engine/held-root.ts";
import { ask } from "../ledger/ask.ts";
import { isRequestThere, readReply } from "../ledger/requests.ts";
import { RunStore } from "../ledger/run-store.ts";
import type { BaseOrchestrator } from "../orchestrators/base-orchestrator.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import type { PlaceholderRun, SubmissionResult } from "../orchestrators/submission.ts";
import { stopBundler } from "../schedules/bundler.ts";
import { loadPipelineFile, type LoadResult } from "../schedules/load-file.ts";
import { FollowedRun } from "../views/followed-run.ts";
import { orchestratorFailure } from "../views/stop-answer.ts";
import { readPipeline } from "../views/pipeline-reading.ts";
import type { Roots } from "../views/roots.ts";
import type { PlaceholderOptions } from "./root.ts";
import type { ProgramSubmission, RootRuns } from "./root-runs.ts";

/** How often a ledger, or a reply that is late, is looked at, in milliseconds. */
const LOOK_MS = 100;
const BY = `program:${process.getuid?.() ?? ""}`;

/** A run that is not made yet. */
interface Reserved {
  readonly loaded: LoadedPipeline;
  readonly options: PlaceholderOptions;
  submitted: boolean;
}

/** Asks the daemon for runs. */
export class AskedRuns implements RootRuns {
  readonly settings: OrchdSettings;
  readonly #roots: Roots;
  readonly #store: RunStore;
  readonly #evaluator: Evaluator;
  readonly #reserved = new Map<string, Reserved>();
  #closed = false;

  constructor(roots: Roots, settings: OrchdSettings) {
    this.settings = settings;
    this.#roots = roots;
    this.#store = new RunStore(roots.runs);
    const { root } = roots;
    this.#evaluator = new Evaluator({ root, bundlesDir: this.#store.bundles, settings });
  }

  find(name: string): Promise<FoundPipeline> {
    const { schedules } = this.#roots;
    return findPipeline(name, {
      schedules,
      inForce: readPipeline(this.#store, name)?.state,
      load: (path) => this.load(path, { folder: schedules }),
    });
  }

  load(path: string, options: LoadOptions = {}): Promise<LoadResult> {
    const evaluator = this.#evaluator;
    return loadPipelineFile(path, {
      root: this.#roots.root,
      bundlesDir: this.#store.bundles,
      settings: this.settings,
      evaluate: (code) => evaluator.evaluate(code),
      refuses: (snapshot, scheduled) => evaluator.refuses(snapshot, scheduled),
      stackEnv: (snapshot) => evaluator.stackEnv(snapshot),
      ...options,
      now: systemClock.now(),
    });
  }

  placeholder(loaded: LoadedPipeline, options: PlaceholderOptions): Promise<PlaceholderRun> {
    const checked = checkGivenParams(loaded, options.params);
    if (!checked.ok) throw new Error(checked.message);
    const bound = snapshotFor(loaded, options.params ?? {});
    if (!bound.ok) throw new Error(bound.message);
    let stamp = systemClock.now();
    let id: string;
    do id = manualRunId(loaded.name, stamp++);
    while (this.#store.exists(id) || this.#reserved.has(id));
    this.#reserved.set(id, { loaded, options, submitted: false });
    return Promise.resolve({
      id,
      pipeline: loaded.name,
      status: "initializing",
      orchestratorRunId: id,
      params: bound.params,
      metadata: {},
    });
  }

  flavor(ref: OrchestratorRef): Promise<Flavor> {
    return this.#evaluator.flavor(ref);
  }

  async submit(run: string, submission: ProgramSubmission): Promise<SubmissionResult> {
    const reserved = this.#reserved.get(run);
    if (reserved?.submitted !== false) throw new Error(`run ${run} was submitted already`);
    const { loaded, options } = reserved;
    const { params, noCache } = options;
    const { name: pipeline, digest } = loaded;
    // Before the first wait: of two calls at once, one is told.
    reserved.submitted = true;
    try {
      const fault = await this.#unaskable(loaded.snapshot, submission);
      if (fault !== undefined) throw new Error(fault);
      await this.#ask(defined({ type: "submit", pipeline, params, noCache, run, digest, by: BY }));
    } catch (error) {
      reserved.submitted = false;
      throw error;
    }
    return { metadata: {}, waitForCompletion: () => this.finished(run) };
  }

  async finished(run: string): Promise<void> {
    const followed = new FollowedRun(this.#store, run);
    try {
      for (;;) {
        followed.read();
        if (followed.state?.finished !== undefined) return;
        if (followed.endLost !== undefined) throw new Error(followed.endLost);
        await sleep(LOOK_MS);
        this.#checkOpen();
      }
    } finally {
      followed.close();
    }
  }

  elsewhere(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async stop(run: string, mode: "graceful" | "force"): Promise<void> {
    if (this.#reserved.get(run)?.submitted !== true)
      throw new Error(`run ${run} was not submitted: there is nothing to stop`);
    const lastSeq = this.#lastSeq(run);
    await this.#ask({ type: "stop", run, mode, by: BY });
    const failure = await orchestratorFailure(this.#store, run, lastSeq);
    if (failure !== undefined) throw new Error(failure);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#evaluator.close();
    await stopBundler();
  }

  /** The number of a run's last line. */
  #lastSeq(run: string): number {
    const followed = new FollowedRun(this.#store, run);
    try {
      followed.read();
      return followed.state?.lastSeq ?? 0;
    } finally {
      followed.close();
    }
  }

  /**
   * Asks, and waits for the reply, however long the daemon is away.
   *
   * @throws Error if it is refused, or withdrawn
   */
  async #ask(request: RequestInput): Promise<void> {
    const answer = await ask(this.#roots.runs, request);
    if (answer.kind === "unwritten")
      throw new Error(
        "the daemon cannot be asked: the requests folder cannot be written " +
          `(${answer.error.message})`,
      );
    let reply: Reply | null = answer.kind === "answered" ? answer.reply : null;
    while (reply === null) {
      await sleep(LOOK_MS);
      this.#checkOpen();
      const isLeft = isRequestThere(this.#roots.runs, answer.id);
      reply = readReply(this.#roots.runs, answer.id);
      if (reply === null && !isLeft)
        throw new Error(
          `request ${answer.id} was withdrawn: its file was removed before a daemon answered it`,
        );
    }
    if (!reply.accepted) throw new Error(reply.reason ?? "the daemon refused it");
  }

  /** What a request cannot bring to a daemon, in a sentence; undefined if there is nothing. */
  async #unaskable(snapshot: Snapshot, given: ProgramSubmission): Promise<string | undefined> {
    const { orchestrator, stackEnvironment, baseEnvironment, stepEnvironments } = given;
    const daemon = "a daemon holds the root";
    if (given.isInline)
      return (
        `${daemon}, and a request names a pipeline and brings no code: put pipeline ` +
        `${snapshot.name} into a file of ${this.#roots.schedules}.`
      );
    for (const [name, own] of Object.entries({ baseEnvironment, stepEnvironments }))
      if (Object.keys(own).length > 0)
        return (
          `${daemon}, and a request brings no environment: leave ${name} empty, ` +
          "and write env into the pipeline's file."
        );
    const named = snapshot.orchestrator;
    const isLocal = named.flavor === "local" && named.code === undefined;
    const flavor = isLocal ? undefined : await this.flavor(named);
    if (!isNamed(orchestrator, named, flavor?.name))
      return (
        `${daemon}, and pipeline ${snapshot.name} names the orchestrator ${named.flavor}: ` +
        `the daemon submits it to that one, and not to ${orchestrator.name}.`
      );
    if (canonicalHash(stackEnvironment) !== canonicalHash(snapshot.stackEnv ?? {}))
      return (
        `${daemon}, and a request brings no stack: this one's environment differs from that of ` +
        "the pipeline's stack."
      );
    return undefined;
  }

  #checkOpen(): void {
    if (this.#closed) throw new Error(`the root ${this.#roots.root} is closed.`);
  }
}

/**
 * Whether an instance is the orchestrator that a pipeline names, with the same config.
 *
 * @param own the name that the class gives itself
 */
function isNamed(
  { name, config, constructor }: BaseOrchestrator,
  named: OrchestratorRef,
  own: string | undefined,
): boolean {
  if (name !== named.flavor && name !== own) return false;
  if (named.code === undefined) return true;
  const { config: schema } = constructor as { config?: { parse(given: unknown): unknown } };
  try {
    const checked = schema === undefined ? named.config : schema.parse(named.config);
    return canonicalHash(checked) === canonicalHash(config);
  } catch {
    return false;
  }
}
