/**
 * Conformance 18 to 46: statuses, execution modes, retries, hooks, data and running
 * (docs/zenml.md).
 */
import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { compile } from "../../src/core/compile.ts";
import { pipelineSchema } from "../../src/core/pipeline.ts";
import { retryDelay } from "../../src/core/retry.ts";
import { isFinal } from "../../src/core/status.ts";
import { runStatus } from "../../src/core/run-status.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import type { RetryPolicy, Snapshot, SnapshotStep } from "../../src/core/snapshot.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import { fakeCode, held, type FakeClass } from "../support/fake-pool.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { moduleStep } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, MinimalOrchestrator, World } from "./world.ts";

const retry = (maxRetries: number, more: Partial<RetryPolicy> = {}): RetryPolicy => ({
  maxRetries,
  delayMs: 0,
  backoff: 1,
  jitter: 0,
  ...more,
});
const boom = (): never => {
  throw Object.assign(new Error("boom"), { code: "EBOOM" });
};

describe("status, as a pure function", () => {
  const given = (): GivenRun =>
    new GivenRun(snapshotOf([stepSpec("a"), stepSpec("b")])).happen({
      type: "run.started",
      because: "test",
    });
  const status = (run: GivenRun): string => runStatus(run.state).status;

  it("18. [C,F] of 2: failed; [C] of 2: running; [C,R]: running; [C,C]: completed", () => {
    expect(status(given().start("a").complete("a").start("b").fail("b"))).toBe("failed");
    expect(status(given().start("a").complete("a"))).toBe("running");
    expect(status(given().start("a").complete("a").start("b"))).toBe("running");
    expect(status(given().start("a").complete("a").start("b").complete("b"))).toBe("completed");
  });

  it("19. stopping while one runs; stopped when all have ended, even with a failure", () => {
    const run = given()
      .start("a")
      .start("b")
      .happen({ type: "run.stop_requested", mode: "graceful", by: "test" });
    expect(status(run)).toBe("stopping");
    run.fail("a");
    expect(status(run)).toBe("stopping");
    run.happen({ type: "step.stopped", step: "b", because: "test" });
    expect(status(run)).toBe("stopped");
  });

  it("20. retrying is running", () => {
    const run = given()
      .start("a")
      .happen({
        type: "step.failed",
        step: "a",
        attempt: 1,
        error: { name: "E", message: "m" },
        retryAt: "2026-11-23T03:00:00.000Z",
      });
    expect(run.statuses()["a"]).toBe("retrying");
    expect(status(run)).toBe("running");
  });

  it("21. a finished status never changes", () => {
    const run = given()
      .start("a")
      .happen({ type: "run.finished", status: "completed", because: "test", durationMs: 1 });
    run.happen(
      { type: "step.failed", step: "a", attempt: 1, error: { name: "E", message: "late" } },
      { type: "run.stop_requested", mode: "force", by: "late" },
    );
    expect(status(run)).toBe("completed");
    expect(isFinal(runStatus(run.state).status)).toBe(true);
  });
});

describe.each(FLAVORS)("running with $name", (flavor) => {
  const { capabilities } = flavor;
  const isCode = flavor.ref.code !== undefined;

  describe("execution modes: 2 of the contract's DAG fails while 3 and 4 run", () => {
    /** 1 -> {2, 3, 4}, 2 -> 5, 3 -> 6, 4 -> 7, {5, 6, 7} -> 8. */
    const dag = (): SnapshotStep[] => [
      moduleStep("s1", { does: "one" }),
      ...["s2", "s3", "s4"].map((id) => moduleStep(id, { does: id, needs: ["s1"] })),
      moduleStep("s5", { does: "one", params: { n: 5 }, needs: ["s2"] }),
      moduleStep("s6", { does: "one", params: { n: 6 }, needs: ["s3"] }),
      moduleStep("s7", { does: "one", params: { n: 7 }, needs: ["s4"] }),
      moduleStep("s8", { does: "one", params: { n: 8 }, needs: ["s5", "s6", "s7"] }),
    ];

    async function runDag(mode: Snapshot["executionMode"]) {
      const s3 = held();
      const s4 = held();
      const world = new World(flavor, {
        one: () => 1,
        s2: async () => (await Promise.all([s3.began, s4.began]), boom()),
        s3,
        s4,
      });
      if (!world.can(mode)) {
        await world.runIf(
          false,
          /does not support the execution mode/,
          dag(),
          {},
          { executionMode: mode },
        );
        return undefined;
      }
      const loop = await world.begin(dag(), {}, { executionMode: mode });
      if (mode !== "fail_fast") {
        await Promise.all([s3.began, s4.began]);
        s3.release(3);
        s4.release(4);
      }
      return world.end(loop);
    }

    it("22. continue_on_failure: 3, 4, 6, 7 complete; 5, 8 skipped; 2 is to blame", async () => {
      const ended = await runDag("continue_on_failure");
      expect(ended?.statuses()).toEqual({
        s1: "completed",
        s2: "failed",
        s3: "completed",
        s4: "completed",
        s5: "skipped",
        s6: "completed",
        s7: "completed",
        s8: "skipped",
      });
      expect(ended?.status).toBe("failed");
      expect(ended?.because).toContain('step "s2" failed: boom');
      expect(ended?.of("step.skipped", "s5")[0]).toMatchObject({
        because: 'upstream step "s2" failed',
      });
    });

    it("23. stop_on_failure: 3 and 4 finish; nothing new starts", async () => {
      const ended = await runDag("stop_on_failure");
      if (ended === undefined) return;
      expect(ended.statuses()).toEqual({
        s1: "completed",
        s2: "failed",
        s3: "completed",
        s4: "completed",
        s5: "skipped",
        s6: "skipped",
        s7: "skipped",
        s8: "skipped",
      });
      expect(ended.status).toBe("failed");
    });

    it("24. fail_fast: 3 and 4 are stopped at once; the run's error is step 2's own", async () => {
      const ended = await runDag("fail_fast");
      if (ended === undefined) return;
      expect(ended.statuses()).toEqual({
        s1: "completed",
        s2: "failed",
        s3: "stopped",
        s4: "stopped",
        s5: "skipped",
        s6: "skipped",
        s7: "skipped",
        s8: "skipped",
      });
      expect(ended.status).toBe("failed");
      expect(ended.because).toContain("boom");
    });

    it("25. a mode that is not supported leaves no trace", async () => {
      const unable = ["continue_on_failure", "stop_on_failure", "fail_fast"].filter(
        (mode) => !capabilities.supportedExecutionModes.includes(mode as "fail_fast"),
      );
      for (const mode of unable)
        await new World(flavor).runIf(
          false,
          /does not support the execution mode/,
          [moduleStep("a")],
          {},
          { executionMode: mode as "fail_fast" },
        );
      if (!isCode) expect(unable).toEqual([]);
    });
  });

  describe("retries", () => {
    it("26. two retries, always failing: retried, retried, failed", async () => {
      const ended = await new World(flavor, { a: boom }).run([
        moduleStep("a", { retry: retry(2) }),
      ]);
      expect(ended.state.steps.get("a")!.attempts.map(({ status }) => status)).toEqual([
        "retried",
        "retried",
        "failed",
      ]);
      expect(ended.status).toBe("failed");
      expect(ended.of("step.failed")[0]).toMatchObject({
        attempt: 1,
        error: { code: "EBOOM", message: "boom" },
        retryAt: expect.any(String),
      });
    });

    it("27. fails, then succeeds: completed", async () => {
      let attempts = 0;
      const ended = await new World(flavor, { a: () => ((attempts += 1) < 2 ? boom() : "ok") }).run(
        [moduleStep("a", { retry: retry(2) })],
      );
      expect(ended.status).toBe("completed");
      expect(ended.state.steps.get("a")).toMatchObject({ status: "completed", attempt: 2 });
    });

    it("28. waits 10, 20, 40", async () => {
      const policy = retry(3, { delayMs: 10_000, backoff: 2 });
      expect([1, 2, 3].map((attempt) => retryDelay(policy, attempt, 0.5))).toEqual([
        10_000, 20_000, 40_000,
      ]);
      const clock = new VirtualClock();
      const at: number[] = [];
      const world = new World(flavor, { a: () => (at.push(clock.monotonic()), boom()) }, { clock });
      const loop = await world.begin([moduleStep("a", { retry: policy })]);
      await clock.until(() => loop.state.finished !== undefined);
      await loop.finished;
      expect(at.map((time, index) => (index === 0 ? 0 : time - at[index - 1]!))).toEqual([
        0, 10_000, 20_000, 40_000,
      ]);
    });

    it("28b. `on` limits which errors are retried", async () => {
      const world = new World(flavor, { a: boom });
      expect(
        (await world.run([moduleStep("a", { retry: retry(2, { on: ["EOTHER"] }) })])).of(
          "step.started",
        ),
      ).toHaveLength(1);
      expect(
        (await world.run([moduleStep("a", { retry: retry(1, { on: ["EBOOM"] }) })])).of(
          "step.started",
        ),
      ).toHaveLength(2);
    });

    it("29. the failure hook fires once, after the last attempt", async () => {
      const world = new World(flavor, { a: boom, alert: () => null });
      const ended = await world.run([
        moduleStep("a", { retry: retry(2), hooks: { onFailure: fakeCode("alert") } }),
      ]);
      expect(ended.of("hook.completed", "a")).toHaveLength(1);
      expect(ended.types().indexOf("hook.completed onFailure a")).toBeGreaterThan(
        ended.types().lastIndexOf("step.failed a"),
      );
      expect(world.pool.started.find(({ task }) => task.kind === "hook")?.task).toMatchObject({
        step: "a",
        error: { message: "boom" },
        run: { attempt: 3 },
      });
    });

    it("30. an orchestrator that handles retries is never retried twice", async () => {
      if (!isCode) return;
      const Own = class extends MinimalOrchestrator {
        override get capabilities() {
          return { handlesStepRetries: true };
        }
      } as unknown as FakeClass;
      const world = new World({ ...flavor, classes: { [flavor.ref.code.pick]: Own } }, { a: boom });
      expect(
        (await world.run([moduleStep("a", { retry: retry(2) })])).of("step.started"),
      ).toHaveLength(1);
    });

    it("31. a stop is never retried", async () => {
      const a = held();
      const world = new World(flavor, { a });
      const loop = await world.begin([moduleStep("a", { retry: retry(3) })]);
      await a.began;
      await loop.requestStop({ mode: "force", by: "test" });
      const ended = await world.end(loop);
      expect(ended.statuses()).toEqual({ a: "stopped" });
      expect(ended.of("step.started")).toHaveLength(1);
      expect(ended.status).toBe("stopped");
    });

    it("31b. nor is a failure when nothing new may start", async () => {
      const [a, b] = [held(), held()];
      const world = new World(flavor, { a, b });
      if (!world.can("stop_on_failure")) return;
      const loop = await world.begin(
        [moduleStep("a"), moduleStep("b", { retry: retry(3) })],
        {},
        { executionMode: "stop_on_failure" },
      );
      await Promise.all([a.began, b.began]);
      for (const step of ["a", "b"])
        world.pool.end(world.pool.of(step)[0]!, {
          ok: false,
          outcome: "failed",
          error: { name: "Error", message: `${step} broke` },
        });
      const ended = await world.end(loop);
      expect(ended.of("step.failed", "b")).toMatchObject([
        { because: "the run is ending: no retry", error: { message: "b broke" } },
      ]);
      expect(ended.of("step.failed", "b")[0]).not.toHaveProperty("retryAt");
      expect(ended.statuses()).toEqual({ a: "failed", b: "failed" });
    });

    it("32. refuses values that make no sense", () => {
      for (const bad of [
        { maxRetries: 0 },
        { maxRetries: 1.5 },
        { maxRetries: -1 },
        { delay: "-5s" },
        { backoff: 0 },
        { jitter: 2 },
      ]) {
        expect(
          pipelineSchema.safeParse({ retry: bad, steps: { a: { run: "true" } } }).success,
          JSON.stringify(bad),
        ).toBe(false);
      }
    });

    it("a time limit is for each attempt, and fails it with a code of its own", async () => {
      const timeout = (): never => {
        throw Object.assign(new Error("took too long"), {
          outcome: "timeout",
          code: "ORCHD_STEP_TIMEOUT",
        });
      };
      const world = new World(flavor, { a: timeout });
      const ended = await world.run([moduleStep("a", { timeoutMs: 5, retry: retry(1) })]);
      expect(
        world.pool.started
          .filter(({ task }) => task.kind === "module")
          .map(({ task }) => task.timeoutMs),
      ).toEqual([5, 5]);
      expect(
        ended.of("step.failed").map((line) => (line["error"] as { code: string }).code),
      ).toEqual(["ORCHD_STEP_TIMEOUT", "ORCHD_STEP_TIMEOUT"]);
    });

    it("a run's own time limit ends it", async () => {
      const clock = new VirtualClock();
      const a = held();
      const world = new World(flavor, { a, b: () => 1 }, { clock });
      const loop = await world.begin(
        [moduleStep("a"), moduleStep("b", { needs: ["a"] })],
        {},
        { timeoutMs: 60_000 },
      );
      await a.began;
      await clock.advance(60_000);
      const ended = await world.end(loop);
      expect(ended.status).toBe("failed");
      expect(ended.because).toContain("limit of 1m");
      expect(ended.statuses()).toEqual({ a: "stopped", b: "skipped" });
    });
  });

  describe("hooks", () => {
    it("33. get what they need", async () => {
      const world = new World(flavor, { a: () => 1, hook: () => null });
      await world.run([moduleStep("a", { hooks: { onSuccess: fakeCode("hook") } })]);
      expect(world.pool.started.find(({ task }) => task.kind === "hook")?.task).toMatchObject({
        hook: "onSuccess",
        step: "a",
        env: expect.objectContaining({ ORCHD_STEP: "a" }),
      });
    });

    it("34. a step's own hook counts before the pipeline's", async () => {
      const called: string[] = [];
      const world = new World(flavor, {
        a: () => 1,
        b: () => 2,
        own: () => called.push("own"),
        shared: () => called.push("shared"),
      });
      await world.run(
        [
          moduleStep("a", { hooks: { onSuccess: fakeCode("own") } }),
          moduleStep("b", { needs: ["a"] }),
        ],
        {},
        { hooks: { onSuccess: fakeCode("shared") } },
      );
      expect(called).toEqual(["own", "shared"]);
    });

    it("35. one that throws changes nothing", async () => {
      const ended = await new World(flavor, { a: () => 1, boom }).run(
        [moduleStep("a", { hooks: { onSuccess: fakeCode("boom") } })],
        {},
        { hooks: { cleanup: fakeCode("boom") } },
      );
      expect(ended.status).toBe("completed");
      expect(ended.of("hook.failed").map(({ hook }) => hook)).toEqual(["onSuccess", "cleanup"]);
      expect(ended.lines.at(-1)!.type).toBe("run.finished");
    });

    it("36. init throws: no step runs, failed, no cleanup", async () => {
      const world = new World(flavor, { a: () => 1, boom, close: () => null });
      const ended = await world.run(
        [moduleStep("a")],
        {},
        { hooks: { init: fakeCode("boom"), cleanup: fakeCode("close") } },
      );
      expect(ended.status).toBe("failed");
      expect(ended.because).toContain("the init hook failed: boom");
      expect(ended.statuses()).toEqual({ a: "skipped" });
      expect(ended.of("hook.completed")).toEqual([]);
      expect(world.ran()).toEqual([]);
    });

    it("36b. init's value is the state of each step, and of cleanup", async () => {
      const world = new World(flavor, {
        a: ({ task }) => (task as { state?: unknown }).state,
        open: () => ({ db: "x" }),
        close: () => null,
      });
      const ended = await world.run(
        [moduleStep("a")],
        {},
        { hooks: { init: fakeCode("open"), cleanup: fakeCode("close") } },
      );
      expect(ended.output("a")).toEqual({ db: "x" });
      expect(world.pool.started.at(-1)?.task).toMatchObject({
        hook: "cleanup",
        state: { db: "x" },
      });
    });

    it("37. cleanup runs after a failure, a stop and a crash", async () => {
      const hooks = { hooks: { init: fakeCode("open"), cleanup: fakeCode("close") } };
      const functions = { open: () => 1, close: () => null, a: boom };
      expect(
        (await new World(flavor, functions).run([moduleStep("a")], {}, hooks)).types(),
      ).toContain("hook.completed cleanup");

      const slow = held();
      const stopped = new World(flavor, { ...functions, a: slow });
      const loop = await stopped.begin([moduleStep("a")], {}, hooks);
      await slow.began;
      await loop.requestStop({ mode: "force", by: "test" });
      expect((await stopped.end(loop)).types().slice(-2)).toEqual([
        "hook.completed cleanup",
        "run.finished",
      ]);

      const lost = held();
      const first = new World(flavor, { ...functions, a: lost });
      const crashed = await first.begin([moduleStep("a")], {}, hooks);
      await lost.began;
      const second = new World(
        flavor,
        { ...functions, a: () => 1 },
        { runsDir: first.store.runsDir },
      );
      const again = (await RunLoop.recover(crashed.state.run, second.deps))!;
      again.start("again");
      const ended = await second.end(again);
      expect(ended.types().filter((type) => type.startsWith("hook"))).toEqual([
        "hook.completed init",
        "hook.completed cleanup",
      ]);
    });

    it("a failed run has its hook too, with the reason", async () => {
      const world = new World(flavor, { a: boom, alert: () => null });
      await world.run([moduleStep("a")], {}, { hooks: { onRunFailure: fakeCode("alert") } });
      const hooks = world.pool.started.filter(({ task }) => task.kind === "hook");
      expect(hooks.at(-1)?.task).toMatchObject({
        hook: "onRunFailure",
        because: expect.stringContaining('step "a" failed: boom'),
        error: { message: "boom" },
      });
    });
  });

  describe("data", () => {
    it("38. an upstream or an output that is missing is named", async () => {
      const faults = compile({
        definition: pipelineSchema.parse({
          steps: {
            a: { run: "true" },
            b: { run: "true", inputs: { x: "aa" } },
            c: { run: "true", inputs: { y: "a.rows" } },
          },
        }),
        file: "/srv/p.yaml",
        code: new Map(),
        settings: DEFAULT_SETTINGS,
        now: 0,
        watched: [],
      });
      expect(faults.ok).toBe(false);
      expect(JSON.stringify(faults)).toContain('\\"aa\\"');
      expect(JSON.stringify(faults)).toContain('\\"rows\\"');
      const ended = await new World(flavor, { a: () => 1, b: () => 2 }).run([
        moduleStep("a"),
        moduleStep("b", { inputs: { x: { step: "a", output: "rows" } } }),
      ]);
      expect(ended.of("step.failed", "b")[0]).toMatchObject({
        error: {
          code: "ORCHD_BAD_INPUT",
          message: expect.stringMatching(/"a\.rows".*no output "rows"; it has result/),
        },
      });
    });

    it("39. a failed step leaves no artifact", async () => {
      const big = "x".repeat(100_000);
      const world = new World(flavor, { a: () => ({ one: big }) });
      const ended = await world.run([moduleStep("a", { outputs: ["one", "two"] })]);
      expect(ended.status).toBe("failed");
      expect(existsSync(world.store.artifacts) ? readdirSync(world.store.artifacts) : []).toEqual(
        [],
      );
    });

    it("40. a result that is not what was declared fails the step by name", async () => {
      const error = async (value: unknown): Promise<string> => {
        const ended = await new World(flavor, { a: () => value }).run([
          moduleStep("a", { outputs: ["rows", "sum"] }),
        ]);
        return (ended.of("step.failed")[0]!["error"] as { message: string }).message;
      };
      expect(await error({ rows: 1 })).toMatch(/step "a" returned no "sum"/);
      expect(await error({ rows: 1, sum: 2, more: 3 })).toMatch(
        /step "a" returned "more", which it does not declare/,
      );
      expect(await error([1])).toMatch(/step "a" declares the outputs rows, sum/);
    });

    it("40b. declared outputs spill one by one; an input takes one or all", async () => {
      const big = "x".repeat(70_000);
      const world = new World(flavor, {
        a: () => ({ big, small: 1 }),
        one: ({ inputs }) => (inputs["x"] as string).length,
        all: ({ inputs }) => Object.keys(inputs["x"] as object),
      });
      const ended = await world.run([
        moduleStep("a", { outputs: ["big", "small"] }),
        moduleStep("b", { does: "one", inputs: { x: { step: "a", output: "big" } } }),
        moduleStep("c", { does: "all", inputs: { x: { step: "a" } } }),
      ]);
      expect(ended.of("step.completed", "a")[0]!["outputs"]).toEqual({
        big: { $artifact: expect.any(String), bytes: 70_002 },
        small: 1,
      });
      expect(ended.output("b")).toBe(70_000);
      expect(ended.output("c")).toEqual(["big", "small"]);
    });

    it("41. a cycle is refused; the order is stable", () => {
      const of = (steps: object) =>
        compile({
          definition: pipelineSchema.parse({ steps }),
          file: "/srv/p.yaml",
          code: new Map(),
          settings: DEFAULT_SETTINGS,
          now: 0,
          watched: [],
        });
      expect(
        JSON.stringify(of({ a: { run: "true", after: "b" }, b: { run: "true", after: "a" } })),
      ).toMatch(/a.*b.*a/);
      const sound = of({ c: { run: "true" }, b: { run: "true", after: "a" }, a: { run: "true" } });
      expect(sound.ok && sound.loaded.snapshot.steps.map(({ id }) => id)).toEqual(["c", "a", "b"]);
    });

    it("a condition that does not hold skips the step with its text", async () => {
      const world = new World(flavor, { a: () => 0, b: () => 1 });
      const ended = await world.run([
        moduleStep("a"),
        moduleStep("b", { inputs: { n: { step: "a" } }, when: "inputs.n > 0" }),
        moduleStep("c", { does: "b", needs: ["b"] }),
      ]);
      expect(ended.statuses()).toEqual({ a: "completed", b: "skipped", c: "skipped" });
      expect(ended.of("step.skipped", "b")[0]).toMatchObject({
        because: expect.stringContaining("inputs.n > 0"),
      });
      expect(ended.status).toBe("completed");
    });
  });

  describe("a run", () => {
    const shape = (needs: Record<string, string[]>): SnapshotStep[] =>
      Object.entries(needs).map(([id, before]) =>
        moduleStep(id, { does: "work", params: { id }, needs: before }),
      );

    it.each([
      ["empty", {}],
      ["one", { a: [] }],
      ["line", { a: [], b: ["a"], c: ["b"] }],
      ["diamond", { a: [], b: ["a"], c: ["a"], d: ["b", "c"] }],
    ])("42. %s", async (_name, needs: Record<string, string[]>) => {
      const world = new World(flavor, { work: () => 1 });
      const ended = await world.run(shape(needs));
      expect(ended.status).toBe("completed");
      const ran = world.ran();
      expect(ran.toSorted()).toEqual(Object.keys(needs).toSorted());
      for (const [id, before] of Object.entries(needs))
        for (const one of before) expect(ran.indexOf(one)).toBeLessThan(ran.indexOf(id));
    });

    it("43. never runs more than maxParallelSteps at once", async () => {
      const world = new World(flavor, {
        work: () => new Promise((resolve) => setImmediate(resolve)),
      });
      const steps = Array.from({ length: 12 }, (_, index) =>
        moduleStep(`s${index}`, { does: "work", params: { index } }),
      );
      expect((await world.run(steps, {}, { maxParallelSteps: 4 })).status).toBe("completed");
      expect(world.pool.most).toBe(4);
    });

    it("44. can be stopped while it starts", async () => {
      const world = new World(flavor, {
        a: () => 1,
        open: () => new Promise((resolve) => setTimeout(resolve, 10)),
      });
      const loop = await world.begin([moduleStep("a")], {}, { hooks: { init: fakeCode("open") } });
      expect(await loop.requestStop({ mode: "graceful", by: "test" })).toEqual({ accepted: true });
      const ended = await world.end(loop);
      expect(ended.status).toBe("stopped");
      expect(world.ran()).toEqual([]);
    });

    it("45. if one stop throws, the others are stopped all the same", async () => {
      const a = held();
      const b = held();
      const world = new World(flavor, { a, b });
      const loop = await world.begin([moduleStep("a"), moduleStep("b")]);
      await Promise.all([a.began, b.began]);
      const stop = world.pool.stop.bind(world.pool);
      world.pool.stop = (id, mode, because) => {
        stop(id, mode, because);
        if (world.pool.stops.length === 1) throw new Error("the stop failed");
      };
      await loop.requestStop({ mode: "force", by: "test" });
      expect((await world.end(loop)).statuses()).toEqual({ a: "stopped", b: "stopped" });
    });

    it("46. has one orchestrator run id in every step, and the next run another", async () => {
      const world = new World(flavor, {
        work: ({ task }) => task.env["ORCHD_ORCHESTRATOR_RUN_ID"],
      });
      const steps = (): SnapshotStep[] => [
        moduleStep("a", { does: "work", enableCache: false }),
        moduleStep("b", { does: "work", enableCache: false, needs: ["a"] }),
      ];
      const first = await world.run(steps());
      const second = await world.run(steps());
      expect(first.output("a")).toBe(first.output("b"));
      expect(first.output("a")).toBe(first.state.orchestratorRunId);
      expect(second.output("a")).not.toBe(first.output("a"));
    });

    it("46b. gives steps their environment in layers, and orchd's names last", async () => {
      const world = new World(
        flavor,
        { a: ({ task }) => task.env },
        { settings: { env: { A: "settings", B: "settings", C: "settings" } } },
      );
      const ended = await world.run(
        [moduleStep("a", { env: { C: "step", ORCHD_RUN_ID: "mine", R: "${run.id}" } })],
        {},
        { env: { B: "pipeline", C: "pipeline" } },
      );
      expect(ended.output("a")).toMatchObject({
        A: "settings",
        B: "pipeline",
        C: "step",
        R: ended.run,
        ORCHD_RUN_ID: ended.run,
        ORCHD_PIPELINE: "p",
        ORCHD_STEP: "a",
        ORCHD_ATTEMPT: "1",
        PATH: "/usr/bin:/bin",
      });
    });

    it("keeps secrets out of its ledger", async () => {
      const world = new World(
        flavor,
        { a: ({ task, params }) => [task.env["T"]!.length, (params["key"] as string).length] },
        { deps: { secrets: { get: (name) => `canary-${name}` } } },
      );
      const ended = await world.run([
        moduleStep("a", { env: { T: { secret: "TOKEN" } }, params: { key: { secret: "KEY" } } }),
      ]);
      expect(ended.output("a")).toEqual([12, 10]);
      expect(JSON.stringify(ended.lines)).not.toContain("canary");
      expect(world.pool.started.find(({ task }) => task.kind === "module")!.task.secrets).toEqual([
        "canary-TOKEN",
        "canary-KEY",
      ]);
    });
  });
});
