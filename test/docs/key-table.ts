/**
 * The keys of a JSON Schema as the rows of a Markdown table: key, type, default, meaning.
 * docs/pipeline-files.md has these tables.
 */
import { markdownTable } from "./held-table.ts";

/** The part of JSON Schema that zod writes. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Record<string, Schema>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  /** As `anyOf`: zod writes it for blocks that a member tells apart. */
  readonly oneOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly $ref?: string;
}

const unique = (words: readonly string[]): string[] => [...new Set(words)];

function range({ minimum, maximum }: Schema): string {
  // zod gives every integer the limits of what a double holds exactly: nobody wrote those.
  const from = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? minimum : undefined;
  const to = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? maximum : undefined;
  if (from !== undefined && to !== undefined) return `, ${from} to ${to}`;
  return from !== undefined ? `, ${from} or more` : to === undefined ? "" : `, ${to} or less`;
}

/** A schema's type in words. */
function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return "any JSON";
  if (schema.enum) return schema.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return unique(either.map(typeOf)).join(" or ");
  if (Array.isArray(schema.type)) return "duration";
  if (schema.type === "array") return `list of ${schema.items ? typeOf(schema.items) : "any JSON"}`;
  if (schema.type === "integer" || schema.type === "number")
    return `${schema.type}${range(schema)}`;
  if (schema.type === "boolean") return "true or false";
  if (schema.type === "string") return "text";
  if (schema.properties) return "block";
  if (typeof schema.additionalProperties === "object")
    return `map of ${typeOf(schema.additionalProperties)}`;
  return "any JSON";
}

/** The blocks that a key may hold: itself, an alternative, elements of a list, values of a map. */
function blocksOf(
  schema: Schema,
  path: string,
): { readonly path: string; readonly block: Schema }[] {
  if (schema.properties) return [{ path, block: schema }];
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return either.flatMap((one) => blocksOf(one, path));
  if (schema.items) return blocksOf(schema.items, path);
  if (typeof schema.additionalProperties === "object")
    return blocksOf(schema.additionalProperties, `${path}.NAME`);
  return [];
}

function cells(key: string, schema: Schema): string[] {
  const described = schema.description ?? "";
  const [, before = described, fallback = "–"] =
    /^(.*?)(?:; |^)default: (.*)$/.exec(described) ?? [];
  return [`\`${key}\``, typeOf(schema), fallback, before];
}

/** One row for each key: key, type, default, meaning. */
export function rowsOf(schema: Schema, path = ""): string[][] {
  const rows: string[][] = [];
  const seen = new Map<string, string[]>();
  for (const { path: at, block } of blocksOf(schema, path)) {
    for (const [key, value] of Object.entries(block.properties ?? {})) {
      const whole = at === "" ? key : `${at}.${key}`;
      const row = cells(whole, value);
      const earlier = seen.get(whole);
      if (earlier !== undefined) {
        // The member that tells blocks apart has another value in each.
        if (value.const !== undefined && !earlier[1]!.includes(row[1]!))
          earlier[1] += `, ${row[1]!}`;
        continue;
      }
      seen.set(whole, row);
      rows.push(row, ...rowsOf(value, whole));
    }
  }
  return rows;
}

/** The table of every key of a JSON Schema. */
export function keyTable(schema: Record<string, unknown>): string {
  return markdownTable(["key", "type", "default", "meaning"], rowsOf(schema));
}
