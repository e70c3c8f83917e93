/** The labels of the place that a step runs on, and each sentence about what does not fit. */
import { expect, it } from "vitest";
import { labelsOf, type LabelContext } from "../../src/core/compile-labels.ts";

/** The labels, then each fault: where it is, and its sentence. */
function compiled(written: object, context: LabelContext = {}): unknown[] {
  const faults: string[] = [];
  const labels = labelsOf(written, context, (at, message) =>
    faults.push(`${at.join(".")}: ${message}`),
  );
  return [labels, ...faults];
}

const IMAGE: LabelContext["container"] = { image: "alpine" };
const LABEL = "which is no label: letters, digits, ., - and _, beginning with a letter or a digit";

it.each<[object, LabelContext, readonly string[] | undefined]>([
  [{}, {}, undefined],
  [{}, { on: ["gpu"] }, ["gpu"]],
  [{ on: "local" }, { on: ["gpu"] }, undefined],
  [{ on: ["local"] }, { on: ["gpu"] }, undefined],
  [{ on: "cpu" }, { on: ["gpu"] }, ["cpu"]],
  [{ on: ["b", "a", "b"] }, {}, ["a", "b"]],
  [{ on: "gpu", container: false }, { container: IMAGE }, ["gpu"]],
  [{ on: "local", container: IMAGE, cwd: "here" }, {}, undefined],
  [{ on: "gpu", cwd: "/there" }, {}, ["gpu"]],
  [{ on: "x".repeat(64) }, {}, ["x".repeat(64)]],
])("%j with %j: %j", (written, context, labels) => {
  expect(compiled(written, context)).toEqual([labels]);
});

it.each<[object, LabelContext, readonly string[]]>([
  [{ on: [] }, {}, ["on: names no label: name one, or local for this machine"]],
  [{ on: "-a" }, {}, [`on: names "-a", ${LABEL}`]],
  [{ on: ["a", "b c"] }, {}, [`on.1: names "b c", ${LABEL}`]],
  [{ on: "x".repeat(100) }, {}, [`on: names "${"x".repeat(80)}", ${LABEL}`]],
  [
    { on: ["a", "local"] },
    {},
    ["on.1: names local, this machine, beside other labels: no place has both"],
  ],
  [
    { on: ["b", "a"] },
    { container: IMAGE },
    [
      "on: names a and b, and containers run on this machine (local): " +
        "write container: false, or on: local",
    ],
  ],
  [
    { container: IMAGE },
    { on: ["gpu"] },
    [
      ": runs on gpu, and containers run on this machine (local): " +
        "write container: false, or on: local",
    ],
  ],
  [
    { on: ["b", "a"], cwd: "here" },
    {},
    [
      'cwd: is "here", from the pipeline file\'s folder, and the step ' +
        "runs on a and b: write an absolute path of that machine",
    ],
  ],
])("%j with %j is told", (written, context, faults) => {
  expect(compiled(written, context).slice(1)).toEqual(faults);
});
