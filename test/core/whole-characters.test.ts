/** Cuts of texts never leave half a character. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clipError } from "../../src/core/failure.ts";
import { Masker } from "../../src/core/mask.ts";
import { beginning, wholeAt } from "../../src/core/whole-characters.ts";
import { trim } from "../../src/ledger/short-line.ts";

/** Whether each character of a text has a form in UTF-8. */
const isWhole = (text: string): boolean => Buffer.from(text).toString() === text;

describe("the beginning of a text", () => {
  it.each([
    ["a😀b", 0, ""],
    ["a😀b", 1, "a"],
    ["a😀b", 2, "a"],
    ["a😀b", 3, "a😀"],
    ["a😀b", 9, "a😀b"],
    ["😀😀", 3, "😀"],
    ["", 4, ""],
    // Halves that were there before stay: a cut mends nothing.
    ["\ud83da", 1, "\ud83d"],
    ["a\ude00", 1, "a"],
  ])("of %j, at most %i, is %j", (text, most, kept) => {
    expect(beginning(text, most)).toBe(kept);
  });

  it("loses nothing with what follows, wherever it is cut", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.nat(40), (text, at) => {
        const whole = wholeAt(text, at);
        const parts = [text.slice(0, whole), text.slice(whole)];
        expect(parts.every(isWhole)).toBe(true);
        expect(parts.join("")).toBe(text);
        expect(at - whole).toBeLessThanOrEqual(1);
      }),
    );
  });
});

it.each([0, 1])("cuts errors, lines and outputs so, %i from a pair's begin", (shift) => {
  const text = "x".repeat(shift) + "😀".repeat(80_000);
  const { name, message, stack } = clipError({ name: text, message: text, stack: text });
  const at = new Masker().cut(text, 65_536);
  const kept = [name, message, stack!, trim(text, 1_000), text.slice(0, at), text.slice(at)];
  expect(kept.filter((one) => !isWhole(one))).toEqual([]);
  expect(kept.every((one) => one.length < text.length)).toBe(true);
});

it("counts what a cut text lacks", () => {
  expect(trim(`${"a".repeat(9)}😀`, 10)).toBe("aaaaaaaaa… (2 characters more)");
});
