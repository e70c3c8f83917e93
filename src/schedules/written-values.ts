/**
 * Keeps what somebody wrote as a value of a declared pipeline.
 *
 * YAML and JSON make numbers of words that look like one. An environment variable is text, so its
 * word is taken as it stands: `1.10`, `0755` and `1e3` arrive so. Anywhere else a number that would
 * not stay what was written is refused, and a param whose text changes is remarked on.
 */
import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  visit,
  type Document,
  type Node,
  type Scalar,
} from "yaml";
import { alteredNumber } from "../core/exact-json.ts";
import type { FieldPath } from "../core/fault.ts";
import { isObject } from "../core/json-object.ts";
import type { Json } from "../core/snapshot.ts";

/** What is wrong with a part of the text, or to be remarked on; at an offset into the text. */
export interface AtOffset {
  readonly message: string;
  readonly offset: number;
}

/** What is done with a document's value. */
export interface WrittenValues {
  readonly value: unknown;
  readonly faults: readonly AtOffset[];
  /** Values that are not altered, but whose text is. */
  readonly remarks: readonly AtOffset[];
}

/** Where environment variables stand: in a pipeline, in its steps, and in orchd.yaml. */
const TEXT_MAPS: readonly FieldPath[] = [["env"], ["steps", "*", "env"]];
/** Keys below which every value is the user's own. */
const OWN_VALUES = new Set<unknown>(["params", "config"]);
const MOST_REMARKS = 10;
/** A number that other readers of YAML take for an octal one. */
const LEADING_ZERO = /^[-+]?0\d/;

/**
 * Puts texts into the value where texts are wanted, and checks every other number.
 *
 * @param value the document's value; it is not changed
 */
export function keepWritten(document: Document.Parsed, value: unknown): WrittenValues {
  const texts = new Set<Node>();
  let kept = value;
  for (const path of TEXT_MAPS) kept = withTexts(document, document.contents, kept, path, texts);
  const faults: AtOffset[] = [];
  const remarks: AtOffset[] = [];
  visit(document, {
    Scalar(key, node, ancestors) {
      if (key === "key" || texts.has(node)) return;
      const written = writtenText(node);
      if (written === undefined) return;
      const offset = node.range![0];
      const fault = numberFault(node.value, written);
      if (fault !== undefined) faults.push({ message: fault, offset });
      else if (remarks.length < MOST_REMARKS && isOwnValue(ancestors)) {
        const remark = textRemark(node.value, written);
        if (remark !== undefined) remarks.push({ message: remark, offset });
      }
    },
  });
  return { value: kept, faults, remarks };
}

/**
 * The first number of a definition in code whose digits may be lost. A program has no text that
 * could be looked at: 1285704473650888702 is 1285704473650888800 to it.
 */
export function roundedNumber(value: Json, path: FieldPath = []): FieldPath | undefined {
  if (typeof value === "number")
    return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21
      ? path
      : undefined;
  if (value === null || typeof value !== "object") return undefined;
  for (const [key, member] of Object.entries(value)) {
    const found = roundedNumber(member, [...path, Array.isArray(value) ? Number(key) : key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * A copy of a value in which the map at a path has the words as they stand; `*` is every key. The
 * nodes of these words go into `texts`.
 */
function withTexts(
  document: Document.Parsed,
  node: unknown,
  value: unknown,
  [key, ...rest]: FieldPath,
  texts: Set<Node>,
): unknown {
  if (!isObject(value)) return value;
  const members = membersOf(document, node);
  const copy = Object.entries(value).map(([name, member]): [string, unknown] => {
    const inner = members.get(name);
    if (key === undefined) {
      const written = isScalar(inner) ? writtenText(inner) : undefined;
      if (written === undefined) return [name, member];
      texts.add(inner as Scalar);
      return [name, written];
    }
    if (key !== "*" && key !== name) return [name, member];
    return [name, withTexts(document, inner, member, rest, texts)];
  });
  return Object.fromEntries(copy);
}

/** The members of a map by name, with what it merges (`<<`); a map's own members come first. */
function membersOf(document: Document.Parsed, node: unknown): Map<string, unknown> {
  const members = new Map<string, unknown>();
  const map = resolved(document, node);
  if (!isMap(map)) return members;
  for (const pair of map.items) {
    if (!isPair(pair) || !isScalar(pair.key)) continue;
    if (typeof pair.key.value !== "symbol") {
      members.set(String(pair.key.value), resolved(document, pair.value));
      continue;
    }
    const merged = resolved(document, pair.value);
    for (const from of isSeq(merged) ? merged.items : [merged])
      for (const [name, member] of membersOf(document, from))
        if (!members.has(name)) members.set(name, member);
  }
  return members;
}

function resolved(document: Document.Parsed, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

/** The word of a number, true or false that is not in quotes. */
function writtenText({ value, source, type }: Scalar): string | undefined {
  if (typeof value !== "number" && typeof value !== "boolean") return undefined;
  return type === "PLAIN" || type === undefined ? source : undefined;
}

function numberFault(value: unknown, written: string): string | undefined {
  if (typeof value !== "number") return undefined;
  if (LEADING_ZERO.test(written) && Number.isInteger(value))
    return (
      `holds ${written.slice(0, 64)}, which would become the number ${value}: ` +
      "put it in quotes for the text, or leave the zeros out"
    );
  const inBase = /^0[xo]/.test(written);
  if (inBase && !Number.isSafeInteger(value))
    return `holds ${written.slice(0, 64)}, which is beyond 2^53: put it in quotes`;
  return inBase || (!Number.isFinite(value) && /inf|nan/i.test(written))
    ? undefined
    : alteredNumber(written.replace(/^\+/, ""));
}

function textRemark(value: unknown, written: string): string | undefined {
  const text = String(value);
  if (text === written || !Number.isFinite(Number(value))) return undefined;
  const kind = typeof value === "number" ? "number" : "value";
  return (
    `${written} is the ${kind} ${text}, which is what a step gets; ` +
    "put it in quotes if the text counts"
  );
}

function isOwnValue(ancestors: readonly unknown[]): boolean {
  return ancestors.some((one) => isPair(one) && isScalar(one.key) && OWN_VALUES.has(one.key.value));
}
