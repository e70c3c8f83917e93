/** Which file holds a pipeline's name, by what was in force and what the files say now. */
import { expect, it } from "vitest";
import { nameHolder, type InForce, type NameClaim } from "../../src/core/name-holder.ts";

const claim = (name: string, digest?: string): NameClaim => ({ path: `/s/${name}.yaml`, digest });
const force = (name: string, digest: string | undefined, removed = false): InForce => ({
  file: `/old/${name}.yaml`,
  digest,
  removed,
});

it.each<[string, NameClaim[], InForce | undefined, string | undefined]>([
  ["the first good one", [claim("b", "2"), claim("a", "1")], undefined, "a"],
  ["a good one before a bad one", [claim("a"), claim("b", "2")], undefined, "b"],
  ["none where all are bad", [claim("a"), claim("b")], undefined, undefined],
  ["none where there is none", [], force("a", "1"), undefined],
  ["the one in force", [claim("a", "1"), claim("b", "2")], force("b", "9"), "b"],
  ["the one in force, though it is bad", [claim("a", "1"), claim("b")], force("b", "9"), "b"],
  ["what says the same", [claim("a", "1"), claim("b", "9")], force("gone", "9"), "b"],
  ["of two that say the same the first", [claim("c", "9"), claim("b", "9")], force("x", "9"), "b"],
  ["the first good one if nobody does", [claim("a", "1"), claim("b", "2")], force("x", "9"), "a"],
  // What was removed is in force no more: neither its file nor what it said counts.
  ["after a removal the first", [claim("a", "1"), claim("b", "9")], force("b", "9", true), "a"],
  ["after a removal", [claim("a", "1"), claim("b", "9")], force("gone", "9", true), "a"],
  ["where nothing was loaded", [claim("a", "1"), claim("b", "2")], force("b", undefined), "a"],
])("%s", (_, claims, inForce, name) => {
  expect(nameHolder(claims, inForce)?.path).toBe(
    name === undefined ? undefined : `/s/${name}.yaml`,
  );
  expect(nameHolder(claims.toReversed(), inForce)?.path).toBe(nameHolder(claims, inForce)?.path);
});
