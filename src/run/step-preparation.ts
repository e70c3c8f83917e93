/**
 * What must be known before a step may start: whether its condition holds, whether an earlier
 * result can be used for it, and the inputs, params and environment that it runs with.
 *
 * The answer is a value: the run-loop writes and acts. Most steps are prepared at once. A step with
 * file dependencies or a cache function may take a while: then the answer is a promise, and the
 * planner decides again when it is there. A run that starts no more steps cuts that short.
 */
import { dirname, isAbsolute, join } from "node:path";
import { holdsArtifacts, isArtifactRef } from "../core/artifact-ref.ts";
import { cacheKeyParts, contentHash, type CacheKeyParts } from "../core/cache-key.ts";
import { evaluateWhen, parseCondition } from "../core/condition.ts";
import { FAILURE_CODES, type StepError } from "../core/failure.ts";
import { isEmpty } from "../core/json-object.ts";
import type { RunState, StepState } from "../core/run-state.ts";
import type { Json, SnapshotStep } from "../core/snapshot.ts";
import { bindRun } from "../core/template.ts";
import { lacksDescriptor } from "../disk/disk-error.ts";
import { RETRY_MS } from "../disk/until-room.ts";
import { answerJob, AT_ONCE_BYTES, bytesOf } from "../ledger/value-job.ts";
import { asError, PreparationError } from "./preparation-error.ts";
import { resolveSecrets, type RunEnvironment } from "./environment.ts";
import { FileHashes } from "./file-hashes.ts";
import { StoredValues } from "../core/stored-values.ts";
import { FramedTask } from "../core/task-frame.ts";
import type { CacheFunctionTask, StoredInputs, Task, TaskResult } from "../core/task.ts";
import { containerTask } from "./container-task.ts";
import { farTask } from "./far-task.ts";
import { imageOf, type ImageAsker } from "./image-of.ts";
import type { KnownKeys } from "./known-keys.ts";
import { decideWhenKnown, Pending } from "./pending.ts";
import { outputName, type CacheHit, type ResultCache } from "./result-cache.ts";
import { runInfoOf } from "./run-info.ts";
import type { StepFrames } from "./step-frames.ts";

/** What happens to a step that may start. */
export type Preparation =
  | {
      readonly kind: "start";
      readonly task: Task;
      readonly cacheKey?: string | undefined;
      readonly note?: string | undefined;
    }
  | {
      readonly kind: "cached";
      readonly hit: CacheHit;
      readonly cacheKey?: string | undefined;
      readonly because: string;
    }
  | { readonly kind: "skip"; readonly because: string }
  /** The attempt fails before any of its code runs. */
  | { readonly kind: "fail"; readonly error: StepError }
  /** The run starts no more steps. Nothing is known of this one. */
  | { readonly kind: "dropped" };

/** What a preparation needs besides the run. */
export interface PreparationContext extends ImageAsker {
  readonly results: ResultCache;
  readonly keys: KnownKeys;
  readonly environment: RunEnvironment;
  readonly frames: StepFrames;
  /** Whether earlier results are used where neither the step nor the pipeline says anything. */
  readonly enableCache: boolean;
  /** Aborted when the run starts no more steps. */
  readonly signal: AbortSignal;
  /** Runs a cache function. Rejects when the signal comes. */
  callCacheFunction(task: CacheFunctionTask): Promise<TaskResult>;
}

const SHELL: readonly string[] = ["/bin/sh", "-eu"];

const fileHashes = new FileHashes();

/**
 * Whether earlier results may be used for a step. The step's own setting counts first, then the
 * pipeline's, then the orchestrator's. A shell step must ask for it itself.
 */
export function isCacheEnabled(
  state: RunState,
  spec: SnapshotStep,
  orchestrator: boolean,
): boolean {
  if (spec.enableCache !== undefined) return spec.enableCache;
  if (spec.run !== undefined && spec.code === undefined) return spec.cache !== undefined;
  return state.snapshot.enableCache ?? orchestrator;
}

/** Prepares an attempt of a step. Never throws and never rejects. */
export function prepareStep(
  state: RunState,
  step: StepState,
  attempt: number,
  context: PreparationContext,
): Preparation | Promise<Preparation> {
  if (context.signal.aborted) return { kind: "dropped" };
  const again = (): Preparation | Promise<Preparation> =>
    prepareStep(state, step, attempt, context);
  try {
    const of = new StepPreparation(state, step, attempt, context);
    const preparation = decideWhenKnown(() => of.prepare());
    return preparation instanceof Promise
      ? preparation.catch((error: unknown) => spoiled(error, context, again))
      : preparation;
  } catch (error) {
    return spoiled(error, context, again);
  }
}

function spoiled(
  error: unknown,
  { signal, deps }: PreparationContext,
  again: () => Preparation | Promise<Preparation>,
): Preparation | Promise<Preparation> {
  if (signal.aborted) return { kind: "dropped" };
  if (!lacksDescriptor(error)) return { kind: "fail", error: asError(error) };
  // The step is not at fault: it is prepared again when files can be opened.
  return new Promise((resolve) => void deps.clock.after(RETRY_MS, () => resolve(again())));
}

/**
 * The task of an attempt that an earlier daemon started.
 *
 * @throws Error, a sentence, if it cannot be made again: a secret is not there any more
 */
export function taskOf(state: RunState, step: StepState, context: PreparationContext): Task {
  return new StepPreparation(state, step, step.attempt, context).again();
}

function isKnown(
  file: readonly [string, string | Promise<string>],
): file is readonly [string, string] {
  return typeof file[1] === "string";
}

/** A step's inputs: the values, and those that are in files. */
interface GivenInputs {
  /** All of them, in their order; null for one that is in a file. */
  readonly inputs: { readonly [name: string]: Json };
  readonly stored?: readonly StoredInputs[];
}

type Named = { [input: string]: string | null };
const NO_INPUTS: GivenInputs = { inputs: {} };

/** For outputs that are in no file. */
const NO_FILES = new StoredValues((ref) => {
  throw new Error(`the artifact ${ref.$artifact} is not loaded here`);
});

/** Whether an output is in a file; null: any of them. */
function isInFile(outputs: { readonly [name: string]: Json }, output: string | null): boolean {
  if (output === null || isArtifactRef(outputs)) return holdsArtifacts(outputs);
  return Object.hasOwn(outputs, output) && isArtifactRef(outputs[output]);
}

class StepPreparation {
  readonly #state: RunState;
  readonly #step: StepState;
  readonly #spec: SnapshotStep;
  readonly #attempt: number;
  readonly #context: PreparationContext;
  readonly #params: { readonly [name: string]: Json };
  #inputs: GivenInputs | undefined;
  /** The id of its container's image, where its key needs that. */
  #image: string | undefined;
  /** Whether its condition holds, once that is known. */
  #condition: ReturnType<typeof evaluateWhen> | undefined;

  constructor(state: RunState, step: StepState, attempt: number, context: PreparationContext) {
    this.#state = state;
    this.#step = step;
    this.#spec = step.spec;
    this.#attempt = attempt;
    this.#context = context;
    this.#params = bindRun(step.spec.params, {
      id: state.run,
      scheduledFor: state.trigger.scheduledFor,
    });
  }

  prepare(): Preparation | Promise<Preparation> {
    const { when, cache } = this.#spec;
    if (when !== undefined && !this.#holds(when))
      return { kind: "skip", because: `its condition does not hold: ${when}` };
    const asksImage = this.#spec.container?.image !== undefined && this.#enabled();
    if (
      !asksImage &&
      (cache === undefined ||
        (cache.fileDependencies.length === 0 && cache.cacheFunction === undefined))
    )
      return this.#decide([], undefined);
    const paths = cache?.fileDependencies ?? [];
    const files = paths.map((path) => [path, this.#hash(path)] as const);
    if (!asksImage && cache?.cacheFunction === undefined && files.every(isKnown))
      return this.#decide(files, undefined);
    return this.#withFacts(files).catch((error: unknown): Preparation => {
      if (this.#context.signal.aborted) return { kind: "dropped" };
      // The key cannot be known. Without caching nobody needs it, and the step runs.
      if (this.#enabled()) throw error;
      return this.#start(undefined, undefined);
    });
  }

  async #withFacts(
    pending: readonly (readonly [string, string | Promise<string>])[],
  ): Promise<Preparation> {
    const { cache, container } = this.#spec;
    const known = Promise.all(pending.map(async ([path, hash]) => [path, await hash] as const));
    const asker = { step: this.#spec.id, attempt: this.#attempt };
    const image =
      container?.image === undefined || !this.#enabled()
        ? undefined
        : imageOf(container, asker, this.#context);
    // Together: a file that cannot be read, while the image is asked for, is a fault of this step.
    const [files, found] = await Promise.all([known, image]);
    this.#image = found;
    const code = cache?.cacheFunction;
    if (code === undefined) return this.#decide(files, undefined);
    const { env, secrets } = this.#environment();
    const result = await this.#context.callCacheFunction({
      kind: "cacheFunction",
      code,
      params: this.#params,
      ...this.#given(),
      env,
      secrets,
      ...this.#common(),
    });
    if (!result.ok)
      throw Object.assign(new Error(`the cache function failed: ${result.error.message}`), {
        name: result.error.name,
        code: result.error.code,
      });
    if (typeof result.value !== "string") {
      throw new PreparationError(
        "CacheFunctionError",
        FAILURE_CODES.input,
        `the cache function ${code.source} gave ${JSON.stringify(result.value)}; ` +
          "it has to give a string",
      );
    }
    return this.#decide(files, result.value);
  }

  #decide(
    files: readonly (readonly [string, string])[],
    cacheFunction: string | undefined,
  ): Preparation | Promise<Preparation> {
    return decideWhenKnown(() => this.#decideNow(files, cacheFunction));
  }

  #decideNow(
    files: readonly (readonly [string, string])[],
    cacheFunction: string | undefined,
  ): Preparation {
    const made = this.#parts(files, cacheFunction);
    const { results, deps, keys } = this.#context;
    const { id } = this.#spec;
    const known = this.#enabled() ? results.startedWith(this.#state, id, made) : undefined;
    const parts = known?.parts ?? made;
    const key = known?.key ?? keys.of(made);
    const first = this.#attempt === 1 && this.#step.attempts.length === 0;
    if (!first) return this.#start(key, undefined);
    const { reuse, trigger } = this.#state;
    const before = Object.hasOwn(reuse, id) ? reuse[id] : undefined;
    if (before !== undefined) {
      const hit = results.reuse(before, id, key);
      if (hit !== undefined)
        return { kind: "cached", hit, cacheKey: key, because: `taken over from ${before}` };
    } else if (trigger.from !== undefined)
      return this.#start(key, `the re-run is from step "${trigger.from}" on`);
    const since = before === undefined ? undefined : results.changedSince(before, id, parts);
    if (!this.#enabled()) return this.#start(key, since);
    const reason = since ?? results.explain(this.#state, id, parts, key);
    if (trigger.noCache === true) return this.#start(key, "caching is off for this run");
    const answer = results.lookup(key, this.#spec.cache?.expiresAfterMs, deps.clock.now());
    if (!("hit" in answer)) return this.#start(key, answer.miss ?? reason ?? "no earlier result");
    const { source } = answer.hit;
    const because = `nothing changed since step "${source.step}" of ${source.run}`;
    return { kind: "cached", hit: answer.hit, cacheKey: key, because };
  }

  /** A file's content hash; a promise if that takes a while. Rejects with a PreparationError. */
  #hash(path: string): string | Promise<string> {
    const absolute = isAbsolute(path) ? path : join(dirname(this.#state.snapshot.file), path);
    const failed = (error: unknown): Promise<never> => {
      const message = `the file dependency ${path} ${(error as Error).message} (${absolute})`;
      return Promise.reject(
        new PreparationError("FileDependencyError", FAILURE_CODES.dependency, message, error),
      );
    };
    try {
      const hash = fileHashes.of(absolute, this.#context.signal);
      return typeof hash === "string" ? hash : hash.catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  #enabled(): boolean {
    return isCacheEnabled(this.#state, this.#spec, this.#context.enableCache);
  }

  #parts(
    files: readonly (readonly [string, string])[],
    cacheFunction: string | undefined,
  ): CacheKeyParts {
    const inputs: { [name: string]: string } = {};
    for (const [name, from] of Object.entries(this.#spec.inputs)) {
      const upstream = this.#upstream(name, from.step);
      inputs[name] = this.#context.results.outputHash(
        upstream.outputs!,
        outputName(upstream, from.output),
      );
    }
    const { values } = this.#step;
    for (const name in values) inputs[name] = contentHash(values[name]!);
    return cacheKeyParts(this.#spec, {
      project: this.#context.deps.settings.project,
      params: this.#params,
      inputs,
      env: this.#context.environment.setFor(this.#spec.env),
      files,
      cacheFunction,
      image: this.#image,
      scheduledFor: this.#state.trigger.scheduledFor,
    });
  }

  #upstream(input: string, id: string): StepState {
    const upstream = this.#state.steps.get(id);
    if (upstream?.outputs === undefined) {
      throw new PreparationError(
        "InputError",
        FAILURE_CODES.input,
        `input "${input}" of step "${this.#spec.id}" comes from step "${id}", which has no output`,
      );
    }
    return upstream;
  }

  #given(): GivenInputs {
    this.#inputs ??= this.#findInputs();
    return this.#inputs;
  }

  /** What is in a file is loaded where the step runs. */
  #findInputs(): GivenInputs {
    if (isEmpty(this.#spec.inputs) && this.#step.values === undefined) return NO_INPUTS;
    const inputs: { [name: string]: Json } = {};
    const stored = new Map<string, { step: string; outputs: Json; inputs: Named }>();
    for (const [name, from] of Object.entries(this.#spec.inputs)) {
      const upstream = this.#upstream(name, from.step);
      const outputs = upstream.outputs!;
      const output = outputName(upstream, from.output) ?? null;
      const one: StoredInputs = { step: from.step, outputs, inputs: { [name]: output } };
      if (!isInFile(outputs, output)) {
        inputs[name] = NO_FILES.inputs(this.#spec.id, [one])[name]!;
        continue;
      }
      inputs[name] = null;
      let group = stored.get(from.step);
      if (group === undefined) {
        const all = isArtifactRef(outputs) ? outputs : {};
        stored.set(from.step, (group = { step: from.step, outputs: all, inputs: {} }));
      }
      group.inputs[name] = output;
      if (output === null) group.outputs = outputs;
      else if (group.outputs !== outputs && !isArtifactRef(outputs))
        (group.outputs as { [name: string]: Json })[output] = outputs[output]!;
    }
    Object.assign(inputs, this.#step.values);
    return stored.size === 0 ? { inputs } : { inputs, stored: [...stored.values()] };
  }

  #holds(when: string): boolean {
    this.#condition ??= this.#evaluate(when);
    const answer = this.#condition;
    if (!answer.ok)
      throw new PreparationError(
        "ConditionError",
        FAILURE_CODES.input,
        `the condition of step "${this.#spec.id}" ${answer.message}`,
      );
    return answer.holds;
  }

  #evaluate(when: string): ReturnType<typeof evaluateWhen> {
    const params = { ...this.#state.params, ...this.#params };
    const { inputs, stored } = this.#given();
    const parsed = parseCondition(when);
    const reads = new Set(
      parsed.ok
        ? parsed.reads.flatMap(({ root, keys }) => (root === "inputs" ? [keys[0]] : []))
        : [],
    );
    const needed = (stored ?? [])
      .map((one) => ({
        ...one,
        inputs: Object.fromEntries(Object.entries(one.inputs).filter(([name]) => reads.has(name))),
      }))
      .filter((one) => Object.keys(one.inputs).length > 0);
    if (needed.length === 0) return evaluateWhen(when, { params, inputs });
    const job = {
      kind: "holds",
      when,
      params,
      inputs,
      step: this.#spec.id,
      stored: needed,
    } as const;
    const { artifacts, values } = this.#context.deps;
    if (values === undefined || bytesOf(job) <= AT_ONCE_BYTES) return answerJob(job, artifacts);
    throw new Pending(values.ask(job).then((answer) => (this.#condition = answer)));
  }

  #environment(): { env: { [name: string]: string }; secrets: string[] } {
    return this.#context.environment.forStep(this.#spec.id, this.#spec.env, this.#attempt);
  }

  #common(): Pick<Task, "run" | "step" | "gracePeriodMs" | "artifacts"> {
    return {
      artifacts: this.#context.deps.artifacts.directory,
      run: runInfoOf(this.#state, this.#attempt),
      step: this.#spec.id,
      gracePeriodMs: this.#state.snapshot.gracePeriodMs,
    };
  }

  #start(key: string | undefined, note: string | undefined): Preparation {
    return { kind: "start", task: this.#framedTask() ?? this.#wholeTask(), cacheKey: key, note };
  }

  /**
   * Undefined where a step has what no other has: secrets, limits, a container, an environment of
   * its own.
   */
  #framedTask(): FramedTask | undefined {
    const { code, env: own, timeoutMs, memoryMb, id, container } = this.#spec;
    if (code === undefined || timeoutMs !== undefined || memoryMb !== undefined) return undefined;
    if (container !== undefined) return undefined;
    const { environment, frames, secrets } = this.#context;
    const env = isEmpty(own) ? environment.common() : undefined;
    const frame = env && frames.of(code, this.#spec, env);
    if (frame === undefined) return undefined;
    const found: string[] = [];
    const params = resolveSecrets(this.#params, secrets, found);
    if (found.length > 0) return undefined;
    const { inputs, stored } = this.#given();
    return new FramedTask(frame, id, this.#attempt, { params, inputs, stored });
  }

  #wholeTask(): Task {
    const { env, secrets } = this.#environment();
    const params = resolveSecrets(this.#params, this.#context.secrets, secrets);
    const spec = this.#spec;
    const shared = {
      ...this.#common(),
      trace: this.#context.environment.trace,
      env,
      ...(secrets.length === 0 ? {} : { secrets }),
      params,
      ...this.#given(),
      ...(spec.timeoutMs === undefined ? {} : { timeoutMs: spec.timeoutMs }),
      ...(spec.memoryMb === undefined ? {} : { memoryMb: spec.memoryMb }),
      ...(spec.outputs === undefined ? {} : { outputs: spec.outputs }),
    };
    const { on } = spec;
    const { environment, secrets: source } = this.#context;
    const { hookState } = this.#state;
    const state = hookState === undefined ? {} : { state: hookState };
    const { container } = spec;
    if (spec.code !== undefined) {
      const task = { kind: "module" as const, code: spec.code, isolated: spec.isolated };
      const whole = { ...task, ...state, ...shared };
      if (on !== undefined) return farTask(whole, on, environment.setFor(spec.env));
      if (container === undefined) return whole;
      return containerTask(whole, container, environment.setFor(spec.env), source, secrets);
    }
    const task = {
      kind: "shell" as const,
      text: spec.run ?? "",
      shell: spec.shell ?? SHELL,
      cwd: spec.cwd ?? dirname(this.#state.snapshot.file),
      ...shared,
    };
    if (on !== undefined)
      return farTask({ ...task, cwd: spec.cwd ?? "" }, on, environment.setFor(spec.env));
    if (container === undefined) return task;
    return containerTask(task, container, environment.setFor(spec.env), source, secrets);
  }

  /** @throws Error, a sentence, if a secret is not there */
  again(): Task {
    return this.#wholeTask();
  }
}
