/**
 * How an orchestrator that a program holds finds the root that the program opened (src/program/).
 *
 * An instance lives in one of two worlds. In a runner it is called for one run, and its methods are
 * called straight. In a program, a person calls them: `submitPipeline` with a placeholder run of an
 * open root goes through that root, which writes what happens, and then calls the class's own
 * method. So each instance has wrappers of the four methods that take a run. Where no open root
 * knows the run, a wrapper calls the class's method and nothing else.
 *
 * The open roots stand at a registered symbol: a program may load a second copy of the package.
 */
import { RUN_METHODS, WRAPPER_SYMBOL } from "./run-methods.ts";
import type {
  DynamicPipelineSubmission,
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "./submission.ts";

const ROOTS_SYMBOL: symbol = Symbol.for("orchd.roots");

/** What a person calls with a run. */
export type ProgramMethod = (typeof RUN_METHODS)[number];

/** A root that a program has open, for the orchestrators that the program uses. */
export interface ProgramRuns {
  /** Whether it made this run. */
  has(run: Pick<PlaceholderRun, "id">): boolean;
  submit(
    orchestrator: object,
    method: "submitPipeline" | "submitDynamicPipeline",
    submission: PipelineSubmission | DynamicPipelineSubmission,
  ): Promise<SubmissionResult>;
  fetchStatus(
    orchestrator: object,
    run: PlaceholderRun,
    options: { readonly includeSteps?: boolean },
  ): Promise<FetchedStatus>;
  stopRun(
    orchestrator: object,
    run: PlaceholderRun,
    options: { readonly graceful?: boolean },
  ): Promise<void>;
}

type Method = (argument: unknown, options?: unknown) => unknown;

/** The roots that this process has open. */
export function openRoots(): Set<ProgramRuns> {
  const global = globalThis as Record<symbol, unknown>;
  return (global[ROOTS_SYMBOL] ??= new Set()) as Set<ProgramRuns>;
}

/** Puts the wrappers on an instance: not enumerable, and never replaced (run-methods.ts). */
export function standBefore(orchestrator: object): void {
  for (const name of RUN_METHODS) {
    const wrapper = (argument: unknown, options?: unknown): unknown => {
      const root = rootOf(runIn(name, argument));
      return root === undefined
        ? ownMethod(orchestrator, name).call(orchestrator, argument, options)
        : callThrough(root, orchestrator, name, argument, options);
    };
    Object.defineProperty(wrapper, WRAPPER_SYMBOL, { value: true });
    const descriptor = { value: wrapper, writable: true, configurable: true };
    Object.defineProperty(orchestrator, name, descriptor);
  }
}

/** A method as the class has it, whatever stands before it. */
export function ownMethod(orchestrator: object, name: ProgramMethod): Method {
  const found = (orchestrator as Record<string, Method & Record<symbol, unknown>>)[name];
  return found?.[WRAPPER_SYMBOL] === true
    ? (Object.getPrototypeOf(orchestrator) as Record<string, Method>)[name]!
    : found!;
}

function runIn(name: ProgramMethod, argument: unknown): PlaceholderRun | undefined {
  const given = argument as { placeholderRun?: PlaceholderRun } & PlaceholderRun;
  return name === "fetchStatus" || name === "stopRun" ? given : given?.placeholderRun;
}

function rootOf(run: PlaceholderRun | null | undefined): ProgramRuns | undefined {
  // In JavaScript anything may be given.
  if (typeof run !== "object" || run === null) return undefined;
  return [...openRoots()].find((root) => root.has(run));
}

function callThrough(
  root: ProgramRuns,
  orchestrator: object,
  name: ProgramMethod,
  argument: unknown,
  options: unknown,
): Promise<unknown> {
  switch (name) {
    case "submitPipeline":
    case "submitDynamicPipeline":
      return root.submit(orchestrator, name, argument as PipelineSubmission);
    case "fetchStatus":
      return root.fetchStatus(orchestrator, argument as PlaceholderRun, options ?? {});
    case "stopRun":
      return root.stopRun(orchestrator, argument as PlaceholderRun, options ?? {});
  }
}
