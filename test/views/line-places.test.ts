/** Where lines of a growing file begin, and pages of a ledger's raw lines. */
import { appendFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lineIndexOf } from "../../src/views/line-index.ts";
import { readLedgerLines } from "../../src/views/run-lines.ts";
import { tempRoot } from "../support/temp-root.ts";

async function indexOf(path: string) {
  const file = await open(path, "r");
  try {
    return await lineIndexOf(path, file);
  } finally {
    await file.close();
  }
}

describe("the index of a growing file", () => {
  const lines = (count: number): string =>
    Array.from({ length: count }, (_, n) => `${n}\n`).join("");

  it("knows each 1,024th line, the end of the last whole one, and what came since", async () => {
    const path = join(tempRoot().root, "log");
    const text = lines(3_000);
    writeFileSync(path, `${text}torn`);
    const index = await indexOf(path);
    expect([index.lines, index.end]).toEqual([3_000, text.length]);
    for (const [line, at] of [
      [0, 1],
      [1, 1],
      [1_024, 1],
      [1_025, 1_025],
      [2_048, 1_025],
      [2_049, 2_049],
      [9_999, 2_049],
    ] as const)
      expect(index.before(line)).toEqual({ line: at, offset: lines(at - 1).length });
    appendFileSync(path, "\nmore\n");
    const later = await indexOf(path);
    expect([later.lines, later.end]).toEqual([3_002, text.length + "torn\nmore\n".length]);
  });

  it("is made anew of a file that shrank, or that is another one", async () => {
    const path = join(tempRoot().root, "log");
    writeFileSync(path, lines(50));
    expect((await indexOf(path)).lines).toBe(50);
    truncateSync(path, lines(20).length);
    expect((await indexOf(path)).lines).toBe(20);
    writeFileSync(`${path}-2`, lines(90));
    renameSync(`${path}-2`, path);
    expect((await indexOf(path)).lines).toBe(90);
    truncateSync(path, 0);
    expect([(await indexOf(path)).lines, (await indexOf(path)).end]).toEqual([0, 0]);
  });

  it("reads past a block of a mebibyte", async () => {
    const path = join(tempRoot().root, "log");
    writeFileSync(path, `${"x".repeat(1_048_575)}\n${"y".repeat(10)}\n`);
    expect(await indexOf(path)).toMatchObject({ lines: 2, end: 1_048_587 });
  });
});

describe("a page of a ledger's lines", () => {
  const file = (text: string): string => {
    const path = join(tempRoot().root, "run.jsonl");
    writeFileSync(path, text);
    return path;
  };
  const line = (n: number, more = ""): string => JSON.stringify({ seq: n, more });

  it("begins and ends where it is asked to, and says where the next one begins", () => {
    const path = file(`${[1, 2, 3, 4].map((n) => line(n)).join("\n")}\ntorn`);
    const of = (...given: [number, number]) => readLedgerLines(path, ...given);
    expect(of(1, 9)).toEqual({ lines: [1, 2, 3, 4].map((n) => line(n)), next: null, fault: null });
    expect(of(2, 2)).toEqual({ lines: [line(2), line(3)], next: 4, fault: null });
    expect(of(3, 2)).toEqual({ lines: [line(3), line(4)], next: null, fault: null });
    expect(of(5, 2)).toEqual({ lines: [], next: null, fault: null });
    expect(readLedgerLines(file(""), 1, 2)).toEqual({ lines: [], next: null, fault: null });
  });

  it("ends before a line that is none, and says which", () => {
    const path = file(`${line(1)}\nno\n${line(3)}\n`);
    const fault = "line 2: it is no JSON object";
    expect(readLedgerLines(path, 1, 9)).toEqual({ lines: [line(1)], next: null, fault });
    expect(readLedgerLines(path, 3, 9)).toEqual({ lines: [line(3)], next: null, fault: null });
  });

  it("ends after 4 MiB, and has one line at least", () => {
    const long = [1, 2, 3].map((n) => line(n, "x".repeat(4_194_304)));
    const path = file(`${long.join("\n")}\n`);
    const { lines, next } = readLedgerLines(path, 1, 9);
    expect([lines.length, lines[0] === long[0], next]).toEqual([1, true, 2]);
  });
});
