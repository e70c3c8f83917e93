import type { StackComponent } from "./stack-component.ts";

/**
 * What a pipeline runs on (ZenML `Stack`): an orchestrator, the store that artifacts go to, and
 * whoever is to be told.
 *
 * Plain data where it meets user code: a custom orchestrator runs outside the daemon, and gets
 * names and environment, not live components.
 */
export interface Stack {
  readonly name: string;
  /** The orchestrator's flavor. */
  readonly orchestrator: StackPart;
  /** Where outputs over 64 KiB are kept. */
  readonly artifactStore: StackPart;
  readonly alerters: readonly StackPart[];
  /** The layer of every step's environment between the base and the pipeline's. */
  readonly environment: Readonly<Record<string, string>>;
}

/** A component of a stack, by name. */
export interface StackPart {
  readonly type: StackComponent["type"];
  readonly name: string;
}

/** The stack that consists of an orchestrator and the runs folder. */
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
