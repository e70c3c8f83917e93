/**
 * The environment that a run's code gets, in layers: base < stack < pipeline < step. orchd's own
 * names come last, and nothing overrides them.
 *
 * The base is what any program needs of the daemon's environment (PATH, HOME, LANG, TZ), and `env`
 * of orchd.yaml. The stack's layer is as the run's header has it. All values are text. The daemon's
 * own environment is read and never written: two runs at once must not see each other's.
 */
import type { RunState, StepState } from "../core/run-state.ts";
import type { EnvValue, Json } from "../core/snapshot.ts";
import { setEnvironment } from "../core/set-environment.ts";
import { bindRunEnv } from "../core/template.ts";
import { traceSeed } from "../core/trace-id.ts";
import { attemptTraceparent, TRACEPARENT, type TraceSeed } from "../core/trace-span.ts";
import { inheritedEnvironment } from "../core/inherited-environment.ts";
import type { SecretSource } from "../core/secret-source.ts";

/** An environment, and the values in it that must be masked everywhere. */
export interface ResolvedEnvironment {
  readonly env: { [name: string]: string };
  readonly secrets: string[];
}

/** Variables as they are written: text, or the name of a secret. */
export type Layer = Readonly<Record<string, EnvValue>>;

/** The layer below all others: some of the daemon's own environment, and `env` of orchd.yaml. */
export function baseLayer(
  own: Readonly<Record<string, string | undefined>>,
  settings: Layer,
): Layer {
  return { ...inheritedEnvironment(own), ...settings };
}

/** The environments of one run. The layers below the step's are put together once. */
export class RunEnvironment {
  readonly #state: RunState;
  readonly #secrets: SecretSource;
  readonly #base: Layer;
  #set: Layer | undefined;
  #shared: ResolvedEnvironment | undefined;
  #commonEnv: { readonly [name: string]: string } = {};
  #commonOf: string | undefined;
  #trace: TraceSeed | undefined;

  constructor(state: RunState, secrets: SecretSource, base: Layer) {
    this.#state = state;
    this.#secrets = secrets;
    this.#base = base;
  }

  /**
   * What all steps share: `baseEnvironment` of `submitPipeline`.
   *
   * @throws Error, a sentence, if a secret is not there
   */
  shared(): ResolvedEnvironment {
    this.#shared ??= this.#resolveShared();
    const { env, secrets } = this.#shared;
    return { env: { ...env, ...this.#ids() }, secrets };
  }

  /** The run's trace. */
  get trace(): TraceSeed {
    return (this.#trace ??= traceSeed(this.#state.run, this.#state.submittedAt));
  }

  /**
   * What one attempt of a step gets, except its `TRACEPARENT`: a task is made before the line that
   * numbers the attempt. It is added where the step runs.
   *
   * @throws Error, a sentence, if a secret is not there
   */
  forStep(step: string, own: Layer, attempt: number): ResolvedEnvironment {
    this.#shared ??= this.#resolveShared();
    const secrets = [...this.#shared.secrets];
    if (Object.keys(own).length === 0)
      return {
        env: { ORCHD_STEP: step, ORCHD_ATTEMPT: String(attempt), ...this.#common() },
        secrets,
      };
    const env = { ...this.#shared.env };
    this.#lay(env, secrets, own);
    // A step's own layer must not override these.
    Object.assign(env, this.#ids(), { ORCHD_STEP: step, ORCHD_ATTEMPT: String(attempt) });
    return { env, secrets };
  }

  /**
   * What a step's hook gets: its spans hang below the step's last attempt.
   *
   * @throws Error, a sentence, if a secret is not there
   */
  forHook(
    { spec, token }: Pick<StepState, "spec" | "token">,
    attempt: number,
  ): ResolvedEnvironment {
    const { env, secrets } = this.forStep(spec.id, spec.env, attempt);
    return { env: { [TRACEPARENT]: attemptTraceparent(this.trace, token), ...env }, secrets };
  }

  /**
   * What a step without a layer of its own gets, except its name and attempt: the same object until
   * the run gets another id of the orchestrator. Undefined where secrets are in it.
   *
   * @throws Error, a sentence, if a secret is not there
   */
  common(): { readonly [name: string]: string } | undefined {
    this.#shared ??= this.#resolveShared();
    return this.#shared.secrets.length === 0 ? this.#common() : undefined;
  }

  /**
   * What a step without a layer of its own gets, except its name and attempt. It is made once for
   * each id that the orchestrator gives the run.
   */
  #common(): { readonly [name: string]: string } {
    const { orchestratorRunId } = this.#state;
    if (this.#commonOf !== orchestratorRunId) {
      const { ORCHD_STEP: _step, ORCHD_ATTEMPT: _attempt, ...env } = this.shared().env;
      this.#commonEnv = env;
      this.#commonOf = orchestratorRunId;
    }
    return this.#commonEnv;
  }

  /** What was set for a step, as its cache key has it. */
  setFor(own: Layer): Layer {
    const { snapshot, run, trigger } = this.#state;
    const words = { id: run, scheduledFor: trigger.scheduledFor };
    if (Object.keys(own).length > 0) return setEnvironment(snapshot, own, words);
    this.#set ??= setEnvironment(snapshot, {}, words);
    return this.#set;
  }

  /**
   * What a step's first attempt has above {@link shared}: its own layer, with orchd's names.
   *
   * @throws Error, a sentence, if a secret is not there
   */
  above(step: string, own: Layer): ResolvedEnvironment {
    const resolved: ResolvedEnvironment = { env: {}, secrets: [] };
    this.#lay(resolved.env, resolved.secrets, own);
    for (const name of Object.keys(this.#ids())) delete resolved.env[name];
    Object.assign(resolved.env, { ORCHD_STEP: step, ORCHD_ATTEMPT: "1" });
    return resolved;
  }

  #resolveShared(): ResolvedEnvironment {
    const resolved: ResolvedEnvironment = { env: {}, secrets: [] };
    const { stackEnv, env } = this.#state.snapshot;
    this.#lay(resolved.env, resolved.secrets, this.#base);
    Object.assign(resolved.env, stackEnv);
    this.#lay(resolved.env, resolved.secrets, env);
    return resolved;
  }

  #lay(env: { [name: string]: string }, secrets: string[], layer: Layer): void {
    const { run, trigger } = this.#state;
    for (const [name, value] of Object.entries(
      bindRunEnv(layer, { id: run, scheduledFor: trigger.scheduledFor }),
    )) {
      if (typeof value === "string") env[name] = value;
      else secrets.push((env[name] = this.#secrets.get(value.secret)));
    }
  }

  #ids(): { [name: string]: string } {
    const { run, pipeline, orchestratorRunId, trigger } = this.#state;
    return {
      ORCHD_RUN_ID: run,
      ORCHD_ORCHESTRATOR_RUN_ID: orchestratorRunId,
      ORCHD_PIPELINE: pipeline,
      // There without a slot, too: a shell under -u takes an absent variable for a mistake.
      ORCHD_SCHEDULED_FOR: trigger.scheduledFor ?? "",
    };
  }
}

/**
 * Replaces each `{secret: NAME}` in params by the secret's value.
 *
 * @param found gets the values
 * @returns the params; the same object if there is no secret in them
 * @throws Error, a sentence, if a secret is not there
 */
export function resolveSecrets(
  params: { readonly [name: string]: Json },
  secrets: SecretSource,
  found: string[],
): { readonly [name: string]: Json } {
  return resolve(params, secrets, found) as { readonly [name: string]: Json };
}

function resolve(value: Json, secrets: SecretSource, found: string[]): Json {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) {
    const copy = (value as readonly Json[]).map((member) => resolve(member, secrets, found));
    return copy.every((member, index) => member === value[index]) ? value : copy;
  }
  const members = Object.entries(value as { readonly [key: string]: Json });
  if (members.length === 1 && members[0]![0] === "secret" && typeof members[0]![1] === "string") {
    const secret = secrets.get(members[0]![1]);
    found.push(secret);
    return secret;
  }
  if (members.length === 0) return value;
  const copy = members.map(([key, member]) => [key, resolve(member, secrets, found)] as const);
  return copy.every(([, member], index) => member === members[index]![1])
    ? value
    : Object.fromEntries(copy);
}
