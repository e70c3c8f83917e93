/**
 * Finds an earlier result that can be used for a step, or says why there is none (docs/zenml.md
 * "Cache").
 *
 * The index only names candidates. A hit needs the producer's line in its run's ledger (completed,
 * and not itself cached), and outputs that are there and whole. So the candidates' ledgers are
 * folded. A few folded runs are kept: a run that hits at all mostly hits the run before it. Runs
 * that are driven now are read in memory: their newest lines are on the disk too, but folding them
 * again and again would cost too much.
 *
 * The reason for a miss comes from comparing the parts of the key with those of the step's newest
 * start. They are remembered if this daemon saw that start; otherwise they are made again from the
 * previous run's ledger.
 *
 * Large outputs are read elsewhere (value-thread.ts). Until that is done, what needs them throws
 * {@link Pending}.
 */
import { statSync } from "node:fs";
import {
  areSameParts,
  cacheKeyParts,
  changedPart,
  contentHash,
  imageIn,
  type CacheKeyParts,
} from "../core/cache-key.ts";
import { holdsArtifacts, isArtifactRef } from "../core/artifact-ref.ts";
import type { RunLine } from "../core/event.ts";
import { evolve } from "../core/run-fold.ts";
import type { RunState, StepState } from "../core/run-state.ts";
import type { Json } from "../core/snapshot.ts";
import { setEnvironment } from "../core/set-environment.ts";
import { bindRun } from "../core/template.ts";
import { iso } from "../core/time.ts";
import type { Artifacts } from "../ledger/artifacts.ts";
import type { CacheCandidate } from "../ledger/cache-index.ts";
import { readLedger } from "../ledger/ledger-reader.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { foldInTurns } from "../ledger/folded-run.ts";
import { restoreEvent } from "../ledger/spill-event.ts";
import {
  answerJob,
  AT_ONCE_BYTES,
  bytesOf,
  type ValueAnswers,
  type ValueJob,
} from "../ledger/value-job.ts";
import { Pending } from "./pending.ts";
import type { CacheIndexPort, RunDeps, ValuesPort } from "./run-deps.ts";

/** The most folded runs that are kept. */
const FOLDED_KEPT = 4;
/** The most steps of all folded runs that are kept; the run that was used last is kept anyhow. */
const FOLDED_STEPS_KEPT = 20_000;
/** How long files count as whole after they were read, in milliseconds. */
const WHOLE_MS = 1_000;
/**
 * What completed this long before the last line of a run whose process died is recorded again, in
 * milliseconds. An entry waits for 50 ms, and longer where the machine is busy.
 */
const AGAIN_MS = 1_000;
/** The most starts of steps that are remembered. */
const STARTS_KEPT = 8_192;

const shared = new WeakMap<CacheIndexPort, ResultCache>();

/** An earlier result that is used for a step. */
export interface CacheHit {
  readonly source: { readonly run: string; readonly step: string };
  /** As they are in a ledger: spilled. */
  readonly outputs: Readonly<Record<string, Json>>;
}

/** The answer to a key. */
export type CacheAnswer =
  | { readonly hit: CacheHit }
  | { readonly miss: "expired" | "output missing" | undefined };

/** A start of a step that this daemon saw. */
interface EarlierStart {
  readonly run: string;
  readonly parts: CacheKeyParts;
  readonly key: string;
  /** Why the key differed from the one before. */
  readonly reason: string | undefined;
}

/** Knows the results of one runs folder. */
export class ResultCache {
  readonly #index: CacheIndexPort;
  readonly #store: RunStore;
  readonly #artifacts: Artifacts;
  readonly #values: ValuesPort | undefined;
  readonly #previousRun: ((pipeline: string, except: string) => string | undefined) | undefined;
  readonly #live = new Map<string, RunState>();
  /** The one that was used longest ago comes first. */
  readonly #folded = new Map<string, RunState | null>();
  #latest = "";
  readonly #folding = new Map<string, Promise<void>>();
  readonly #starts = new Map<string, EarlierStart>();
  /** The newest run of each pipeline that this daemon has seen. */
  readonly #newest = new Map<string, string>();
  /** The content hashes of outputs: a fan-out would hash one artifact a thousand times. */
  readonly #content = new WeakMap<object, Map<string, string>>();
  /** Large outputs whose files were read a moment ago. */
  readonly #read = new WeakMap<object, { readonly whole: boolean; readonly at: number }>();

  constructor(parts: {
    readonly index: CacheIndexPort;
    readonly store: RunStore;
    readonly artifacts: Artifacts;
    readonly values?: ValuesPort | undefined;
    readonly previousRun?: ((pipeline: string, except: string) => string | undefined) | undefined;
  }) {
    this.#index = parts.index;
    this.#store = parts.store;
    this.#artifacts = parts.artifacts;
    this.#values = parts.values;
    this.#previousRun = parts.previousRun;
  }

  /** The one that all runs of a daemon share. */
  static of(
    deps: Pick<RunDeps, "cacheIndex" | "runStore" | "artifacts" | "values" | "previousRun">,
  ): ResultCache {
    let found = shared.get(deps.cacheIndex);
    if (found === undefined) {
      found = new ResultCache({
        index: deps.cacheIndex,
        store: deps.runStore,
        artifacts: deps.artifacts,
        values: deps.values,
        previousRun: deps.previousRun,
      });
      shared.set(deps.cacheIndex, found);
    }
    return found;
  }

  /** A run is driven from now on: it is read in memory. */
  begin(state: RunState): void {
    this.#live.set(state.run, state);
    this.#folded.delete(state.run);
    this.#recordAgain(state);
  }

  /** A run has ended: its results are in the index's file soon. */
  end(state: RunState): void {
    void this.#index.flush();
    this.#live.delete(state.run);
    this.#newest.set(state.pipeline, state.run);
    if (state.steps.size > 0 && state.steps.size <= FOLDED_STEPS_KEPT) this.#keep(state.run, state);
  }

  /** Records that steps completed under these keys. Call it when their lines are durable. */
  record(completed: readonly (readonly [key: string, candidate: CacheCandidate])[]): void {
    this.#index.recordAll(completed);
  }

  /**
   * Where the run is an earlier process's: what completed in it just before that process died may
   * have waited for the index, so it is recorded again. A result that is in the index twice does no
   * harm.
   */
  #recordAgain(state: RunState): void {
    const since = iso(Date.parse(state.lastAt) - AGAIN_MS);
    const again: [key: string, candidate: CacheCandidate][] = [];
    for (const [step, { status, cacheKey, finishedAt: at = "" }] of state.steps)
      if (status === "completed" && cacheKey !== undefined && at >= since)
        again.push([cacheKey, { run: state.run, step, at }]);
    try {
      this.record(again);
    } catch (error) {
      // A ledger may hold what is no key. It answers no step, and the run goes on.
      if (!(error instanceof RangeError)) throw error;
    }
  }

  /**
   * The newest result with this key that can be used, or why there is none.
   *
   * @param nowMs milliseconds since 1970
   * @throws Pending
   */
  lookup(key: string, expiresAfterMs: number | undefined, nowMs: number): CacheAnswer {
    let miss: "expired" | "output missing" | undefined;
    for (const { run, step } of this.#index.lookup(key)) {
      const producer = this.stateOf(run)?.steps.get(step);
      if (producer === undefined) miss ??= "output missing";
      else if (
        producer.status !== "completed" ||
        producer.cacheKey !== key ||
        producer.outputs === undefined
      )
        continue;
      else if (
        expiresAfterMs !== undefined &&
        nowMs - Date.parse(producer.attempts.at(-1)?.startedAt ?? producer.startedAt ?? "") >=
          expiresAfterMs
      )
        miss ??= "expired";
      else if (!this.#areWhole(producer.outputs)) miss ??= "output missing";
      else return { hit: { source: { run, step }, outputs: producer.outputs } };
    }
    return { miss };
  }

  /**
   * The result that a re-run takes over from an earlier run. The step need not be cached, and the
   * result need not be fresh, but the key must be the same. A step that ran elsewhere has no key:
   * its name is enough.
   *
   * @throws Pending
   */
  reuse(run: string, step: string, key: string): CacheHit | undefined {
    const producer = this.stateOf(run)?.steps.get(step);
    if (
      producer?.outputs === undefined ||
      (producer.status !== "completed" && producer.status !== "cached") ||
      !this.#areWhole(producer.outputs)
    )
      return undefined;
    if (producer.cacheKey !== undefined && producer.cacheKey !== key) return undefined;
    return { source: producer.source ?? { run, step }, outputs: producer.outputs };
  }

  /**
   * Whether each artifact that outputs refer to is there and whole. If so, it is kept until a line
   * can say that it was used.
   */
  #areWhole(outputs: Readonly<Record<string, Json>>): boolean {
    if (!holdsArtifacts(outputs)) return true;
    const job = { kind: "whole", outputs } as const;
    if (!this.#isLarge(job)) return answerJob(job, this.#artifacts);
    const read = this.#read.get(outputs);
    if (read !== undefined && performance.now() - read.at < WHOLE_MS) return read.whole;
    const keep = (whole: boolean): void =>
      void this.#read.set(outputs, { whole, at: performance.now() });
    throw new Pending(
      this.#values!.ask(job).then(keep, () => {
        keep(false);
      }),
    );
  }

  #isLarge(job: ValueJob): boolean {
    return this.#values !== undefined && bytesOf(job) > AT_ONCE_BYTES;
  }

  /**
   * The content hash of one output of a step.
   *
   * @param outputs as they are in the ledger
   * @param name undefined: the object of all outputs
   * @throws Pending; ArtifactUnusable
   */
  outputHash(outputs: Readonly<Record<string, Json>>, name: string | undefined): string {
    let known = this.#content.get(outputs);
    if (known === undefined) this.#content.set(outputs, (known = new Map()));
    const cached = known.get(name ?? "*");
    if (cached !== undefined) return cached;
    if (name !== undefined && isArtifactRef(outputs)) {
      const hashes = known;
      const keep = (found: ValueAnswers["hashes"]): void => {
        for (const [output, hash] of Object.entries(found)) hashes.set(output, hash);
        // It has no output of this name: the step's start says so.
        if (!hashes.has(name)) hashes.set(name, contentHash(null));
      };
      const job = { kind: "hashes", outputs } as const;
      if (this.#isLarge(job)) throw new Pending(this.#values!.ask(job).then(keep));
      keep(answerJob(job, this.#artifacts));
      return known.get(name)!;
    }
    const hash = contentHash(name === undefined ? outputs : (outputs[name] ?? null));
    known.set(name ?? "*", hash);
    return hash;
  }

  /**
   * Why a key differs from that of the step's last start: `code changed`, `param "path" changed`,
   * …; `first run` if it never ran. Remembers the parts and their key for the next time.
   */
  explain(state: RunState, step: string, parts: CacheKeyParts, key: string): string | undefined {
    const name = `${state.pipeline}/${step}`;
    const last = this.#starts.get(name);
    // It is asked twice: before the orchestrator is called, and as the step starts.
    if (last?.run === state.run) return last.reason;
    const before = last?.parts ?? this.#partsOfPrevious(state, step, parts);
    const reason = before === undefined ? "first run" : changedPart(before, parts);
    this.#starts.delete(name);
    this.#starts.set(name, { run: state.run, parts, key, reason });
    if (this.#starts.size > STARTS_KEPT) this.#starts.delete(this.#starts.keys().next().value!);
    return reason;
  }

  /**
   * The step's newest start, where the parts of its key were equal to these: then the key is known.
   * To compare them costs a sixth of making it.
   */
  startedWith(
    { pipeline }: Pick<RunState, "pipeline">,
    step: string,
    parts: CacheKeyParts,
  ): Pick<EarlierStart, "parts" | "key"> | undefined {
    const last = this.#starts.get(`${pipeline}/${step}`);
    return last !== undefined && areSameParts(last.parts, parts) ? last : undefined;
  }

  /** Why a key differs from that of the step in a given run, as far as that run's ledger says. */
  changedSince(run: string, step: string, parts: CacheKeyParts): string | undefined {
    const state = this.stateOf(run);
    const there = state?.steps.get(step);
    const before =
      state === undefined || there === undefined ? undefined : partsOf(state, there, parts, this);
    return before === undefined ? undefined : changedPart(before, parts);
  }

  #partsOfPrevious(state: RunState, step: string, now: CacheKeyParts): CacheKeyParts | undefined {
    const run = this.#newest.get(state.pipeline) ?? this.#findPrevious(state);
    const before = run === undefined || run === state.run ? undefined : this.stateOf(run);
    const there = before?.steps.get(step);
    if (before === undefined || there === undefined) return undefined;
    return partsOf(before, there, now, this);
  }

  #findPrevious(state: RunState): string | undefined {
    if (this.#previousRun !== undefined) return this.#previousRun(state.pipeline, state.run);
    const found = this.#store
      .list(state.pipeline, { newestFirst: true, limit: 2 })
      .find((run) => run !== state.run);
    this.#newest.set(state.pipeline, found ?? state.run);
    return found;
  }

  /**
   * A run as it is driven now, or as its ledger says. Undefined if it is gone or damaged.
   *
   * @throws Pending
   */
  stateOf(run: string): RunState | undefined {
    const live = this.#live.get(run);
    if (live !== undefined) return live;
    let folded = this.#folded.get(run);
    if (folded === undefined) {
      if (this.#isLong(run)) throw new Pending(this.#foldLong(run));
      folded = foldLedger(this.#store, run, this.#artifacts) ?? null;
      this.#keep(run, folded);
    } else if (this.#latest !== run) this.#keep(run, folded);
    return folded ?? undefined;
  }

  #isLong(run: string): boolean {
    if (this.#values === undefined) return false;
    try {
      return statSync(this.#store.runLedger(run)).size > AT_ONCE_BYTES;
    } catch {
      return false;
    }
  }

  /** Folds a long ledger beside other events; those who wait for it share the fold. */
  #foldLong(run: string): Promise<void> {
    let folding = this.#folding.get(run);
    if (folding === undefined) {
      folding = foldInTurns(this.#store.runLedger(run), {
        artifacts: this.#artifacts,
        values: this.#values,
      })
        .then(
          (folded) => this.#keep(run, folded === undefined || folded.damaged ? null : folded.state),
          () => this.#keep(run, null),
        )
        .finally(() => this.#folding.delete(run));
      this.#folding.set(run, folding);
    }
    return folding;
  }

  /** Keeps a folded run, and forgets those that were used longest ago. */
  #keep(run: string, state: RunState | null): void {
    this.#folded.delete(run);
    this.#folded.set(run, state);
    this.#latest = run;
    let steps = 0;
    for (const folded of this.#folded.values()) steps += folded?.steps.size ?? 0;
    for (const [oldest, folded] of this.#folded) {
      if (oldest === run || (this.#folded.size <= FOLDED_KEPT && steps <= FOLDED_STEPS_KEPT)) break;
      this.#folded.delete(oldest);
      steps -= folded?.steps.size ?? 0;
    }
  }
}

function foldLedger(store: RunStore, run: string, artifacts: Artifacts): RunState | undefined {
  try {
    let state: RunState | undefined;
    const { end } = readLedger<RunLine>(store.runLedger(run), {
      each: (line) => {
        state = evolve(state, restoreEvent(line, artifacts));
      },
    });
    return end === "damaged" ? undefined : state;
  } catch {
    return undefined;
  }
}

/**
 * The parts of a step's key in an earlier run, as far as its ledger says. The ledger does not have
 * the content of files and the answers of cache functions: those are taken to be as they are now.
 */
function partsOf(
  state: RunState,
  step: StepState,
  now: CacheKeyParts,
  cache: ResultCache,
): CacheKeyParts | undefined {
  try {
    const inputs = Object.entries(step.spec.inputs).map(([name, from]) => {
      const upstream = state.steps.get(from.step);
      if (upstream?.outputs === undefined) return [name, ""] as const;
      return [name, cache.outputHash(upstream.outputs, outputName(upstream, from.output))] as const;
    });
    const direct = Object.entries(step.values ?? {}).map(
      ([name, value]) => [name, contentHash(value)] as const,
    );
    const { scheduledFor } = state.trigger;
    return cacheKeyParts(step.spec, {
      project: now.project,
      params: bindRun(step.spec.params, { id: state.run, scheduledFor }),
      inputs: Object.fromEntries([...inputs, ...direct]),
      env: setEnvironment(state.snapshot, step.spec.env, { id: state.run, scheduledFor }),
      files: now.files,
      cacheFunction: now.cacheFunction ?? undefined,
      image: imageIn(now),
      scheduledFor,
    });
  } catch (error) {
    if (error instanceof Pending) throw error;
    return undefined;
  }
}

/**
 * The member of a step's outputs that an input means: a declared output, or `result`. Undefined:
 * the object of all declared outputs.
 */
export function outputName(upstream: StepState, output: string | undefined): string | undefined {
  return output ?? (upstream.spec.outputs === undefined ? "result" : undefined);
}
