import type { StackComponent } from "./stack-component.ts";

/**
 * What a pipeline runs on (ZenML `Stack`): an orchestrator, a store for artifacts, and alerters.
 *
 * User code gets it as plain data: a user's orchestrator runs outside the daemon, so it gets names
 * and environment and no live components.
 */
export interface Stack {
  readonly name: string;
  /** The orchestrator's flavor. */
  readonly orchestrator: StackPart;
  /** It keeps the outputs over 64 KiB. */
  readonly artifactStore: StackPart;
  readonly alerters: readonly StackPart[];
  /** In each step's environment, the layer between the base and the pipeline's. */
  readonly environment: Readonly<Record<string, string>>;
}

/** A component of a stack, by name. */
export interface StackPart {
  readonly type: StackComponent["type"];
  readonly name: string;
}

/** The stack of an orchestrator and the runs folder. */
export function stackOf(
  orchestrator: string,
  environment: Readonly<Record<string, string>> = {},
): Stack {
  return {
    name: orchestrator,
    orchestrator: { type: "orchestrator", name: orchestrator },
    artifactStore: { type: "artifact_store", name: "runs" },
    alerters: [],
    environment,
  };
}
