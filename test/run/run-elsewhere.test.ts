/** How the steps of a run elsewhere are recorded that nothing else is known of. */
import { expect, it } from "vitest";
import type { RunState } from "../../src/core/run-state.ts";
import type { FinalRunStatus } from "../../src/core/status.ts";
import { RunElsewhere } from "../../src/run/run-elsewhere.ts";

const AT = "2026-11-28T02:00:10.000Z";

/** Records an end of a run with steps that wait, run, are orchd's own, and have ended. */
function recorded(status: FinalRunStatus, more: Partial<RunState> = {}) {
  const lines: string[] = [];
  const step = (id: string, phase: string, attempt = 0) =>
    [id, { spec: { id }, phase, attempt, attempts: [] as { startedAt: string }[] }] as const;
  const steps = new Map([
    step("waits", "ready"),
    step("runs", "running", 2),
    step("own", "running", 1),
    step("ended", "ended", 1),
  ]);
  steps.get("runs")!.attempts.push({ startedAt: "2026-11-28T02:00:00.000Z" });
  const state = { steps, failed: 0, snapshot: { executionMode: "fail_fast" }, ...more };
  const elsewhere = new RunElsewhere(
    {
      state,
      journal: { at: AT },
      emit: (event: { type: string; step: string; attempt?: number; durationMs?: number }) => {
        lines.push(`${event.type} ${event.step} ${event.attempt} ${event.durationMs ?? ""}`.trim());
        if (event.type === "step.started") steps.get(event.step)!.attempts.push({ startedAt: AT });
      },
    } as never,
    { flavor: "farm", requested: new Set(["own"]) } as never,
  );
  return { error: elsewhere.recordEnd(status), lines };
}

const COMPLETED = [
  "step.started waits 1",
  "step.completed waits 1 0",
  "step.completed runs 2 10000",
];
const STOPPED = ["step.stopped waits 1", "step.stopped runs 2"];

it.each([
  ["completed", COMPLETED],
  ["cached", COMPLETED],
  ["stopped", STOPPED],
] as const)("%s: so did those that orchd does not run itself", (status, lines) => {
  expect(recorded(status)).toEqual({ error: undefined, lines });
});

it("failed: the run did, unless a step's failure says so already", () => {
  const error = {
    name: "RunFailed",
    message: "the orchestrator farm reported that the run failed",
  };
  expect(recorded("failed")).toEqual({ error, lines: [] });
  const { executionMode } = { executionMode: "continue_on_failure" };
  expect(recorded("failed", { failed: 1, snapshot: { executionMode } as never })).toEqual({
    error: undefined,
    lines: [],
  });
});

it("failed, of a run that was told to stop: it was stopped", () => {
  const stop = { mode: "graceful", because: "enough" } as never;
  expect(recorded("failed", { stop })).toEqual({ error: undefined, lines: STOPPED });
});
