/**
 * The words for what is wrong with one value: what it must be, and what it is. They know no schema,
 * so that a thread can say them that has none.
 */
import { didYouMean } from "./did-you-mean.ts";
import type { FieldPath } from "./fault.ts";

/** What a value must be that is none of a list. */
export function choiceFault(values: readonly string[], value: unknown): string {
  const choice = values.length === 1 ? `${values[0]}` : `one of ${values.join(", ")}`;
  if (value === undefined) return `is missing; it must be ${choice}`;
  return (
    `must be ${choice}, not ${shown(value)}` +
    (typeof value === "string" ? didYouMean(value, values) : "")
  );
}

/** The value at a place. */
export function valueAt(root: unknown, path: FieldPath): unknown {
  let value = root;
  for (const part of path)
    value =
      value !== null && typeof value === "object" && Object.hasOwn(value, part)
        ? (value as Record<string | number, unknown>)[part]
        : undefined;
  return value;
}

/** A kind of value in plain words, by its name in a schema. */
export function expected(type: string): string {
  switch (type) {
    case "string":
      return "text";
    case "number":
      return "a number";
    case "int":
      return "a whole number";
    case "boolean":
      return "true or false";
    case "array":
      return "a list";
    case "object":
    case "record":
      return "a map of keys and values";
    default:
      return type;
  }
}

/** What a value of the wrong kind must be. @param type the kind's name in a schema */
export function typeFault(wanted: string, type: string, value: unknown): string {
  if (value === undefined) return `is missing; it must be ${wanted}`;
  if (value === null) return `is empty; it must be ${wanted}`;
  return `must be ${wanted}, not ${kindOf(value)}${quoteHint(type, value)}`;
}

/** What a value is, as a sentence on a wrong one names it: `a list`, `"x"`. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  return shown(value);
}

/** A value in a sentence: a text in quotes, and cut where it is long. */
export function shown(value: unknown): string {
  if (typeof value === "string")
    return JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value);
  return value === null || typeof value === "object"
    ? kindOf(value)
    : `${value as number | boolean}`;
}

function quoteHint(wanted: string, value: unknown): string {
  if (wanted === "string" && (typeof value === "number" || typeof value === "boolean"))
    return "; put it in quotes";
  const number =
    (wanted === "number" || wanted === "int") &&
    typeof value === "string" &&
    value.trim() !== "" &&
    Number.isFinite(Number(value));
  return number || (wanted === "boolean" && (value === "true" || value === "false"))
    ? "; take the quotes away"
    : "";
}

/** What a value of the wrong size must be. A schema's own sentence is kept. */
export function sizeFault(
  { message, origin }: { readonly message: string; readonly origin: string },
  own: string,
  bound: string,
  value: unknown,
): string {
  if (message.startsWith(own) && sizeOf(origin) === "have" && sizeIn(value) === 0)
    return "must not be empty";
  return message.startsWith(own)
    ? `must ${sizeOf(origin)} ${bound}${unitOf(origin)}${given(origin, value)}`
    : message;
}

function sizeIn(value: unknown): number | undefined {
  return typeof value === "string" || Array.isArray(value) ? value.length : undefined;
}

function sizeOf(origin: string): string {
  return origin === "string" || origin === "array" || origin === "set" ? "have" : "be";
}

/** The end of the sentence that shows a number; a text or list that is too long is not shown. */
function given(origin: string, value: unknown): string {
  return sizeOf(origin) === "be" ? `, not ${shown(value)}` : "";
}

function unitOf(origin: string): string {
  return origin === "string"
    ? " characters"
    : origin === "array" || origin === "set"
      ? " members"
      : "";
}
