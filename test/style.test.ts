/** What a page of the code looks like: as wide as 100 columns, comments and tests included. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { projectRoot } from "./support/temp-root.ts";

const COLUMNS = 100;
/** A file that is longer says in its head why it stays whole. */
const LINES = 500;

/** Frozen ledgers, and what other programs write. */
const NOT_OURS = /^test\/fixtures\/|package-lock\.json$/;

const files = execFileSync("git", ["ls-files", "-z"], { cwd: projectRoot, encoding: "utf8" })
  .split("\0")
  .filter((file) => /\.(tsx?|mjs)$/.test(file) && !NOT_OURS.test(file));

const texts = files.map((file) => ({ file, text: readFileSync(join(projectRoot, file), "utf8") }));

/** Where a pattern is found in the sources: `FILE:LINE: the line`. */
function places(pattern: RegExp, within = /^(src|daemon)\//): string[] {
  return texts
    .filter(({ file }) => within.test(file))
    .flatMap(({ file, text }) =>
      text
        .split("\n")
        .flatMap((line, index) =>
          pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [],
        ),
    );
}

describe("a page", () => {
  it("is found by git", () => {
    expect(files).toContain("test/style.test.ts");
  });

  it(`is ${COLUMNS} columns wide at most, comments and tests included`, () => {
    const wide = texts.flatMap(({ file, text }) =>
      text
        .split("\n")
        .flatMap((line, index) =>
          [...line].length > COLUMNS ? [`${file}:${index + 1}: ${[...line].length} columns`] : [],
        ),
    );
    expect(wide).toEqual([]);
  });

  /**
   * The head's last sentence, or a sentence of its own, that gives the reason: "…, so X stays one
   * file." or "It stays one file: …"
   */
  const saysWhy = (text: string): boolean =>
    head(text)
      .split(/\.(?=\s|$)/)
      .some(
        (sentence) =>
          /\bso (it|they) stays? (in )?one file$/.test(sentence) ||
          /\bstays one file: \S+( \S+){4,}/.test(sentence),
      );
  const head = (text: string): string =>
    text.startsWith("/**")
      ? text
          .slice(3, text.indexOf("*/"))
          .replaceAll(/\s*\n \* ?/g, " ")
          .trim()
      : "";

  it(`says in its head why it stays whole where it is longer than ${LINES} lines`, () => {
    const long = texts
      .filter(({ file, text }) => /^(src|daemon)\//.test(file) && text.split("\n").length > LINES)
      .filter(({ text }) => !saysWhy(text))
      .map(({ file, text }) => `${file}: ${text.split("\n").length} lines`);
    expect(long).toEqual([]);
  });

  it.each([
    ["/** A file defines at most one pipeline, and a pipeline comes from one file. */", false],
    ["/** It stays one file. */", false],
    ["/** A fold.\n *\n * All parts meet here, so it stays one file.\n */", true],
    [
      "/**\n * It stays one file: all parts meet here, and none\n * of them knows another.\n */",
      true,
    ],
    ["import x;\n/** All parts meet here, so it stays one file. */", false],
  ])("takes %j for a reason: %j", (text, isReason) => {
    expect(saysWhy(text)).toBe(isReason);
  });

  it("marks what is private with #", () => {
    expect(places(/^\s*(private|protected)\s+(?!constructor\b)/)).toEqual([]);
  });

  it("imports zod as a namespace: by the name `z` a bundle gets its fifty languages too", () => {
    expect(places(/^import (type )?\{.*\} from "zod"/)).toEqual([]);
  });

  it("has no comment that only points at another", () => {
    expect(places(/^\s*\/\*\* See (the head of this file|above)\b/)).toEqual([]);
  });
});
