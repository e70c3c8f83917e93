/**
 * Compiles one step: from what a person wrote to what a run uses. Defaults are filled in, durations
 * become milliseconds, code becomes its bundle's hash, and inputs and conditions are checked
 * against the pipeline's steps.
 */
import { parseCondition } from "./condition.ts";
import { containerOf, writtenContainer, type ContainerContext } from "./compile-container.ts";
import { labelsOf } from "./compile-labels.ts";
import { didYouMean } from "./did-you-mean.ts";
import { defined } from "./defined.ts";
import { checkedDuration } from "./duration.ts";
import { HALF_A_PAIR } from "./environment-limits.ts";
import type { FieldPath, Fault } from "./fault.ts";
import type { PipelineDefinition, RetryDefinition, StepDefinition } from "./pipeline.ts";
import { NO_RETRY } from "./retry.ts";
import { envOf } from "./settings.ts";
import { placeholderFaults, readsSubstitutions } from "./shell-text.ts";
import type {
  CacheSettings,
  CodeRef,
  InputRef,
  OnInterruption,
  RetryPolicy,
  SnapshotStep,
} from "./snapshot.ts";

/** What a step takes from its pipeline if it says nothing itself. */
export interface StepDefaults {
  readonly retry: RetryPolicy;
  readonly onInterruption: OnInterruption;
  readonly hooks: SnapshotStep["hooks"];
  /** The labels of the pipeline's place. Undefined: its steps run on this machine. */
  readonly on?: readonly string[] | undefined;
}

/** What a step is compiled against. */
export interface StepContext {
  readonly defaults: StepDefaults;
  /** Every step of the pipeline as written, including this one. */
  readonly steps: { readonly [id: string]: StepDefinition };
  /** The names of the pipeline's params. */
  readonly params: ReadonlySet<string>;
  /** The bundled code, by the {@link codeKey} of the place that names it. */
  readonly code: ReadonlyMap<string, CodeRef>;
  /** The pipeline file's folder, as an absolute path. */
  readonly folder: string;
  /** The pipeline's own container. */
  readonly container?: ContainerContext["container"];
}

/** The key of some code in a definition: the place that names it. */
export function codeKey(path: FieldPath): string {
  return path.join("/");
}

/**
 * Every place in a definition that names code, and what it names. Orchestrators are checked
 * elsewhere, since a flavor's name is not code.
 */
export function codeUses(
  definition: PipelineDefinition,
): { readonly path: FieldPath; readonly uses: string }[] {
  const found: { path: FieldPath; uses: string }[] = [];
  const add = (path: FieldPath, uses: string | undefined): void => {
    if (uses !== undefined) found.push({ path, uses });
  };
  for (const [name, uses] of Object.entries(definition.hooks ?? {})) add(["hooks", name], uses);
  for (const [id, step] of Object.entries(definition.steps ?? {})) {
    add(["steps", id, "uses"], step.uses);
    for (const [name, uses] of Object.entries(step.hooks ?? {}))
      add(["steps", id, "hooks", name], uses);
    add(["steps", id, "cache", "cacheFunction"], step.cache?.cacheFunction);
  }
  return found;
}

/** Fills in the defaults of a written retry policy. Undefined stays undefined. */
export function retryOf(written: RetryDefinition | undefined): RetryPolicy | undefined {
  if (written === undefined) return undefined;
  return defined({
    maxRetries: written.maxRetries ?? NO_RETRY.maxRetries,
    delayMs: checkedDuration(written.delay) ?? NO_RETRY.delayMs,
    backoff: written.backoff ?? NO_RETRY.backoff,
    maxDelayMs: checkedDuration(written.maxDelay),
    jitter: written.jitter ?? NO_RETRY.jitter,
    on: written.on === undefined ? undefined : listOf(written.on),
  });
}

/** Compiles one step. Adds what is wrong to `faults`; then the step must not be used. */
export function compileStep(
  id: string,
  written: StepDefinition,
  context: StepContext,
  faults: Fault[],
): SnapshotStep {
  const path: FieldPath = ["steps", id];
  const fault = (at: FieldPath, message: string, atKey = false): void =>
    void faults.push({ path: [...path, ...at], message, ...(atKey ? { atKey } : {}) });
  checkKind(written, fault);
  const inputs = inputsOf(id, written, context, fault);
  checkWhen(written, context, fault);
  const timeoutMs = positiveDuration(written.timeout, ["timeout"], fault);
  const startWithinMs = positiveDuration(written.startWithin, ["startWithin"], fault);
  const cache = cacheOf(path, written, context, fault);
  const shell = written.run !== undefined;
  const container = containerOf(
    written,
    { container: context.container, absolutePath: (to) => absolutePath(context.folder, to) },
    fault,
  );
  const { container: shared, defaults } = context;
  const on = labelsOf(written, { container: shared, on: defaults.on }, fault);
  const code = context.code.get(codeKey([...path, "uses"]));
  const isOpen = shell || code?.runtimeImports === true;
  const asks = written.enableCache ?? (isOpen && written.cache === undefined ? false : undefined);
  return defined({
    id,
    ...(shell ? shellOf(written, context.folder) : {}),
    code,
    container,
    on,
    params: written.params ?? {},
    inputs,
    outputs: uniqueOutputs(written.outputs, fault),
    after: afterOf(id, written, context, fault),
    when: written.when,
    env: { ...containerEnv(written, context), ...envOf(written.env) },
    enableCache: asks,
    cache,
    retry: retryOf(written.retry) ?? defaults.retry,
    onInterruption: written.onInterruption ?? defaults.onInterruption,
    timeoutMs,
    startWithinMs,
    memoryMb: written.resources?.memoryMb,
    isolated: written.isolated ?? false,
    hooks: { ...defaults.hooks, ...hooksOf(path, written, context) },
  });
}

/** What the step's container sets, below the step's own. */
function containerEnv(written: StepDefinition, context: StepContext): SnapshotStep["env"] {
  const container = writtenContainer(written, context);
  return envOf(typeof container === "object" ? container.env : undefined);
}

/** Reports that something is wrong. The path begins at the step. */
type Complain = (at: FieldPath, message: string, atKey?: boolean) => void;

/** Reads a duration that must be longer than zero. */
export function positiveDuration(
  written: string | number | undefined,
  at: FieldPath,
  fault: Complain,
): number | undefined {
  const milliseconds = checkedDuration(written);
  if (milliseconds === 0) fault(at, "must be more than 0; leave it out for no limit");
  return milliseconds;
}

/** One text or a list, as a list without duplicates. */
export function listOf(written: string | readonly string[] | undefined): string[] {
  return written === undefined
    ? []
    : typeof written === "string"
      ? [written]
      : [...new Set(written)];
}

function checkKind(written: StepDefinition, fault: Complain): void {
  if (written.uses === undefined && written.run === undefined)
    fault([], "needs either uses (a module) or run (a shell text)");
  if (written.uses !== undefined && written.run !== undefined)
    fault(["run"], "cannot go with uses: a step is either a module or a shell text", true);
  if (written.run !== undefined) checkText(written, written.run, fault);
  if (written.run === undefined) {
    for (const key of ["shell", "cwd"] as const)
      if (written[key] !== undefined) fault([key], "belongs to a shell step (run)", true);
  }
}

/** Checks what a shell step's text and its neighbours hold: nothing is replaced in them. */
function checkText(written: StepDefinition, run: string, fault: Complain): void {
  if (run.includes("\0")) fault(["run"], "must not hold a NUL character");
  if (HALF_A_PAIR.test(run))
    fault(["run"], "holds half of a surrogate pair, which is no character");
  const shell = shellWords(written.shell);
  if (readsSubstitutions(shell)) {
    const own = {
      params: Object.keys(written.params ?? {}),
      inputs: Object.keys(written.inputs ?? {}),
    };
    for (const { message } of placeholderFaults(run, own)) fault(["run"], message);
  }
  const texts = { shell: shell ?? [], cwd: listOf(written.cwd) };
  for (const [key, words] of Object.entries(texts))
    for (const word of words)
      if (/\$\{(?:params|run|inputs|env)\./.test(word))
        fault([key], `has ${word.slice(0, 80)}, but placeholders stand in params and env only`);
}

/** A written shell and its arguments, as a list; undefined for the usual one. */
function shellWords(written: StepDefinition["shell"]): readonly string[] | undefined {
  const shell = typeof written === "string" ? written.trim().split(/\s+/) : written;
  return shell === undefined || shell.length === 0 || shell[0] === "" ? undefined : shell;
}

function shellOf(
  written: StepDefinition,
  folder: string,
): Pick<SnapshotStep, "run" | "shell" | "cwd"> {
  return defined({
    run: written.run!,
    shell: shellWords(written.shell),
    cwd: written.cwd === undefined ? undefined : absolutePath(folder, written.cwd),
  });
}

/** Resolves a path from a folder, without `.` and `..`. POSIX only, and pure. */
export function absolutePath(folder: string, path: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${folder}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

function inputsOf(
  id: string,
  written: StepDefinition,
  context: StepContext,
  fault: Complain,
): { [name: string]: InputRef } {
  const inputs: { [name: string]: InputRef } = {};
  for (const [name, from] of Object.entries(written.inputs ?? {})) {
    const dot = from.indexOf(".");
    const step = dot === -1 ? from : from.slice(0, dot);
    const output = dot === -1 ? undefined : from.slice(dot + 1);
    const upstream = Object.hasOwn(context.steps, step) ? context.steps[step]! : undefined;
    if (upstream === undefined) {
      fault(
        ["inputs", name],
        `comes from step ${JSON.stringify(step)}, which the pipeline does not have` +
          didYouMean(step, otherSteps(context, id)),
      );
      continue;
    }
    if (output === undefined || (output === "result" && upstream.outputs === undefined)) {
      inputs[name] = { step };
    } else if (upstream.outputs?.includes(output) === true) {
      inputs[name] = { step, output };
    } else {
      const why =
        upstream.outputs === undefined
          ? `; declare it there with outputs: [${output}], or take the whole result with ${step}`
          : didYouMean(output, upstream.outputs);
      fault(
        ["inputs", name],
        `comes from output ${JSON.stringify(output)} of step ${step}, which does not declare it` +
          why,
      );
    }
  }
  return inputs;
}

function afterOf(
  id: string,
  written: StepDefinition,
  context: StepContext,
  fault: Complain,
): string[] {
  const after = listOf(written.after);
  for (const [index, step] of after.entries()) {
    if (Object.hasOwn(context.steps, step)) continue;
    fault(
      ["after", ...(Array.isArray(written.after) ? [index] : [])],
      `names step ${JSON.stringify(step)}, which the pipeline does not have` +
        didYouMean(step, otherSteps(context, id)),
    );
  }
  return after;
}

function checkWhen(written: StepDefinition, context: StepContext, fault: Complain): void {
  if (written.when === undefined) return;
  const parsed = parseCondition(written.when);
  if (!parsed.ok) {
    fault(["when"], parsed.message);
    return;
  }
  const known = {
    inputs: Object.keys(written.inputs ?? {}),
    params: [...new Set([...Object.keys(written.params ?? {}), ...context.params])],
  };
  for (const { root, keys } of parsed.reads) {
    const name = String(keys[0]);
    if (!known[root].includes(name))
      fault(
        ["when"],
        `reads ${root}.${name}, but the step has no ${root.slice(0, -1)} of that name` +
          didYouMean(name, known[root]),
      );
  }
}

function cacheOf(
  path: FieldPath,
  written: StepDefinition,
  context: StepContext,
  fault: Complain,
): CacheSettings | undefined {
  const { cache } = written;
  if (cache === undefined) return undefined;
  const ignored = listOf(cache.ignoredInputs);
  const inputs = Object.keys(written.inputs ?? {});
  for (const [index, name] of ignored.entries()) {
    if (!inputs.includes(name))
      fault(
        ["cache", "ignoredInputs", ...(Array.isArray(cache.ignoredInputs) ? [index] : [])],
        `names ${JSON.stringify(name)}, which is not an input of the step` +
          didYouMean(name, inputs),
      );
  }
  const cacheFunction = context.code.get(codeKey([...path, "cache", "cacheFunction"]));
  return defined({
    expiresAfterMs: checkedDuration(cache.expiresAfter),
    acrossSlots: cache.acrossSlots ?? false,
    fileDependencies: listOf(cache.fileDependencies),
    ignoredInputs: ignored,
    includeStepCode: cache.includeStepCode ?? true,
    cacheFunction,
  });
}

function hooksOf(
  path: FieldPath,
  written: StepDefinition,
  context: StepContext,
): SnapshotStep["hooks"] {
  const hooks: { onSuccess?: CodeRef; onFailure?: CodeRef } = {};
  for (const name of ["onSuccess", "onFailure"] as const) {
    const code =
      written.hooks?.[name] === undefined
        ? undefined
        : context.code.get(codeKey([...path, "hooks", name]));
    if (code !== undefined) hooks[name] = code;
  }
  return hooks;
}

function uniqueOutputs(
  outputs: readonly string[] | undefined,
  fault: Complain,
): readonly string[] | undefined {
  for (const [index, name] of outputs?.entries() ?? [])
    if (outputs?.indexOf(name) !== index)
      fault(["outputs", index], `names ${JSON.stringify(name)} twice`);
  return outputs;
}

function otherSteps(context: StepContext, id: string): string[] {
  return Object.keys(context.steps).filter((other) => other !== id);
}
