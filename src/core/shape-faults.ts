/**
 * Turns what a schema finds wrong with a value into sentences that a person can act on: which
 * field, what it must be, what was probably meant.
 */
import * as z from "zod";
import { nearest } from "./did-you-mean.ts";
import type { FieldPath, Fault } from "./fault.ts";
import { isObject } from "./json-object.ts";
import { choiceFault, expected, shown, sizeFault, typeFault, valueAt } from "./value-words.ts";

/** Words from other schedulers, and the key that means the same here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  command: "run",
  cmd: "run",
  script: "run",
  depends: "after",
  depends_on: "after",
  dependson: "after",
  needs: "after",
  retries: "retry",
  tz: "timezone",
  interval: "intervalSeconds",
  every: "intervalSeconds",
  if: "when",
  environment: "env",
  parameters: "params",
  concurrencylimit: "maxActiveRuns",
  schedules: "schedule",
  start: "startTime",
  end: "endTime",
};

/**
 * Checks a value's shape against a schema. Returns the parsed value, or everything that is wrong.
 */
export function checkShape<T extends z.ZodType>(
  schema: T,
  value: unknown,
):
  | { readonly ok: true; readonly value: z.infer<T> }
  | { readonly ok: false; readonly faults: readonly Fault[] } {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, value: parsed.data };
  const faults = parsed.error.issues.flatMap((issue) => faultsOf(issue, [], schema, value));
  return { ok: false, faults: withoutConsequences(firstOfEach(faults)) };
}

type Issue = z.core.$ZodIssue;

/** A fault, and what it has to do with others. */
interface ShapeFault extends Fault {
  /** There is no value: its key may be there under another name. */
  readonly isMissing?: boolean;
  /** Where the key is that this one is probably meant for. */
  readonly meant?: FieldPath;
}

/**
 * The first fault of each field: a list where a text has to be is not too short besides. Keys that
 * are not known are fields of their own.
 */
function firstOfEach(faults: readonly ShapeFault[]): ShapeFault[] {
  const fields = new Map<string, ShapeFault>();
  for (const fault of faults) {
    const field = JSON.stringify(fault.path);
    if (!fields.has(field)) fields.set(field, fault);
  }
  return [...fields.values()];
}

/**
 * Faults without those that another one leads to. A required key that is misspelt is missing as
 * well: the mistake is told once, where it was made.
 */
function withoutConsequences(faults: readonly ShapeFault[]): Fault[] {
  const meant = new Set(faults.map((fault) => JSON.stringify(fault.meant)));
  return faults
    .filter(({ path, isMissing }) => isMissing !== true || !meant.has(JSON.stringify(path)))
    .map(({ isMissing: _missing, meant: _meant, ...fault }) => fault);
}

function faultsOf(issue: Issue, base: FieldPath, schema: z.ZodType, root: unknown): ShapeFault[] {
  const path: FieldPath = [
    ...base,
    ...issue.path.map((part) => (typeof part === "number" ? part : String(part))),
  ];
  const value = valueAt(root, path);
  const missing = value === undefined ? { isMissing: true } : {};
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => unknownKey(key, path, schema, value));
    case "invalid_type": {
      const message = typeFault(expected(issue.expected), issue.expected, value);
      return [{ path, message: message + keysHint(schema, path, value), ...missing }];
    }
    case "invalid_value":
      return [{ path, message: choiceFault(issue.values.map(String), value), ...missing }];
    case "too_small":
      return [{ path, message: sizeFault(issue, "Too small", `at least ${issue.minimum}`, value) }];
    case "too_big":
      return [{ path, message: sizeFault(issue, "Too big", `at most ${issue.maximum}`, value) }];
    case "invalid_key":
      return [
        {
          path,
          atKey: true,
          message: `is a name that ${issue.issues[0]?.message ?? "is not allowed here"}`,
        },
      ];
    case "invalid_union":
      return unionFaults(issue, path, schema, root, value);
    case "invalid_format":
    case "custom":
      return [{ path, message: withValue(issue.message, path, value) }];
    default:
      return [{ path, message: issue.message.replace(/^./, (first) => first.toLowerCase()) }];
  }
}

/** Fields whose value may be a secret, or hold one, where somebody wrote it there by mistake. */
const HIDING = /secret|password|token|header|key|url|endpoint|env/i;

/**
 * The sentence of a schema with the value behind it: `must be a label: …, not "a b"`. The value is
 * not shown where it may be a secret.
 */
function withValue(message: string, path: FieldPath, value: unknown): string {
  const isHidden =
    !message.startsWith("must be ") ||
    (typeof value === "string" && value.includes("://")) ||
    path.some((part) => typeof part === "string" && HIDING.test(part));
  if (isHidden || value === null || typeof value === "object" || value === undefined)
    return message.replace(/^Invalid/, "has an invalid");
  return `${message}, not ${shown(value)}`;
}

/**
 * The faults of the union's branch that the value was probably meant for: the branch whose own type
 * fits, and of those the one with the fewest faults.
 */
function unionFaults(
  issue: Extract<Issue, { code: "invalid_union" }>,
  path: FieldPath,
  schema: z.ZodType,
  root: unknown,
  value: unknown,
): ShapeFault[] {
  // Blocks that a member tells apart, and it is none of them.
  const { options } = issue as { readonly options?: readonly unknown[] };
  if (options !== undefined && issue.errors.length === 0)
    return [misspelt(path, root) ?? { path, message: choiceFault(options.map(String), value) }];
  const branches = issue.errors.filter((issues) => issues.length > 0);
  const fitting = branches.filter(
    (issues) => !issues.some((one) => one.code === "invalid_type" && one.path.length === 0),
  );
  const best = fitting.sort((a, b) => a.length - b.length)[0];
  if (best !== undefined) return best.flatMap((one) => faultsOf(one, path, schema, root));
  const kinds = branches.flatMap((issues) =>
    issues.flatMap((one) =>
      one.code === "invalid_type" && one.path.length === 0 ? [expected(one.expected)] : [],
    ),
  );
  const list = [...new Set(kinds)];
  const last = list.pop();
  const wanted = list.length === 0 ? last : `${list.join(", ")} or ${last}`;
  const message = typeFault(`${wanted}`, "union", value) + keysHint(schema, path, value);
  return [{ path, message, ...(value === undefined ? { isMissing: true } : {}) }];
}

/** The key that stands where a missing one has to be, and is probably meant for it. */
function misspelt(path: FieldPath, root: unknown): ShapeFault | undefined {
  const parent = valueAt(root, path.slice(0, -1));
  const name = path.at(-1);
  if (!isObject(parent) || typeof name !== "string" || Object.hasOwn(parent, name))
    return undefined;
  const key = Object.keys(parent).find((one) => nearest(one, [name]) !== undefined);
  if (key === undefined) return undefined;
  return { path: [...path.slice(0, -1), key], ...unknownAs(name) };
}

function unknownKey(key: string, path: FieldPath, schema: z.ZodType, parent: unknown): ShapeFault {
  const at = [...path, key];
  const known = keysAt(schema, path, parent).filter(
    (one) => parent === null || typeof parent !== "object" || !Object.hasOwn(parent, one),
  );
  const near = nearest(key, known) ?? begunBy(key, known);
  if (near !== undefined) return { path: at, meant: [...path, near], ...unknownAs(near) };
  const elsewhere = key.toLowerCase();
  const word = Object.hasOwn(ELSEWHERE, elsewhere) ? ELSEWHERE[elsewhere] : undefined;
  if (word !== undefined && known.includes(word))
    return { path: at, meant: [...path, word], ...unknownAs(word) };
  const home = homeOf(key, schema);
  const hint =
    home !== undefined
      ? `; it belongs under ${home}`
      : known.length === 0
        ? ""
        : `; known are ${known.join(", ")}`;
  return { path: at, atKey: true, message: `is not known here${hint}` };
}

/** The one known key that begins so: `jitterSeconds` for `jitter`. */
function begunBy(key: string, known: readonly string[]): string | undefined {
  const begun = key.length < 3 ? [] : known.filter((one) => one.startsWith(key));
  return begun.length === 1 ? begun[0] : undefined;
}

function unknownAs(meant: string): Omit<ShapeFault, "path"> {
  return {
    atKey: true,
    message: `is not known here; did you mean ${JSON.stringify(meant)}?`,
  };
}

/** The end of a sentence on one value where a map belongs: what the map may have. */
function keysHint(schema: z.ZodType, path: FieldPath, value: unknown): string {
  if (value === undefined || value === null || typeof value === "object") return "";
  const keys = keysAt(schema, path, undefined);
  return keys.length === 0 ? "" : `; its keys are ${keys.join(", ")}`;
}

/** The keys that are allowed at a place. Of blocks that a member tells apart: those of `value`. */
function keysAt(schema: z.ZodType, path: FieldPath, value: unknown): string[] {
  let here: z.core.$ZodType[] = bare(schema);
  for (const part of path) {
    here = here.flatMap((one) => {
      if (one instanceof z.ZodObject)
        return typeof part === "string" && Object.hasOwn(one.shape, part)
          ? bare(one.shape[part] as z.core.$ZodType)
          : [];
      if (one instanceof z.ZodRecord) return bare(one.valueType);
      return one instanceof z.ZodArray && typeof part === "number" ? bare(one.element) : [];
    });
  }
  return [
    ...new Set(
      here.flatMap((one) =>
        one instanceof z.ZodObject && isMeant(one, value) ? Object.keys(one.shape) : [],
      ),
    ),
  ];
}

/** Whether each member that has one value only has that value. */
function isMeant({ shape }: z.ZodObject, value: unknown): boolean {
  return Object.entries(shape).every(
    ([name, member]) =>
      !(member instanceof z.ZodLiteral) ||
      (value as { readonly [name: string]: unknown } | null)?.[name] === member.value,
  );
}

/** The key under which a misplaced key is allowed. Looks one level down. */
function homeOf(key: string, schema: z.core.$ZodType): string | undefined {
  for (const one of bare(schema)) {
    if (!(one instanceof z.ZodObject)) continue;
    for (const [name, member] of Object.entries(one.shape)) {
      for (const inner of bare(member as z.core.$ZodType)) {
        const object =
          inner instanceof z.ZodRecord
            ? bare(inner.valueType).find((value) => value instanceof z.ZodObject)
            : inner;
        if (!(object instanceof z.ZodObject)) continue;
        if (Object.hasOwn(object.shape, key))
          return inner instanceof z.ZodRecord ? `one of the ${name}` : name;
      }
    }
  }
  return undefined;
}

/** A schema without the layers that do not show in the value. A union gives all its branches. */
function bare(schema: z.core.$ZodType): z.core.$ZodType[] {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault
  )
    return bare(schema.unwrap());
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => bare(option));
  if (schema instanceof z.ZodArray) return [schema, ...bare(schema.element)];
  return [schema];
}
