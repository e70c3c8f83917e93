import { describe, expect, it } from "vitest";
import { isKeptCall, keptCall } from "../../src/run/call-text.ts";
import { trim } from "../../src/ledger/short-line.ts";

/** A call whose text has this many characters. */
function callOf(characters: number, fill = "x"): string {
  const head = '{"id":"a","params":{"text":"';
  const text = fill.repeat(characters).slice(0, characters - head.length - 3);
  return `${head}${text}"}}`;
}

describe("what is kept of a call", () => {
  it("is the whole, up to 16,384 characters, and then never more than those", () => {
    expect(callOf(16_384)).toHaveLength(16_384);
    expect(keptCall(callOf(16_384))).toBe(callOf(16_384));
    for (const length of [16_385, 16_500, 40_000, 3_000_000]) {
      const kept = keptCall(callOf(length));
      expect(kept).toMatch(
        new RegExp(`… \\(${length - 16_000} characters more, sha256 [0-9a-f]{64}\\)$`),
      );
      expect(kept.length).toBeLessThanOrEqual(16_384);
    }
  });

  it("is known again, from the disk too, and is no other call's", () => {
    for (const fill of ["x", "é", "\u{1F600}", "\uD83D"])
      for (const length of [100, 15_999, 16_000, 16_001, 16_383, 16_384, 16_385, 40_000, 40_001]) {
        const text = callOf(length, fill);
        const read = JSON.parse(JSON.stringify(keptCall(text))) as string;
        expect(isKeptCall(read, text), `${length} of ${fill}`).toBe(true);
        expect(isKeptCall(read, `${text.slice(0, -3)}y"}}`), `${length} of ${fill}`).toBe(false);
        expect(isKeptCall(read, callOf(length + 2, fill)), `${length} of ${fill}`).toBe(false);
      }
  });

  it("is read from older ledgers, which have the beginning alone", () => {
    const text = callOf(40_000);
    const old = trim(text, 16_384);
    expect(old).toMatch(/… \(23616 characters more\)$/);
    expect(isKeptCall(old, text)).toBe(true);
    expect(isKeptCall(old, callOf(40_001))).toBe(false);
    expect(isKeptCall(old, callOf(40_000, "y"))).toBe(false);
  });
});
