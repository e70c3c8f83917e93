import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { trials } from "../support/figures.ts";
import { cutText, safeJson, safeLogLine, textWidth } from "../../src/cli/terminal-text.ts";
import { safeText } from "../../src/core/safe-text.ts";

/**
 * What a terminal could act on, or what makes a line read differently from what it is. This does
 * not use the source's own pattern.
 */
function isDangerous(text: string): boolean {
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0xd800 && code <= 0xdfff))
      return true;
    if (
      (code >= 0x202a && code <= 0x202e) ||
      (code >= 0x2066 && code <= 0x2069) ||
      code === 0x200e ||
      code === 0x200f ||
      code === 0x2028 ||
      code === 0x2029
    )
      return true;
  }
  return false;
}

/** Text in which every kind of dangerous character is likely. */
const hostile = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      "\u001b",
      "\u001b[2J",
      "\u001b]0;title\u0007",
      "\u009b31m",
      "\r",
      "\n",
      "\t",
      "\b",
      "\u007f",
      "\u202e",
      "\u2066",
      "\ud800",
      "\udc00",
      "ä",
      "漢",
      "😀",
      "\u0301",
    ),
    fc.integer({ min: 0, max: 0x2fff }).map((code) => String.fromCharCode(code)),
  ),
  maxLength: 40,
});

describe("text from outside", () => {
  it("never keeps a character that a terminal acts on", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(isDangerous(safeText(text))).toBe(false);
        expect(isDangerous(safeLogLine(text))).toBe(false);
      }),
      { numRuns: trials(2_000, 10_000) },
    );
  });

  it("stays readable: harmless text is kept, the rest becomes escapes", () => {
    expect(safeText("größe 漢字 😀 ok")).toBe("größe 漢字 😀 ok");
    expect(safeText("a\u001b[31mb\r\nc\u009b\u202e")).toBe("a\\x1b[31mb\\r\\nc\\x9b\\u202e");
    expect(safeText("\ud83d")).toBe("\\ud83d");
  });

  it("loses a log line's colours and keeps its columns", () => {
    expect(safeLogLine("\u001b[32mok\u001b[0m\tdone")).toBe("ok      done");
    expect(safeLogLine("\tx")).toBe("        x");
    expect(safeLogLine("\u001b[2Jgone")).toBe("\\x1b[2Jgone");
  });

  it("means the same as JSON with its C1 controls as escapes", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const json = safeJson({ text });
        expect(isDangerous(json)).toBe(false);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify({ text })));
      }),
      { numRuns: trials(1_000, 10_000) },
    );
  });
});

describe("columns", () => {
  it("counts wide characters as two and combining ones as none", () => {
    expect(textWidth("abc")).toBe(3);
    expect(textWidth("漢字")).toBe(4);
    expect(textWidth("e\u0301")).toBe(1);
  });

  it.each([
    ["no column", 0, "300-36f 200d-200d 20d0-20ff fe00-fe0f"],
    [
      "two columns",
      2,
      "1100-115f 2e80-a4cf ac00-d7a3 f900-faff fe30-fe6f ff00-ff60 ffe0-ffe6 1f300-1faff " +
        "20000-3fffd",
    ],
  ])("gives %s (%i) to the first and last of each range, and one beside them", (_, width, all) => {
    const ranges = all.split(" ").map((range) => range.split("-").map((hex) => parseInt(hex, 16)));
    const inside = ranges.flat().map((code) => textWidth(String.fromCodePoint(code)));
    expect(new Set(inside)).toEqual(new Set([width]));
    const beside = ranges.flatMap(([first, last]) => [first! - 1, last! + 1]);
    expect(new Set(beside.map((code) => textWidth(String.fromCodePoint(code))))).toEqual(
      new Set([1]),
    );
  });

  it("cuts to that many columns at most, and marks the cut", () => {
    expect(cutText("abcdef", 4)).toBe("abc…");
    expect(cutText("漢字漢字", 5)).toBe("漢字…");
    expect(cutText("abc", 3)).toBe("abc");
  });
});

it.each([
  ["a\tb", "a       b"],
  ["1234567\tb", "1234567 b"],
  ["12345678\tb", "12345678        b"],
  ["漢字\tb", "漢字    b"],
  ["e\u0301\tb", "e\u0301       b"],
  ["\u001b[31mred\u001b[0m\tb\t\tc", "red     b               c"],
])("a tab of a printed line ends at a column of eight, as it is seen: %j", (line, shown) => {
  expect(safeLogLine(line)).toBe(shown);
});
