/** docs/requests.md lists the requests that there are, each with its fields. */
import { expect, it } from "vitest";
import { SCHEMAS } from "../../src/core/json-schemas.ts";
import { expectTable, markdownTable } from "./held-table.ts";

interface RequestShape {
  readonly description: string;
  readonly properties: Readonly<
    Record<string, { readonly const?: string; readonly enum?: readonly string[] }>
  >;
  readonly required: readonly string[];
}

/** What every request may carry stands below the table. */
const COMMON = new Set(["type", "by", "notAfter"]);

it("docs/requests.md has each request, with its fields", () => {
  const { oneOf } = SCHEMAS["request"]!() as unknown as {
    readonly oneOf: readonly RequestShape[];
  };
  const rows = oneOf.map(({ description, properties, required }) => [
    `\`${properties["type"]!.const!}\``,
    Object.entries(properties)
      .filter(([name]) => !COMMON.has(name))
      .map(([name, { enum: values }]) => {
        const field = `\`${name}${required.includes(name) ? "" : "?"}\``;
        return values === undefined ? field : `${field} (${values.join(", ")})`;
      })
      .join(" "),
    description,
  ]);
  expect(rows.length).toBeGreaterThan(10);
  expectTable("docs/requests.md", "requests", markdownTable(["type", "fields", "asks"], rows));
});
