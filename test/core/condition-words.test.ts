/** Conditions at their bounds: each sentence whole, each comparison, each value's truth. */
import { describe, expect, it } from "vitest";
import { evaluateWhen, parseCondition } from "../../src/core/condition.ts";
import type { Json } from "../../src/core/snapshot.ts";

const sentence = (text: string): string => {
  const parsed = parseCondition(text);
  return parsed.ok ? "" : parsed.message;
};

it.each([
  ["", "is empty; leave `when` out for a step that always runs"],
  ["  ", "is empty; leave `when` out for a step that always runs"],
  ["1 < 2 < 3", "compares twice in a row; join two comparisons with &&"],
  ["1 == 2 != 3", "compares twice in a row; join two comparisons with &&"],
  ["params.x = 1", "has a single =; equality is written =="],
  ["params.x & 1", "has a single &; write &&"],
  ["params.x | 1", "has a single |; write ||"],
  ["'x", "has a text whose closing quote is missing"],
  ['"x', "has a text whose closing quote is missing"],
  ["params.x # 1", 'has "#", which means nothing in a condition'],
  ["params.x 😀", 'has "😀", which means nothing in a condition'],
  ["params.x === 1", "has ===; equality is written =="],
  ["params.x !== 1", "has !==; equality is written !="],
  ["007", "has 007, which would be the number 7: put it in quotes for the text"],
  ["params.x()", "calls something, but a condition has nothing to call"],
  ["params", "has params alone; name one, as in params.x"],
  ["inputs == 1", "has inputs alone; name one, as in inputs.x"],
  ["a and b", 'has "a", but a name begins with params. or inputs., and a text is in quotes'],
  [
    "param.x",
    'has "param", but a name begins with params. or inputs., and a text is in quotes' +
      '; did you mean "params"?',
  ],
])("%j %s", (text, whole) => {
  expect(sentence(text)).toBe(whole);
  expect(evaluateWhen(text, { params: {}, inputs: {} })).toEqual({ ok: false, message: whole });
});

it.each([
  ["and", "&&"],
  ["or", "||"],
  ["not", "!"],
  ["True", "true"],
  ["False", "false"],
  ["None", "null"],
  ["nil", "null"],
  ["undefined", "null"],
])("%s is written %s here", (word, instead) => {
  expect(sentence(word)).toBe(`has "${word}", which is written ${instead} here`);
});

it.each([
  ["(1", "ends where a closing ) was expected"],
  ["(1 2", 'has "2" where a closing ) was expected'],
  ["params.x ==", "ends where a value was expected"],
  ["!", "ends where a value was expected"],
  ["1 && && 2", 'has "&&" where a value was expected'],
  ["- 'x'", `has "'x'" where a number after - was expected`],
  ["-", "ends where a number after - was expected"],
  ["params.", "ends where a name after the dot was expected"],
  ["params.1", 'has "1" where a name after the dot was expected'],
  ["params[true]", 'has "true" where a number or a text in quotes was expected'],
  ["params[1", "ends where a closing ] was expected"],
  ["1 1", 'has "1" where the end was expected'],
  ["1 )", 'has ")" where the end was expected'],
])("%j %s", (text, whole) => {
  expect(sentence(text)).toBe(whole);
});

it.each([
  [`'${"x".repeat(2_046)}'`, ""],
  [`'${"x".repeat(2_047)}'`, "is longer than 2048 characters"],
  [`${"!".repeat(63)}1`, ""],
  [`${"!".repeat(64)}1`, "is nested more than 64 deep"],
])("a condition of this length or depth (%#)", (text, whole) => {
  expect(sentence(text)).toBe(whole);
});

describe("what holds", () => {
  const holds = (text: string, x: Json = null): boolean => {
    const result = evaluateWhen(text, { params: { x }, inputs: {} });
    if (!result.ok) throw new Error(result.message);
    return result.holds;
  };

  it.each<[Json, boolean]>([
    [null, false],
    [false, false],
    [0, false],
    ["", false],
    [true, true],
    [1, true],
    [-1, true],
    ["0", true],
    ["false", true],
    [[], true],
    [{}, true],
  ])("of %j alone: %s", (x, isTrue) => {
    expect([holds("params.x", x), holds("!params.x", x)]).toEqual([isTrue, !isTrue]);
  });

  it.each<[string, boolean[]]>([
    ["<", [true, false, false]],
    ["<=", [true, true, false]],
    [">", [false, false, true]],
    [">=", [false, true, true]],
    ["==", [false, true, false]],
    ["!=", [true, false, true]],
  ])("of 1, 2 and 3 %s 2: %j; texts as well", (operator, each) => {
    expect([1, 2, 3].map((n) => holds(`${n} ${operator} 2`))).toEqual(each);
    expect(["a", "b", "c"].map((text) => holds(`'${text}' ${operator} "b"`))).toEqual(each);
  });

  it.each(["<", "<=", ">", ">="])("nothing of unlike values %s", (operator) => {
    for (const [left, right] of [
      ["1", "'1'"],
      ["'1'", "1"],
      ["null", "0"],
      ["true", "1"],
    ] as const)
      expect(holds(`${left} ${operator} ${right}`)).toBe(false);
  });

  it("of && before ||, of a comparison before both, of ! before all", () => {
    expect(holds("true || false && false")).toBe(true);
    expect(holds("(true || false) && false")).toBe(false);
    expect(holds("false && false || true")).toBe(true);
    expect(holds("1 == 2 || 2 == 2")).toBe(true);
    expect(holds("!false && true")).toBe(true);
    expect(holds("!params.x == true")).toBe(true);
  });

  it.each<[string, Json, Json]>([
    ["params.x.length", [1, 2], 2],
    ["params.x.length", "abc", 3],
    ["params.x[0]", [7], 7],
    ["params.x[1]", [7], null],
    ["params.x['0']", [7], null],
    ["params.x[0]", "abc", null],
    ["params.x.a.b", { a: null }, null],
    ["params.x.toString", {}, null],
    ["params.x['a b']", { "a b": 5 }, 5],
  ])("%s of %j is %j", (path, x, value) => {
    expect(holds(`${path} == ${JSON.stringify(value)}`, x)).toBe(true);
  });
});
