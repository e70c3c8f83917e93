/** The methods of an orchestrator that take a run. A program's root stands before them. */

export const RUN_METHODS = [
  "submitPipeline",
  "submitDynamicPipeline",
  "fetchStatus",
  "stopRun",
] as const;
/** Marks what stands before a method (program-runs.ts). */
export const WRAPPER_SYMBOL: symbol = Symbol.for("orchd.wrapper");

/**
 * Refuses an instance that has one of the methods as a member of its own: such a field takes the
 * wrapper's place, and no root would hear of a call.
 *
 * @throws Error, a sentence
 */
export function refuseFields(orchestrator: { readonly name: string }): void {
  for (const name of RUN_METHODS) {
    const own = Object.getOwnPropertyDescriptor(orchestrator, name);
    const value = own?.value as Record<symbol, unknown> | undefined;
    if (own !== undefined && value?.[WRAPPER_SYMBOL] !== true)
      throw new Error(
        `The orchestrator ${orchestrator.name} has ${name} as a field: orchd cannot hear of its ` +
          `calls. Write it as a method of the class, ${name}(…) { … }, and bind none.`,
      );
  }
}
