/** Which values are references to a file, what a file has to hold, and what is behind them. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import {
  artifactValue,
  ArtifactUnusable,
  holdsArtifacts,
  isArtifactRef,
} from "../../src/core/artifact-ref.ts";
import type { Json } from "../../src/core/snapshot.ts";
import { StoredValues } from "../../src/core/stored-values.ts";

const HASH = "0123456789abcdef".repeat(4);
const REF = { $artifact: HASH, bytes: 2 };

it.each<[unknown, boolean]>([
  [REF, true],
  [{ ...REF, bytes: 0 }, true],
  [null, false],
  [undefined, false],
  ["$artifact", false],
  [[HASH, 2], false],
  [{ $artifact: HASH }, false],
  [{ ...REF, more: 1 }, false],
  [{ ...REF, bytes: 1.5 }, false],
  [{ ...REF, bytes: "2" }, false],
  [{ ...REF, $artifact: 7 }, false],
  [{ ...REF, $artifact: HASH.slice(1) }, false],
  [{ ...REF, $artifact: `${HASH}0` }, false],
  [{ ...REF, $artifact: HASH.toUpperCase() }, false],
])("%j", (value, is) => {
  expect(isArtifactRef(value)).toBe(is);
});

it("outputs are in files as a whole, in part, or not", () => {
  expect(holdsArtifacts(REF)).toBe(true);
  expect(holdsArtifacts({ a: 1, b: REF })).toBe(true);
  // A value within an output is the user's own.
  expect(holdsArtifacts({ a: { b: REF } })).toBe(false);
  expect(holdsArtifacts({})).toBe(false);
});

it("a file holds the value if its length and its hash are the reference's", () => {
  const bytes = Buffer.from('{"ä":1}');
  const ref = { $artifact: createHash("sha256").update(bytes).digest("hex"), bytes: bytes.length };
  expect(artifactValue(ref, bytes, "/a")).toEqual({ ä: 1 });
  const other = Buffer.from(bytes);
  other[5] = 0x32;
  for (const [wrong, held] of [
    [{ ...ref, bytes: ref.bytes + 1 }, bytes],
    [{ ...ref, $artifact: HASH }, bytes],
    [ref, other],
  ] as const)
    expect(() => artifactValue(wrong, held, "/a")).toThrow(
      new ArtifactUnusable("/a", "is damaged"),
    );
  const cause = new Error("gone");
  const thrown = new ArtifactUnusable("/a", "is not there", cause);
  expect([thrown.message, thrown.cause]).toEqual([
    "The artifact /a is not there. Run the step that gave it again.",
    cause,
  ]);
});

describe("stored values", () => {
  const ref = (digit: string) => ({ $artifact: digit.repeat(64), bytes: 9 });
  const files: Record<string, Json> = { a: { x: 1, y: ref("b") }, b: [1, 2] };
  function stored() {
    const read: string[] = [];
    const values = new StoredValues(({ $artifact }) => {
      read.push($artifact[0]!);
      return files[$artifact[0]!]!;
    });
    return { read, values };
  }
  const from = (inputs: Record<string, string | null>) => [
    { step: "one", outputs: ref("a"), inputs },
  ];

  it("are what is behind each reference, of each file once", () => {
    const { read, values } = stored();
    const inputs = from({ first: "x", second: "y", both: null });
    expect(values.inputs("two", [...inputs, ...inputs])).toEqual({
      first: 1,
      second: [1, 2],
      both: { x: 1, y: [1, 2] },
    });
    expect(values.allOutputs(ref("a"))).toEqual({ x: 1, y: [1, 2] });
    expect(values.resolve("plain")).toBe("plain");
    expect(read).toEqual(["a", "b"]);
  });

  it.each(["z", "toString", "__proto__"])("have no output %s that no step gave", (output) => {
    const input = () => stored().values.inputs("two", from({ in: output }));
    expect(input).toThrow(
      `input "in" of step "two" is "one.${output}", but step "one" has no output ` +
        `"${output}"; it has x, y`,
    );
    const nothing = [{ step: "one", outputs: {}, inputs: { in: output } }];
    expect(() => stored().values.inputs("two", nothing)).toThrow("it has none");
  });
});
