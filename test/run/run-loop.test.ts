/** The run-loop with real ledgers and a place of the test's own. */
import { readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { systemDisk } from "../../src/disk/disk.ts";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { LedgerClosed } from "../../src/ledger/ledger-error.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { fakeCode, held, type FakeFunction } from "../support/fake-pool.ts";
import { snapshotOf } from "../support/given-run.ts";
import { moduleStep, RunBench } from "../support/run-bench.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describe("a run", () => {
  it("runs a chain: each finished step and the start that follows are one write", async () => {
    const bench = new RunBench({
      functions: {
        a: () => 1,
        b: ({ inputs }) => (inputs["x"] as number) + 1,
        c: ({ inputs }) => (inputs["x"] as number) * 10,
      },
    });
    const ended = await bench.run([
      moduleStep("a"),
      moduleStep("b", { inputs: { x: { step: "a" } } }),
      moduleStep("c", { inputs: { x: { step: "b" } } }),
    ]);
    expect(ended.status).toBe("completed");
    expect(ended.types()).toEqual([
      "run.submitted",
      "run.started",
      "step.started a",
      "step.completed a",
      "step.started b",
      "step.completed b",
      "step.started c",
      "step.completed c",
      "run.finished",
    ]);
    expect(ended.output("c")).toBe(20);
    expect(ended.lines.map((line) => line.b)).toEqual([1, 2, 2, 4, 4, 6, 6, 8, 8]);
  });

  it("has its results in the cache's index when it ends, whatever the clock says", async () => {
    const bench = new RunBench({
      clock: new VirtualClock(),
      functions: { a: () => 1, b: () => 2 },
    });
    const { run } = await bench.run([moduleStep("a"), moduleStep("b", { after: ["a"] })]);
    const index = join(bench.store.cache, "index.jsonl");
    await vi.waitFor(() => {
      const results = readFileSync(index, "utf8").trimEnd().split("\n");
      expect(results.map((line) => JSON.parse(line) as object)).toMatchObject([
        { run, step: "a" },
        { run, step: "b" },
      ]);
    });
  });

  it("waits for a descriptor if a step's or hook's secret cannot be read", async () => {
    const clock = new VirtualClock();
    const none = Object.assign(new Error("EMFILE: planted"), { code: "EMFILE" });
    let short = true;
    const secrets = {
      get: (name: string): string => {
        if (short) throw new Error(`The secret ${name} cannot be read`, { cause: none });
        return name;
      },
    };
    const bench = new RunBench({
      clock,
      functions: { a: () => void (short = true), hook: () => null },
      deps: { secrets },
    });
    const loop = await bench.begin([
      moduleStep("a", { env: { KEY: { secret: "KEY" } }, hooks: { onSuccess: fakeCode("hook") } }),
    ]);
    await clock.advance(5_000);
    expect(loop.state.steps.get("a")!.phase).toBe("ready");
    short = false;
    await clock.until(() => loop.state.steps.get("a")!.phase === "ended");
    await clock.advance(5_000);
    expect(loop.state.finished).toBeUndefined();
    short = false;
    await clock.until(() => loop.state.finished !== undefined);
    const ended = await bench.end(loop);
    expect(ended.status).toBe("completed");
    expect(ended.types()).toContain("hook.completed onSuccess a");
    expect(clock.timers).toBe(0);
  });

  it.each<[string, Partial<Snapshot>, unknown]>([
    ["another one", { baseEnv: { A: "1" } }, ["1", null]],
    ["none", {}, [null, null]],
  ])("has orchd.yaml's env as it was when the run was made: %s", async (_, frozen, given) => {
    const a: FakeFunction = ({ task }) => {
      const { env } = task as { env: Record<string, string> };
      return [env["A"] ?? null, env["B"] ?? null];
    };
    const bench = new RunBench({ functions: { a } });
    const { RunLoop } = await import("../../src/run/run-loop.ts");
    const header = bench.header(snapshotOf([moduleStep("a")], frozen));
    await (await RunLoop.create(header, bench.deps)).drain(0);
    const settings = { ...bench.deps.settings, env: { A: "2", B: "3" } };
    const loop = (await RunLoop.recover(header.run, { ...bench.deps, settings }))!;
    loop.start("the daemon was started again");
    expect((await bench.end(loop)).output("a")).toEqual(given);
  });

  it("asks a condition with the step's own param where the run has one of that name", async () => {
    const bench = new RunBench({ functions: { a: () => 1 } });
    const ended = await bench.run(
      [
        moduleStep("a", { params: { env: "prod" }, when: 'params.env == "prod"' }),
        moduleStep("b", { does: "a", params: { env: "prod" }, when: 'params.env == "test"' }),
        moduleStep("c", { does: "a", when: 'params.env == "test"' }),
      ],
      { params: { env: "test" } },
    );
    expect(ended.statuses()).toEqual({ a: "completed", b: "skipped", c: "completed" });
  });

  it("ends at once when it has no steps", async () => {
    const ended = await new RunBench().run([]);
    expect(ended.types()).toEqual(["run.submitted", "run.started", "run.finished"]);
    expect(ended.status).toBe("completed");
  });

  it("never runs more than maxParallelSteps at once", async () => {
    const bench = new RunBench({
      functions: { work: () => new Promise((resolve) => setImmediate(resolve)) },
    });
    const steps = Array.from({ length: 20 }, (_, index) =>
      moduleStep(`s${index}`, { does: "work", params: { index } }),
    );
    const ended = await bench.run(steps, {}, { maxParallelSteps: 3 });
    expect(ended.status).toBe("completed");
    expect(bench.pool.most).toBe(3);
  });

  it("stops gracefully: running steps get the signal, nothing new starts", async () => {
    const a = held();
    const bench = new RunBench({ functions: { a, b: () => 1 } });
    const loop = await bench.begin([moduleStep("a"), moduleStep("b", { needs: ["a"] })]);
    await a.began;
    expect(await loop.requestStop({ mode: "graceful", by: "cli:me", requestId: "r1" })).toEqual({
      accepted: true,
    });
    const lines = bench.lines(loop.state.run);
    const asked = lines.findIndex(({ type }) => type === "run.stop_requested");
    expect(lines[asked + 1]).toMatchObject({ type: "step.skipped", step: "b" });
    expect(await loop.requestStop({ mode: "graceful", by: "cli:me" })).toMatchObject({
      accepted: false,
    });
    const ended = await bench.end(loop);
    expect(ended.status).toBe("stopped");
    expect(ended.statuses()).toEqual({ a: "stopped", b: "skipped" });
    expect(await loop.requestStop({ mode: "force", by: "cli:me" })).toMatchObject({
      accepted: false,
      reason: expect.stringContaining("ended already"),
    });
  });

  it("answers a stop whose line cannot be written, and has failed", async () => {
    const a = held();
    const clock = new VirtualClock();
    const bench = new RunBench({ clock, functions: { a } });
    const loop = await bench.begin([moduleStep("a")]);
    await a.began;
    // A ledger is looked at once a second.
    await clock.advance(1_001);
    const path = bench.store.runLedger(loop.state.run);
    truncateSync(path, statSync(path).size - 20);
    const order = { mode: "graceful", by: "somebody" } as const;
    const why = /^its ledger can no longer be written: Another program changed the ledger/;
    const refusal = { accepted: false, reason: expect.stringMatching(why) as string };
    expect(await loop.requestStop(order)).toEqual(refusal);
    expect(await loop.requestStop({ ...order, mode: "force" })).toEqual(refusal);
    expect(await loop.finished).toMatchObject({ status: "failed", because: refusal.reason });
  });

  it("takes no stop once it is left to the next daemon", async () => {
    const a = held();
    const bench = new RunBench({ functions: { a } });
    const loop = await bench.begin([moduleStep("a", { onInterruption: "rerun" })]);
    await a.began;
    await loop.drain(0);
    const stop = loop.requestStop({ mode: "graceful", by: "somebody" });
    await expect(stop).rejects.toThrow(LedgerClosed);
    expect(loop.state.stop).toBeUndefined();
  });

  it("refuses a result under an old token, and a line says so", async () => {
    const a = held();
    const bench = new RunBench({ functions: { a } });
    const loop = await bench.begin([
      moduleStep("a", { retry: { maxRetries: 1, delayMs: 0, backoff: 1, jitter: 0 } }),
    ]);
    await a.began;
    const { handlers } = [...bench.pool.running.values()][0]!;
    handlers.died({
      inFlight: ["x", "y"],
      alone: false,
      because: "the runner died",
      code: "ORCHD_RUNNER_DIED",
    });
    handlers.done({ ok: true, value: "late" }, 1, 0);
    // The first attempt ends too, after its time.
    a.release("right");
    const ended = await bench.end(loop);
    expect(ended.of("step.result_refused")).toHaveLength(2);
    expect(ended.output("a")).toBe("right");
    expect(bench.pool.started[1]!.alone).toBe(true);
  });

  it("retries a step by itself, says so, and says why it does so no more", async () => {
    const bench = new RunBench({
      functions: {
        a: () => {
          throw new Error("no");
        },
      },
    });
    const retry = { maxRetries: 1, delayMs: 0, backoff: 1, jitter: 0 };
    const ended = await bench.run([moduleStep("a", { retry })]);
    expect(ended.of("step.failed").map(({ because }) => because)).toEqual([
      "retry 1 of 1 follows",
      "2 attempts of 2 were made",
    ]);
  });

  it("fails a step that was alone in the runner that died, and starts it no more", async () => {
    const never = new Promise<void>(() => undefined);
    const a = held();
    const bench = new RunBench({
      functions: { a: (context) => (bench.pool.started.length > 1 ? 1 : (void a(context), never)) },
    });
    const loop = await bench.begin([moduleStep("a")]);
    await a.began;
    bench.pool.die();
    const ended = await bench.end(loop);
    expect(ended.statuses()).toEqual({ a: "failed" });
    expect(bench.pool.started).toHaveLength(1);
  });

  it("fails a step that ends its runner again when it is started alone", async () => {
    const never = new Promise<void>(() => undefined);
    const [a, alone] = [held(), held()];
    const bench = new RunBench({
      functions: { a: (context) => (void (context.alone ? alone : a)(context), never) },
    });
    const loop = await bench.begin([moduleStep("a"), moduleStep("b", { does: "a" })]);
    while (bench.pool.running.size < 2) await nextTurn();
    bench.pool.die();
    await alone.began;
    while (bench.pool.running.size < 2) await nextTurn();
    bench.pool.dieAlone();
    const ended = await bench.end(loop);
    expect(ended.statuses()).toEqual({ a: "failed", b: "failed" });
    expect(bench.pool.started).toHaveLength(4);
  });

  it("gives a hook under a forced stop the grace period, and no limit otherwise", async () => {
    const limits: unknown[] = [];
    for (const mode of ["graceful", "force"] as const) {
      const a = held();
      const bench = new RunBench({ functions: { a, open: () => null, close: () => null } });
      const loop = await bench.begin(
        [moduleStep("a")],
        {},
        {
          hooks: { init: fakeCode("open"), cleanup: fakeCode("close") },
          gracePeriodMs: 700,
        },
      );
      await a.began;
      await loop.requestStop({ mode, by: "cli:me" });
      await bench.end(loop);
      for (const { task } of bench.pool.started)
        if (task.kind === "hook") limits.push([mode, task.hook, task.timeoutMs]);
    }
    expect(limits).toEqual([
      ["graceful", "init", undefined],
      ["graceful", "cleanup", undefined],
      ["force", "init", undefined],
      ["force", "cleanup", 700],
    ]);
  });

  it.each(["init", "cleanup", "onSuccess"] as const)(
    "ends a hook that runs (%s) when it is stopped by force, and not before",
    async (hook) => {
      const hangs = held();
      const bench = new RunBench({ functions: { a: () => 1, hangs } });
      const loop = await bench.begin(
        [moduleStep("a")],
        {},
        { hooks: { [hook]: fakeCode("hangs") } },
      );
      await hangs.began;
      await loop.requestStop({ mode: "graceful", by: "cli:me" });
      expect(bench.pool.stops).toEqual([]);
      expect(loop.state.finished).toBeUndefined();
      await loop.requestStop({ mode: "force", by: "cli:me" });
      expect(bench.pool.stops.map(({ id, mode }) => [id.split("#")[1], mode])).toEqual([
        [expect.stringMatching(new RegExp(`^hook-1-${hook}`)), "force"],
      ]);
      const ended = await bench.end(loop);
      expect(ended.status).toBe("stopped");
      expect(ended.of("hook.failed")).toHaveLength(1);
    },
  );

  it("says that it has finished only after all it printed is in its log", async () => {
    const write = systemDisk.write.bind(systemDisk);
    let letGo!: () => void;
    const free = new Promise<void>((resolve) => (letGo = resolve));
    const spy = vi.spyOn(systemDisk, "write").mockImplementation(async (fd, bytes, ...rest) => {
      if (Buffer.from(bytes).includes('"line":"last words"')) await free;
      return write(fd, bytes, ...rest);
    });
    onTestFinished(() => spy.mockRestore());
    const bench = new RunBench({ functions: { a: ({ print }) => print("last words") } });
    const loop = await bench.begin([moduleStep("a")]);
    while (loop.state.steps.get("a")!.phase !== "ended") await nextTurn();
    // Another run on the same disk goes from its beginning to its end.
    await new RunBench({ functions: { b: () => 1 } }).run([moduleStep("b")]);
    expect(loop.state.finished).toBeUndefined();
    letGo();
    const ended = await bench.end(loop);
    expect(ended.status).toBe("completed");
    expect(bench.printed(loop.state.run).map(({ line }) => line)).toEqual(["last words"]);
  });

  it("goes on after a crash: what was running is interrupted and follows its policy", async () => {
    const b = held();
    const bench = new RunBench({ functions: { a: () => 1, b } });
    const loop = await bench.begin([
      moduleStep("a"),
      moduleStep("b", { needs: ["a"], onInterruption: "rerun" }),
    ]);
    await b.began;
    // The first daemon is gone: its loop hears nothing any more.
    const second = new RunBench({
      runsDir: bench.store.runsDir,
      functions: { a: () => 1, b: () => 2 },
    });
    const { RunLoop } = await import("../../src/run/run-loop.ts");
    const again = (await RunLoop.recover(loop.state.run, second.deps))!;
    expect(second.pool.started).toHaveLength(0);
    again.start("it goes on");
    const ended = await second.end(again);
    expect(ended.status).toBe("completed");
    expect(ended.types().filter((type) => /recovered|interrupted|run.started/.test(type))).toEqual([
      "run.started",
      "run.recovered",
      "step.interrupted b",
    ]);
    expect(ended.output("b")).toBe(2);
    expect(await RunLoop.recover(loop.state.run, second.deps)).toBeUndefined();
  });

  it("has its time limit once, over all the daemons that worked on it", async () => {
    const clock = new VirtualClock();
    const [a, b] = [held(), held()];
    const bench = new RunBench({ clock, functions: { a, b } });
    const loop = await bench.begin(
      [moduleStep("a"), moduleStep("b", { needs: ["a"], onInterruption: "rerun" })],
      {},
      { timeoutMs: 60_000 },
    );
    await a.began;
    await clock.advance(40_000);
    a.release(1);
    await b.began;
    // The first daemon is gone, and with it its clock. The time without one does not count.
    const later = new VirtualClock({ start: clock.now() + 3_600_000 });
    const again = held();
    const second = new RunBench({
      clock: later,
      runsDir: bench.store.runsDir,
      functions: { a: () => 1, b: again },
    });
    const { RunLoop } = await import("../../src/run/run-loop.ts");
    const next = (await RunLoop.recover(loop.state.run, second.deps))!;
    next.start("it goes on");
    await again.began;
    await later.advance(19_000);
    expect(next.state.timedOut).toBeUndefined();
    await later.advance(1_000);
    expect(next.state.timedOut).toBe("the run took longer than its limit of 1m");
    await later.until(() => next.state.finished !== undefined);
    expect(next.state.finished).toMatchObject({
      status: "failed",
      durationMs: 3_660_000,
      workedMs: 60_000,
    });
  });

  it("starts a step again that was interrupted, though another run has its result", async () => {
    const a = held();
    const bench = new RunBench({ functions: { a } });
    const loop = await bench.begin([moduleStep("a", { onInterruption: "rerun" })]);
    await a.began;
    const second = new RunBench({
      runsDir: bench.store.runsDir,
      functions: { a: () => second.pool.started.length },
    });
    await second.run([moduleStep("a", { onInterruption: "rerun" })]);
    const { RunLoop } = await import("../../src/run/run-loop.ts");
    const again = (await RunLoop.recover(loop.state.run, second.deps))!;
    again.start("it goes on");
    const ended = await second.end(again);
    expect(ended.statuses()).toEqual({ a: "completed" });
    expect(ended.output("a")).toBe(2);
    // A run that comes later takes the newer result.
    expect((await second.run([moduleStep("a")])).statuses()).toEqual({ a: "cached" });
  });

  it("drains: what runs may end, the rest is interrupted, and the ledger is closed", async () => {
    const a = held();
    const b = held();
    const bench = new RunBench({ functions: { a, b, c: () => 1 } });
    const loop = await bench.begin([
      moduleStep("a"),
      moduleStep("b", { onInterruption: "rerun" }),
      moduleStep("c", { needs: ["a"] }),
    ]);
    await Promise.all([a.began, b.began]);
    const drained = loop.drain(60_000);
    a.release(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    void loop.drain(0);
    await drained;
    const types = bench
      .lines(loop.state.run)
      .map(({ type, step }) => `${type} ${String(step ?? "")}`);
    expect(types).toContain("step.completed a");
    expect(types).toContain("step.interrupted b");
    expect(types).not.toContain("step.started c");
    expect(bench.pool.running.size).toBe(0);
  });

  it("drains: a step that finds no place any more starts again later", async () => {
    const bench = new RunBench({ functions: { a: () => 1 } });
    const { RunLoop } = await import("../../src/run/run-loop.ts");
    const steps = [moduleStep("a", { onInterruption: "rerun" })];
    const loop = await RunLoop.create(bench.header(snapshotOf(steps)), bench.deps);
    const asked = new Promise<void>((resolve) => {
      bench.pool.start = () => {
        void loop.drain(60_000);
        resolve();
        throw new Error("the runners are closed");
      };
    });
    loop.start("a test asked for it");
    await asked;
    await loop.drain(0);
    const types = bench.lines(loop.state.run).map(({ type }) => type);
    expect(types).toContain("step.interrupted");
    expect(types).not.toContain("step.failed");
  });

  it("drains: a step whose value is being stored has completed", async () => {
    let letGo!: () => void;
    const free = new Promise<void>((resolve) => (letGo = resolve));
    const disk = {
      ...systemDisk,
      fdatasync: async (fd: number) => {
        await free;
        return systemDisk.fdatasync(fd);
      },
    };
    const clock = new VirtualClock();
    const runsDir = tempRoot().runs;
    const artifacts = new Artifacts(new RunStore(runsDir).artifacts, {
      clock,
      disk,
      onFatal: (error) => expect.fail(error.message),
    });
    const bench = new RunBench({
      runsDir,
      functions: { a: () => "x".repeat(100_000) },
      deps: { artifacts },
    });
    const loop = await bench.begin([moduleStep("a", { onInterruption: "rerun" })]);
    while (bench.pool.running.size > 0 || bench.pool.started.length === 0) await nextTurn();
    await nextTurn();
    const drained = loop.drain(0);
    await nextTurn();
    letGo();
    await drained;
    const types = bench.lines(loop.state.run).map(({ type }) => type);
    expect(types.filter((type) => type.startsWith("step."))).toEqual([
      "step.started",
      "step.completed",
    ]);
  });

  it("writes what steps print, and the last line comes after it", async () => {
    const bench = new RunBench({
      functions: { a: ({ print }) => (print("hello"), print("again"), 1) },
    });
    const ended = await bench.run([moduleStep("a")]);
    expect(bench.printed(ended.run)).toEqual([
      expect.objectContaining({ step: "a", line: "hello" }),
      expect.objectContaining({ step: "a", line: "again" }),
    ]);
  });
});
