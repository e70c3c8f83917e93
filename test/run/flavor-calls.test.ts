/** The calls of an orchestrator that a program holds, and what its steps are asked for. */
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import type { Json } from "../../src/core/snapshot.ts";
import type { TaskResult } from "../../src/core/task.ts";
import { AskedSteps } from "../../src/run/asked-steps.ts";
import { flavorCalls } from "../../src/run/flavor-calls.ts";
import { answerLimit, type FlavorCall } from "../../src/run/flavor-tasks.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { PlayedRun } from "../support/played-run.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describe("a call of a live orchestrator", () => {
  function begun(method: FlavorCall["method"], more: Partial<FlavorCall> = {}) {
    const clock = new VirtualClock();
    const ended: TaskResult[] = [];
    const live: unknown[][] = [];
    let resolve!: (value: Json) => void;
    let reject!: (error: unknown) => void;
    const ask = () => Promise.resolve(null);
    const parts = {
      state: new GivenRun(snapshotOf([stepSpec("a")])).state,
      deps: { clock, artifacts: { directory: "/artifacts" } },
      arrive: (act: () => void) => act(),
    } as unknown as RunParts;
    const call = (...given: unknown[]): Promise<Json> => {
      live.push(given);
      return new Promise((yes, no) => ((resolve = yes), (reject = no)));
    };
    const calls = flavorCalls(parts, { live: { call } } as never, ask);
    const start = (): string =>
      calls.start({ method, argument: { x: 1 }, done: (it) => void ended.push(it), ...more });
    const id = start();
    return { calls, clock, ended, live, ask, id, start, give: resolve, fail: reject };
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it("gets its argument and gives its value; each call has an id of its own", async () => {
    const { ended, live, ask, id, start, give, clock } = begun("fetchStatus");
    give("running");
    await turn();
    expect(live).toEqual([["fetchStatus", { x: 1 }, ask, "/artifacts"]]);
    expect(ended).toEqual([{ ok: true, value: "running" }]);
    expect(clock.timers).toBe(0);
    expect([id, start()]).toEqual([
      "p@20261123T020000Z#live-fetchStatus-1",
      "p@20261123T020000Z#live-fetchStatus-2",
    ]);
  });

  it("that throws has failed, with its error", async () => {
    const { ended, fail } = begun("stopRun");
    fail(Object.assign(new TypeError("no"), { code: "X" }));
    await turn();
    expect(ended).toMatchObject([
      { ok: false, outcome: "failed", error: { name: "TypeError", message: "no", code: "X" } },
    ]);
  });

  it.each<[FlavorCall["method"], number | undefined, number | undefined]>([
    ["fetchStatus", undefined, 30_000],
    ["stopRun", undefined, 30_000],
    ["stopRun", 500, 500],
    ["submitPipeline", undefined, undefined],
    ["submitPipeline", 90_000, 90_000],
  ])("%s, with a limit of %s, is waited for %s ms", async (method, timeoutMs, limit) => {
    expect(timeoutMs ?? answerLimit(method)).toBe(limit);
    const { ended, clock, give } = begun(method, { timeoutMs });
    if (limit === undefined) {
      await clock.advance(3_600_000);
      expect(ended).toEqual([]);
      return;
    }
    await clock.advance(limit - 1);
    expect(ended).toEqual([]);
    await clock.advance(1);
    const message = `it gave no answer within ${limit / 1_000} s`;
    expect(ended).toMatchObject([{ ok: false, outcome: "failed", error: { message } }]);
    give("late");
    await turn();
    expect(ended).toHaveLength(1);
  });

  it("that is stopped is told so at once, and not heard any more", async () => {
    const { calls, ended, id, give, clock } = begun("fetchStatus");
    calls.stop("another", "x");
    expect(ended).toEqual([]);
    calls.stop(id, "the run was stopped");
    const error = { name: "StepStopped", message: "the run was stopped" };
    expect(ended).toEqual([{ ok: false, outcome: "stopped", error }]);
    expect(clock.timers).toBe(0);
    calls.stop(id, "again");
    give("late");
    await turn();
    expect(ended).toHaveLength(1);
  });

  it("is not heard once the run is over", async () => {
    const { calls, ended, give, clock } = begun("fetchStatus");
    calls.end();
    expect(clock.timers).toBe(0);
    give("late");
    await turn();
    expect(ended).toEqual([]);
  });
});

describe("steps that an orchestrator asks for", () => {
  const RETRY = { maxRetries: 2, delayMs: 1_000, backoff: 1, jitter: 0 };

  function asked(retriesItself: boolean) {
    const run = new GivenRun(snapshotOf([stepSpec("a", { retry: RETRY }), stepSpec("b")]));
    run.happen({ type: "run.started", because: "scheduled" });
    const emitted: RunEvent[] = [];
    const emit = (event: RunEvent): string => {
      emitted.push(event);
      run.happen(event);
      return "";
    };
    const parts = Object.defineProperty({ emit }, "state", { get: () => run.state });
    return { run, emitted, steps: new AskedSteps(parts as unknown as RunParts, retriesItself) };
  }
  /** The attempt fails, and the next one waits to be asked for. */
  const delayed = (run: GivenRun): void => {
    run.start("a").happen({
      type: "step.failed",
      step: "a",
      attempt: run.state.steps.get("a")!.attempt,
      error: { name: "Error", message: "no" },
      retryAt: new Date(run.now).toISOString(),
      because: "the orchestrator may ask for it",
    });
  };

  it("are asked for once where orchd retries", () => {
    const { run, emitted, steps } = asked(false);
    steps.add(run.state.steps.get("a")!);
    delayed(run);
    steps.add(run.state.steps.get("a")!);
    expect([...steps.steps]).toEqual(["a"]);
    expect(steps.again).toBeUndefined();
    steps.noMore();
    expect(emitted).toEqual([]);
    expect(steps.spent(run.state.steps.get("a")!)).toBeUndefined();
  });

  it("that are not asked for again fail for good; those that are go on", () => {
    const { run, emitted, steps } = asked(true);
    steps.add(run.state.steps.get("a")!);
    expect(steps.again!.size).toBe(0);
    delayed(run);
    steps.add(run.state.steps.get("a")!);
    expect([...steps.again!]).toEqual([["a", 2]]);
    steps.noMore();
    expect(emitted).toEqual([]);
    delayed(run);
    // It was asked for the attempt before this one.
    steps.noMore();
    expect(emitted).toEqual([
      {
        type: "step.failed",
        step: "a",
        attempt: 2,
        error: { name: "Error", message: "no" },
        because: "the orchestrator asked for no further attempt",
      },
    ]);
    expect(run.state.steps.get("a")!.phase).toBe("ended");
  });

  it("go on where they start again after an interruption: nobody has to ask for that", () => {
    const { run, emitted, steps } = asked(true);
    steps.add(run.state.steps.get("a")!);
    run.start("a").happen({
      type: "step.interrupted",
      step: "a",
      attempt: 1,
      next: "rerun",
      because: "the daemon was killed",
    });
    expect(run.state.steps.get("a")!.rerun).toBe(true);
    steps.noMore();
    expect(emitted).toEqual([]);
  });

  it("are left alone while the run stops: the stop ends them", () => {
    const { run, emitted, steps } = asked(true);
    delayed(run);
    run.happen({ type: "run.stop_requested", mode: "graceful", because: "asked", by: "x" });
    steps.noMore();
    expect(emitted).toEqual([]);
  });

  it.each<[number, string | undefined, string]>([
    [1, undefined, "1 of 3 attempts was made"],
    [2, undefined, "2 of 3 attempts were made"],
    [2, "X is not among the errors", "2 of 3 attempts were made, and X is not among the errors"],
    [3, "3 attempts of 3 were made", "3 of 3 attempts were made"],
  ])("after %i attempts that ended because of %s: %s", (attempt, because, text) => {
    const { run, steps } = asked(true);
    const step = { ...run.state.steps.get("a")!, phase: "ended", status: "failed" } as const;
    const error = { name: "E", message: "no", code: "C" };
    const spent = steps.spent({ ...step, attempt, because, error } as never)!;
    expect([spent.name, spent.message]).toEqual([
      "StepFailed",
      `step "a" is not run again: ${text}; it failed: no`,
    ]);
    expect(spent.cause).toMatchObject({ name: "E", message: "no", code: "C" });
    const bare = steps.spent({ ...step, attempt, because } as never)!;
    expect(bare.message).toMatch(/; it failed: no reason given$/);
    expect(bare.cause).toBeUndefined();
    for (const other of [{ phase: "delayed" }, { status: "completed" }])
      expect(steps.spent({ ...step, attempt, ...other } as never)).toBeUndefined();
  });
});

describe("a call of a class in a runner", () => {
  const code = { bundle: "b", pick: "p", source: "s" };
  const begun = (more: Partial<FlavorCall> = {}) => {
    const run = new PlayedRun(snapshotOf([stepSpec("a")]));
    const ref = { flavor: "farm", config: { a: 1 }, code };
    const calls = flavorCalls(run.parts, { ref } as never, () => Promise.resolve(null));
    const heard: string[] = [];
    const call = { method: "fetchStatus", argument: 1, done: () => heard.push("done") } as const;
    const id = calls.start({ ...call, ...more });
    return { run, calls, heard, id };
  };

  it.each<[Partial<FlavorCall>, number | undefined]>([
    [{ method: "fetchStatus" }, answerLimit("fetchStatus")],
    [{ method: "stopRun", timeoutMs: 7 }, 7],
    [{ method: "submitPipeline" }, undefined],
    [{ method: "runInitHook", timeoutMs: 9 }, 9],
  ])("is a task of its own, with the limit that it is given or has: %j", (more, timeoutMs) => {
    const { run, id } = begun({ ...more, secrets: ["s", "s"] });
    const method = more.method!;
    expect(id).toBe(`${run.state.run}#${method}-1`);
    const task = run.tasks.get(id)!;
    expect(task).toMatchObject({
      kind: "flavor",
      code,
      config: { a: 1 },
      method,
      argument: 1,
      secrets: ["s"],
      gracePeriodMs: 10_000,
    });
    expect(task.timeoutMs).toBe(timeoutMs);
  });

  it("that cannot be made has failed, and is told so in a later turn", () => {
    const env = { KEY: { secret: "key" } };
    const run = new PlayedRun(snapshotOf([stepSpec("a")], { env }));
    const calls = flavorCalls(run.parts, { ref: { code, config: {} } } as never, () =>
      Promise.resolve(null),
    );
    const ended: TaskResult[] = [];
    const done = (result: TaskResult): void => void ended.push(result);
    const id = calls.start({ method: "stopRun", argument: 1, done });
    expect([id, ended, [...run.tasks]]).toEqual(["r#stopRun-1", [], []]);
    run.turn();
    const error = { message: "there is no secret key" };
    expect(ended).toMatchObject([{ ok: false, outcome: "failed", error }]);
  });

  it("is ended by force, and hears nothing once all is over", () => {
    const { run, calls, heard, id } = begun();
    run.turn(() => calls.stop(id, "enough"));
    expect(run.said.at(-1)).toBe(`stop ${id} force (enough)`);
    calls.end();
    run.turn(() => run.handlers.get(id)!.done({ ok: true, value: null }, 1, 0));
    expect(heard).toEqual([]);
  });
});
