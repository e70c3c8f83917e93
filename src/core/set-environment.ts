import type { EnvValue, Snapshot } from "./snapshot.ts";
import { bindRunEnv, type RunWords } from "./template.ts";

type Env = Readonly<Record<string, EnvValue>>;

/**
 * The environment that somebody wrote down for a step, and that the step therefore sees: `env` of
 * orchd.yaml < the stack's < the pipeline's < the step's, with `${run.…}` replaced except in the
 * stack's. Secrets stay names. What a step gets of the host and of orchd itself (PATH,
 * `ORCHD_RUN_ID`) is not in it.
 *
 * @param own the step's `env`
 */
export function setEnvironment(
  snapshot: Pick<Snapshot, "baseEnv" | "stackEnv" | "env">,
  own: Env,
  run: RunWords,
): Env {
  const { baseEnv, stackEnv, env } = snapshot;
  if (stackEnv === undefined) return bindRunEnv({ ...baseEnv, ...env, ...own }, run);
  return {
    ...bindRunEnv({ ...baseEnv }, run),
    ...stackEnv,
    ...bindRunEnv({ ...env, ...own }, run),
  };
}
