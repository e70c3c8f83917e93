import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import type { RunPage } from "../../src/views/run-page.ts";
import { readRunPage } from "../../src/views/run-page-reading.ts";
import {
  completedRun,
  header,
  loaded,
  runPath,
  snapshot,
  writePipeline,
  writeRun,
  type HandEvent,
} from "../support/hand-ledger.ts";
import { at, idOf, madeUpRoot } from "../support/made-up-root.ts";
import { tempRoot } from "../support/temp-root.ts";

function pageOf(runs: string, run: string): RunPage {
  const answer = readRunPage(new RunStore(runs), run);
  if (!answer.ok) throw new Error(answer.sentence);
  return answer.page;
}

const RUN = idOf("p", 8);

/** A step that is retried, one that the cache answers, one that is interrupted, one that waits. */
function events(end: readonly HandEvent[] = []): HandEvent[] {
  const made = snapshot("p", { pull: [], rates: [], lone: [], join: ["pull"] });
  const steps = (made["steps"] as Record<string, unknown>[]).map((step) =>
    step["id"] === "join"
      ? { ...step, inputs: { data: { step: "rates", output: "result" } } }
      : step,
  );
  const failed = { name: "ExitError", message: "status 69", code: "ORCHD_EXIT_STATUS" };
  return [
    header(
      RUN,
      {},
      {
        at: at(8),
        snapshot: { ...made, steps },
        trigger: { kind: "schedule", scheduledFor: at(8) },
        params: { day: "today", key: { secret: "KEY" } },
        tags: ["etl"],
      },
    ),
    { type: "run.started", at: at(8, 0, 2), because: "its slot was due" },
    { type: "step.started", at: at(8, 0, 3), step: "pull", attempt: 1, because: "no result yet" },
    {
      type: "step.cached",
      at: at(8, 0, 3),
      step: "rates",
      source: { run: idOf("p", 7), step: "rates" },
      outputs: { result: { usd: 1 } },
      because: "nothing changed",
    },
    {
      type: "step.started",
      at: at(8, 0, 3),
      step: "lone",
      attempt: 1,
      because: "it needs nothing",
    },
    {
      type: "step.failed",
      at: at(8, 0, 5),
      step: "pull",
      attempt: 1,
      error: failed,
      retryAt: at(8, 0, 9),
      because: "retry 1 of 2 follows",
    },
    {
      type: "step.interrupted",
      at: at(8, 0, 6),
      step: "lone",
      attempt: 1,
      because: "the runner died",
      next: "rerun",
    },
    { type: "step.started", at: at(8, 0, 6), step: "lone", attempt: 1, because: "once more" },
    { type: "step.started", at: at(8, 0, 9), step: "pull", attempt: 2, because: "retry 1 of 2" },
    ...end,
  ];
}

const ENDED: readonly HandEvent[] = [
  {
    type: "step.completed",
    at: at(8, 0, 10),
    step: "lone",
    attempt: 1,
    outputs: { result: "x".repeat(9_000) },
    durationMs: 1,
  },
  {
    type: "step.failed",
    at: at(8, 0, 11),
    step: "pull",
    attempt: 2,
    error: { name: "ExitError", message: "status 70" },
  },
  { type: "step.skipped", at: at(8, 0, 11), step: "join", because: 'upstream step "pull" failed' },
  {
    type: "run.finished",
    at: at(8, 0, 12),
    status: "failed",
    because: 'step "pull" failed: status 70',
    durationMs: 10_000,
  },
];

describe("a run's page", () => {
  test("has the attempts of each step, and the waits between them", () => {
    const { runs } = tempRoot();
    writeRun(runs, RUN, events());
    const page = pageOf(runs, RUN);
    const timeline = (step: string): unknown =>
      page.steps
        .find((one) => one.step === step)!
        .timeline.map(({ attempt, status, startedAt, endedAt, endedBecause }) => [
          attempt,
          status,
          startedAt,
          endedAt,
          endedBecause,
        ]);
    expect(timeline("pull")).toEqual([
      [1, "retried", at(8, 0, 3), at(8, 0, 5), "status 69"],
      [2, "running", at(8, 0, 9), null, null],
    ]);
    expect(timeline("lone")).toEqual([
      [1, "interrupted", at(8, 0, 3), at(8, 0, 6), "the runner died"],
      [1, "running", at(8, 0, 6), null, null],
    ]);
    expect(timeline("rates")).toEqual([]);
    expect(page).toMatchObject({
      status: "running",
      lateMs: 2_000,
      durationMs: null,
      rerun: null,
      params: { day: "today", key: { secret: "KEY" } },
      tags: ["etl"],
      usual: { medianMs: null, runs: 0 },
      ledger: { file: `p/2026-11/${RUN}.jsonl`, lines: 9, fault: null },
    });
    expect(page.graph.steps).toHaveLength(4);
  });

  test("says where a cached step comes from, and what each was given and gave", () => {
    const { runs } = tempRoot();
    writeRun(runs, RUN, events(ENDED));
    const page = pageOf(runs, RUN);
    const step = (name: string): RunPage["steps"][number] =>
      page.steps.find((one) => one.step === name)!;
    expect(step("rates").source).toEqual({ run: idOf("p", 7), step: "rates" });
    expect(step("join").inputs).toEqual({ data: { usd: 1 } });
    expect(step("pull").outputs).toBeNull();
    const { result } = step("lone").outputs as { result: { $cut: string; characters: number } };
    expect(result.characters).toBe(9_002);
    expect(result.$cut).toHaveLength(4_096);
    expect(page.rerun).toEqual({ reused: 2, steps: 4 });
    expect(page.durationMs).toBe(10_000);
  });

  test("has the runs before it, and how long they usually take", () => {
    const { runs } = madeUpRoot();
    const page = pageOf(runs, idOf("etl", 4));
    expect(page.before.map(({ run, status }) => [run, status])).toEqual([
      [idOf("etl", 1), "completed"],
      [idOf("etl", 2), "failed"],
      [idOf("etl", 3), "stopped"],
      [idOf("etl", 4), "completed"],
    ]);
    expect(page.usual).toEqual({ medianMs: 121_000, runs: 2 });
  });

  test("says what a waiting run waits for", () => {
    const { runs } = madeUpRoot();
    const page = pageOf(runs, idOf("etl", 9, 30));
    expect(page.because).toBe(`it waits: run ${idOf("etl", 9)} goes on`);
    expect(page.lateMs).toBeNull();
  });

  test("says that its ledger is damaged, and shows the lines before", () => {
    const { runs } = tempRoot();
    writeRun(runs, RUN, events());
    const path = runPath(runs, RUN);
    writeFileSync(path, readFileSync(path, "utf8").replace("status 69", "status 68"));
    const page = pageOf(runs, RUN);
    expect(page.ledger.lines).toBe(5);
    expect(page.ledger.fault).toMatch(/^line 6: /);
    expect(page.steps).toHaveLength(4);
  });

  test("may not be re-run where its code was pruned", () => {
    const { runs } = tempRoot();
    const lines = events(ENDED);
    const made = lines[0]!["snapshot"] as { steps: object[] };
    const code = { bundle: "b".repeat(64), pick: "step:pull" };
    const steps = made.steps.map((step) => ({ ...step, code }));
    writeRun(runs, RUN, [{ ...lines[0]!, snapshot: { ...made, steps } }, ...lines.slice(1)]);
    expect(pageOf(runs, RUN).rerun).toBeNull();
  });

  test("of a run that is not there is a sentence", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [loaded("* * * * *")]);
    expect(readRunPage(new RunStore(runs), RUN)).toMatchObject({ ok: false, kind: "unknown" });
    writeRun(runs, RUN, completedRun(RUN));
    expect(readRunPage(new RunStore(runs), RUN).ok).toBe(true);
    expect(readRunPage(new RunStore(runs), "../../etc/passwd")).toMatchObject({ ok: false });
  });
});
