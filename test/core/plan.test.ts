import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import { afterFailure, afterInterruption, MAX_RERUNS } from "../../src/core/attempt-end.ts";
import { fold } from "../../src/core/run-fold.ts";
import { runStatus } from "../../src/core/run-status.ts";
import { NO_RETRY } from "../../src/core/retry.ts";
import type { ExecutionMode } from "../../src/core/status.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const STARTED: RunEvent = { type: "run.started", because: "scheduled" };

/** The DAG of the contract: 1 -> {2, 3, 4}, 2 -> 5, 3 -> 6, 4 -> 7, {5, 6, 7} -> 8. */
function contractDag(executionMode: ExecutionMode): GivenRun {
  const steps = [
    stepSpec("1"),
    stepSpec("2", { needs: ["1"] }),
    stepSpec("3", { needs: ["1"] }),
    stepSpec("4", { needs: ["1"] }),
    stepSpec("5", { needs: ["2"] }),
    stepSpec("6", { needs: ["3"] }),
    stepSpec("7", { needs: ["4"] }),
    stepSpec("8", { needs: ["5", "6", "7"] }),
  ];
  const run = new GivenRun(snapshotOf(steps, { executionMode })).happen(STARTED);
  return run.start("1").complete("1").start("2").start("3").start("4").fail("2");
}

describe("the three execution modes", () => {
  it("continue_on_failure lets independent branches finish and skips what comes after", () => {
    const run = contractDag("continue_on_failure").settle();
    run.complete("3").complete("4").start("6").start("7").complete("6").complete("7").settle();
    expect(run.statuses()).toEqual({
      1: "completed",
      2: "failed",
      3: "completed",
      4: "completed",
      5: "skipped",
      6: "completed",
      7: "completed",
      8: "skipped",
    });
    expect(run.state.finished).toMatchObject({ status: "failed", because: 'step "2" failed: no' });
    expect(run.state.steps.get("5")?.because).toBe('upstream step "2" failed');
    expect(run.state.steps.get("8")?.because).toBe('upstream step "5" was skipped');
  });

  it("stop_on_failure lets running steps finish and starts nothing new", () => {
    const run = contractDag("stop_on_failure").settle();
    expect(run.plan().filter((action) => action.kind === "stopStep")).toEqual([]);
    run.complete("3").complete("4").settle();
    expect(run.statuses()).toMatchObject({
      3: "completed",
      4: "completed",
      5: "skipped",
      6: "skipped",
      7: "skipped",
      8: "skipped",
    });
    expect(run.state.steps.get("6")?.because).toContain("stop_on_failure");
    expect(run.state.finished?.status).toBe("failed");
  });

  it("fail_fast stops what runs at once", () => {
    const run = contractDag("fail_fast").settle();
    expect(
      run
        .plan()
        .flatMap((action) => (action.kind === "stopStep" ? [[action.step, action.mode]] : [])),
    ).toEqual([
      ["3", "force"],
      ["4", "force"],
    ]);
    run
      .happen(
        { type: "step.stopped", step: "3", attempt: 1, because: "told to" },
        { type: "step.stopped", step: "4", attempt: 1, because: "told to" },
      )
      .settle();
    expect(run.state.finished).toMatchObject({ status: "failed", because: 'step "2" failed: no' });
  });
});

describe("retries", () => {
  const retry = { ...NO_RETRY, maxRetries: 2, delayMs: 200, backoff: 2 };

  it("waits 200 ms and 400 ms, then fails for good", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry })])).happen(STARTED);
    const waits: (number | undefined)[] = [];
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      run.start("a");
      expect(run.state.steps.get("a")?.attempt).toBe(attempt);
      const failed = afterFailure(
        run.state,
        "a",
        { name: "Error", message: "no" },
        { now: run.now, chance: 0.5, mayRetry: true },
      );
      waits.push(failed.retryAt === undefined ? undefined : Date.parse(failed.retryAt) - run.now);
      run.happen(failed);
      if (attempt < 3) {
        expect(runStatus(run.state).status).toBe("running");
        expect(run.launches()).toEqual([]);
        expect(run.plan()).toMatchObject([{ kind: "wake" }]);
      }
      run.now += 1_000;
    }
    expect(waits).toEqual([200, 400, undefined]);
    expect(run.settle().state.finished?.status).toBe("failed");
    expect(run.state.steps.get("a")?.attempts.map((each) => each.status)).toEqual([
      "retried",
      "retried",
      "failed",
    ]);
  });

  it.each([
    ["a", "b"],
    ["b", "a"],
  ])("wakes for the retry that is due first, whether %s or %s failed first", (...order) => {
    const waits = (delayMs: number) => ({ ...NO_RETRY, maxRetries: 1, delayMs });
    const run = new GivenRun(
      snapshotOf([stepSpec("a", { retry: waits(1_000) }), stepSpec("b", { retry: waits(60_000) })]),
    ).happen(STARTED);
    run.start("a").start("b");
    const facts = { now: run.now, chance: 0.5, mayRetry: true };
    for (const id of order)
      run.happen(afterFailure(run.state, id, { name: "Error", message: "no" }, facts));
    expect(run.plan()).toMatchObject([{ kind: "wake", at: run.now + 1_000 }]);
    run.now += 1_000;
    expect(run.plan()).toMatchObject([
      { kind: "launch", step: "a" },
      { kind: "wake", at: facts.now + 60_000 },
    ]);
  });

  it("retries only the errors that are listed, by code or name", () => {
    const run = new GivenRun(
      snapshotOf([stepSpec("a", { retry: { ...retry, on: ["ECONNRESET", "TypeError"] } })]),
    )
      .happen(STARTED)
      .start("a");
    const facts = { now: run.now, chance: 0.5, mayRetry: true };
    expect(
      afterFailure(run.state, "a", { name: "Error", message: "", code: "ECONNRESET" }, facts)
        .retryAt,
    ).toBeDefined();
    expect(
      afterFailure(run.state, "a", { name: "TypeError", message: "" }, facts).retryAt,
    ).toBeDefined();
    expect(
      afterFailure(run.state, "a", { name: "Error", message: "", code: "ENOENT" }, facts),
    ).toMatchObject({
      because: "ENOENT is not among the errors that are retried",
    });
  });

  it("never retries once a stop was asked for", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry })])).happen(STARTED).start("a");
    run.happen({ type: "run.stop_requested", mode: "graceful", by: "cli:root" });
    expect(
      afterFailure(
        run.state,
        "a",
        { name: "Error", message: "" },
        { now: run.now, chance: 0.5, mayRetry: true },
      ).retryAt,
    ).toBeUndefined();
  });

  it("ends a step that waits for its retry when a stop comes", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry })])).happen(STARTED).start("a");
    run.happen(
      afterFailure(
        run.state,
        "a",
        { name: "Error", message: "" },
        { now: run.now, chance: 0.5, mayRetry: true },
      ),
    );
    run.happen({ type: "run.stop_requested", mode: "graceful", by: "cli:root" }).settle();
    expect(run.statuses()).toEqual({ a: "stopped" });
    expect(run.state.finished?.status).toBe("stopped");
  });
});

describe("the reason of a start", () => {
  it("says what a step has waited for", () => {
    const steps = [
      stepSpec("first"),
      stepSpec("second", { needs: ["first"] }),
      stepSpec("third", { inputs: { x: { step: "first" } } }),
      stepSpec("fourth", { needs: ["first"], inputs: { x: { step: "first" } } }),
    ];
    const run = new GivenRun(snapshotOf(steps)).happen(STARTED);
    for (const { id } of steps) {
      run.start(id);
      if (id === "first") run.complete(id);
    }
    expect([...run.state.steps].map(([id, { because }]) => [id, because])).toEqual([
      ["first", "the run began"],
      ["second", "upstream steps ended"],
      ["third", "inputs ready"],
      ["fourth", "inputs ready"],
    ]);
  });

  it("says which retry it is", () => {
    const retry = { ...NO_RETRY, maxRetries: 2 };
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry })])).happen(STARTED).start("a");
    const facts = { now: run.now, chance: 0.5, mayRetry: true };
    const error = { name: "Error", message: "no" };
    for (const because of ["retry 1 of 2", "retry 2 of 2"]) {
      run.happen(afterFailure(run.state, "a", error, facts)).start("a");
      expect(run.state.steps.get("a")?.because).toBe(because);
    }
  });
});

describe("interruptions", () => {
  const facts = { now: 0, chance: 0.5, because: "the daemon died" };

  it("counts a retry and never makes more attempts than the policy allows", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry: { ...NO_RETRY, maxRetries: 1 } })]))
      .happen(STARTED)
      .start("a");
    expect(
      run.happen(afterInterruption(run.state, "a", "daemon", facts)).state.steps.get("a")?.status,
    ).toBe("retrying");
    run.start("a");
    expect(run.state.steps.get("a")?.attempt).toBe(2);
    expect(afterInterruption(run.state, "a", "daemon", facts)).toMatchObject({ next: "fail" });
  });

  it("reruns under the same number, at most three times", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a", { onInterruption: "rerun" })]))
      .happen(STARTED)
      .start("a");
    for (let rerun = 1; rerun <= MAX_RERUNS; rerun += 1) {
      run.happen(afterInterruption(run.state, "a", "daemon", facts)).start("a");
      expect(run.state.steps.get("a")).toMatchObject({ attempt: 1, reruns: rerun });
    }
    expect(afterInterruption(run.state, "a", "daemon", facts)).toMatchObject({ next: "fail" });
  });

  it("a failure after a rerun is followed by the next attempt, under its own number", () => {
    const retry = { ...NO_RETRY, maxRetries: 2 };
    const run = new GivenRun(snapshotOf([stepSpec("a", { onInterruption: "rerun", retry })]))
      .happen(STARTED)
      .start("a");
    run.happen(afterInterruption(run.state, "a", "daemon", facts)).start("a");
    expect(run.state.steps.get("a")).toMatchObject({ attempt: 1, reruns: 1 });
    const error = { name: "Error", message: "no" };
    for (const attempt of [2, 3]) {
      const failure = { now: run.now, chance: 0.5, mayRetry: true };
      run.happen(afterFailure(run.state, "a", error, failure)).start("a");
      expect(run.state.steps.get("a")).toMatchObject({ attempt, reruns: 1 });
    }
  });

  it("starts an innocent sibling of a runner's death again, alone and uncounted", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a")])).happen(STARTED).start("a");
    run.happen(afterInterruption(run.state, "a", "runner", facts));
    expect(run.plan()).toMatchObject([{ kind: "launch", step: "a", attempt: 1, alone: true }]);
  });

  it("starts one that was behind others again in the runner that all share, uncounted", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a")])).happen(STARTED).start("a");
    run.happen(afterInterruption(run.state, "a", "behind", facts));
    expect(run.plan()).toMatchObject([{ kind: "launch", step: "a", attempt: 1, alone: false }]);
  });

  it.each(["retry", "rerun", "fail"] as const)(
    "starts what had not begun again under onInterruption: %s, uncounted, at most three times",
    (onInterruption) => {
      const run = new GivenRun(snapshotOf([stepSpec("a", { onInterruption })]))
        .happen(STARTED)
        .start("a");
      for (let rerun = 1; rerun <= MAX_RERUNS; rerun += 1) {
        const event = afterInterruption(run.state, "a", "waiting", facts);
        expect(event).toMatchObject({ next: "rerun", attempt: 1 });
        run.happen(event).start("a");
        expect(run.state.steps.get("a")).toMatchObject({ attempt: 1, reruns: rerun });
      }
      expect(afterInterruption(run.state, "a", "waiting", facts)).toMatchObject({ next: "fail" });
    },
  );

  it.each<[string, ExecutionMode, RunEvent | undefined, "rerun" | "fail"]>([
    ["goes on", "continue_on_failure", undefined, "rerun"],
    ["starts nothing new and lets steps end", "stop_on_failure", undefined, "rerun"],
    ["ends what runs", "fail_fast", undefined, "fail"],
    [
      "was asked to stop",
      "continue_on_failure",
      { type: "run.stop_requested", mode: "graceful", by: "cli:root" },
      "fail",
    ],
    [
      "is past its limit",
      "continue_on_failure",
      { type: "run.timed_out", because: "the limit" },
      "fail",
    ],
  ])("a step of a run that %s (%s) ends by that", (_, executionMode, event, next) => {
    const steps = [stepSpec("a"), stepSpec("b", { onInterruption: "rerun" })];
    const run = new GivenRun(snapshotOf(steps, { executionMode })).happen(STARTED);
    run.start("a").start("b").fail("a");
    if (event !== undefined) run.happen(event);
    for (const cause of ["daemon", "drain", "runner"] as const)
      expect(afterInterruption(run.state, "b", cause, facts)).toMatchObject({ next });
  });

  it("never starts again under onInterruption: fail", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a", { onInterruption: "fail" })]))
      .happen(STARTED)
      .start("a");
    run.happen(afterInterruption(run.state, "a", "runner", facts)).settle();
    expect(run.state.finished?.status).toBe("failed");
  });
});

describe("stops", () => {
  it("graceful starts nothing new and tells running steps once", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a"), stepSpec("b", { needs: ["a"] })]))
      .happen(STARTED)
      .start("a");
    run.happen({ type: "run.stop_requested", mode: "graceful", by: "cli:root" });
    expect(runStatus(run.state).status).toBe("stopping");
    expect(run.plan()).toContainEqual({
      kind: "stopStep",
      step: "a",
      mode: "graceful",
      because: "the run was asked to stop",
    });
    expect(
      run
        .plan({ stopping: new Map([["a", "graceful"]]) })
        .some((action) => action.kind === "stopStep"),
    ).toBe(false);
    run.happen({ type: "run.stop_requested", mode: "force", by: "cli:root" });
    expect(run.plan({ stopping: new Map([["a", "graceful"]]) })).toContainEqual(
      expect.objectContaining({ kind: "stopStep", mode: "force" }),
    );
    run.complete("a").settle();
    expect(run.state.finished?.status).toBe("stopped");
    expect(run.statuses()).toEqual({ a: "completed", b: "skipped" });
  });

  it("a time limit kills what runs, and a stop that was graceful does not soften it", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a"), stepSpec("b", { needs: ["a"] })]))
      .happen(STARTED)
      .start("a");
    run.happen({ type: "run.timed_out", because: "it ran longer than its limit of 1m" });
    expect(run.plan({ stopping: new Map([["a", "graceful"]]) })).toContainEqual({
      kind: "stopStep",
      step: "a",
      mode: "force",
      because: "it ran longer than its limit of 1m",
    });
    run.happen({ type: "step.stopped", step: "a", attempt: 1, because: "the limit" }).settle();
    expect(run.state.finished).toMatchObject({
      status: "failed",
      because: "it ran longer than its limit of 1m",
    });
  });

  it.each<[string, RunEvent]>([
    [
      "it ran longer than its limit of 1m",
      { type: "run.timed_out", because: "it ran longer than its limit of 1m" },
    ],
    [
      "the orchestrator did not take the run: gone",
      { type: "submit.failed", error: { name: "Error", message: "gone" } },
    ],
  ])("a run ends by %j, also where a step failed before", (because, event) => {
    const run = new GivenRun(snapshotOf([stepSpec("a"), stepSpec("b")])).happen(STARTED);
    run.start("a").start("b").fail("a").happen(event);
    run.happen({ type: "step.stopped", step: "b", attempt: 1, because: "told to" }).settle();
    expect(run.state.finished).toMatchObject({ status: "failed", because });
  });

  it("ends without the cleanup hook where the init hook has not run", () => {
    const code = { bundle: "x", pick: "export:open", source: "./h.ts#open" };
    const hooks = { init: code, cleanup: code };
    const run = new GivenRun(snapshotOf([stepSpec("a")], { hooks })).happen(STARTED);
    run.happen({ type: "run.stop_requested", mode: "graceful", by: "cli:root" }).settle();
    expect(run.plan()).toEqual([]);
    expect(run.state.finished?.status).toBe("stopped");
  });

  it("ends a queued run at once", () => {
    const run = new GivenRun(snapshotOf([stepSpec("a")])).happen({
      type: "run.queued",
      because: "another run is active",
    });
    run.happen({ type: "run.stop_requested", mode: "graceful", by: "cli:root" }).settle();
    expect(run.state.finished?.status).toBe("stopped");
  });
});

describe("limits", () => {
  it("never has more than maxParallelSteps under way, launching ones counted", () => {
    const steps = Array.from({ length: 10 }, (_, index) => stepSpec(`s${index}`));
    const run = new GivenRun(snapshotOf(steps, { maxParallelSteps: 3 })).happen(STARTED);
    expect(run.launches()).toEqual(["s0", "s1", "s2"]);
    expect(run.launches({ launching: new Set(["s0", "s1"]) })).toEqual(["s2"]);
    expect(run.start("s0").start("s1").launches()).toEqual(["s2"]);
    expect(run.launches({ capacity: { module: 0, shell: 0 } })).toEqual([]);
  });

  it("gives retries and steps that are ready the same places", () => {
    const retry = { ...NO_RETRY, maxRetries: 1 };
    const steps = Array.from({ length: 6 }, (_, index) => stepSpec(`s${index}`, { retry }));
    const run = new GivenRun(snapshotOf(steps, { maxParallelSteps: 3 })).happen(STARTED);
    for (const id of ["s0", "s1", "s2"]) run.start(id);
    const facts = { now: run.now, chance: 0.5, mayRetry: true };
    for (const id of ["s0", "s1"])
      run.happen(afterFailure(run.state, id, { name: "Error", message: "no" }, facts));
    expect(run.launches()).toEqual(["s0", "s1"]);
    expect(run.launches({ launching: new Set(["s0"]) })).toEqual(["s1"]);
    expect(run.launches({ capacity: { module: 0, shell: 1 } })).toEqual(["s0"]);
    run.start("s0").complete("s2");
    expect(run.launches()).toEqual(["s1", "s3"]);
  });

  it("gives modules and shells the room of their own lane, and passes over a full one", () => {
    const code = { bundle: "b", pick: "export:default", source: "./s.ts" };
    const steps = Array.from({ length: 12 }, (_, index) =>
      stepSpec(`s${index}`, index % 4 === 3 ? {} : { code }),
    );
    const run = new GivenRun(snapshotOf(steps, { maxParallelSteps: 64 })).happen(STARTED);
    expect(run.launches({ capacity: { module: 2, shell: 1 } })).toEqual(["s0", "s1", "s3"]);
    expect(run.launches({ capacity: { module: 0, shell: 64 } })).toEqual(["s3", "s7", "s11"]);
    run.start("s3").start("s7").start("s11");
    expect(run.launches({ capacity: { module: 0, shell: 64 } })).toEqual([]);
    expect(run.launches({ capacity: { module: 1, shell: 0 } })).toEqual(["s0"]);
  });

  it("gives brief steps a part of the room, and others what is left", () => {
    const code = { bundle: "b", pick: "export:default", source: "./s.ts" };
    const steps = Array.from({ length: 12 }, (_, index) => stepSpec(`s${index}`, { code }));
    const run = new GivenRun(snapshotOf(steps, { maxParallelSteps: 64 })).happen(STARTED);
    const capacity = { module: 2, shell: 0 };
    const all = steps.map(({ id }) => id);
    expect(run.launches({ capacity, share: () => 0.25 })).toEqual(all.slice(0, 8));
    // One that takes more than is left is started, and nothing after it.
    const share = ({ id }: { readonly id: string }): number => (id === "s7" ? 1 : 0.25);
    expect(run.launches({ capacity, share })).toEqual(all.slice(0, 8));
    const first = ({ id }: { readonly id: string }): number => (id === "s0" ? 1 : 0.25);
    expect(run.launches({ capacity, share: first })).toEqual(all.slice(0, 5));
  });
});

/** Any DAG: each step may need any earlier steps. */
const dags = fc
  .array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 0, maxLength: 12 })
  .map((rows) =>
    rows.map((needs, index) =>
      stepSpec(`s${index}`, {
        needs: index === 0 ? [] : [...new Set(needs.map((need) => `s${need % index}`))],
      }),
    ),
  );

describe("any DAG, any outcome, any order", () => {
  it("ends with every step ended, nothing run too early, and the same fold over the lines", () => {
    fc.assert(
      fc.property(
        dags,
        fc.constantFrom<ExecutionMode>("continue_on_failure", "stop_on_failure", "fail_fast"),
        fc.infiniteStream(fc.nat()),
        (steps, executionMode, choices) => {
          const next = (): number => choices.next().value as number;
          const run = new GivenRun(
            snapshotOf(steps, { executionMode, maxParallelSteps: 2 }),
          ).happen(STARTED);
          for (let move = 0; move < 200 && run.settle().state.finished === undefined; move += 1) {
            const startable = run.launches();
            const running = [...run.state.running];
            expect(startable.length + running.length).toBeGreaterThan(0);
            const pick = next() % (startable.length + running.length);
            const step =
              pick < startable.length ? startable[pick]! : running[pick - startable.length]!;
            if (pick < startable.length) {
              for (const need of run.state.steps.get(step)!.spec.after)
                expect(run.state.steps.get(need)?.status).toBe("completed");
              run.start(step);
            } else if (next() % 4 === 0) run.fail(step);
            else run.complete(step);
            expect(run.state.running.size).toBeLessThanOrEqual(2);
          }
          expect(run.state.finished).toBeDefined();
          expect([...run.state.steps.values()].every((step) => step.phase === "ended")).toBe(true);
          expect(run.state.ended).toBe(run.state.steps.size);
          const failed = [...run.state.steps.values()].some((step) => step.status === "failed");
          expect(run.state.finished?.status).toBe(failed ? "failed" : "completed");
          expect(fold(run.lines)).toEqual(run.state);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("costs what changed: a chain and a fan-out of 10,000 steps take linear work", () => {
    const steps = Array.from({ length: 10_000 }, (_, index) => stepSpec(`s${index}`));
    const run = new GivenRun(snapshotOf(steps, { maxParallelSteps: 10_000 })).happen(STARTED);
    let asked = 0;
    const ready = run.state.ready;
    const original = ready[Symbol.iterator].bind(ready);
    Object.defineProperty(ready, Symbol.iterator, {
      value: function* () {
        for (const id of { [Symbol.iterator]: original }) {
          asked += 1;
          yield id;
        }
      },
    });
    for (let index = 0; index < 100; index += 1) {
      const [id] = run.launches({ capacity: { module: 1, shell: 1 } });
      run.happen({ type: "step.started", step: id!, attempt: 1, because: "ready" });
      run.complete(id!);
    }
    expect(asked).toBeLessThanOrEqual(300);
  });
});
