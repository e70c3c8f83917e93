/** What a person writes a dynamic pipeline with: `dynamicPipeline()`. */
import { FUNCTION_SYMBOL, markDefinition, type PipelineSettings } from "./authoring.ts";
import type { DynamicRun } from "./dynamic-run.ts";

/** What `dynamicPipeline()` gives: default-export it. */
export interface DynamicPipeline extends PipelineSettings {
  readonly steps?: undefined;
}

/**
 * Defines a pipeline that decides as it runs. The function runs again after a crash, so it has to
 * make the same calls in the same order: time, chance and the world belong into steps.
 *
 * ```ts
 * export default dynamicPipeline({ name: "sweep" }, async (run) => {
 *   const hosts = await run.step(listHosts);
 *   await run.map(check, { host: hosts });
 * });
 * ```
 */
export function dynamicPipeline(
  settings: PipelineSettings,
  run: (run: DynamicRun) => unknown,
): DynamicPipeline {
  if (typeof run !== "function")
    throw new TypeError(
      "dynamicPipeline() takes settings and a function: dynamicPipeline({ name }, async (run) => { … })",
    );
  const made = markDefinition(
    "dynamic",
    settings,
    "dynamicPipeline({ name }, async (run) => { … })",
  );
  Object.defineProperty(made, FUNCTION_SYMBOL, { value: run });
  return made;
}
