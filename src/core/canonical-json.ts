/**
 * JSON with exactly one text for each value: keys in the order of their code units, no blanks. Two
 * values are equal if their texts are equal, so the sha256 of the text is the value's identity.
 */
import { hash } from "node:crypto";

type Members = Readonly<Record<string, unknown>>;

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
      return objectText(value as Members);
    }
    default:
      throw new TypeError(`${typeof value} is not JSON`);
  }
}

/**
 * A loop instead of chained arrays: a run of a thousand cached steps calls this about ten thousand
 * times.
 */
function objectText(value: Members): string {
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

/**
 * Whether two values have the same canonical text, without making it. May say no where a member of
 * one is undefined and the other lacks it.
 */
export function isSameJson(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (one === null || other === null || typeof one !== "object" || typeof other !== "object")
    return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [mine, its] = [one as Members, other as Members];
  // No lists of names: this is asked for every step of a fan-out.
  let more = 0;
  for (const name in mine) {
    if (!Object.hasOwn(its, name) || !isSameJson(mine[name], its[name])) return false;
    more += 1;
  }
  for (const _ in its) more -= 1;
  return more === 0;
}
