/** docs/alert-rules.yml, by Prometheus' own tool. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { hasProgram } from "../../support/figures.ts";
import { projectRoot } from "../../support/temp-root.ts";

it.skipIf(!hasProgram("promtool")).each([
  ["are rules", ["check", "rules", "docs/alert-rules.yml"]],
  ["fire when they should", ["test", "rules", "test/page/metrics/alert-rules.yml"]],
])("%s", (_, words) => {
  const { status, stdout, stderr } = spawnSync("promtool", words, {
    cwd: join(projectRoot),
    encoding: "utf8",
  });
  expect(status, stdout + stderr).toBe(0);
  expect(stdout).toContain("SUCCESS");
});
