/** Which lines of a file are whole, up to the longest that a line may be. */
import { closeSync, openSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { readWholeLines, START } from "../../src/feed/whole-lines.ts";
import { MAX_LINE_BYTES } from "../../src/ledger/line-limit.ts";
import { tempRoot } from "../support/temp-root.ts";

/** A line of so many bytes without its line feed, after a line with this checksum. */
function line(seq: number, bytes: number, before: number): { text: string; crc: number } {
  const head = `{"seq":${seq},"b":${seq},"at":"2026-11-28T02:00:00.000Z","type":"t","x":"`;
  const body = `${head}${"x".repeat(bytes - head.length - 1 - 18)}"`;
  const crc = crc32(body, before);
  return { text: `${body},"crc":"${crc.toString(16).padStart(8, "0")}"}`, crc };
}

/** The lengths of the whole lines in a file of lines of these lengths. */
function lengthsOf(...lengths: readonly number[]): number[] {
  const path = join(tempRoot().root, "ledger");
  let crc = 0;
  let text = "";
  for (const [index, bytes] of lengths.entries()) {
    const made = line(index + 1, bytes, crc);
    crc = made.crc;
    text += `${made.text}\n`;
  }
  writeFileSync(path, text);
  const fd = openSync(path, "r");
  try {
    return readWholeLines(fd, START, statSync(path).size, 131_072).map(({ raw }) => raw.length);
  } finally {
    closeSync(fd);
  }
}

describe("whole lines", () => {
  it("are read as far as the block goes, and one at least", () => {
    expect(lengthsOf(200, 300)).toEqual([200, 300]);
    expect(lengthsOf(150_000, 300)[0]).toBe(150_000);
  });

  it("are shorter than 1 MiB", () => {
    expect(lengthsOf(MAX_LINE_BYTES - 1)).toEqual([MAX_LINE_BYTES - 1]);
    expect(lengthsOf(MAX_LINE_BYTES)).toEqual([]);
    expect(lengthsOf(MAX_LINE_BYTES + 1)).toEqual([]);
    expect(lengthsOf(200, MAX_LINE_BYTES)).toEqual([200]);
  });
});
