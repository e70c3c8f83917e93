/** What `run.map` and `run.product` make of their inputs, and when they refuse them. */
import { describe, expect, it } from "vitest";
import { unmapped } from "../../src/steps/authoring.ts";
import { cartesian, mappedInput, zip, type Combine } from "../../src/steps/mapped-inputs.ts";

function made(combine: Combine, inputs: Readonly<Record<string, unknown>>): unknown {
  return combine(
    Object.entries(inputs).map(([name, value]) => mappedInput(name, value, "s")),
    "s",
  );
}

describe("run.map", () => {
  it.each<[Record<string, unknown>, unknown[]]>([
    [{ a: [1] }, [{ a: 1 }]],
    [
      { a: [1, 2], b: [3, 4] },
      [
        { a: 1, b: 3 },
        { a: 2, b: 4 },
      ],
    ],
    [
      { u: unmapped(9), a: [1, 2] },
      [
        { u: 9, a: 1 },
        { u: 9, a: 2 },
      ],
    ],
    [{ a: [[1, 2]], u: unmapped([3, 4]) }, [{ a: [1, 2], u: [3, 4] }]],
  ])("%j", (inputs, invocations) => {
    expect(made(zip, inputs)).toEqual(invocations);
  });

  it.each<[Record<string, unknown>, string]>([
    [{ a: [1], b: [1, 2] }, 'the inputs "a" (1 item) and "b" (2)'],
    [{ a: [1, 2], b: [1] }, 'the inputs "a" (2 items) and "b" (1)'],
    [{ a: [1, 2], b: [1, 2], c: [1, 2, 3] }, 'the inputs "a" (2 items) and "c" (3)'],
  ])("%j are not equally long", (inputs, said) => {
    expect(() => made(zip, inputs)).toThrow(
      `"s": ${said} have to be equally long; use run.product for every combination`,
    );
  });
});

it("run.product gives every combination, and the last list changes fastest", () => {
  expect(made(cartesian, { a: [1, 2], u: unmapped(9), b: ["x", "y", "z"] })).toEqual(
    [1, 2].flatMap((a) => ["x", "y", "z"].map((b) => ({ a, u: 9, b }))),
  );
  expect(made(cartesian, { a: [1] })).toEqual([{ a: 1 }]);
});

it.each([zip, cartesian])("%o refuses what has nothing to map over", (combine) => {
  const nothing = '"s" has nothing to map over: every input is unmapped()';
  expect(() => made(combine, { a: unmapped(1) })).toThrow(nothing);
  expect(() => made(combine, {})).toThrow(nothing);
  expect(() => made(combine, { a: [] })).toThrow(
    '"s": the input "a" is an empty list, so there is nothing to map over',
  );
  for (const value of [1, "text", null, undefined, { length: 1 }])
    expect(() => made(combine, { a: value })).toThrow(
      '"s": the input "a" is no list; if every invocation gets the same value, ' +
        "wrap it in unmapped()",
    );
});
