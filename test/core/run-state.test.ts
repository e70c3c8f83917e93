import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { runStatus } from "../../src/core/run-status.ts";
import { NO_RETRY } from "../../src/core/retry.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const STARTED: RunEvent = { type: "run.started", because: "scheduled" };
const STOP: RunEvent = { type: "run.stop_requested", mode: "graceful", by: "cli:root" };

function two(): GivenRun {
  return new GivenRun(snapshotOf([stepSpec("a"), stepSpec("b")])).happen(STARTED);
}

describe("a run's status, by ZenML's precedence", () => {
  it("is initializing until the run starts", () => {
    expect(runStatus(new GivenRun(snapshotOf([stepSpec("a")])).state).status).toBe("initializing");
  });

  it.each<[string, (run: GivenRun) => GivenRun, string]>([
    ["completed and failed", (run) => run.start("a").complete("a").start("b").fail("b"), "failed"],
    ["completed, of two", (run) => run.start("a").complete("a"), "running"],
    ["completed and running", (run) => run.start("a").complete("a").start("b"), "running"],
    ["both completed", (run) => run.start("a").complete("a").start("b").complete("b"), "completed"],
    ["failed while the other runs", (run) => run.start("a").start("b").fail("a"), "failed"],
    ["a stop while one runs", (run) => run.start("a").happen(STOP), "stopping"],
    [
      "a stop once all ended, one failed",
      (run) => run.start("a").fail("a").start("b").happen(STOP).complete("b"),
      "stopped",
    ],
    [
      "retrying",
      (run) =>
        run.start("a").happen({
          type: "step.failed",
          step: "a",
          attempt: 1,
          error: { name: "E", message: "" },
          retryAt: "2026-11-23T03:00:00Z",
        }),
      "running",
    ],
  ])("%s", (_, play, status) => {
    expect(runStatus(play(two()).state).status).toBe(status);
  });

  it("says that a failed run goes on while steps run", () => {
    expect(runStatus(two().start("a").start("b").fail("a").state)).toEqual({
      status: "failed",
      inProgress: true,
    });
  });

  it("never changes once the run has finished", () => {
    const run = two().start("a").complete("a").start("b").complete("b").settle();
    run.happen(STOP, { type: "run.finished", status: "failed", because: "late", durationMs: 1 });
    expect(runStatus(run.state)).toEqual({ status: "completed", inProgress: false });
  });

  it("has no key for a step whose last attempt started without one", () => {
    const start = (attempt: number, more: object): RunEvent => ({
      type: "step.started",
      step: "a",
      attempt,
      because: "inputs ready",
      ...more,
    });
    const error = { name: "E", message: "" };
    const retryAt = "2026-11-23T03:00:00Z";
    const run = two().happen(start(1, { cacheKey: "0123456789abcdef" }));
    expect(run.state.steps.get("a")?.cacheKey).toBe("0123456789abcdef");
    run.happen({ type: "step.failed", step: "a", attempt: 1, error, retryAt }, start(2, {}));
    expect(run.state.steps.get("a")?.cacheKey).toBeUndefined();
  });

  it("counts a cached step as a success", () => {
    const run = two()
      .happen({
        type: "step.cached",
        step: "a",
        source: { run: "p@1", step: "a" },
        outputs: {},
        because: "same key",
      })
      .start("b")
      .complete("b")
      .settle();
    expect(run.state.finished?.status).toBe("completed");
  });
});

describe("the time that a run has worked", () => {
  it("is the sum of the times it was worked on, over any number of recoveries", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a")])).happen(STARTED);
    const pass = (seconds: number): void => void (run.now += seconds * 1_000);
    pass(10);
    run.start("a");
    for (const [worked, down] of [
      [0, 100],
      [7, 1_000],
      [5, 50],
    ] as const) {
      pass(worked);
      // The last line that the daemon wrote before it died.
      run.happen({ type: "step.dreamt" } as unknown as RunEvent);
      pass(down);
      run.happen({ type: "run.recovered", because: "a daemon came up" });
    }
    expect(run.state.recoveries).toBe(3);
    expect(run.state.workedMs).toBe((10 + 7 + 5) * 1_000);
    expect(run.state.resumedAt).toBe(new Date(run.now).toISOString());
  });

  it("counts to the moment that the next daemon found, where it found one", () => {
    const run = two();
    run.now += 60_000;
    const workedUntil = new Date(run.now - 50_000).toISOString();
    run.happen({ type: "run.recovered", because: "x", workedUntil });
    expect(run.state.workedMs).toBe(10_000);
  });

  it("does not count what a queued run waited, before or after a recovery", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a")]));
    run.happen({ type: "run.queued", because: "another run is active" });
    for (let recovery = 0; recovery < 2; recovery += 1) {
      run.now += 60_000;
      run.happen({ type: "run.queued", because: "another run is active" });
      run.now += 60_000;
      run.happen({ type: "run.recovered", because: "a daemon came up" });
      expect(run.state.workedMs).toBe(0);
    }
  });
});

it("a stop by force stays one, whatever is asked for after it", () => {
  const run = two().happen(STOP);
  for (const mode of ["force", "graceful"] as const)
    run.happen({ type: "run.stop_requested", mode, by: "ann", because: mode });
  expect(run.state.stop).toEqual({ mode: "force", by: "ann", because: "graceful" });
});

it("a run that waits on waits under the limits that it was told first", () => {
  const run = new GivenRun(snapshotOf([stepSpec("a")]));
  run.happen({ type: "run.queued", because: "x", limits: { lane: 2 } });
  run.happen({ type: "run.queued", because: "y" });
  expect([run.state.limits, run.state.because]).toEqual([{ lane: 2 }, "y"]);
});

it("a step waits for all that it names, by inputs and by after alike, each once", () => {
  const inputs = { x: { step: "a" }, y: { step: "a" } };
  const last = stepSpec("c", { inputs, after: ["b", "a"] });
  const run = new GivenRun(snapshotOf([stepSpec("a"), stepSpec("b"), last])).happen(STARTED);
  const waits = () => {
    const { phase, unmet } = run.state.steps.get("c")!;
    return { phase, unmet };
  };
  expect(waits()).toEqual({ phase: "waiting", unmet: 2 });
  run.start("a").complete("a");
  expect(waits()).toEqual({ phase: "waiting", unmet: 1 });
  run.start("b").complete("b");
  expect(waits()).toEqual({ phase: "ready", unmet: 0 });
});

it("what was given with the submission is above what a step has itself", () => {
  const run = new GivenRun(snapshotOf([stepSpec("a", { env: { A: "1", B: "1" } }), stepSpec("b")]));
  const stepEnvironments = { a: { B: "2", C: "2" }, gone: { A: "3" } };
  run.happen({ type: "submit.given", stepEnvironments, baseEnvironment: { D: "4" } });
  const env = { A: "1", B: "2", C: "2" };
  expect(run.state.steps.get("a")!.spec.env).toEqual(env);
  expect(run.state.snapshot.steps.map((step) => step.env)).toEqual([env, {}]);
  expect(run.state.snapshot.baseEnv).toEqual({ D: "4" });
});

it("an attempt's token is the line that began it", () => {
  const run = two().start("a");
  const first = run.state.steps.get("a")!.token;
  expect(first).toBe(run.lines.length);
  run.happen({ type: "step.interrupted", step: "a", attempt: 1, because: "x", next: "rerun" });
  run.start("a");
  expect(run.state.steps.get("a")!.token).toBe(first + 2);
});

it("a run is told of by the step that failed first, and each step ends once", () => {
  const run = two().start("a").start("b").fail("b").fail("a");
  expect([run.state.firstFailure, run.state.ended]).toEqual(["b", 2]);
  expect(run.plan()).toMatchObject([{ because: expect.stringMatching(/^step "b" failed: /) }]);
  run.happen({ type: "step.stopped", step: "a", attempt: 1, because: "late" });
  expect(run.state.ended).toBe(2);
});

it("a step that starts waits for no room any more", () => {
  const run = new GivenRun(snapshotOf(["a", "b"].map((id) => stepSpec(id, { on: ["gpu"] }))));
  run.happen(STARTED, { type: "run.waits", on: ["gpu"], because: "gpu1 does not answer" });
  run.happen({ type: "run.waits", on: ["arm", "gpu"], because: "no machine has both" });
  expect([...run.state.waits.keys()]).toEqual(["gpu", "arm+gpu"]);
  run.happen({ type: "step.started", step: "a", attempt: 1, because: "x" });
  expect([...run.state.waits.keys()]).toEqual(["arm+gpu"]);
});

describe("a step with several attempts", () => {
  const failed = (attempt: number, retryAt?: string): RunEvent => ({
    type: "step.failed",
    step: "a",
    attempt,
    error: { name: "Error", message: `no ${attempt}` },
    ...(retryAt === undefined ? {} : { retryAt }),
  });

  it("waits for none once the next one started, or is not asked for", () => {
    const retry = { ...NO_RETRY, maxRetries: 2 };
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry })])).happen(STARTED);
    const step = () => run.state.steps.get("a")!;
    const now = new Date(run.now).toISOString();
    run.start("a").happen(failed(1, now));
    expect([step().retryAt, step().phase]).toEqual([run.now, "delayed"]);
    run.start("a");
    expect([step().retryAt, step().phase]).toEqual([undefined, "running"]);
    run.happen(failed(2, now));
    expect(step().attempts.map(({ status }) => status)).toEqual(["retried", "retried"]);
    run.happen(failed(2));
    expect(step().attempts.map(({ status }) => status)).toEqual(["retried", "failed"]);
    expect(step().status).toBe("failed");
  });

  it("that is stopped while it waits for the next one keeps how the last one ended", () => {
    const retry = { ...NO_RETRY, maxRetries: 2 };
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry })])).happen(STARTED);
    run.start("a").happen(failed(1, new Date(run.now).toISOString()));
    run.happen({ type: "step.stopped", step: "a", attempt: 1, because: "told to" });
    const [attempt] = run.state.steps.get("a")!.attempts;
    expect(attempt).toMatchObject({ status: "retried", error: { message: "no 1" } });
  });

  it("began with its first one, and ended with its last one", () => {
    const retry = { ...NO_RETRY, maxRetries: 2 };
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry })])).happen(STARTED);
    const began = new Date(run.now).toISOString();
    run.start("a").happen(failed(1, began));
    run.now += 60_000;
    run.start("a");
    run.now += 5_000;
    run.complete("a");
    const step = run.state.steps.get("a")!;
    expect(step).toMatchObject({
      startedAt: began,
      finishedAt: new Date(run.now).toISOString(),
      attempt: 2,
    });
    expect(step.attempts.map(({ startedAt }) => Date.parse(startedAt))).toEqual([
      run.now - 65_000,
      run.now - 5_000,
    ]);
  });

  it("has the error of the attempt that counts: none once one completed", () => {
    const retry = { ...NO_RETRY, maxRetries: 2 };
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry })])).happen(STARTED);
    const at = new Date(run.now).toISOString();
    run.start("a").happen(failed(1, at));
    expect(run.state.steps.get("a")?.error?.message).toBe("no 1");
    run.start("a").happen(failed(2, at));
    expect(run.state.steps.get("a")?.error?.message).toBe("no 2");
    run.start("a").complete("a");
    expect(run.state.steps.get("a")).toMatchObject({ status: "completed", attempt: 3 });
    expect(run.state.steps.get("a")).not.toHaveProperty("error");
    expect(run.state.steps.get("a")?.attempts.map(({ error }) => error?.message)).toEqual([
      "no 1",
      "no 2",
      undefined,
    ]);
  });
});

describe("evolve", () => {
  it("passes over events and fields it does not know", () => {
    const run = two();
    const before = structuredClone(run.state);
    run.happen({ type: "step.dreamt", step: "a" } as unknown as RunEvent);
    expect({ ...run.state, lastSeq: 0, lastAt: "" }).toEqual({ ...before, lastSeq: 0, lastAt: "" });
  });

  it("adds a step while the run goes on, ready when what it needs has ended", () => {
    const run = new GivenRun(
      snapshotOf([stepSpec("a")], { dynamic: { bundle: "x", pick: "function", source: "p.ts" } }),
    ).happen(STARTED);
    run.start("a").happen({ type: "step.added", step: "b", spec: stepSpec("b", { needs: ["a"] }) });
    expect(run.launches()).toEqual([]);
    expect(run.complete("a").launches()).toEqual(["b"]);
    run.happen({ type: "step.added", step: "c", spec: stepSpec("c", { needs: ["a"] }) });
    expect(run.launches()).toEqual(["b", "c"]);
  });

  it("runs init before any step, keeps its state, and fails the run if it throws", () => {
    const code = { bundle: "x", pick: "export:open", source: "./h.ts#open" };
    const make = (): GivenRun =>
      new GivenRun(snapshotOf([stepSpec("a")], { hooks: { init: code, cleanup: code } })).happen(
        STARTED,
      );
    const good = make();
    expect(good.plan()).toEqual([{ kind: "hook", hook: "init", because: "the run begins" }]);
    good.happen({ type: "hook.completed", hook: "init", state: { open: true } });
    expect(good.state.hookState).toEqual({ open: true });
    good.start("a").complete("a");
    expect(good.plan()).toMatchObject([{ kind: "hook", hook: "cleanup" }]);
    good
      .happen({ type: "hook.failed", hook: "cleanup", error: { name: "Error", message: "no" } })
      .settle();
    expect(good.state.finished?.status).toBe("completed");
    const bad = make()
      .happen({ type: "hook.failed", hook: "init", error: { name: "Error", message: "no room" } })
      .settle();
    expect(bad.state.finished).toMatchObject({
      status: "failed",
      because: "the init hook failed: no room",
    });
    expect(bad.statuses()).toEqual({ a: "skipped" });
  });

  it("owes a step's own hook rather than the pipeline's, and none for a cached step", () => {
    const code = (source: string) => ({ bundle: "x", pick: "export:default", source });
    const steps = [stepSpec("a", { hooks: { onSuccess: code("own") } }), stepSpec("b")];
    const run = new GivenRun(
      snapshotOf(steps, { hooks: { onSuccess: code("all"), onFailure: code("all") } }),
    ).happen(STARTED);
    run.start("a").complete("a");
    expect([...run.state.owedHooks.keys()]).toEqual(["onSuccess:a"]);
    run.happen({
      type: "hook.failed",
      hook: "onSuccess",
      step: "a",
      error: { name: "Error", message: "x" },
    });
    expect(run.state.owedHooks.size).toBe(0);
    run.happen({
      type: "step.cached",
      step: "b",
      source: { run: "p@1", step: "b" },
      outputs: {},
      because: "same key",
    });
    expect(run.state.owedHooks.size).toBe(0);
    expect(run.settle().state.finished?.status).toBe("completed");
  });
});

/** Any line of a step, also one that no run has at that point: it may be of another version. */
const stepLines = fc
  .tuple(fc.constantFrom("a", "b", "c", "d"), fc.integer({ min: 1, max: 3 }), fc.nat(8))
  .map(([step, attempt, kind]): RunEvent => {
    const of = { step, attempt };
    const error = { name: "Error", message: "no" };
    const retryAt = "2026-11-23T03:00:00Z";
    const because = "it does";
    const lines: RunEvent[] = [
      { type: "step.started", ...of, because },
      { type: "step.completed", ...of, outputs: {}, durationMs: 1 },
      { type: "step.failed", ...of, error },
      { type: "step.failed", ...of, error, retryAt },
      { type: "step.interrupted", ...of, because, next: "rerun" },
      { type: "step.interrupted", ...of, because, next: "retry", retryAt },
      { type: "step.interrupted", ...of, because, next: "fail" },
      { type: "step.stopped", ...of, because },
      { type: "step.skipped", step, because },
    ];
    return lines[kind]!;
  });

it("holds each step in the set of its phase, and in no other, whatever the lines say", () => {
  const steps = [
    stepSpec("a"),
    stepSpec("b", { needs: ["a"] }),
    stepSpec("c"),
    stepSpec("d", { needs: ["b", "c"] }),
  ];
  fc.assert(
    fc.property(fc.array(stepLines, { maxLength: 30 }), (lines) => {
      const { state } = new GivenRun(snapshotOf(steps)).happen(STARTED, ...lines);
      const inPhase = (phase: string): string[] =>
        [...state.steps].filter(([, step]) => step.phase === phase).map(([id]) => id);
      for (const phase of ["ready", "running", "delayed"] as const)
        expect([...state[phase]].toSorted(), phase).toEqual(inPhase(phase));
      expect(Object.values(state.readyIn).reduce((a, b) => a + b, 0)).toBe(state.ready.size);
      for (const id of state.doomed.keys()) expect(inPhase("ended")).not.toContain(id);
    }),
  );
});
