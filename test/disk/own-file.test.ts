/** What stands under a name of orchd's own, and is something else. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { moveOutOfTheWay, readOwnText, renameOwnFile } from "../../src/disk/own-file.ts";
import { tempRoot } from "../support/temp-root.ts";

const folder = (): string => tempRoot({ "runs/a": "text" }).runs;

it("a file is read; a pipe and a folder are refused at once", () => {
  const runs = folder();
  execFileSync("mkfifo", [join(runs, "pipe")]);
  expect(readOwnText(join(runs, "a"))).toBe("text");
  expect(() => readOwnText(join(runs, "pipe"))).toThrow("pipe cannot be used: it is no regular");
  expect(() => readOwnText(runs)).toThrow("cannot be used: it is a folder (EISDIR).");
  expect(() => readOwnText(join(runs, "none"))).toThrow("ENOENT");
});

it("a file gets its name where a folder has it, which keeps what is in it", () => {
  const runs = folder();
  for (const name of ["b", "b.in-the-way-1"])
    mkdirSync(join(runs, name, "kept"), { recursive: true });
  renameOwnFile(join(runs, "a"), join(runs, "b"));
  expect(readFileSync(join(runs, "b"), "utf8")).toBe("text");
  expect(readdirSync(join(runs, "b.in-the-way-2"))).toEqual(["kept"]);
  expect(() => renameOwnFile(join(runs, "none"), join(runs, "b"))).toThrow("ENOENT");
});

it("what is moved gets the first free name", () => {
  const runs = folder();
  writeFileSync(join(runs, "a.in-the-way-1"), "");
  expect(moveOutOfTheWay(join(runs, "a"))).toBe(join(runs, "a.in-the-way-2"));
});
