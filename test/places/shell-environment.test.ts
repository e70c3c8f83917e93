/** What a shell step is given: which values as variables, which as files, and the most of each. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, expect, it } from "vitest";
import type { Json } from "../../src/core/snapshot.ts";
import { inheritedEnvironment } from "../../src/core/inherited-environment.ts";
import { AttemptFiles } from "../../src/places/runner/attempt-files.ts";
import { NotGivable, shellEnvironment } from "../../src/places/shell-environment.ts";
import { tempRoot } from "../support/temp-root.ts";

type Values = Readonly<Record<string, Json>>;

/** The variables of a step with these values; a file's path is given as `file NAME: TEXT`. */
function given(
  params: Values,
  inputs: Values = {},
  env: Readonly<Record<string, string>> = {},
  base: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const { root } = tempRoot();
  const made = shellEnvironment("p@1#2", { params, inputs, env }, base, new AttemptFiles(root));
  return Object.fromEntries(
    Object.entries(made).map(([name, value]) => [
      name,
      value.startsWith(`${root}/`)
        ? `file ${basename(value).replace(/^\d+-/, "")}: ${readFileSync(value, "utf8")}`
        : value,
    ]),
  );
}

it("short scalars are variables; all else is a file of JSON, and so are all together", () => {
  expect(
    given({ a: "x", n: 1.5, t: true, none: null, list: [1] }, { i: "y", o: { z: 1 } }),
  ).toEqual({
    ORCHD_PARAMS: 'file params.json: {"a":"x","n":1.5,"t":true,"none":null,"list":[1]}',
    ORCHD_INPUTS: 'file inputs.json: {"i":"y","o":{"z":1}}',
    ORCHD_PARAM_a: "x",
    ORCHD_PARAM_n: "1.5",
    ORCHD_PARAM_t: "true",
    ORCHD_PARAM_none: "file none.json: null",
    ORCHD_PARAM_list: "file list.json: [1]",
    ORCHD_INPUT_i: "y",
    ORCHD_INPUT_o: 'file o.json: {"z":1}',
  });
});

it("a step's own environment stands above that of the runner", () => {
  const env = given({}, {}, { A: "own" }, { A: "base", B: "base" });
  expect([env["A"], env["B"]]).toEqual(["own", "base"]);
});

describe("a text is a file", () => {
  const LIMIT = 32 * 1024;
  it.each<[string, string, boolean]>([
    ["at the limit", "x".repeat(LIMIT), false],
    ["past it", "x".repeat(LIMIT + 1), true],
    ["at the limit in bytes", "ä".repeat(LIMIT / 2), false],
    ["past it in bytes", "ä".repeat(LIMIT / 2 + 1), true],
    ["with a NUL", "a\0b", true],
    ["with half a pair", "a\ud800", true],
    ["that is empty", "", false],
  ])("%s: %#", (_, text, isFile) => {
    const { ORCHD_PARAM_a: value } = given({ a: text });
    expect(value).toBe(isFile ? `file a.json: ${JSON.stringify(text)}` : text);
  });
});

describe("of many values the longest become files until the rest fits", () => {
  const TOGETHER = 512 * 1024;
  const PART = 32 * 1024;
  /** 15 of 32 KiB, and one that brings them to `size` with their names. */
  const values = (size: number): Values => {
    const names = Array.from({ length: 15 }, (_, index) => `v${String(index).padStart(2, "0")}`);
    const head = "ORCHD_PARAM_v00=".length;
    const rest = size - 15 * (PART + head) - "ORCHD_PARAM_last=".length;
    return {
      ...Object.fromEntries(names.map((name) => [name, "x".repeat(PART)])),
      last: "y".repeat(rest),
    };
  };
  const files = (size: number): string[] =>
    Object.entries(given(values(size)))
      .filter(([name, value]) => name.startsWith("ORCHD_PARAM_") && value.startsWith("file "))
      .map(([name]) => name);

  it("none where they just fit, the longest first where they do not", () => {
    expect(files(TOGETHER)).toEqual([]);
    expect(files(TOGETHER + 1)).toEqual(["ORCHD_PARAM_v00"]);
  });
});

it("a file's name has nothing that a path or a shell reads, and is not long", () => {
  const { [`ORCHD_PARAM_${"a".repeat(80)}`]: long, "ORCHD_PARAM_a/../b c": odd } = given({
    "a/../b c": [1],
    ["a".repeat(80)]: [1],
  });
  expect(odd).toBe("file a____b_c.json: [1]");
  expect(long).toBe(`file ${"a".repeat(64)}.json: [1]`);
});

it("a variable that no process can have is refused by its name", () => {
  expect(() => given({}, {}, { A: "a\0b" })).toThrow(NotGivable);
  expect(() => given({}, {}, { A: "a\0b" })).toThrow(/^env A /);
});

it("of the machine's environment a step has four variables", () => {
  const own = { PATH: "p", HOME: "h", LANG: "l", TZ: "t", USER: "u", LC_ALL: "c" };
  expect(inheritedEnvironment(own)).toEqual({ PATH: "p", HOME: "h", LANG: "l", TZ: "t" });
  expect(inheritedEnvironment({ TZ: "", HOME: undefined })).toEqual({ TZ: "" });
});
