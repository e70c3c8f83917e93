/** docs/pipeline-files.md lists every key with its type and default, as the schemas have them. `UPDATE_DOCS=1` writes the tables anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pipelineJsonSchema } from "../../src/core/pipeline.ts";
import { settingsJsonSchema } from "../../src/core/settings.ts";
import { projectRoot } from "../support/temp-root.ts";
import { keyTable } from "./key-table.ts";

const path = join(projectRoot, "docs/pipeline-files.md");

/** What stands between two comments that name the table. */
function tableIn(text: string, name: string): { readonly start: number; readonly end: number; readonly table: string } {
  const open = `<!-- keys: ${name} -->`;
  const start = text.indexOf(open) + open.length;
  const end = text.indexOf("<!-- /keys -->", start);
  if (start < open.length || end === -1) throw new Error(`docs/pipeline-files.md has no ${open} … <!-- /keys -->`);
  return { start, end, table: text.slice(start, end).trim() };
}

describe.each([
  ["pipeline", pipelineJsonSchema],
  ["orchd.yaml", settingsJsonSchema],
])("the keys of %s", (name, schema) => {
  const expected = keyTable(schema());

  it("each say their type, and their default where they have one", () => {
    const rows = expected.split("\n").slice(2).map((row) => row.split(/(?<!\\)\|/).map((cell) => cell.trim()));
    expect(rows.length).toBeGreaterThan(5);
    expect(rows.filter(([, , type, fallback, meaning]) => type === "" || (meaning === "" && fallback === "–")).map(([, key]) => key)).toEqual([]);
  });

  it("stand in docs/pipeline-files.md as the schema has them", () => {
    const text = readFileSync(path, "utf8");
    const { start, end, table } = tableIn(text, name);
    if (process.env["UPDATE_DOCS"] === "1") writeFileSync(path, `${text.slice(0, start)}\n\n${expected}\n\n${text.slice(end)}`);
    else expect(table).toBe(expected);
  });
});
