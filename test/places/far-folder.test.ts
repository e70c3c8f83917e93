/** The folder of a far runner: which files go as one starts, and when one counts as used. */
import { createHash } from "node:crypto";
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { rmdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { FarFolder } from "../../src/places/runner/far-folder.ts";
import { tempRoot } from "../support/temp-root.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const GIB = 1024 ** 3;

let far: FarFolder;
beforeEach(() => {
  far = new FarFolder(join(tempRoot().root, "far"));
});

/** A file that was used so long ago. @param size it takes no room on the disk */
function file(name: string, agoMs: number, size = 1): string {
  const path = join(far.folder, name);
  const fd = openSync(path, "w");
  ftruncateSync(fd, size);
  closeSync(fd);
  const at = (Date.now() - agoMs) / 1_000;
  utimesSync(path, at, at);
  return path;
}

describe("files that nobody uses", () => {
  it("go after a week, and not before", () => {
    for (const folder of ["bundles", "artifacts"]) {
      file(`${folder}/old`, 7 * DAY_MS + HOUR_MS);
      file(`${folder}/new`, 7 * DAY_MS - HOUR_MS);
    }
    file("scratch/old", 70 * DAY_MS);
    far.tidy();
    expect(
      ["bundles", "artifacts", "scratch"].map((name) => readdirSync(join(far.folder, name))),
    ).toEqual([["new"], ["new"], ["old"]]);
  });

  it("go after a day where those of one folder have more than 4 GiB", () => {
    for (const [more, left] of [
      [0, ["day", "large", "new"]],
      [1, ["new"]],
    ] as const) {
      file("artifacts/large", DAY_MS + HOUR_MS, 4 * GIB - 2 + more);
      file("artifacts/day", DAY_MS + HOUR_MS);
      file("artifacts/new", DAY_MS - HOUR_MS);
      file("bundles/day", DAY_MS + HOUR_MS, GIB);
      far.tidy();
      expect(readdirSync(join(far.folder, "artifacts"))).toEqual(left);
      expect(readdirSync(join(far.folder, "bundles"))).toEqual(["day"]);
    }
  });

  it("count as used when they are asked for, if they are whole", () => {
    const name = `artifacts/${"a".repeat(64)}`;
    const path = file(name, 8 * DAY_MS);
    writeFileSync(path, "text");
    const eightDays = (Date.now() - 8 * DAY_MS) / 1_000;
    utimesSync(path, eightDays, eightDays);
    const hash = createHash("sha256").update("text").digest("hex");
    expect(far.need({ type: "need", name, hash: "0" })).toEqual({ type: "lacks", name });
    expect(Date.now() - statSync(path).mtimeMs).toBeGreaterThan(7 * DAY_MS);
    expect(far.need({ type: "need", name, hash })).toEqual({ type: "has", name });
    far.tidy();
    expect(existsSync(path)).toBe(true);
    expect(far.need({ type: "need", name: "artifacts/x", hash })).toMatchObject({ type: "cannot" });
  });
});

describe("a file in pieces", () => {
  const hash = createHash("sha256").update("one two").digest("hex");
  const name = `artifacts/${hash}`;
  const put = (text: string, last: boolean, what = name) =>
    far.put({ type: "put", name: what, hash, data: btoa(text), last });
  const there = (): readonly string[] => readdirSync(join(far.folder, "artifacts"));

  it("gets its name with the last one, and the user alone may read it", () => {
    expect(put("one ", false)).toBeUndefined();
    expect(there()).toEqual([expect.stringMatching(/\.part$/)]);
    expect(put("two", true)).toEqual({ type: "has", name });
    expect(there()).toEqual([hash]);
    expect(statSync(join(far.folder, name)).mode & 0o777).toBe(0o600);
  });

  it("that is another one leaves nothing, and the next one begins anew", () => {
    put("one ", false);
    const because = `the file ${name} did not arrive whole`;
    expect(put("2", true)).toEqual({ type: "cannot", name, because });
    expect(there()).toEqual([]);
    put("one ", false);
    expect(put("two", true)).toEqual({ type: "has", name });
  });

  it("whose first one could not be written is answered with that, and may come again", () => {
    rmdirSync(join(far.folder, "artifacts"));
    expect(put("one ", false)).toBeUndefined();
    mkdirSync(join(far.folder, "artifacts"));
    const because = expect.stringMatching(/^its files cannot be written over there: ENOENT/);
    expect(put("two", true)).toEqual({ type: "cannot", name, because });
    expect(there()).toEqual([]);
    put("one ", false);
    expect(put("two", true)).toEqual({ type: "has", name });
  });

  it("that cannot be kept leaves nothing, and is answered once, at its end", () => {
    mkdirSync(join(far.folder, name));
    expect(put("one ", false)).toBeUndefined();
    expect(put("two", true)).toMatchObject({ type: "cannot" });
    expect(there()).toEqual([hash]);
    expect(put("x", false, "../x")).toBeUndefined();
    expect(put("x", true, "../x")).toMatchObject({ type: "cannot" });
  });
});
