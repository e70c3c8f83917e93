/**
 * Tables in the documents that come from the code. A test compares each with what the code gives;
 * `UPDATE_DOCS=1` writes them again.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { projectRoot } from "../support/temp-root.ts";

/** Checks that a document has `expected` between `<!-- NAME -->` and `<!-- /NAME -->`. */
export function expectTable(document: string, name: string, expected: string): void {
  const path = join(projectRoot, document);
  const text = readFileSync(path, "utf8");
  const open = `<!-- ${name} -->`;
  const start = text.indexOf(open) + open.length;
  const end = text.indexOf(`<!-- /${name} -->`, start);
  if (start < open.length || end === -1)
    throw new Error(`${document} has no ${open} … <!-- /${name} -->`);
  if (process.env["UPDATE_DOCS"] === "1")
    writeFileSync(path, `${text.slice(0, start)}\n\n${expected}\n\n${text.slice(end)}`);
  else expect(text.slice(start, end).trim()).toBe(expected);
}

/** A Markdown table. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}
