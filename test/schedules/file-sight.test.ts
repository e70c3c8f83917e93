/** How a file looks, again and again: what is kept of it, and when it counts as changed. */
import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { lookAgain, sightOf, YOUNG_MS } from "../../src/schedules/file-sight.ts";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "orchd-sight-"));
  file = join(folder, "a.yaml");
  writeFileSync(file, "a: 1");
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

/** The file as it looks when it is not young any more. */
function lookLater() {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 2 * YOUNG_MS });
  return sightOf(file);
}

describe("a second look", () => {
  it("keeps the very sight of a file at rest", () => {
    const before = lookLater();
    const now = lookAgain(file, before);
    expect(now.changed).toBe(false);
    expect(now.sight).toBe(before);
  });

  it("does not keep the sight of a file that became young as the clock was set back", () => {
    const before = { ...lookLater(), hash: "known" };
    vi.useRealTimers();
    const now = lookAgain(file, before);
    expect(now).toEqual({ changed: false, sight: { ...before, young: true } });
    expect(now.sight).not.toBe(before);
  });

  it("is not due for ever where the file's time is far ahead of a clock that was set back", () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 2 * YOUNG_MS });
    expect(sightOf(file).young).toBe(false);
  });

  it("sees other rights with the same content: they may refuse the file", () => {
    chmodSync(file, 0o640);
    const first = lookAgain(file, sightOf(file)).sight;
    chmodSync(file, 0o600);
    expect(lookAgain(file, first).changed).toBe(true);
  });

  it("believes a young look that is the same, but where it knows another content", () => {
    const { sight } = lookAgain(file, undefined);
    const young = { ...sight, young: true };
    expect(lookAgain(file, young).changed).toBe(false);
    expect(lookAgain(file, { ...young, hash: "another" }).changed).toBe(true);
    expect(lookAgain(file, { ...young, hash: undefined }).changed).toBe(false);
  });

  it("sees another content, and another time with the same content as none", () => {
    const first = lookAgain(file, sightOf(file)).sight;
    utimesSync(file, 1, 1);
    const touched = lookAgain(file, first);
    expect(touched.changed).toBe(false);
    expect(touched.sight.print).not.toBe(first.print);
    writeFileSync(file, "a: 2");
    expect(lookAgain(file, touched.sight).changed).toBe(true);
  });
});
