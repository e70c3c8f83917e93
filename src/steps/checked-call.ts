/**
 * What a dynamic pipeline's function gives to a call, checked before anything is recorded. A file
 * in JavaScript has no compiler that would say it, and an id that is no text would stand in a
 * ledger that no reader understands.
 */
import { didYouMean } from "../core/did-you-mean.ts";
import { safeText } from "../core/safe-text.ts";

const CALL_KEYS = ["inputs", "params", "id", "after"];
const MAP_KEYS = ["params", "id", "after"];

/**
 * Checks the last argument of `run.step` and `run.submit`.
 *
 * @param step the step's name, for errors
 * @throws TypeError if it is no object, has a key that is not known, or a value of another kind
 */
export function checkCall(options: unknown, step: string): void {
  checkOptions(options, step, CALL_KEYS, `a call's keys are ${CALL_KEYS.join(", ")}`);
}

/**
 * Checks the arguments of `run.map` and `run.product` after the step.
 *
 * @param step the step's name, for errors
 * @throws TypeError as {@link checkCall} does
 */
export function checkManyCalls(inputs: unknown, options: unknown, step: string): void {
  checkMap(inputs, step, "the lists to map over", "{ NAME: [item, …] }");
  checkOptions(
    options,
    step,
    MAP_KEYS,
    `the lists are the second argument, and after them come ${MAP_KEYS.join(", ")}`,
  );
}

/**
 * Checks the id of an invocation, which stands in ledgers, logs and an environment.
 *
 * @throws TypeError if it is no text, is empty, or has control characters or lone surrogates
 */
export function checkInvocationId(id: unknown): asserts id is string {
  if (typeof id === "string" && id !== "" && !isUnsafe(id)) return;
  throw new TypeError(
    "the id of an invocation must be text that is not empty and has no control characters, " +
      `not ${shown(id)}`,
  );
}

function checkOptions(
  options: unknown,
  step: string,
  known: readonly string[],
  keys: string,
): asserts options is Readonly<Record<string, unknown>> {
  checkMap(options, step, "what a call is given", `{ ${known.join(", ")} }`);
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const near = didYouMean(key, known);
    throw new TypeError(
      `"${step}": ${safeText(key)} is not known in a call${near === "" ? `; ${keys}` : near}`,
    );
  }
  const { inputs = {}, params = {}, after = [] } = options;
  checkMap(inputs, step, "inputs", "{ NAME: value }");
  checkMap(params, step, "params", "{ NAME: value }");
  const list: readonly unknown[] | undefined = Array.isArray(after) ? after : undefined;
  if (list?.every(isInvocation) === true) return;
  const wrong =
    list === undefined ? shown(after) : `with ${shown(list.find((one) => !isInvocation(one)))}`;
  throw new TypeError(`"${step}": after must be a list of ids and handles, not ${wrong}`);
}

function checkMap(
  value: unknown,
  step: string,
  what: string,
  like: string,
): asserts value is Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw new TypeError(`"${step}": ${what} must be an object such as ${like}, not ${shown(value)}`);
}

function isInvocation(value: unknown): boolean {
  return (
    typeof value === "string" ||
    (typeof value === "object" &&
      value !== null &&
      typeof (value as { readonly id?: unknown }).id === "string")
  );
}

function isUnsafe(text: string): boolean {
  return safeText(text) !== text;
}

/** A value as an error shows it. */
function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(safeText(value.slice(0, 64)));
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}
