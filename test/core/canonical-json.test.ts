/** One text for each value, and whether two values have the same. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { canonicalJson, isSameJson } from "../../src/core/canonical-json.ts";

const json = fc.jsonValue({ maxDepth: 3 });

it("gives a value one text, whatever the order of its members", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), json), (value) => {
      const turned = Object.fromEntries(Object.entries(value).toReversed());
      expect(canonicalJson(turned)).toBe(canonicalJson(value));
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

it("says that two values are the same exactly where their texts are", () => {
  const few = fc.constantFrom<unknown>(null, 0, -0, 1, "", "1", true, false, [], {});
  const nested = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      few,
      fc.array(tie("value"), { maxLength: 2 }),
      fc.dictionary(fc.constantFrom("a", "b", "0", "length"), tie("value"), { maxKeys: 2 }),
    ),
  })).value;
  let same = 0;
  fc.assert(
    fc.property(nested, nested, (one, other) => {
      const texts = canonicalJson(one) === canonicalJson(other);
      if (texts) same += 1;
      expect(isSameJson(one, other)).toBe(texts);
      expect(isSameJson(one, structuredClone(one))).toBe(true);
    }),
    { numRuns: 2_000 },
  );
  expect(same).toBeGreaterThan(50);
});

it.each<[unknown, string]>([
  [Number.NaN, "NaN is not JSON"],
  [[-Infinity], "-Infinity is not JSON"],
  [{ a: 1n }, "bigint is not JSON"],
  [[undefined], "undefined is not JSON"],
  [[() => 1], "function is not JSON"],
])("refuses what is no JSON (%#)", (value, message) => {
  expect(() => canonicalJson(value)).toThrow(new TypeError(message));
});

it("may say no to members that are undefined, and never yes to what is no JSON", () => {
  expect(isSameJson({ a: undefined }, {})).toBe(false);
  expect(isSameJson({}, { a: undefined })).toBe(false);
  expect(isSameJson(Number.NaN, Number.NaN)).toBe(false);
});
