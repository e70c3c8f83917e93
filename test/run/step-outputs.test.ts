/** What a ledger keeps of a result, by the outputs that the step declares; and each refusal. */
import { describe, expect, it } from "vitest";
import { outputsOf } from "../../src/run/step-outputs.ts";
import { stepSpec } from "../support/given-run.ts";

const of = (outputs: readonly string[] | undefined, value: unknown) =>
  outputsOf(stepSpec("s", outputs === undefined ? {} : { outputs }), value as never);

describe("a result", () => {
  it.each([[1], [null], ["text"], [[1]], [{ result: 2 }], [false]])(
    "of a step that declares nothing is one output: %j",
    (value) => expect(of(undefined, value)).toEqual({ ok: true, outputs: { result: value } }),
  );

  it("that is nothing is null", () => {
    expect(of(undefined, undefined)).toEqual({ ok: true, outputs: { result: null } });
  });

  it("has the declared outputs as members, in the order in which they are declared", () => {
    const found = of(["b", "a"], { a: null, b: 2 });
    expect(found).toEqual({ ok: true, outputs: { b: 2, a: null } });
    expect(Object.keys((found as { outputs: object }).outputs)).toEqual(["b", "a"]);
    expect(of([], {})).toEqual({ ok: true, outputs: {} });
  });

  const OBJECT = 'step "s" declares the outputs a, b, so it has to return an object with these ';
  it.each([
    [null, `${OBJECT}members; it returned null`],
    [[1], `${OBJECT}members; it returned a list`],
    ["x", `${OBJECT}members; it returned a string`],
    [1, `${OBJECT}members; it returned a number`],
    [{}, 'step "s" returned no "a", "b", which it declares as output'],
    [{ a: 1, b: undefined }, 'step "s" returned no "b", which it declares as output'],
    [Object.create({ b: 1 }, {}), 'step "s" returned no "a", "b", which it declares as output'],
    [
      { a: 1, b: 2, c: 3, d: 4 },
      'step "s" returned "c", "d", which it does not declare; its outputs are a, b',
    ],
  ])("that does not fit is refused: %j", (value, message) => {
    const error = { name: "OutputError", message, code: "ORCHD_BAD_OUTPUT" };
    expect(of(["a", "b"], value)).toEqual({ ok: false, error });
  });
});
