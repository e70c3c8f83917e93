/** Which values a step may give: what JSON cannot hold is refused, with the place in the value. */
import { describe, expect, it } from "vitest";
import { resultJson } from "../../src/steps/step-result.ts";

describe("a step that declares outputs", () => {
  const of = (value: unknown): string => resultJson(value, "s", ["a", "b"]);

  it.each<[string, unknown, string]>([
    ["undefined", undefined, "it returned undefined"],
    ["null", null, "it returned null"],
    ["a list", [1, 2], "it returned a list"],
    ["a text", "ab", "it returned a string"],
    ["one of two", { a: 1 }, 'returned no "b", which it declares'],
    ["one that is undefined", { a: 1, b: undefined }, 'returned no "b", which it declares'],
    ["none of two", {}, 'returned no "a", "b", which'],
    ["one by its prototype", Object.create({ a: 1, b: 2 }), 'returned no "a", "b", which'],
    ["one more", { a: 1, b: 2, c: 3 }, 'returned "c", which it does not declare'],
  ])("gives all of them, not %s", (_, value, said) => {
    expect(() => of(value)).toThrow(said);
  });

  it("may give null, false, 0 and an empty text", () => {
    expect(of({ b: null, a: false })).toBe('{"b":null,"a":false}');
    expect(of({ a: 0, b: "" })).toBe('{"a":0,"b":""}');
  });
});

describe("a result", () => {
  const of = (value: unknown): string => resultJson(value, "s", undefined);

  it("may hold one object at many places, and deep ones beside each other", () => {
    const shared = { x: [1] };
    expect(of({ a: shared, b: [shared, shared] })).toBe(
      '{"a":{"x":[1]},"b":[{"x":[1]},{"x":[1]}]}',
    );
    const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);
    expect(JSON.parse(of(Array.from({ length: 600 }, () => deep(3))))).toHaveLength(600);
    expect(() => of(deep(499))).not.toThrow();
    expect(() => of(deep(501))).toThrow("deeper than 500 levels");
  });

  it("is what its toJSON says, whatever else it holds", () => {
    expect(of({ at: { toJSON: () => "now", f: () => 1, n: 1n } })).toBe('{"at":"now"}');
  });

  it.each<[string, (value: Record<string, unknown>) => void, string]>([
    ["itself", (value) => (value["a"] = [value]), '"a[0]" in the result is a part of itself'],
    ["a function", (value) => (value["a"] = { f: () => 1 }), '"a.f" in the result is a function'],
    ["a Map", (value) => (value["a"] = new Map()), '"a" in the result is a Map'],
    ["NaN", (value) => (value["a"] = [1, Number.NaN]), '"a[1]" in the result is NaN'],
    ["Infinity", (value) => (value["a"] = Infinity), '"a" in the result is Infinity'],
    ["-Infinity", (value) => (value["a"] = [-Infinity]), '"a[0]" in the result is -Infinity'],
    ["a BigInt", (value) => (value["a"] = 1n), '"a" in the result is a BigInt'],
    ["bytes", (value) => (value["a"] = new Uint8Array(2)), '"a" in the result is a Uint8Array'],
  ])("may not hold %s", (_, put, said) => {
    const value: Record<string, unknown> = {};
    put(value);
    expect(() => of(value)).toThrow(said);
  });
});
