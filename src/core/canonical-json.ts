/**
 * JSON with exactly one text for each value: keys in the order of their code units, no blanks. Two
 * values are equal if their texts are equal, so the sha256 of the text is the value's identity.
 */
import { hash } from "node:crypto";

/**
 * A value's canonical text. Leaves out undefined members, as `JSON.stringify` does.
 *
 * @throws TypeError if the value is not JSON: undefined in a list, a function, NaN, an infinity, a
 *   bigint
 */
export function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case "string":
    case "boolean":
      return JSON.stringify(value);
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`${value} is not JSON`);
      return JSON.stringify(value);
    case "object": {
      if (value === null) return "null";
      if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
      return objectText(value as Record<string, unknown>);
    }
    default:
      throw new TypeError(`${typeof value} is not JSON`);
  }
}

/**
 * A loop instead of chained arrays: a run of a thousand cached steps calls this about ten thousand
 * times.
 */
function objectText(value: Readonly<Record<string, unknown>>): string {
  const keys = Object.keys(value);
  // The default order is by code units.
  if (keys.length > 1) keys.sort();
  let text = "{";
  for (const key of keys) {
    const member = value[key];
    if (member === undefined) continue;
    text += `${text.length > 1 ? "," : ""}${JSON.stringify(key)}:${canonicalJson(member)}`;
  }
  return `${text}}`;
}

/** sha256 of a value's canonical text, in hex. Throws as {@link canonicalJson} does. */
export function canonicalHash(value: unknown): string {
  return hash("sha256", canonicalJson(value));
}
