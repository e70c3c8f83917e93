import { describe, expect, it } from "vitest";
import { jsonPieces, PIECE_LENGTH } from "../../src/core/json-pieces.ts";

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
