/**
 * A step's cache key: sha256 over everything that decides its result, in a fixed order
 * (docs/zenml.md "Cache").
 *
 * {@link CacheKeyParts} is that record: one commented member for each part. These are left out on
 * purpose: the names of the pipeline, the step and the run, retries, timeouts, resources and
 * expiry. None of them changes what a step returns, so a step that moves to another pipeline keeps
 * its results. Two different keys can be compared part by part: that gives a cache miss its reason.
 */
import { hash } from "node:crypto";
import { canonicalHash, canonicalJson, isSameJson } from "./canonical-json.ts";
import { containerKey } from "./container.ts";
import type { EnvValue, Json, SnapshotStep } from "./snapshot.ts";

/** Raised when the meaning of a part changes, so that an old key never equals a new one. */
export const CACHE_KEY_FORMAT = 2;

/** All parts of a key, in this order. */
export interface CacheKeyParts {
  /** Which rules made the key: {@link CACHE_KEY_FORMAT}. */
  readonly format: number;
  /**
   * The project (`project` in orchd.yaml): two projects that share a runs folder share no results.
   */
  readonly project: string;
  /**
   * A module step: the hash of its bundle, lockfile included; null under `includeStepCode: false`.
   * A shell step: its text, shell and folder. In a container also that, with its image's id.
   */
  readonly code: Json;
  /**
   * Which function of the module. Under `includeStepCode: false` also where the module is: without
   * it, any two functions would be the same.
   */
  readonly export: Json;
  /** The step's own params. A secret is given by its name. */
  readonly params: { readonly [name: string]: Json };
  /**
   * Each input's content hash, by the input's name, except `ignoredInputs`. Where an input came
   * from does not count: equal content is an equal input.
   */
  readonly inputs: { readonly [name: string]: string };
  /** Declared outputs, in the order of their declaration. */
  readonly outputs: readonly string[] | null;
  /**
   * The environment that somebody set for the step: orchd.yaml's `env`, the pipeline's and its own.
   * A secret is given by its name, never by its value. What it gets of the host is not in it.
   */
  readonly env: { readonly [name: string]: EnvValue };
  /** The path and content hash of each file dependency, in the order of their declaration. */
  readonly files: readonly (readonly [path: string, hash: string])[];
  /** What the cache function returned. */
  readonly cacheFunction: string | null;
  /**
   * The slot that the run is for, unless `acrossSlots`; null for a run by hand. Without the slot, a
   * nightly step would get last night's result and not run.
   */
  readonly scheduledFor: string | null;
}

/** What a key is made from besides the step itself. */
export interface CacheKeyFacts {
  readonly project: string;
  /** The step's params, with `${run.…}` replaced. */
  readonly params: { readonly [name: string]: Json };
  /** Every input's {@link contentHash}. */
  readonly inputs: { readonly [name: string]: string };
  /** All that was set for the step: `setEnvironment`. Undefined: only its own `env`. */
  readonly env?: { readonly [name: string]: EnvValue } | undefined;
  /** The path and content hash of every file in `fileDependencies`. */
  readonly files: readonly (readonly [path: string, hash: string])[];
  readonly cacheFunction?: string | undefined;
  /** The id of the image of the step's container. */
  readonly image?: string | undefined;
  readonly scheduledFor?: string | undefined;
}

/** The parts of a step's key. */
export function cacheKeyParts(step: SnapshotStep, facts: CacheKeyFacts): CacheKeyParts {
  const { cache, code } = step;
  const withCode = cache?.includeStepCode ?? true;
  const ignored = cache?.ignoredInputs ?? [];
  return {
    format: CACHE_KEY_FORMAT,
    project: facts.project,
    code:
      code === undefined ? shellParts(step, facts.image) : codeParts(step, withCode, facts.image),
    export: code === undefined ? null : withCode ? code.pick : [code.source, code.pick],
    params: facts.params,
    inputs:
      ignored.length === 0
        ? facts.inputs
        : Object.fromEntries(
            Object.entries(facts.inputs).filter(([name]) => !ignored.includes(name)),
          ),
    outputs: step.outputs ?? null,
    env: facts.env ?? step.env,
    files: facts.files,
    cacheFunction: facts.cacheFunction ?? null,
    scheduledFor: cache?.acrossSlots === true ? null : (facts.scheduledFor ?? null),
  };
}

function shellParts({ run, shell, cwd, container }: SnapshotStep, image: string | undefined): Json {
  const parts = { run: run ?? "", shell: shell ?? null, cwd: cwd ?? null };
  return container === undefined ? parts : { ...parts, container: containerKey(container, image) };
}

function codeParts(
  { code, container }: SnapshotStep,
  withCode: boolean,
  image: string | undefined,
): Json {
  const bundle = withCode ? code!.bundle : null;
  return container === undefined ? bundle : { bundle, container: containerKey(container, image) };
}

/** The id of the image that a key was made with. */
export function imageIn({ code }: CacheKeyParts): string | undefined {
  const parts = code as { readonly container?: { readonly image: string | null } } | null;
  return typeof parts === "object" ? (parts?.container?.image ?? undefined) : undefined;
}

/** The key: sha256 over the parts in their order, in hex. */
export function cacheKey(parts: CacheKeyParts): string {
  const ordered = [
    parts.format,
    parts.project,
    parts.code,
    parts.export,
    parts.params,
    parts.inputs,
    parts.outputs,
    parts.env,
    parts.files,
    parts.cacheFunction,
    parts.scheduledFor,
  ];
  return hash("sha256", canonicalJson(ordered));
}

/**
 * A value's content hash. It is the same wherever the value came from. A reference to an artifact
 * is a hash already.
 */
export function contentHash(value: Json): string {
  const artifact =
    value === null || typeof value !== "object"
      ? undefined
      : (value as { readonly [key: string]: Json })["$artifact"];
  return typeof artifact === "string" ? artifact : canonicalHash(value);
}

/**
 * Whether two keys have the same parts. It is asked for each step, and to go by the names of the
 * members takes three times as long.
 */
export function areSameParts(one: CacheKeyParts, other: CacheKeyParts): boolean {
  return (
    one.format === other.format &&
    one.project === other.project &&
    isSameJson(one.code, other.code) &&
    isSameJson(one.export, other.export) &&
    isSameJson(one.params, other.params) &&
    isSameJson(one.inputs, other.inputs) &&
    isSameJson(one.outputs, other.outputs) &&
    isSameJson(one.env, other.env) &&
    isSameJson(one.files, other.files) &&
    one.cacheFunction === other.cacheFunction &&
    one.scheduledFor === other.scheduledFor
  );
}

/**
 * What changed between two keys, as a short reason: `code changed`, `param "path" changed`, `input
 * "lines" changed`, …. It is the first change, in the order of the parts. Undefined: nothing
 * changed.
 */
export function changedPart(before: CacheKeyParts, now: CacheKeyParts): string | undefined {
  // So it is with most steps, and to find it out makes nothing.
  if (areSameParts(before, now)) return undefined;
  if (before.format !== now.format) return "the rules of cache keys changed";
  if (before.project !== now.project) return "the project changed";
  if (differ(before.code, now.code)) return changedCode(before.code, now.code);
  if (differ(before.export, now.export)) return "the step's function changed";
  return (
    changedMember("param", before.params, now.params) ??
    changedMember("input", before.inputs, now.inputs) ??
    (differ(before.outputs, now.outputs) ? "declared outputs changed" : undefined) ??
    changedMember("env", before.env, now.env) ??
    changedMember("file", Object.fromEntries(before.files), Object.fromEntries(now.files)) ??
    (differ(before.files, now.files) ? "the order of file dependencies changed" : undefined) ??
    (before.cacheFunction === now.cacheFunction
      ? undefined
      : "the cache function's answer changed") ??
    (before.scheduledFor === now.scheduledFor ? undefined : "slot changed")
  );
}

function changedCode(before: Json, now: Json): string {
  const [was, is] = [before, now] as { readonly container?: { readonly image: Json } }[];
  if (was?.container === undefined || is?.container === undefined) return "code changed";
  if (differ({ ...was, container: null }, { ...is, container: null })) return "code changed";
  return was.container.image === is.container.image
    ? "the step's container changed"
    : "the image of the step's container changed";
}

function changedMember(
  what: string,
  before: { readonly [name: string]: unknown },
  now: { readonly [name: string]: unknown },
): string | undefined {
  for (const name of Object.keys(now)) {
    if (!Object.hasOwn(before, name)) return `${what} "${name}" added`;
    if (differ(before[name], now[name])) return `${what} "${name}" changed`;
  }
  const removed = Object.keys(before).find((name) => !Object.hasOwn(now, name));
  return removed === undefined ? undefined : `${what} "${removed}" removed`;
}

function differ(before: unknown, now: unknown): boolean {
  return before !== now && canonicalJson(before) !== canonicalJson(now);
}
