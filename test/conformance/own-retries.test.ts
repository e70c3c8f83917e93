/** Orchestrators that retry steps themselves (docs/zenml.md "Retries"). */
import { describe, expect, it } from "vitest";
import type { PipelineSubmission, SubmissionResult } from "../../src/orchestrators/submission.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import type { RetryPolicy, SnapshotStep } from "../../src/core/snapshot.ts";
import { held, type FakeClass } from "../support/fake-pool.ts";
import { moduleStep, type Ended } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, MinimalOrchestrator, World, refTo } from "./world.ts";

const retry = (maxRetries: number, more: Partial<RetryPolicy> = {}): RetryPolicy => ({
  maxRetries,
  delayMs: 0,
  backoff: 1,
  jitter: 0,
  ...more,
});

type Act = (run: (step: string) => Promise<void>, of: PipelineSubmission) => Promise<void>;

/** A flavor that retries itself, and does this when it is given a run. */
function retrying(act: Act, more: object = {}) {
  return class Retrying extends MinimalOrchestrator {
    override readonly capabilities = { handlesStepRetries: true, ...more };
    override async submitPipeline(of: PipelineSubmission): Promise<SubmissionResult> {
      await act((step) => this.runStep(step), of);
      return {};
    }
  };
}

function worldOf(
  type: unknown,
  functions: ConstructorParameters<typeof World>[1],
  options: ConstructorParameters<typeof World>[2] = {},
): World {
  const flavor = { ...FLAVORS[0]!, name: "own", ref: refTo("own") };
  return new World({ ...flavor, classes: { "export:own": type as FakeClass } }, functions, options);
}

/** A step's code that fails this many times, each with an error of its own. */
function failing(times: number): () => number {
  let calls = 0;
  return () => {
    calls += 1;
    if (calls <= times) throw Object.assign(new Error(`no ${calls}`), { code: `E${calls}` });
    return calls;
  };
}

/** Given once, by the flavor to the test. */
function signal(): { readonly give: () => void; readonly given: Promise<void> } {
  let give!: () => void;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { give, given };
}

const said = (promise: Promise<void>): Promise<string> =>
  promise.then(
    () => "ended",
    ({ message, code = "" }: Error & { code?: string }) => `${message} ${code}`.trim(),
  );

const attempts = ({ state }: Ended, step = "a"): (string | number)[][] =>
  state.steps.get(step)!.attempts.map(({ attempt, status }) => [attempt, status]);

async function runOf(
  act: Act,
  steps: SnapshotStep[],
  functions: ConstructorParameters<typeof World>[1],
  options: ConstructorParameters<typeof World>[2] = {},
): Promise<Ended> {
  return worldOf(retrying(act), functions, options).run(steps);
}

describe("a flavor that retries steps itself", () => {
  it("gets a new attempt for each call, and each attempt's own error", async () => {
    const heard: string[] = [];
    const run = await runOf(
      async (runStep) => {
        for (let call = 0; call < 4; call += 1) heard.push(await said(runStep("a")));
      },
      [moduleStep("a", { retry: retry(3) })],
      { a: failing(2) },
    );
    expect(heard).toEqual(["no 1 E1", "no 2 E2", "ended", "ended"]);
    expect(run.status).toBe("completed");
    expect(attempts(run)).toEqual([
      [1, "retried"],
      [2, "retried"],
      [3, "completed"],
    ]);
    expect(run.of("step.failed")[0]).toMatchObject({
      because: "the orchestrator may ask for retry 1 of 3",
    });
  });

  it("gets no more attempts than the step's maxRetries allow, and a sentence at once", async () => {
    const heard: string[] = [];
    const run = await runOf(
      async (runStep) => {
        for (let call = 0; call < 4; call += 1) heard.push(await said(runStep("a")));
      },
      [moduleStep("a", { retry: retry(1) })],
      { a: failing(9) },
    );
    const refused = 'step "a" is not run again: 2 of 2 attempts were made; it failed: no 2';
    expect(heard).toEqual(["no 1 E1", "no 2 E2", refused, refused]);
    expect(run.status).toBe("failed");
    expect(run.because).toBe('step "a" failed: no 2');
    expect(attempts(run)).toEqual([
      [1, "retried"],
      [2, "failed"],
    ]);
  });

  it.each([
    ["without retries", {}, "1 of 1 attempt was made"],
    [
      "of another error than the policy's",
      { retry: retry(3, { on: ["EOTHER"] }) },
      "1 of 4 attempts was made, and E1 is not among the errors that are retried",
    ],
  ])("is refused a second attempt of a step %s", async (_, more, why) => {
    const heard: string[] = [];
    await runOf(
      async (runStep) => {
        for (let call = 0; call < 2; call += 1) heard.push(await said(runStep("a")));
      },
      [moduleStep("a", more)],
      { a: failing(9) },
    );
    expect(heard[1]?.replace("1 of 1 attempts", "1 of 1 attempt")).toContain(why);
  });

  it("joins an attempt that runs, also when it asks twice for the next one", async () => {
    const heard: string[] = [];
    const run = await runOf(
      async (runStep) => {
        heard.push(...(await Promise.all([said(runStep("a")), said(runStep("a"))])));
        heard.push(...(await Promise.all([said(runStep("a")), said(runStep("a"))])));
      },
      [moduleStep("a", { retry: retry(3) })],
      { a: failing(1) },
    );
    expect(heard).toEqual(["no 1 E1", "no 1 E1", "ended", "ended"]);
    expect(run.of("step.started")).toHaveLength(2);
  });

  it("may give a step up: its failure stands when nobody can ask any more", async () => {
    const run = await runOf(
      (runStep) => said(runStep("a")).then(() => undefined),
      [moduleStep("a", { retry: retry(3) })],
      { a: failing(9) },
    );
    expect(run.status).toBe("failed");
    expect(run.because).toBe('step "a" failed: no 1');
    expect(attempts(run)).toEqual([[1, "failed"]]);
    expect(run.of("step.failed").map(({ because }) => because)).toEqual([
      "the orchestrator may ask for retry 1 of 3",
      "the orchestrator asked for no further attempt",
    ]);
  });

  it("that passes on a step's error fails because of the step", async () => {
    const run = await runOf(
      (runStep) => runStep("a"),
      [moduleStep("a", { retry: retry(3) }), moduleStep("b", { does: "a" })],
      { a: failing(9) },
    );
    expect(run.because).toBe('step "a" failed: no 1');
    expect(run.of("submit.failed")).toEqual([]);
    expect(run.of("submit.warning")).toEqual([]);
  });

  it("does not hang where another step that it asked for waits for one it gave up", async () => {
    const clock = new VirtualClock();
    const world = worldOf(
      retrying((runStep) =>
        Promise.allSettled([runStep("a"), runStep("b"), runStep("c")]).then(() => undefined),
      ),
      { a: failing(9), b: () => 1, c: () => 2 },
      { clock },
    );
    const loop = await world.begin([
      moduleStep("a", { retry: retry(2, { delayMs: 5_000 }) }),
      moduleStep("b", { needs: ["a"] }),
      moduleStep("c", { needs: ["b"] }),
    ]);
    await clock.until(() => loop.state.finished !== undefined);
    const run = await world.end(loop);
    expect(clock.monotonic()).toBe(65_000);
    expect(run.statuses()).toEqual({ a: "failed", b: "skipped", c: "skipped" });
  });

  it("may wait before it asks again, while others wait for the step", async () => {
    const clock = new VirtualClock();
    const waits = signal();
    const world = worldOf(
      retrying(async (runStep) => {
        const rest = runStep("b");
        await said(runStep("a"));
        waits.give();
        await new Promise<void>((resolve) => clock.after(30_000, resolve));
        await runStep("a");
        await rest;
      }),
      { a: failing(1), b: () => 1 },
      { clock },
    );
    const loop = await world.begin([
      moduleStep("a", { retry: retry(2) }),
      moduleStep("b", { needs: ["a"] }),
    ]);
    await waits.given;
    await clock.advance(30_000);
    expect((await world.end(loop)).status).toBe("completed");
  });

  it.each([
    ["a stop", {}],
    ["the run's time limit", { timeoutMs: 10_000 }],
  ])("gets no further attempt after %s between two attempts", async (_, snapshot) => {
    const clock = new VirtualClock();
    const waits = signal();
    const world = worldOf(
      retrying(async (runStep) => {
        await said(runStep("a"));
        waits.give();
        await new Promise<void>((resolve) => clock.after(60_000, resolve));
        await said(runStep("a"));
      }),
      { a: failing(1) },
      { clock },
    );
    const loop = await world.begin([moduleStep("a", { retry: retry(2) })], {}, snapshot);
    await waits.given;
    if (!("timeoutMs" in snapshot)) await loop.requestStop({ mode: "graceful", by: "me" });
    await clock.until(() => loop.state.finished !== undefined);
    const run = await world.end(loop);
    expect(run.statuses()).toEqual({ a: "stopped" });
    expect(run.of("step.started")).toHaveLength(1);
  });

  it("is not retried for a step that another one's failure stops under fail_fast", async () => {
    const slow = held();
    const type = retrying(
      (runStep) => Promise.allSettled([runStep("a"), runStep("b")]).then(() => undefined),
      { supportedExecutionModes: ["fail_fast"] },
    );
    const world = worldOf(type, { a: slow, b: failing(9) });
    const loop = await world.begin(
      [moduleStep("a", { retry: retry(3) }), moduleStep("b")],
      {},
      { executionMode: "fail_fast" },
    );
    const run = await world.end(loop);
    expect(run.statuses()).toEqual({ a: "stopped", b: "failed" });
    expect(run.of("step.started", "a")).toHaveLength(1);
  });

  it("goes on after a crash between two attempts, where it is submitted again", async () => {
    const clock = new VirtualClock();
    const never = new Promise<void>(() => undefined);
    const first = worldOf(
      retrying((runStep) => said(runStep("a")).then(() => never), { resubmits: true }),
      { a: failing(9) },
      { clock },
    );
    const loop = await first.begin([moduleStep("a", { retry: retry(2) })]);
    await clock.until(() => loop.state.steps.get("a")!.phase === "delayed");
    await loop.drain(0);
    const heard: string[] = [];
    const second = worldOf(
      retrying(
        async (runStep) => {
          for (let call = 0; call < 3; call += 1) heard.push(await said(runStep("a")));
        },
        { resubmits: true },
      ),
      { a: failing(9) },
      { clock, runsDir: first.store.runsDir },
    );
    const again = (await RunLoop.recover(loop.state.run, second.deps))!;
    again.start("again");
    await clock.until(() => again.state.finished !== undefined);
    const run = await second.end(again);
    expect(heard).toEqual([
      "no 1 E1",
      "no 2 E2",
      'step "a" is not run again: 3 of 3 attempts were made; it failed: no 2',
    ]);
    expect(attempts(run)).toEqual([
      [1, "retried"],
      [2, "retried"],
      [3, "failed"],
    ]);
  });

  it("calls a step's failure hook once, after the last attempt", async () => {
    const called: string[] = [];
    const world = worldOf(
      retrying(async (runStep) => {
        for (let call = 0; call < 3; call += 1) await said(runStep("a"));
      }),
      { a: failing(9), onFailure: () => void called.push("failed") },
    );
    const hooks = {
      onFailure: { bundle: "h".repeat(64), pick: "onFailure", source: "./hooks.ts" },
    };
    await world.run([moduleStep("a", { retry: retry(2), hooks })]);
    expect(called).toEqual(["failed"]);
  });
});
