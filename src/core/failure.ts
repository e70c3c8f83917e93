import { defined } from "./defined.ts";
import { beginning } from "./whole-characters.ts";

/**
 * What a ledger keeps of an error: enough to read it, to match a retry policy, and to see whose
 * fault it was.
 */
export interface StepError {
  readonly name: string;
  readonly message: string;
  /** The error's own code (`ECONNRESET`), or one of orchd's, which begin with `ORCHD_`. */
  readonly code?: string | undefined;
  readonly stack?: string | undefined;
  /** The status with which a shell step's command ended, 1 to 255. */
  readonly exitStatus?: number | undefined;
  /** The error that it was thrown because of (`error.cause`). */
  readonly cause?: StepError | undefined;
  /** The errors that an AggregateError holds. */
  readonly errors?: readonly StepError[] | undefined;
}

/** The codes that orchd itself gives to a step's error. docs/pipeline-files.md documents each. */
export const FAILURE_CODES = {
  timeout: "ORCHD_STEP_TIMEOUT",
  runTimeout: "ORCHD_RUN_TIMEOUT",
  memory: "ORCHD_OUT_OF_MEMORY",
  runnerDied: "ORCHD_RUNNER_DIED",
  workerExit: "ORCHD_WORKER_EXIT",
  exitStatus: "ORCHD_EXIT_STATUS",
  signal: "ORCHD_SIGNAL",
  container: "ORCHD_CONTAINER",
  place: "ORCHD_PLACE",
  output: "ORCHD_BAD_OUTPUT",
  input: "ORCHD_BAD_INPUT",
  load: "ORCHD_STEP_LOAD",
  dependency: "ORCHD_FILE_DEPENDENCY",
  nondeterministic: "ORCHD_NONDETERMINISTIC",
  submission: "ORCHD_SUBMISSION",
  hook: "ORCHD_HOOK",
} as const;

/** How much of an error's message, and of its stack, a ledger keeps: UTF-16 code units. */
export const ERROR_CHARACTERS = 8_192;
/** How much of a cause's message, and of its stack. */
const CAUSE_CHARACTERS = 2_048;
/** How much of an error's name, and of its code. */
const NAME_CHARACTERS = 256;
/** How many causes of one error are kept, whether one below the other or side by side. */
const CAUSES_KEPT = 8;

/**
 * Turns any thrown value (an Error, a string, null) into a {@link StepError}, with what caused it.
 * Never throws.
 */
export function toStepError(thrown: unknown): StepError {
  if (thrown !== null && typeof thrown === "object")
    return errorOf(thrown, { left: CAUSES_KEPT, seen: new Set([thrown]) });
  return { name: "Error", message: `the step threw ${describeThrown(thrown)} instead of an Error` };
}

/** How many more causes may be read, and those that were: causes may form a circle. */
interface Reading {
  left: number;
  readonly seen: Set<object>;
}

function errorOf(thrown: object, reading: Reading): StepError {
  const [name, message, code, stack] = (["name", "message", "code", "stack"] as const).map((key) =>
    read(thrown, key),
  );
  const cause = causeOf(read(thrown, "cause"), reading);
  const all = read(thrown, "errors");
  const errors = !Array.isArray(all)
    ? []
    : all.slice(0, CAUSES_KEPT).flatMap((each: unknown) => causeOf(each, reading) ?? []);
  return defined({
    name: typeof name === "string" && name !== "" ? name : "Error",
    message: typeof message === "string" ? message : describeThrown(thrown),
    code: typeof code === "string" || typeof code === "number" ? String(code) : undefined,
    stack: typeof stack === "string" ? stack : undefined,
    cause,
    errors: errors.length === 0 ? undefined : errors,
  });
}

function causeOf(value: unknown, reading: Reading): StepError | undefined {
  if (value === undefined || value === null || reading.left === 0) return undefined;
  reading.left -= 1;
  if (typeof value !== "object")
    return { name: "Error", message: typeof value === "string" ? value : describeThrown(value) };
  if (reading.seen.has(value)) return undefined;
  reading.seen.add(value);
  return errorOf(value, reading);
}

/** A member of a value that somebody threw: a getter or a proxy may throw. */
function read(thrown: object, key: string): unknown {
  try {
    return (thrown as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

/** An error that can be thrown, as it was before {@link toStepError}, with its causes. */
export function thrownFrom({ name, message, code, stack, cause, errors }: StepError): Error {
  const because = cause === undefined ? undefined : { cause: thrownFrom(cause) };
  const thrown =
    errors === undefined
      ? new Error(message, because)
      : new AggregateError(errors.map(thrownFrom), message, because);
  return Object.assign(thrown, defined({ name, code, stack }));
}

/** Escape sequences (colours, titles), and the other controls but tabs and line ends. */
const CONTROLS = new RegExp(
  [
    /\u001b\[[0-?]*[ -/]*[@-~]/, // colours and the cursor
    /\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?/, // titles, links
    /\u001b[ -/]*[0-~]?/,
    /\r(?=\n)|[\u0000-\u0008\u000b-\u000c\u000e-\u001f\u007f-\u009f]/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "g",
);

/** A text without what a terminal would act on: it is a reason, and stands in lists and mails. */
export function withoutControls(text: string): string {
  return text.replace(CONTROLS, "").replaceAll("\r", "\n");
}

/**
 * Shortens an error's texts, and those of its causes, so that they fit into a ledger's line, and
 * takes escape sequences out. Call it where an error leaves the code that threw it, after secrets
 * were masked: a cut could leave half of one.
 */
export function clipError(error: StepError): StepError {
  return mapTexts(error, (text, part, depth) =>
    beginning(
      withoutControls(text),
      part === "name" || part === "code"
        ? NAME_CHARACTERS
        : depth === 0
          ? ERROR_CHARACTERS
          : CAUSE_CHARACTERS,
    ),
  );
}

/**
 * The error with each of its texts, and of its causes', replaced.
 *
 * @param replace gets a text, which member it is, and how many causes stand above it
 */
export function mapTexts(
  error: StepError,
  replace: (text: string, part: "name" | "message" | "code" | "stack", depth: number) => string,
  depth = 0,
): StepError {
  const { name, message, code, stack, cause, errors } = error;
  return defined({
    ...error,
    name: replace(name, "name", depth),
    message: replace(message, "message", depth),
    code: code === undefined ? undefined : replace(code, "code", depth),
    stack: stack === undefined ? undefined : replace(stack, "stack", depth),
    cause: cause === undefined ? undefined : mapTexts(cause, replace, depth + 1),
    errors: errors?.map((each) => mapTexts(each, replace, depth + 1)),
  });
}

/** An error and all its causes, each once. */
export function* errorTree(error: StepError): Generator<StepError> {
  yield error;
  if (error.cause !== undefined) yield* errorTree(error.cause);
  for (const each of error.errors ?? []) yield* errorTree(each);
}

/**
 * An error's message and its causes', for one sentence: `fetch failed (cause: connect ECONNREFUSED
 * 127.0.0.1:80)`. A cause that a message above it quotes is not said again.
 */
export function failureText(error: StepError): string {
  const said = [error.message];
  for (const { message, code, name } of [...errorTree(error)].slice(1)) {
    const text =
      [message, code, name].find((part) => typeof part === "string" && part !== "") ?? "";
    if (text !== "" && !said.some((earlier) => earlier.includes(text))) said.push(text);
  }
  const [own, ...causes] = said;
  return causes.length === 0 ? own! : `${own} (cause: ${causes.join("; ")})`.trim();
}

function describeThrown(thrown: unknown): string {
  try {
    // Undefined, functions and symbols have no JSON.
    const text = JSON.stringify(thrown) as string | undefined;
    return text ?? String(thrown);
  } catch {
    return Object.prototype.toString.call(thrown);
  }
}
