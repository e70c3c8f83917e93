/** Ledger lines to spans: what ended, when, below what, and nothing of a value. */
import { describe, expect, it } from "vitest";
import { traceSeed } from "../../src/core/trace-id.ts";
import { attemptSpanOf, runSpanOf, stepSpanOf, traceIdOf } from "../../src/core/trace-span.ts";
import { RunTrace, type LedgerLine } from "../../src/traces/run-trace.ts";
import { MOST_EVENTS, type Span } from "../../src/traces/span.ts";
import { TraceFold } from "../../src/traces/trace-fold.ts";
import { expectKept } from "../support/kept-text.ts";

const RUN = "p@20261123T020000Z";
const START = Date.parse("2026-11-23T02:00:00.250Z");
const SEED = traceSeed(RUN, at(0));

function at(ms: number): string {
  return new Date(START + ms).toISOString();
}

/** A ledger: each line a second after the one before. */
function ledger(...lines: Record<string, unknown>[]): LedgerLine[] {
  return lines.map((line, index) => ({ seq: index + 1, at: at(index * 1_000), ...line }));
}

const HEADER = {
  type: "run.submitted",
  run: RUN,
  pipeline: "p",
  trigger: { kind: "schedule", scheduledFor: "2026-11-23T02:00:00.000Z", schedule: "nightly" },
  params: { token: "VALUE", other: 2 },
  tags: ["ops"],
  reuse: { a: "p@1" },
  snapshot: { steps: [] },
};
const started = (step: string, attempt = 1): Record<string, unknown> => ({
  type: "step.started",
  step,
  attempt,
  because: "inputs ready",
});
const ended = (step: string, more: object = {}): Record<string, unknown> => ({
  type: "step.completed",
  step,
  attempt: 1,
  outputs: { result: "VALUE" },
  durationMs: 1,
  ...more,
});
const finished = (status = "completed"): Record<string, unknown> => ({
  type: "run.finished",
  status,
  because: "all steps ended well",
  durationMs: 1,
});

function spansOf(lines: readonly LedgerLine[]): Span[] {
  const trace = RunTrace.of(lines[0]!)!;
  return lines.slice(1).flatMap((line) => trace.take(line));
}

describe("a run that ends well", () => {
  const spans = spansOf(
    ledger(HEADER, { type: "run.started" }, started("a"), ended("a"), finished()),
  );
  const [attempt, step, root] = spans as [Span, Span, Span];

  it("is a trace of its own: the run, the step below it, the attempt below that", () => {
    expect(spans.map(({ traceId }) => traceId)).toEqual(Array(3).fill(traceIdOf(SEED)));
    expect(root).toMatchObject({
      spanId: runSpanOf(SEED),
      parentSpanId: undefined,
      kind: "server",
    });
    expect(step).toMatchObject({ spanId: stepSpanOf(SEED, 3), parentSpanId: root.spanId });
    expect(attempt).toMatchObject({ spanId: attemptSpanOf(SEED, 3), parentSpanId: step.spanId });
    expect([root, step, attempt].map(({ name }) => name)).toEqual(["RUN p", "a", "a attempt"]);
    expect(root).toMatchObject({ startMs: START, endMs: START + 4_000, error: undefined });
    expect(attempt).toMatchObject({ startMs: START + 2_000, endMs: START + 3_000 });
  });

  it("tells its slot, why it ran and how it ended, in the conventions' names", () => {
    expect(root.attributes).toEqual({
      "cicd.pipeline.name": "p",
      "cicd.pipeline.run.id": RUN,
      "cicd.pipeline.action.name": "RUN",
      "cicd.pipeline.result": "success",
      "orchd.trigger": "schedule",
      "orchd.slot": "2026-11-23T02:00:00.000Z",
      "orchd.slot.lateness_ms": 250,
      "orchd.schedule": "nightly",
      "orchd.params.count": 2,
      "orchd.reused.count": 1,
      "orchd.tags": ["ops"],
      "orchd.because": "all steps ended well",
    });
    expect(attempt.attributes).toMatchObject({
      "cicd.pipeline.task.name": "a",
      "cicd.pipeline.task.run.id": `${RUN}#3`,
      "cicd.pipeline.task.run.result": "success",
      "orchd.attempt": 1,
      "orchd.because": "inputs ready",
    });
  });

  it("holds no value of a param or an output", () => {
    expect(JSON.stringify(spans)).not.toContain("VALUE");
  });
});

describe("a step that does not end well", () => {
  const error = { name: "Error", message: "no", code: "ECONNRESET", stack: "Error: no\n at x" };

  it("has an attempt a try, an event a retry, and the error as an exception", () => {
    const spans = spansOf(
      ledger(
        HEADER,
        started("a"),
        { type: "step.failed", step: "a", attempt: 1, error, retryAt: at(9_000) },
        started("a", 2),
        {
          type: "step.interrupted",
          step: "a",
          attempt: 2,
          because: "the daemon ended",
          next: "rerun",
        },
        started("a", 2),
        { type: "step.failed", step: "a", attempt: 2, error },
        finished("failed"),
      ),
    );
    const [first, second, third, step, root] = spans as [Span, Span, Span, Span, Span];
    expect([first, second, third].map(({ spanId }) => spanId)).toEqual(
      [2, 4, 6].map((seq) => attemptSpanOf(SEED, seq)),
    );
    expect(first.events).toEqual([
      {
        name: "exception",
        atMs: START + 2_000,
        attributes: {
          "exception.type": "Error",
          "exception.message": "no",
          "exception.stacktrace": error.stack,
        },
      },
    ]);
    expect(first).toMatchObject({ error: "no", attributes: { "error.type": "ECONNRESET" } });
    expect(second.attributes["cicd.pipeline.task.run.result"]).toBe("error");
    expect(step.events.map(({ name }) => name)).toEqual(["orchd.retry", "orchd.retry"]);
    expect(step.events[0]!.attributes).toMatchObject({
      "orchd.attempt": 1,
      "orchd.retry.at": at(9_000),
    });
    expect(step).toMatchObject({
      spanId: stepSpanOf(SEED, 2),
      attributes: { "orchd.attempts": 3 },
    });
    expect(root).toMatchObject({
      error: "all steps ended well",
      attributes: { "cicd.pipeline.result": "failure", "error.type": "ECONNRESET" },
    });
  });

  it("is out of time, stopped, skipped or cached, each in its word", () => {
    const spans = spansOf(
      ledger(
        HEADER,
        started("late"),
        { type: "step.failed", step: "late", error: { ...error, code: "ORCHD_STEP_TIMEOUT" } },
        { type: "step.cached", step: "known", source: { run: "p@0", step: "b" }, outputs: {} },
        { type: "step.skipped", step: "left", because: "upstream" },
        { type: "step.stopped", step: "ended", because: "stopped" },
        { type: "run.timed_out", because: "its time is up" },
        finished("failed"),
      ),
    );
    const results = new Map(spans.map(({ name, attributes }) => [name, attributes]));
    const result = "cicd.pipeline.task.run.result";
    expect(results.get("late")![result]).toBe("timeout");
    expect(results.get("known")).toMatchObject({
      [result]: "success",
      "orchd.cached": true,
      "orchd.cache.source.run": "p@0",
      "orchd.cache.source.step": "b",
    });
    expect(results.get("left")![result]).toBe("skip");
    expect(results.get("ended")![result]).toBe("cancellation");
    expect(results.get("RUN p")!["cicd.pipeline.result"]).toBe("timeout");
  });

  it("ends with its run, where that says nothing of it", () => {
    const spans = spansOf(ledger(HEADER, started("a"), finished("stopped")));
    expect(spans.map(({ name }) => name)).toEqual(["a attempt", "a", "RUN p"]);
    expect(spans[2]).toMatchObject({
      error: undefined,
      attributes: { "cicd.pipeline.result": "cancellation" },
    });
  });
});

describe("a run's trace", () => {
  it("never ends before it starts, where the clock was set back", () => {
    const lines = ledger(HEADER, started("a"), ended("a"), finished());
    const back = lines.map((line, index) =>
      index === 0 ? line : { ...line, at: at(-5_000 * index) },
    );
    for (const { startMs, endMs } of spansOf(back)) expect(endMs).toBeGreaterThanOrEqual(startMs);
  });

  it("has at most so many events, and says how many it left out", () => {
    const many = Array.from({ length: 300 }, () => ({
      type: "run.overdue",
      because: "x".repeat(9_999),
    }));
    const root = spansOf(ledger(HEADER, ...many, finished())).at(-1)!;
    expect(root.events).toHaveLength(MOST_EVENTS);
    expect(root.droppedEvents).toBe(300 - MOST_EVENTS);
    expect(String(root.events[0]!.attributes["orchd.because"]).length).toBeLessThanOrEqual(4_096);
  });

  it("takes lines of a newer release, and lines that are no lines", () => {
    const odd = [
      { type: "run.newer", because: 3 },
      { type: "step.newer", step: "a" },
      { type: "step.started" },
      { type: "step.failed", step: "b", error: null },
      { type: 7 },
      {},
    ];
    const spans = spansOf(ledger(HEADER, ...odd, finished("unheard of")));
    expect(spans.map(({ name }) => name)).toEqual(["b", "RUN p"]);
    expect(spans[1]!.attributes["cicd.pipeline.result"]).toBe("error");
    expect(
      RunTrace.of({ type: "run.submitted", at: "never", run: RUN, pipeline: "p" }),
    ).toBeUndefined();
  });
});

describe("the fold over all ledgers", () => {
  const lines = ledger(HEADER, started("a"), ended("a"), started("b"), ended("b"), finished());
  const all = spansOf(lines);
  const give = (fold: TraceFold, from: number, to = lines.length): Span[] =>
    lines
      .slice(from, to)
      .flatMap((line) => fold.take({ pipeline: "p", run: RUN, seq: Number(line["seq"]), line }));
  const foldOf = (): TraceFold =>
    new TraceFold((_run, each) => {
      for (const line of lines) if (each(line) === false) return;
    });

  it("gives each span once wherever it is cut in two, and holds nothing at the end", () => {
    for (let cut = 0; cut <= lines.length; cut += 1) {
      const fold = foldOf();
      const before = give(foldOf(), 0, cut);
      expect([...before, ...give(fold, cut)]).toEqual(all);
      expect(fold.open).toBe(0);
    }
  });

  it("tells a run that goes on whole, and then what comes", () => {
    for (let cut = 1; cut < lines.length; cut += 1) {
      const fold = new TraceFold((_run, each) => {
        for (const line of lines.slice(0, cut)) if (each(line) === false) return;
      });
      const first = fold.begin(RUN);
      // The feed may give lines again that were read already.
      expect([...first, ...give(fold, Math.max(0, cut - 2))]).toEqual(all);
    }
  });

  it("ends a run by its pipeline's line, where its own ledger does not say it", () => {
    const fold = foldOf();
    give(fold, 0, 2);
    const line = {
      type: "run.finished",
      run: RUN,
      status: "failed",
      at: at(9_000),
      because: "gone",
    };
    const spans = fold.take({ pipeline: "p", run: undefined, seq: 4, line });
    expect(spans.map(({ name }) => name)).toEqual(["a attempt", "a", "RUN p"]);
    expect(fold.open).toBe(0);
  });

  it("holds the steps that run alone: ten thousand that ended are gone", () => {
    const fold = foldOf();
    fold.take({ pipeline: "p", run: RUN, seq: 1, line: lines[0]! });
    let most = 0;
    let spans = 0;
    for (let n = 0; n < 10_000; n += 1)
      for (const line of [started(`s${n}`), ended(`s${n}`)]) {
        const seq = 2 + n * 2;
        spans += fold.take({
          pipeline: "p",
          run: RUN,
          seq,
          line: { ...line, seq, at: at(n) },
        }).length;
        most = Math.max(most, fold.open);
      }
    expect([most, spans]).toEqual([2, 20_000]);
  });
});

it("of several errors the run has the first", () => {
  const failed = (step: string, code: string): Record<string, unknown> => ({
    type: "step.failed",
    step,
    attempt: 1,
    error: { name: "Error", message: code, code },
  });
  const rootOf = (...lines: Record<string, unknown>[]): Span =>
    spansOf(ledger(HEADER, ...lines, finished("failed"))).at(-1)!;
  const [a, b, c] = ["a", "b", "c"].map((step) => started(step)) as [object, object, object];
  const root = rootOf(
    { ...a },
    { ...b },
    { ...c },
    ended("a"),
    { type: "step.skipped", step: "d", because: "upstream" },
    failed("b", "FIRST"),
    failed("c", "SECOND"),
  );
  expect(root.attributes["error.type"]).toBe("FIRST");
});

describe("every line that a run may have", () => {
  const error = { name: "TypeError", message: "no such table", stack: "TypeError: no\n at x" };
  const failed = (step: string, more: object): Record<string, unknown> => ({
    type: "step.failed",
    step,
    attempt: 1,
    because: `${step} failed`,
    ...more,
  });
  const lines = ledger(
    HEADER,
    { type: "submit.started", because: "the orchestrator took it" },
    { type: "run.queued", because: "another run is under way" },
    { type: "run.started" },
    started("far"),
    { type: "step.started", step: "far", attempt: 2, elsewhere: true },
    failed("far", { error: { ...error, code: "ORCHD_RUNNER_DIED" }, retryAt: at(9_000) }),
    { type: "step.cached", step: "known", source: { run: "p@0", step: "b" }, because: "equal" },
    { type: "step.cached", step: "lent", because: "no source is named" },
    { type: "step.skipped", step: "left", because: "its condition is false" },
    started("cut"),
    { type: "step.interrupted", step: "cut", because: "the daemon ended", next: "fail" },
    started("shaken"),
    { type: "step.interrupted", step: "shaken", because: "the machine ended", next: "rerun" },
    started("shaken"),
    ended("shaken"),
    started("big"),
    failed("big", { error: { ...error, code: "ORCHD_OUT_OF_MEMORY" } }),
    started("slow"),
    failed("slow", { error: { ...error, code: "ORCHD_STEP_TIMEOUT" } }),
    started("bare"),
    failed("bare", { error: {} }),
    { type: "hook.completed", hook: "onFailure", step: "bare", because: "it failed" },
    { type: "hook.failed", hook: "onFinish", error },
    { type: "run.overdue", because: "it takes longer than expected" },
    started("held"),
    { type: "run.stop_requested", mode: "force", because: "bob asked" },
    { type: "step.stopped", step: "held", because: "bob asked" },
    started("open"),
    { type: "run.finished", status: "failed", because: "big failed", durationMs: 1 },
    { type: "run.overdue", because: "after the end nothing counts" },
  );

  it("becomes its spans, to the letter", () => {
    expectKept("traces/every-line.json", JSON.stringify(spansOf(lines), undefined, 1));
  });

  it.each<[string, object, object]>([
    [
      "a slot that is ahead of the clock",
      { trigger: { kind: "schedule", scheduledFor: at(1_000) } },
      { "orchd.trigger": "schedule", "orchd.slot": at(1_000), "orchd.slot.lateness_ms": 0 },
    ],
    [
      "a backfill, whose slot is no lateness",
      { trigger: { kind: "backfill", scheduledFor: at(-60_000), schedule: "nightly" } },
      {
        "orchd.trigger": "backfill",
        "orchd.slot": at(-60_000),
        "orchd.schedule": "nightly",
      },
    ],
    [
      "a run again",
      { trigger: { kind: "rerun", of: "p@0", scheduledFor: at(-60_000) } },
      { "orchd.trigger": "rerun", "orchd.slot": at(-60_000), "orchd.rerun.of": "p@0" },
    ],
    [
      "a run that a person asked for, with tags that are no texts",
      { trigger: { kind: "manual" }, tags: [1, "a", null] },
      { "orchd.trigger": "manual", "orchd.tags": ["a"] },
    ],
    ["a header that says little", { trigger: null, tags: [] }, {}],
  ])("of %s", (_, header, attributes) => {
    const first = { type: "run.submitted", run: RUN, pipeline: "p", ...header };
    const root = spansOf(ledger(first, finished())).at(-1)!;
    expect(root.attributes).toEqual({
      "cicd.pipeline.name": "p",
      "cicd.pipeline.run.id": RUN,
      "cicd.pipeline.action.name": "RUN",
      "cicd.pipeline.result": "success",
      "orchd.params.count": 0,
      "orchd.because": "all steps ended well",
      ...attributes,
    });
  });

  it.each([
    ["completed", "success", undefined],
    ["cached", "success", undefined],
    ["failed", "failure", "it ended"],
    ["stopped", "cancellation", undefined],
  ])("a run that is %s has the result %s", (status, result, told) => {
    const end = { type: "run.finished", status, because: "it ended" };
    const root = spansOf(ledger(HEADER, end)).at(-1)!;
    expect([root.attributes["cicd.pipeline.result"], root.error]).toEqual([result, told]);
  });
});
