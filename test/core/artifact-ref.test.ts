/** Which values are references to a file, and what a file has to hold. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import {
  artifactValue,
  ArtifactUnusable,
  holdsArtifacts,
  isArtifactRef,
} from "../../src/core/artifact-ref.ts";

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
