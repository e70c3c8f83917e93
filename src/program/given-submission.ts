/**
 * What a program gives, checked before anything is done. A program in JavaScript may give anything,
 * and what is passed over in silence is a run that does something else.
 */
import { didYouMean } from "../core/did-you-mean.ts";
import { environmentFault, VARIABLE_NAME } from "../core/environment-limits.ts";
import { isObject } from "../core/json-object.ts";
import type { Snapshot } from "../core/snapshot.ts";
import type { BaseOrchestrator } from "../orchestrators/base-orchestrator.ts";
import type { Stack } from "../orchestrators/stack.ts";
import type { DynamicPipelineSubmission, PipelineSubmission } from "../orchestrators/submission.ts";
import { checkJson } from "../steps/step-result.ts";
import type { PlaceholderOptions } from "./root.ts";
import type { ProgramSubmission } from "./root-runs.ts";

type Environment = Readonly<Record<string, string>>;

/** A submission as a program gives it: some leave members out. */
type Given = Partial<PipelineSubmission & DynamicPipelineSubmission>;

const OPTIONS: readonly (keyof PlaceholderOptions)[] = ["params", "noCache"];

/** @throws Error, a sentence, if they are no options of `placeholder()` */
export function checkedOptions(options: unknown): PlaceholderOptions {
  if (!isObject(options))
    throw new Error("the options of placeholder() are an object: { params?, noCache? }.");
  const unknown = Object.keys(options).find((name) => !(OPTIONS as string[]).includes(name));
  if (unknown !== undefined)
    throw new Error(
      `placeholder() has no option ${JSON.stringify(unknown)}${didYouMean(unknown, OPTIONS)}`,
    );
  const { params } = options as PlaceholderOptions;
  if (params !== undefined && !isObject(params))
    throw new Error("params is no object: give each param by its name.");
  checkJson(params ?? {}, (path, what) => {
    throw new Error(`the param ${path} is ${what}, which JSON cannot hold.`);
  });
  return options;
}

/**
 * What was given, with nothing left out.
 *
 * @param made the snapshot of the run that is submitted
 * @throws Error, a sentence, where it cannot be taken
 */
export function submissionOf(
  orchestrator: BaseOrchestrator,
  method: "submitPipeline" | "submitDynamicPipeline",
  given: Given,
  made: Snapshot,
): Omit<ProgramSubmission, "isInline"> {
  const wanted = made.dynamic === undefined ? "submitPipeline" : "submitDynamicPipeline";
  if (method !== wanted)
    throw new Error(
      `pipeline ${made.name} ${made.dynamic === undefined ? "decides nothing" : "decides"} ` +
        `as it runs: call ${wanted}.`,
    );
  const { environment, baseEnvironment = environment, stepEnvironments = {} } = given;
  const { snapshot } = given;
  if (isObject(snapshot) && (snapshot.name !== made.name || snapshot.digest !== made.digest))
    throw new Error(
      `the placeholder run is of pipeline ${made.name}, version ${made.digest.slice(0, 12)}, ` +
        "and the snapshot is another one.",
    );
  const stack = stackOf(orchestrator, given.stack);
  if (!isObject(stepEnvironments))
    throw new Error("stepEnvironments is no object: give each step's environment by its id.");
  return {
    orchestrator,
    stack,
    stackEnvironment: checkedTexts("the stack's environment", (stack ?? orchestrator).environment),
    baseEnvironment: checkedTexts("baseEnvironment", baseEnvironment),
    stepEnvironments: Object.fromEntries(
      Object.entries(stepEnvironments)
        .map(([step, own]) => [step, checkedTexts(`stepEnvironments.${step}`, own)] as const)
        .filter(([, own]) => Object.keys(own).length > 0),
    ),
  };
}

/** @throws Error if it is no stack, or one of another orchestrator */
function stackOf({ name }: BaseOrchestrator, stack: unknown): Stack | undefined {
  if (stack === undefined) return undefined;
  const { orchestrator } = (stack ?? {}) as { readonly orchestrator?: Partial<BaseOrchestrator> };
  if (orchestrator?.type !== "orchestrator")
    throw new Error("stack is no Stack: make one with new Stack({ name, orchestrator }).");
  if (orchestrator.name !== name)
    throw new Error(
      `the stack's orchestrator is ${orchestrator.name}, and ${name} was asked to submit the run.`,
    );
  return stack as Stack;
}

/** @throws Error if a name is one of orchd's own, or no name, or a value is no text */
function checkedTexts(what: string, given: unknown = {}): Environment {
  if (!isObject(given))
    throw new Error(`${what} is no object: an environment holds texts by name.`);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("ORCHD_"))
      throw new Error(`${what} has ${name}: names that begin with ORCHD_ are orchd's own.`);
    if (!VARIABLE_NAME.test(name))
      throw new Error(
        `${what} has ${JSON.stringify(name.slice(0, 256))}: a name has letters, digits and _, ` +
          "and does not begin with a digit.",
      );
    if (typeof value !== "string")
      throw new Error(`${what} has ${name}, which is no text: an environment holds texts.`);
  }
  const environment = given as Environment;
  const fault = environmentFault(environment);
  if (fault !== undefined)
    throw new Error([what, fault.name, fault.message].filter(Boolean).join(" ") + ".");
  return environment;
}
