import type { EnvValue, Snapshot } from "./snapshot.ts";
import { bindRunEnv, type RunWords } from "./template.ts";

type Env = Readonly<Record<string, EnvValue>>;

/**
 * The environment that somebody wrote down for a step, and that the step therefore sees: `env` of
 * orchd.yaml < the pipeline's < the step's, with `${run.…}` replaced. Secrets stay names. What a
 * step gets of the host and of orchd itself (PATH, `ORCHD_RUN_ID`) is not in it.
 *
 * @param own the step's `env`
 */
export function setEnvironment(
  snapshot: Pick<Snapshot, "baseEnv" | "env">,
  own: Env,
  run: RunWords,
): Env {
  return bindRunEnv({ ...snapshot.baseEnv, ...snapshot.env, ...own }, run);
}
