/** A problem as one sentence: its place counts from 1, and it is one line on any terminal. */
import { expect, it } from "vitest";
import { formatProblem, positionIn, printable, problemOf } from "../../src/schedules/problem.ts";

it.each([
  [{}, "a.yaml: is wrong"],
  [{ line: 3, column: 5 }, "a.yaml:3:5: is wrong"],
  [{ line: 3 }, "a.yaml:3:1: is wrong"],
  [{ column: 5 }, "a.yaml: is wrong"],
  [{ line: 1, column: 1, field: "steps.a" }, "a.yaml:1:1: steps.a is wrong"],
  [{ message: "a\nb\u001b[2J\u202ec" }, "a.yaml: a b\\u001b[2J\\u202ec"],
])("%j", (more, sentence) => {
  expect(formatProblem({ file: "a.yaml", message: "is wrong", ...more })).toBe(sentence);
});

it.each([
  [`names "a", ${"which is long ".repeat(9)}; did you mean "b"?`],
  [`"a" and "${"x".repeat(100)}"`],
  ['an odd " mark'],
  [`"${"x".repeat(101)}" and "b"`, `"${"x".repeat(100)}…" and "b"`],
  [`"${'\\"'.repeat(101)}"`, `"${'\\"'.repeat(100)}…"`],
  [`"${"\u{1f600}".repeat(101)}"`, `"${"\u{1f600}".repeat(100)}…"`],
])("shortens what is quoted, and nothing else: %s", (message, expected = message) => {
  expect(formatProblem({ file: "a", message })).toBe(`a: ${expected}`);
});

it("counts lines and columns from 1", () => {
  const text = "ab\ncd\n";
  expect([0, 1, 2, 3, 5, 6].map((offset) => Object.values(positionIn(text, offset)))).toEqual([
    [1, 1],
    [1, 2],
    [1, 3],
    [2, 1],
    [2, 3],
    [3, 1],
  ]);
  expect(printable("ä\u0085\ufeff")).toBe("ä\\u0085\\ufeff");
});

it("is made of a fault, with its field and its place", () => {
  const fault = (...path: (string | number)[]) => ({ path, message: "is wrong" });
  expect(problemOf("a", fault("steps", "b", 0), { line: 2, column: 4 })).toEqual({
    file: "a",
    line: 2,
    column: 4,
    field: "steps.b[0]",
    message: "is wrong",
  });
  expect(problemOf("a", fault(), undefined)).toEqual({ file: "a", message: "is wrong" });
});
