/**
 * Params that somebody gives a run, held against those that its pipeline declares: one that nothing
 * reads is a slip, and is never taken in silence.
 */
import { didYouMean } from "./did-you-mean.ts";
import type { LoadedPipeline } from "./loaded-pipeline.ts";

/** What is to be said of the params that a run is given. */
export type GivenParams =
  /** @param remark said beside the acceptance */
  | { readonly ok: true; readonly remark?: string }
  | { readonly ok: false; readonly message: string };

/**
 * Checks the names of a run's params. Where a pipeline or its schedules declare any, another is
 * refused. Where they declare none there is nothing that could be meant: the run is made, and it is
 * said that it ignores them; a dynamic pipeline's function may read whatever it is given.
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
      message: `pipeline ${loaded.name} declares no param ${JSON.stringify(unknown)}${didYouMean(unknown, declared) || `; it has ${declared.join(", ")}`}`,
    };
  if (loaded.template.dynamic !== undefined) return { ok: true };
  return {
    ok: true,
    remark: `pipeline ${loaded.name} declares no params, so nothing reads ${JSON.stringify(unknown)}`,
  };
}
