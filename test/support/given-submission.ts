/** A program's submission, as `submitPipeline` of a stack makes it. */
import { LocalOrchestrator } from "../../src/index.ts";
import type { ProgramSubmission } from "../../src/program/root-runs.ts";

/** A submission to the local orchestrator that says nothing else, but for what is given here. */
export function givenSubmission(more: Partial<ProgramSubmission> = {}): ProgramSubmission {
  return {
    orchestrator: new LocalOrchestrator(),
    isInline: false,
    stack: undefined,
    stackEnvironment: {},
    baseEnvironment: {},
    stepEnvironments: {},
    ...more,
  };
}
