/** A declared param as a field: its kind by its default, its text, and what a text gives. */
import { isObject } from "../../../core/json-object.ts";
import type { Json } from "../../../core/snapshot.ts";
import { messageOf } from "../../../core/thrown.ts";

/** What a field takes. A secret is given by its name in the file, and never typed here. */
export type ParamKind = "number" | "boolean" | "text" | "json" | "secret";

/** A param's kind by its default. */
export function kindOf(value: Json): ParamKind {
  switch (typeof value) {
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "string":
      return "text";
    default:
      return secretName(value) === undefined ? "json" : "secret";
  }
}

/** The name of a value that is a secret. */
export function secretName(value: Json): string | undefined {
  if (!isObject(value)) return undefined;
  const [entry, ...more] = Object.entries(value);
  return entry?.[0] === "secret" && more.length === 0 && typeof entry[1] === "string"
    ? entry[1]
    : undefined;
}

/** A value as it stands in its field. */
export function textOf(value: Json): string {
  return typeof value === "string"
    ? value
    : JSON.stringify(value, null, typeof value === "object" ? 2 : undefined);
}

/** What a field's text gives, or what is wrong with it. */
export type FieldValue =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly message: string };

/** Reads a field. */
export function valueOf(kind: ParamKind, text: string): FieldValue {
  if (kind === "text") return { ok: true, value: text };
  if (kind === "number") return numberOf(text.trim());
  try {
    return { ok: true, value: JSON.parse(text) as Json };
  } catch (error) {
    const message = messageOf(error);
    return { ok: false, message: `This is no JSON: ${message}. A text stands in "quotes".` };
  }
}

/** A number that a double holds exactly as it is written, but for its zeroes. */
function numberOf(text: string): FieldValue {
  const value = Number(text);
  if (text === "" || !/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) || !Number.isFinite(value))
    return { ok: false, message: `${JSON.stringify(text)} is no number; write it like 12 or 0.5.` };
  if (Number.isInteger(value) && !Number.isSafeInteger(value))
    return { ok: false, message: "This number is beyond 2^53: it would be altered." };
  return { ok: true, value };
}

/** `NAME=VALUE` for `orchd run -p`, which reads a JSON value as such and all else as a text. */
export function paramWord(name: string, value: Json): string {
  if (typeof value !== "string") return `${name}=${JSON.stringify(value)}`;
  return `${name}=${isReadAsJson(value) ? JSON.stringify(value) : value}`;
}

function isReadAsJson(text: string): boolean {
  try {
    const value = JSON.parse(text) as Json;
    return (value !== null && typeof value === "object") || JSON.stringify(value) === text;
  } catch {
    return false;
  }
}
