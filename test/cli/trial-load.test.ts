/** A text that is loaded for a trial leaves nothing behind. */
import { readdirSync } from "node:fs";
import { expect, it, onTestFinished, vi } from "vitest";
import { trialLoad } from "../../src/cli/trial-load.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { tempRoot } from "../support/temp-root.ts";

it.each([
  ["steps: { a: { run: 'true' } }", true],
  ["steps: { a: { rum: 'true' } }", false],
  ["{", false],
])("%s is good: %s", async (text, isGood) => {
  const { root } = tempRoot();
  const before = readdirSync(root);
  vi.stubEnv("TMPDIR", root);
  onTestFinished(() => void vi.unstubAllEnvs());
  const loaded = await trialLoad("p.yaml", text, DEFAULT_SETTINGS);
  expect(loaded.ok).toBe(isGood);
  if (loaded.ok) expect(loaded.loaded.name).toBe("p");
  expect(readdirSync(root)).toEqual(before);
});
