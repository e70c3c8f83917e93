/** What a system takes as an environment, to the byte, with what to do instead. */
import { expect, it } from "vitest";
import {
  ENVIRONMENT_LIMIT,
  environmentFault,
  TEXT_LIMIT,
  VARIABLE_LIMIT,
  VARIABLE_NAME,
} from "../../src/core/environment-limits.ts";

it("the limits are the system's", () => {
  expect([VARIABLE_LIMIT, ENVIRONMENT_LIMIT, TEXT_LIMIT]).toEqual([131_071, 1_048_576, 98_304]);
});

it.each<[object, string | undefined, string | undefined]>([
  [{}, undefined, undefined],
  [{ A: "x".repeat(131_069) }, undefined, undefined],
  [
    { A: "x".repeat(131_070) },
    "A",
    "has 131072 bytes with its name, and the system takes at most 131071: " +
      "write it to a file and give the file's path, or make it a param",
  ],
  // Bytes of UTF-8, not characters.
  [{ A: "ü".repeat(65_534) }, undefined, undefined],
  [
    { A: "ü".repeat(65_535) },
    "A",
    "has 131072 bytes with its name, and the system takes at most 131071: " +
      "write it to a file and give the file's path, or make it a param",
  ],
  [{ A: "a\0b" }, "A", "holds a NUL character, which no environment can"],
  [{ A: "\ud800" }, "A", "holds half of a surrogate pair, which is no character"],
  [{ A: "😀" }, undefined, undefined],
  // What a secret holds is not known.
  [{ A: { secret: "x" } }, undefined, undefined],
])("variables %#", (env, name, message) => {
  expect(environmentFault(env as never)).toEqual(
    message === undefined ? undefined : { name, message },
  );
});

it("all together are 1 MiB, with their names", () => {
  const env = (last: number): Record<string, string> => ({
    ...Object.fromEntries(
      Array.from({ length: 8 }, (_, index) => [`A${index}`, "x".repeat(131_000)]),
    ),
    B: "x".repeat(last),
  });
  const rest = 1_048_576 - 8 * 131_003 - 2;
  expect(environmentFault(env(rest))).toBeUndefined();
  expect(environmentFault(env(rest + 1))).toEqual({
    name: undefined,
    message:
      "has 1048577 bytes in all, with what orchd.yaml and the pipeline set, " +
      "and at most 1048576 can be given: use files or params",
  });
});

it.each([
  ["A", true],
  ["_a1", true],
  ["A".repeat(256), true],
  ["A".repeat(257), false],
  ["1A", false],
  ["A-B", false],
  ["", false],
  ["Ä", false],
])("%j is a variable's name: %s", (name, is) => {
  expect(VARIABLE_NAME.test(name)).toBe(is);
});
