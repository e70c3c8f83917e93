/** A file that another process makes between two looks at its path is no link to nothing. */
import type * as nodeFs from "node:fs";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { isLink, regularFile } from "../../src/disk/path-fault.ts";
import { checkOwnNames } from "../../src/ledger/own-names.ts";
import { tempRoot } from "../support/temp-root.ts";

let makes: string | undefined;
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof nodeFs>();
  const statSync = (path: string, options: object): unknown => {
    const stats = fs.statSync(path, options);
    if (path === makes && stats === undefined) fs.writeFileSync(path, "");
    return stats;
  };
  return { ...fs, statSync };
});

it("where a ledger is looked for", () => {
  makes = join(tempRoot().root, "ledger.jsonl");
  expect(regularFile(makes)).toBeUndefined();
  expect(regularFile(makes)?.isFile()).toBe(true);
  expect(isLink(makes)).toBe(false);
});

it("where orchd's own names are checked", () => {
  const orchdDir = join(tempRoot().runs, ".orchd");
  mkdirSync(orchdDir, { recursive: true });
  makes = join(orchdDir, "daemon.lock");
  checkOwnNames(orchdDir);
  writeFileSync(makes, "");
  checkOwnNames(orchdDir);
});
