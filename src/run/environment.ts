/**
 * The environment that a run's code gets: base < stack < pipeline < step, and orchd's own names
 * last, which nothing overrides.
 *
 * `base` is what any program needs of the daemon's environment (PATH, HOME, LANG, TZ) and `env` of
 * orchd.yaml. All values are text. The daemon's own environment is read and never written: two runs
 * at once must not see each other's.
 */
import type { RunState } from "../core/run-state.ts";
import type { EnvValue, Json } from "../core/snapshot.ts";
import { bindRunEnv } from "../core/template.ts";
import { inheritedEnvironment } from "../places/inherited-environment.ts";
import type { SecretSource } from "./secrets.ts";

/** An environment, and the values in it that must be masked wherever they show. */
export interface ResolvedEnvironment {
  readonly env: { [name: string]: string };
  readonly secrets: string[];
}

/** Variables as written: text or secrets by name. */
export type Layer = Readonly<Record<string, EnvValue>>;

/** The layer below all others: of the daemon's own environment, and `env` of orchd.yaml. */
export function baseLayer(
  own: Readonly<Record<string, string | undefined>>,
  settings: Layer,
): Layer {
  return { ...inheritedEnvironment(own), ...settings };
}

/** One run's environments. The layers below the step's are put together once. */
export class RunEnvironment {
  readonly #state: RunState;
  readonly #secrets: SecretSource;
  readonly #layers: readonly Layer[];
  #shared: ResolvedEnvironment | undefined;
  #commonEnv: { readonly [name: string]: string } = {};
  #commonOf: string | undefined;

  constructor(state: RunState, secrets: SecretSource, below: readonly Layer[]) {
    this.#state = state;
    this.#secrets = secrets;
    this.#layers = [...below, state.snapshot.env];
  }

  /**
   * What all steps share: `baseEnvironment` of `submitPipeline`. @throws Error, a sentence, where a
   * secret is not there
   */
  shared(): ResolvedEnvironment {
    this.#shared ??= this.#resolveShared();
    const { env, secrets } = this.#shared;
    return { env: { ...env, ...this.#ids() }, secrets };
  }

  /**
   * What one attempt of a step, or its hook, gets. @throws Error, a sentence, where a secret is not
   * there
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
    // A step's own layer must not take the place of these.
    Object.assign(env, this.#ids(), { ORCHD_STEP: step, ORCHD_ATTEMPT: String(attempt) });
    return { env, secrets };
  }

  /**
   * What every step without a layer of its own gets but for its name and attempt; made once for
   * each name that the orchestrator gives the run.
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

  /** A step's own layer, for `stepEnvironments` of `submitPipeline`. */
  own(own: Layer): ResolvedEnvironment {
    const resolved: ResolvedEnvironment = { env: {}, secrets: [] };
    this.#lay(resolved.env, resolved.secrets, own);
    return resolved;
  }

  #resolveShared(): ResolvedEnvironment {
    const resolved: ResolvedEnvironment = { env: {}, secrets: [] };
    for (const layer of this.#layers) this.#lay(resolved.env, resolved.secrets, layer);
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
      ...(trigger.scheduledFor === undefined ? {} : { ORCHD_SCHEDULED_FOR: trigger.scheduledFor }),
    };
  }
}

/**
 * Puts secrets' values in the place of `{secret: NAME}` anywhere in params.
 *
 * @returns the params, the same object where there is no secret in them
 * @throws Error, a sentence, where a secret is not there
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
  const copy = members.map(([key, member]) => [key, resolve(member, secrets, found)] as const);
  return copy.every(([, member], index) => member === members[index]![1])
    ? value
    : Object.fromEntries(copy);
}
