/** What an orchestrator's class declares of itself, checked before anything goes by it. */
import { didYouMean } from "../core/did-you-mean.ts";
import { EXECUTION_MODES } from "../core/status.ts";
import { DEFAULT_CAPABILITIES } from "./capabilities.ts";

/**
 * Refuses what nobody could go by: a name that is no capability, a value of another kind, and
 * capabilities that are static, where nobody reads them.
 *
 * @param type the class
 * @throws Error, a sentence that names the orchestrator and the member
 */
export function checkDeclared(name: string, declared: object, type: object): void {
  if ((type as { readonly capabilities?: unknown }).capabilities !== undefined)
    throw new Error(
      `The orchestrator ${name} has static capabilities, which nobody reads: write them without ` +
        "static.",
    );
  const known = Object.keys(DEFAULT_CAPABILITIES);
  for (const [capability, value] of Object.entries(declared)) {
    const shown = JSON.stringify(capability);
    if (!known.includes(capability))
      throw new Error(
        `The orchestrator ${name} declares ${shown}, which is no capability` +
          didYouMean(capability, known),
      );
    if (value === undefined) continue;
    const isModes = capability === "supportedExecutionModes";
    if (isModes ? !areModes(value) : typeof value !== "boolean")
      throw new Error(
        `The orchestrator ${name} declares ${shown}, which is not ` +
          (isModes ? `a list of some of ${EXECUTION_MODES.join(", ")}.` : "true or false."),
      );
  }
}

function areModes(value: unknown): boolean {
  const modes: readonly unknown[] = EXECUTION_MODES;
  return Array.isArray(value) && value.length > 0 && value.every((one) => modes.includes(one));
}
