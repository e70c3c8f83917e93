/** What the command line leaves behind of a runner that only evaluates files: nothing. */
import { mkdtempSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { Evaluator } from "../../src/engine/evaluator.ts";
import { tempRoot } from "../support/temp-root.ts";

const TEMP = process.env["TMPDIR"];
afterEach(() => {
  if (TEMP === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = TEMP;
});

it("its folder goes with it, whatever became of the code", async () => {
  const made = tempRoot();
  const temp = mkdtempSync(join(made.root, "tmp-"));
  process.env["TMPDIR"] = temp;
  const evaluator = new Evaluator({
    root: made.root,
    bundlesDir: join(made.runs, ".bundles"),
    settings: DEFAULT_SETTINGS,
  });
  const code = { bundle: "0".repeat(64), pick: "export:default", source: "gone.ts" };
  await expect(evaluator.evaluate(code)).rejects.toThrow(Error);
  expect(readdirSync(temp)).toEqual([expect.stringMatching(/^orchd-evaluate-/)]);
  await evaluator.close();
  expect(readdirSync(temp)).toEqual([]);
});

it("one that evaluated nothing makes none", async () => {
  const made = tempRoot();
  const temp = mkdtempSync(join(made.root, "tmp-"));
  process.env["TMPDIR"] = temp;
  const options = { root: made.root, bundlesDir: made.runs, settings: DEFAULT_SETTINGS };
  await new Evaluator(options).close();
  expect(readdirSync(temp)).toEqual([]);
});
