/** From what a step's function returned to JSON, or to the reason why that is impossible. */
import { isUtf8 } from "node:buffer";
import { readJson } from "../core/exact-json.ts";
import { FAILURE_CODES } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import { RESULT_LIMIT } from "../core/task.ts";
import { messageOf } from "../core/thrown.ts";

/** A result that cannot be recorded. The message names the step and the place in the value. */
export class BadOutput extends Error {
  override readonly name = "BadOutput";
  readonly code: string = FAILURE_CODES.output;
}

/** How many levels a result may have. */
const DEEPEST = 500;

/**
 * The JSON of what a step returned; undefined becomes null.
 *
 * `JSON.stringify` alone would silently drop functions, turn a Map into `{}` and NaN into null. So
 * these values are refused by name.
 *
 * @param outputs the declared outputs: the value must be an object with exactly these members
 * @throws BadOutput if the value cannot be recorded
 */
export function resultJson(
  value: unknown,
  step: string,
  outputs: readonly string[] | undefined,
): string {
  check(value, step);
  if (outputs !== undefined) checkOutputs(value, step, outputs);
  let json: string;
  try {
    json = JSON.stringify(value) ?? "null";
  } catch (error) {
    const because = messageOf(error);
    throw new BadOutput(`step "${step}": the result cannot be written as JSON: ${because}`);
  }
  if (json.length > RESULT_LIMIT) {
    const [size, limit] = [Math.ceil(json.length / 1024 / 1024), RESULT_LIMIT / 1024 / 1024];
    throw new BadOutput(
      `step "${step}": the result is ${size} MiB of JSON, and at most ${limit} MiB can be kept; ` +
        "write it to a file and return its path",
    );
  }
  return json;
}

/**
 * The value of the JSON text that a command wrote to `$ORCHD_OUTPUT`: exactly what it wrote.
 *
 * @param step `step "archive"`
 * @param beginning how a text begins, without secrets
 * @throws BadOutput if it is not JSON in UTF-8, or if its value would not stay what was written
 */
export function writtenResult(
  bytes: Uint8Array,
  step: string,
  beginning: (text: string) => string,
): Json {
  const wrote = `${step} wrote something to $ORCHD_OUTPUT that`;
  if (!isUtf8(bytes))
    throw new BadOutput(
      `${wrote} is not UTF-8, so its text cannot be kept; ` +
        "convert it, as with iconv -f latin1 -t utf8",
    );
  const text = new TextDecoder().decode(bytes);
  const read = readJson(text);
  if (read.ok) return read.value;
  const quoted =
    read.kind === "syntax" ? `: it begins with ${JSON.stringify(beginning(text))}` : "";
  throw new BadOutput(`${wrote} ${read.message}${quoted}`);
}

function check(value: unknown, step: string): void {
  checkJson(value, (path, what) => {
    const part = path === "" ? "the result" : `"${path}" in the result`;
    throw new BadOutput(`step "${step}": ${part} is ${what}, which JSON cannot hold`);
  });
}

/** What is told of the part of a value that JSON cannot hold. It throws. */
type Refuse = (path: string, what: string) => never;

/** Looks whether JSON can hold a value. */
export function checkJson(
  value: unknown,
  refusePart: Refuse,
  path = "",
  above: unknown[] = [],
): void {
  const refuse = (what: string): never => refusePart(path.replace(/^\./, ""), what);
  switch (typeof value) {
    case "function":
      return refuse("a function");
    case "symbol":
      return refuse("a symbol");
    case "bigint":
      return refuse("a BigInt");
    case "number":
      return Number.isFinite(value) ? undefined : refuse(String(value));
    case "object":
      break;
    default:
      return;
  }
  if (value === null || typeof (value as { toJSON?: unknown }).toJSON === "function") return;
  if (above.includes(value)) return refuse("a part of itself");
  if (above.length >= DEEPEST) return refuse(`deeper than ${DEEPEST} levels`);
  if (
    value instanceof Map ||
    value instanceof Set ||
    value instanceof WeakMap ||
    value instanceof Promise ||
    ArrayBuffer.isView(value) ||
    value instanceof ArrayBuffer
  ) {
    return refuse(`a ${value.constructor.name}`);
  }
  above.push(value);
  if (Array.isArray(value))
    for (let index = 0; index < value.length; index += 1)
      checkJson(value[index], refusePart, `${path}[${index}]`, above);
  else
    for (const name of Object.keys(value))
      checkJson((value as Record<string, unknown>)[name], refusePart, `${path}.${name}`, above);
  above.pop();
}

function checkOutputs(value: unknown, step: string, outputs: readonly string[]): void {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    const kind =
      value === null || value === undefined
        ? String(value)
        : Array.isArray(value)
          ? "a list"
          : `a ${typeof value}`;
    throw new BadOutput(
      `step "${step}" declares the outputs ${outputs.join(", ")}, ` +
        `so it has to return an object with these members; it returned ${kind}`,
    );
  }
  const members = value as Record<string, unknown>;
  const missing = outputs.filter(
    (name) => !Object.hasOwn(members, name) || members[name] === undefined,
  );
  if (missing.length > 0)
    throw new BadOutput(
      `step "${step}" returned no ${quoted(missing)}, which it declares as output`,
    );
  const extra = Object.keys(members).filter((name) => !outputs.includes(name));
  if (extra.length > 0)
    throw new BadOutput(
      `step "${step}" returned ${quoted(extra)}, which it does not declare; ` +
        `its outputs are ${outputs.join(", ")}`,
    );
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ");
}
