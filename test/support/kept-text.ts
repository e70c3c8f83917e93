/**
 * Texts that stand in `test/fixtures`, to the letter. After a change that is meant, a test writes
 * its texts again with `UPDATE_TEXTS=1`: read the diff.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join, relative } from "node:path";
import { expect } from "vitest";
import { projectRoot } from "./project-root.ts";
import type { TempRoot } from "./temp-root.ts";

/**
 * Compares a text with the one that is kept, or keeps it.
 *
 * @param path below `test/fixtures`
 */
export function expectKept(path: string, text: string): void {
  const file = join(projectRoot, "test/fixtures", path);
  const ended = `${text.trimEnd()}\n`;
  if (process.env["UPDATE_TEXTS"] === "1") {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, ended);
  }
  expect(ended.split("\n")).toEqual(readFileSync(file, "utf8").split("\n"));
}

/** The text without what is of this machine: the root's path, and the name of the host. */
export function placeless(text: string, { root }: Pick<TempRoot, "root">): string {
  return text
    .replaceAll(relative(process.cwd(), root), "/root")
    .replaceAll(root, "/root")
    .replaceAll(`"${hostname()}"`, '"HOST"');
}
