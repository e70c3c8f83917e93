/**
 * What a person may write, in bounds: of each number its least and most, of each text its length
 * and form, of each choice its words. A bound that moves shows here, one line each.
 *
 * After a bound was changed on purpose: `npx vitest run test/core/written-bounds.test.ts --update`.
 */
import { expect, it } from "vitest";
import { SCHEMAS } from "../../src/core/json-schemas.ts";

interface Schema {
  readonly [key: string]: unknown;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly propertyNames?: Schema;
  readonly items?: Schema;
  readonly required?: readonly string[];
}

const BOUNDS = [
  "const",
  "enum",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "minLength",
  "maxLength",
  "pattern",
  "minItems",
  "maxItems",
  "required",
  "default",
];
/** Every whole number of JavaScript: this is what Zod says of any of them. */
const ANY = new Set([Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]);

/** A line for each part that has bounds: `steps.*.retry.maxRetries minimum=0 maximum=100`. */
function boundsOf(root: Schema): string {
  const lines = new Set<string>();
  const seen = new Set<string>();
  const walk = (schema: Schema, path: string): void => {
    if (schema.$ref !== undefined) {
      const name = schema.$ref.replace("#/$defs/", "");
      // A type of its own is told once, under its name.
      if (seen.has(name)) return;
      seen.add(name);
      return walk(root.$defs?.[name] ?? {}, `<${name}>`);
    }
    const bounds = BOUNDS.flatMap((key) => {
      const value = schema[key];
      return value === undefined || ANY.has(value as number)
        ? []
        : [`${key}=${JSON.stringify(value)}`];
    });
    if (bounds.length > 0) lines.add(`${path || "."} ${bounds.join(" ")}`);
    for (const [name, inner] of Object.entries(schema.properties ?? {}))
      walk(inner, `${path}.${name}`.replace(/^\./, ""));
    for (const key of ["anyOf", "oneOf", "allOf", "prefixItems"] as const)
      for (const inner of (schema[key] ?? []) as readonly Schema[]) walk(inner, path);
    if (typeof schema.additionalProperties === "object")
      walk(schema.additionalProperties, `${path}.*`);
    if (schema.propertyNames !== undefined) walk(schema.propertyNames, `${path}.(name)`);
    if (schema.items !== undefined) walk(schema.items, `${path}[]`);
  };
  walk(root, "");
  return `${[...lines].toSorted().join("\n")}\n`;
}

it.each(["pipeline", "settings", "request"])("of %s", async (what) => {
  await expect(boundsOf(SCHEMAS[what]!() as Schema)).toMatchFileSnapshot(`bounds/${what}.txt`);
});
