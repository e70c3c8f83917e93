/** What becomes of a log line and of a param's text, without a browser. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kindOf, paramWord, textOf, valueOf } from "../../src/page/app/pipeline/param-field.ts";
import { logPieces } from "../../src/page/app/run/ansi.ts";
import { newerLines, olderLines, openLog } from "../../src/page/app/run/log-window.ts";

const FILTER = { step: "", stream: "", q: "" };

describe("a log line", () => {
  it("has the colours and weights that a terminal would show", () => {
    expect(logPieces("\u001b[31;1merror\u001b[0m 503")).toEqual([
      { text: "error", classes: "ansi-fg-red ansi-bold" },
      { text: " 503", classes: "" },
    ]);
    const [orange] = logPieces("\u001b[38;5;208mx\u001b[0m");
    expect(orange?.classes).toMatch(/^ansi-fg-(red|yellow)$/);
    const palette = (index: number) => logPieces(`\u001b[38;5;${index}mx`)[0]?.classes;
    // The darkest of each colour, and the greys at which black ends.
    expect([17, 22, 52, 237, 238].map(palette)).toEqual(
      ["blue", "green", "red", "black", "white"].map((name) => `ansi-fg-${name}`),
    );
  });

  it("hides nothing, moves nothing and sets no title", () => {
    const texts = [
      ["\u001b]0;owned\u0007a", "a"],
      ["\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\", "link"],
      ["\u001b[2J\u001b[1;1Hb\u001b[?25l", "b"],
      ["10%\r20%\r", "10%⟨0D⟩20%"],
      ["\u001b[8mhidden\u001b[0m", "hidden"],
      ["\u001b]0;never ended", ""],
    ] as const;
    for (const [line, text] of texts)
      expect(
        logPieces(line)
          .map((piece) => piece.text)
          .join(""),
      ).toBe(text);
  });

  it("keeps every text without an escape as it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (line) => {
        if (/[\r\u001b\u009d]/.test(line)) return;
        expect(
          logPieces(line)
            .map(({ text }) => text)
            .join(""),
        ).toBe(line);
      }),
    );
  });
});

describe("the part of a log that is held", () => {
  /** A log of `count` lines, of which each seventh fits a filter. */
  const readOf =
    (count: number) =>
    async ({ from, limit, q }: Readonly<Record<string, string>>) => {
      const start = Number(from) < 0 ? Math.max(1, count + 1 + Number(from)) : Number(from);
      const lines = [];
      let n = start;
      for (; n <= count && lines.length < Number(limit); n += 1)
        if (q === undefined || n % 7 === 0)
          lines.push({ n, at: "", step: "a", attempt: 1, stream: "stdout", line: `${n}` });
      return { lines, from: start, next: n, more: n <= count };
    };

  it("reaches every line from the end, and none twice", async () => {
    for (const q of ["", "seventh"]) {
      const filter = { ...FILTER, q };
      const read = readOf(5_321);
      let held = (await openLog(read, filter, undefined))!;
      while (held.from > 1) held = await olderLines(read, filter, held);
      const wanted = Array.from({ length: 5_321 }, (_, index) => index + 1).filter(
        (n) => q === "" || n % 7 === 0,
      );
      expect(held.lines.map(({ n }) => n)).toEqual(wanted);
    }
  });

  it("goes on from any line to the end, and then gives what is printed since", async () => {
    let held = (await openLog(readOf(3_000), FILTER, 1_200))!;
    while (held.after) held = await newerLines(readOf(3_000), FILTER, held, true);
    expect(held.lines.at(-1)?.n).toBe(3_000);
    expect(await newerLines(readOf(3_000), FILTER, held, true)).toBe(held);
    held = await newerLines(readOf(3_004), FILTER, held, true);
    expect(held.lines.slice(-5).map(({ n }) => n)).toEqual([3_000, 3_001, 3_002, 3_003, 3_004]);
  });
});

describe("a param's field", () => {
  it("gives back every value that was declared", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const declared = JSON.parse(JSON.stringify(value)) as Parameters<typeof kindOf>[0];
        const kind = kindOf(declared);
        if (kind === "secret") return;
        const read = valueOf(kind === "boolean" ? "json" : kind, textOf(declared));
        // A number that JSON writes with an exponent, or beyond 2^53, may be refused.
        if (read.ok) expect(read.value).toEqual(declared);
        else expect(kind).toBe("number");
      }),
    );
  });

  it("says what is wrong with a text", () => {
    expect(valueOf("number", "12x")).toMatchObject({ ok: false });
    expect(valueOf("number", "9007199254740993")).toMatchObject({ ok: false });
    expect(valueOf("json", "{")).toMatchObject({ ok: false });
  });

  it("is a word that the command line reads as the same value", () => {
    expect(paramWord("day", "today")).toBe("day=today");
    expect(paramWord("day", "5")).toBe('day="5"');
    expect(paramWord("limit", 5)).toBe("limit=5");
    expect(paramWord("shops", ["a"])).toBe('shops=["a"]');
  });
});
