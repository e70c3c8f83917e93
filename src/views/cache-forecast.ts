/**
 * What the cache would answer in a run that does not exist yet, as far as it can be known without
 * running anything.
 *
 * A step's answer can be known only if all that goes into its key is known. So a step after one
 * that will run counts as one that will run, though its inputs may turn out the same. So does a
 * step with a cache function, which is a user's code, and one with a condition.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { cacheKey, cacheKeyParts, contentHash } from "../core/cache-key.ts";
import { upstreamOf, type StepState } from "../core/run-state.ts";
import { setEnvironment } from "../core/set-environment.ts";
import type { OrchdSettings } from "../core/settings.ts";
import { sha256 } from "../core/sha256.ts";
import type { Json, Snapshot, SnapshotStep } from "../core/snapshot.ts";
import { bindRun } from "../core/template.ts";
import { isArtifactRef, type ArtifactRef } from "../core/artifact-ref.ts";
import { Artifacts } from "../ledger/artifacts.ts";
import { CacheIndex } from "../ledger/cache-index.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { stateOfRun } from "./run-reading.ts";

/** What the settings say about the cache. */
export type CacheSettings = Pick<OrchdSettings, "project" | "enableCache">;

type Outputs = Readonly<Record<string, Json>>;

/**
 * Asks the cache for steps that have not run. Close it after use. It may not know what completed in
 * the last 50 ms: the daemon writes the cache's index that much later.
 */
export class CacheForecast {
  readonly #store: RunStore;
  readonly #settings: CacheSettings;
  readonly #index: CacheIndex;
  readonly #artifacts: Artifacts;
  /** Each file's sha256; undefined where it cannot be read. */
  readonly #files = new Map<string, string | undefined>();
  /** The steps of the runs that produced cached results, by run. */
  readonly #producers = new Map<string, ReadonlyMap<string, StepState> | undefined>();

  constructor(store: RunStore, settings: CacheSettings) {
    this.#store = store;
    this.#settings = settings;
    this.#index = new CacheIndex(store.cache);
    this.#artifacts = new Artifacts(store.artifacts);
  }

  /**
   * The steps that the cache would answer in a run of this id for this slot (ISO 8601).
   *
   * @param now milliseconds since 1970
   */
  cachedSteps(snapshot: Snapshot, run: string, scheduledFor: string, now: number): string[] {
    const outputs = new Map<string, Outputs>();
    for (const step of snapshot.steps) {
      if (
        !this.#enabled(snapshot, step) ||
        step.when !== undefined ||
        // What its image's name means now, only the engine knows.
        step.container !== undefined ||
        step.cache?.cacheFunction !== undefined
      )
        continue;
      if ([...upstreamOf(step)].some((id) => !outputs.has(id))) continue;
      const found = this.#lookUp(snapshot, step, outputs, { id: run, scheduledFor }, now);
      if (found !== undefined) outputs.set(step.id, found);
    }
    return [...outputs.keys()];
  }

  close(): void {
    void this.#index.close();
  }

  /**
   * The step decides, else the pipeline, else the settings. A shell step is cached only if it has a
   * `cache` of its own (docs/zenml.md, Cache).
   */
  #enabled(snapshot: Snapshot, step: SnapshotStep): boolean {
    if (step.enableCache !== undefined) return step.enableCache;
    return step.run === undefined
      ? (snapshot.enableCache ?? this.#settings.enableCache)
      : step.cache !== undefined;
  }

  #lookUp(
    snapshot: Snapshot,
    step: SnapshotStep,
    outputs: ReadonlyMap<string, Outputs>,
    run: { readonly id: string; readonly scheduledFor: string },
    now: number,
  ): Outputs | undefined {
    const files: (readonly [string, string])[] = [];
    for (const path of step.cache?.fileDependencies ?? []) {
      const hash = this.#fileHash(resolve(dirname(snapshot.file), path));
      if (hash === undefined) return undefined;
      files.push([path, hash]);
    }
    const inputs: Record<string, string> = {};
    for (const [name, from] of Object.entries(step.inputs)) {
      const hash = this.#outputHash(snapshot, outputs, from);
      if (hash === undefined) return undefined;
      inputs[name] = hash;
    }
    const key = cacheKey(
      cacheKeyParts(step, {
        project: this.#settings.project,
        params: bindRun(step.params as Json, run) as SnapshotStep["params"],
        inputs,
        env: setEnvironment(snapshot, step.env, run),
        files,
        scheduledFor: run.scheduledFor,
      }),
    );
    const expires = step.cache?.expiresAfterMs;
    for (const { run: source, step: id } of this.#index.lookup(key)) {
      const producer = this.#stepsOf(source)?.get(id);
      if (
        producer?.status !== "completed" ||
        producer.cacheKey !== key ||
        producer.outputs === undefined
      )
        continue;
      const startedAt = producer.attempts.at(-1)?.startedAt ?? producer.startedAt ?? "";
      if (
        (expires === undefined || now - Date.parse(startedAt) < expires) &&
        this.#isWhole(producer.outputs)
      )
        return producer.outputs;
    }
    return undefined;
  }

  #outputHash(
    snapshot: Snapshot,
    outputs: ReadonlyMap<string, Outputs>,
    from: { readonly step: string; readonly output?: string | undefined },
  ): string | undefined {
    const held = outputs.get(from.step);
    const declared = snapshot.steps.find(({ id }) => id === from.step)?.outputs !== undefined;
    if (held === undefined) return undefined;
    const name = from.output ?? (declared ? undefined : "result");
    if (name === undefined) return contentHash(held);
    const all = (isArtifactRef(held) ? this.#artifacts.get(held) : held) as Outputs;
    return contentHash(all[name] ?? null);
  }

  #isWhole(outputs: Outputs): boolean {
    const refs: ArtifactRef[] = isArtifactRef(outputs)
      ? [outputs]
      : Object.values(outputs).flatMap((value: unknown) => (isArtifactRef(value) ? [value] : []));
    return refs.every((ref) => this.#artifacts.verify(ref));
  }

  #stepsOf(run: string): ReadonlyMap<string, StepState> | undefined {
    // The results of a run that is gone or unreadable stand for nothing.
    if (!this.#producers.has(run)) this.#producers.set(run, stateOfRun(this.#store, run)?.steps);
    return this.#producers.get(run);
  }

  #fileHash(path: string): string | undefined {
    if (!this.#files.has(path)) {
      try {
        this.#files.set(path, sha256(readFileSync(path)));
      } catch {
        this.#files.set(path, undefined);
      }
    }
    return this.#files.get(path);
  }
}
