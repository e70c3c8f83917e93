/** How much of what a step printed its run's log has. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { OutputLine } from "../../src/core/task.ts";
import type { StepState } from "../../src/core/run-state.ts";
import { heardLines } from "../../src/run/heard-lines.ts";
import { tempRoot } from "../support/temp-root.ts";

const STARTED = "2026-11-28T10:00:00.000Z";

function logWith(...lines: readonly Partial<OutputLine>[]): string {
  const path = join(tempRoot().root, "run.log");
  const whole = lines.map((line) => ({
    at: STARTED,
    step: "s",
    attempt: 2,
    stream: "stdout",
    line: "x",
    ...line,
  }));
  writeFileSync(path, `${whole.map((line) => JSON.stringify(line)).join("\n")}\n{"at":"2026-1`);
  return path;
}

const STEP = {
  spec: { id: "s" },
  attempts: [
    { attempt: 1, status: "failed", startedAt: "2026-11-28T09:00:00.000Z" },
    { attempt: 2, status: "running", startedAt: STARTED },
  ],
} as unknown as StepState;

it("counts each stream of the step's present attempt", async () => {
  const path = logWith(
    {},
    { stream: "stderr" },
    { stream: "log" },
    { stream: "log" },
    { stream: "orchd" },
    { step: "other" },
    { attempt: 1 },
    { at: "2026-11-28T09:59:59.999Z" },
  );
  expect(await heardLines(path, STEP)).toEqual({ stdout: 1, stderr: 1, log: 2 });
});

it("counts none where there is no log yet", async () => {
  const path = join(tempRoot().root, "none.log");
  expect(await heardLines(path, STEP)).toEqual({ stdout: 0, stderr: 0, log: 0 });
});
