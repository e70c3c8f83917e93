/** What a person writes a dynamic pipeline with: `dynamicPipeline()`. */
import { FUNCTION_SYMBOL, markDefinition } from "./authoring.ts";
import type { PipelineSettings } from "./step-entry.ts";
import type { DynamicRun } from "./dynamic-run.ts";

/** What {@link dynamicPipeline} returns. A pipeline's file exports it by default. */
export interface DynamicPipeline extends PipelineSettings {
  readonly steps?: undefined;
}

/**
 * Defines a pipeline that decides while it runs. The file's default export has to be what this
 * returns.
 *
 * The function runs again after a crash, and steps that completed then answer from the ledger. So
 * it must make the same calls in the same order each time: time, chance and the outside world
 * belong into steps.
 *
 * ```ts
 * import { dynamicPipeline, step } from "orchd";
 *
 * export const listHosts = step(async () => ["alpha", "beta"]);
 * export const check = step(({ inputs }: { inputs: { host: string } }) => inputs.host.length);
 *
 * export default dynamicPipeline({ name: "sweep", schedule: { cron: "@hourly" } }, async (run) => {
 *   const hosts = await run.step(listHosts);
 *   await run.map(check, { host: hosts });
 * });
 * ```
 *
 * @param settings the keys of a pipeline file, without `steps`
 * @param run makes the calls; see {@link DynamicRun}
 * @throws TypeError if `settings` is not an object or `run` is not a function
 */
export function dynamicPipeline(
  settings: PipelineSettings,
  run: (run: DynamicRun) => unknown,
): DynamicPipeline {
  if (typeof run !== "function")
    throw new TypeError(
      "dynamicPipeline() takes settings and a function: " +
        "dynamicPipeline({ name }, async (run) => { … })",
    );
  const made = markDefinition(
    "dynamic",
    settings,
    "dynamicPipeline({ name }, async (run) => { … })",
  );
  Object.defineProperty(made, FUNCTION_SYMBOL, { value: run });
  return made;
}
