/**
 * Checks the params that somebody gives a run against those that its pipeline declares. A param
 * that nothing reads is a mistake: it is never accepted in silence.
 */
import { didYouMean } from "./did-you-mean.ts";
import type { LoadedPipeline } from "./loaded-pipeline.ts";

/** Whether a run may have its params. */
export type GivenParams =
  /** `remark` goes with the acceptance. */
  | { readonly ok: true; readonly remark?: string }
  | { readonly ok: false; readonly message: string };

/**
 * Checks the names of a run's params.
 *
 * If the pipeline or its schedules declare any param, an undeclared one is refused. If they declare
 * none, no other name can be meant: the run is made, with the remark that nothing reads the param.
 * A dynamic pipeline's function may read any param.
 */
export function checkGivenParams(
  loaded: Pick<LoadedPipeline, "name" | "params" | "schedules" | "template">,
  given: { readonly [key: string]: unknown } = {},
): GivenParams {
  const declared = [
    ...new Set([
      ...Object.keys(loaded.params),
      ...loaded.schedules.flatMap((schedule) => Object.keys(schedule.params ?? {})),
    ]),
  ];
  const unknown = Object.keys(given).find((name) => !declared.includes(name));
  if (unknown === undefined) return { ok: true };
  if (declared.length > 0)
    return {
      ok: false,
      message:
        `pipeline ${loaded.name} declares no param ${JSON.stringify(unknown)}` +
        (didYouMean(unknown, declared) || `; it has ${declared.join(", ")}`),
    };
  if (loaded.template.dynamic !== undefined) return { ok: true };
  return {
    ok: true,
    remark:
      `pipeline ${loaded.name} declares no params, ` +
      `so nothing reads ${JSON.stringify(unknown)}`,
  };
}
