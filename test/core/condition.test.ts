/** The language of `when`: what it means, what it refuses, and that it cannot act. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  evaluateCondition,
  evaluateWhen,
  parseCondition,
  type ConditionScope,
} from "../../src/core/condition.ts";

const scope: ConditionScope = {
  params: { env: "prod", limit: 10, flag: false, "a-b": 1, nested: { deep: [1, { x: "y" }] } },
  inputs: { rows: { count: 3, names: ["a", "b"] }, text: "hello", nothing: null },
};

function holds(text: string): boolean {
  const result = evaluateWhen(text, scope);
  if (!result.ok) throw new Error(result.message);
  return result.holds;
}

describe("a condition that holds", () => {
  it.each([
    'params.env == "prod"',
    "params.env == 'prod' && inputs.rows.count > 0",
    "params.limit >= 10 && params.limit <= 10",
    "!params.flag",
    "params.flag || inputs.rows.count == 3",
    "inputs.rows.names.length == 2",
    "inputs.rows.names[1] == 'b'",
    'params["a-b"] == 1',
    "params.nested.deep[1].x == 'y'",
    "inputs.text.length > 4",
    "inputs.nothing == null",
    "params.missing.further == null",
    "'b' > 'a'",
    "-1 < 0",
    "(true || false) && true",
    "true || false && false",
    "!(1 == 2)",
    "!!inputs.text",
    '"it\\"s" == \'it"s\'',
    "1e3 == 1000",
    "params.nested == params.nested",
  ])("%s", (text) => expect(holds(text)).toBe(true));
});

describe("a condition that does not hold", () => {
  it.each([
    "params.env != 'prod'",
    "params.limit > '9'",
    "params.limit < 'z'",
    "inputs.rows > 1",
    "params.flag",
    "inputs.nothing",
    "0",
    "''",
    "params.constructor",
    "params.__proto__",
    "inputs.rows.names.map",
    "inputs.text[0]",
  ])("%s", (text) => expect(holds(text)).toBe(false));
});

describe("what is refused, with a sentence and a place", () => {
  it.each([
    ["", /empty/, 0],
    ["params.env = 'x'", /single =; equality is written ==/, 11],
    ["params.env === 'x'", /===; equality is written ==/, 11],
    ["params.a and params.b", /"and"/, 9],
    ["not params.a", /"not", which is written !/, 0],
    ["param.env == 1", /did you mean "params"\?/, 0],
    ["params", /params alone/, 6],
    ["params.x & true", /single &/, 9],
    ["(params.x", /closing \)/, 9],
    ["params.x ==", /a value was expected/, 11],
    ["1 < 2 < 3", /twice in a row/, 6],
    ["params.x()", /nothing to call/, 8],
    ["'open", /closing quote/, 0],
    ["params.x; 1", /";"/, 8],
    ["params.x 1", /the end was expected/, 9],
    ["params.a-b == 1", /the end was expected/, 8],
    ["params[1.5]", /a number or a text/, 7],
    ["`x`", /means nothing/, 0],
    ["params.id == 1285704473650888702", /would become 1285704473650888700/, 13],
    ["params.x > 1e400", /no number at all/, 11],
    ["params.code == 007", /has 007, which would be the number 7/, 15],
    ["params.x == '\\u00e9'", /has \\u in a text/, 12],
    ["params.x == 'a\\\\b\\d'", /has \\d in a text/, 12],
  ])("%s", (text, message, offset) => {
    const parsed = parseCondition(text);
    expect(parsed).toMatchObject({ ok: false, message: expect.stringMatching(message) as string });
    expect(!parsed.ok && parsed.offset).toBe(offset);
  });

  it("says at once that a text is too long or too deep", () => {
    expect(parseCondition("!".repeat(2_000) + "true")).toMatchObject({
      ok: false,
      message: expect.stringContaining("64 deep") as string,
    });
    expect(parseCondition("(".repeat(2_000))).toMatchObject({ ok: false });
    expect(parseCondition("1".repeat(5_000))).toMatchObject({
      ok: false,
      message: expect.stringContaining("2048") as string,
    });
  });
});

it("names every path that it reads, so that unknown ones can be refused", () => {
  const parsed = parseCondition("params.a == inputs.b.c[0] || !params.d");
  expect(parsed.ok && parsed.reads.map(({ root, keys }) => `${root} ${keys.join(" ")}`)).toEqual([
    "params a",
    "inputs b c 0",
    "params d",
  ]);
});

it("never throws and never takes longer than a moment, whatever the text and the values", () => {
  const words = fc.constantFrom(
    "params",
    "inputs",
    ".",
    "x",
    "[",
    "]",
    "0",
    "'t'",
    "(",
    ")",
    "!",
    "&&",
    "||",
    "==",
    "!=",
    "<",
    ">=",
    "-",
    " ",
    "\\",
    '"',
    "é",
    "__proto__",
    "constructor",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ maxLength: 60 }),
        fc.array(words, { maxLength: 40 }).map((parts) => parts.join("")),
      ),
      fc.dictionary(fc.string(), fc.jsonValue()),
      (text, values) => {
        const parsed = parseCondition(text);
        const given = values as ConditionScope["params"];
        const sound = parsed.ok
          ? typeof evaluateCondition(parsed.condition, { params: given, inputs: given }) ===
            "boolean"
          : parsed.message.length > 0 && parsed.offset <= text.length;
        expect(sound).toBe(true);
      },
    ),
    { numRuns: 2_000 },
  );
});

it("may have any number of terms beside each other, and sixty-four within each other", () => {
  const scope = { params: { a: 1 }, inputs: {} };
  const holds = (text: string): boolean => {
    const parsed = parseCondition(text);
    return parsed.ok && evaluateCondition(parsed.condition, scope);
  };
  const terms = Array<string>(120).fill("params.a == 1");
  for (const operator of [" && ", " || "]) expect(holds(terms.join(operator))).toBe(true);
  expect(holds(`${"!".repeat(62)}params.a`)).toBe(true);
  const nested = (depth: number): string => `${"(".repeat(depth)}true${")".repeat(depth)}`;
  expect(holds(nested(63))).toBe(true);
  expect(parseCondition(nested(64))).toMatchObject({
    ok: false,
    message: "is nested more than 64 deep",
  });
});
