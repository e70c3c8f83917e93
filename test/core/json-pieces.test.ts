import { describe, expect, it } from "vitest";
import { jsonPieces, listPieces, PIECE_LENGTH } from "../../src/core/json-pieces.ts";

const VALUES: Record<string, unknown> = {
  "a text": 'x"\u0001\u2028',
  "a number": -1.5e300,
  nothing: null,
  "an empty list": [],
  "an empty map": {},
  "members that are undefined": { a: undefined, b: 1, c: undefined },
  "a list with gaps": [undefined, null, 1],
  "names that need quotes": { 'a"b': { "\n": [true] } },
  "a member named __proto__": JSON.parse('{"__proto__":{"a":1}}'),
  "something deep": { a: { b: { c: { d: { e: { f: [1, { g: undefined }] } } } } } },
  "many members": Array.from({ length: 20_000 }, (_, n) => ({
    n,
    name: `name ${n}`,
    no: undefined,
  })),
  "one long text": { text: "é".repeat(300_000) },
};

describe("the pieces of a value's text", () => {
  for (const [what, value] of Object.entries(VALUES))
    it(`are the text: ${what}`, () => {
      expect([...jsonPieces(value)].join("")).toBe(JSON.stringify(value));
    });

  it("are short where there are many members", () => {
    const pieces = [...jsonPieces(VALUES["many members"])];
    expect(pieces.length).toBeGreaterThan(3);
    for (const piece of pieces) expect(piece.length).toBeLessThan(2 * PIECE_LENGTH);
  });
});

describe("the lists of a list", () => {
  const half = "x".repeat(PIECE_LENGTH / 2 - 2);
  it.each<[string, readonly string[], readonly number[]]>([
    ["nothing gives none", [], []],
    ["little gives one", ["a", "b"], [2]],
    ["just a piece gives one", [half, half], [2]],
    ["and what follows another", [half, half, "a"], [2, 1]],
    ["each begins anew", [half, half, half, half, half], [2, 2, 1]],
  ])("%s", (_what, list, counts) => {
    const lists = [...listPieces(list)].map((text) => JSON.parse(text) as string[]);
    expect(lists.map(({ length }) => length)).toEqual(counts);
    expect(lists.flat()).toEqual(list);
  });

  it("a member's text is the caller's, by its place", () => {
    expect([...listPieces(["a", "b"], (member, index) => `"${member}${index}"`)]).toEqual([
      '["a0","b1"]',
    ]);
  });
});
