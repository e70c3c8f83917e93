/**
 * JSON with one text for one value: keys in the order of their code units, no blanks. Two values
 * are equal where their texts are, so its sha256 is the value's identity.
 */
import { hash } from "node:crypto";

/**
 * A value's canonical text. Members that are undefined are left out, as `JSON.stringify` does.
 *
 * @throws TypeError where the value is not JSON: undefined in a list, a function, NaN, an infinity,
 *   a bigint
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
 * A loop rather than chained arrays: a run of a thousand cached steps comes by here some ten
 * thousand times.
 */
function objectText(value: Readonly<Record<string, unknown>>): string {
  const keys = Object.keys(value);
  // The default order is that of the code units.
  if (keys.length > 1) keys.sort();
  let text = "{";
  for (const key of keys) {
    const member = value[key];
    if (member === undefined) continue;
    text += `${text.length > 1 ? "," : ""}${JSON.stringify(key)}:${canonicalJson(member)}`;
  }
  return `${text}}`;
}

/** sha256, in hex, of a value's canonical text. Throws as {@link canonicalJson} does. */
export function canonicalHash(value: unknown): string {
  return hash("sha256", canonicalJson(value));
}
