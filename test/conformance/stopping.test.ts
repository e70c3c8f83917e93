/**
 * The stop of a run that goes on where the orchestrator is (docs/semantics.md 10a): it is stopping
 * until the orchestrator says that it has ended.
 */
import { describe, expect, it, vi } from "vitest";
import { runStatus } from "../../src/core/run-status.ts";
import type {
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "../../src/orchestrators/submission.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { held, type FakeClass } from "../support/fake-pool.ts";
import { moduleStep } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, MinimalOrchestrator, World, refTo } from "./world.ts";

const STEPS = [moduleStep("a"), moduleStep("b", { needs: ["a"] })];

function worldOf(
  type: unknown,
  options: ConstructorParameters<typeof World>[2] = {},
  functions: ConstructorParameters<typeof World>[1] = {},
): World {
  const flavor = { ...FLAVORS[0]!, name: "own", ref: refTo("own") };
  return new World({ ...flavor, classes: { "export:own": type as FakeClass } }, functions, options);
}

/** A promise that a test settles. */
class Gate {
  resolve!: () => void;
  reject!: (error: Error) => void;
  readonly promise = new Promise<void>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

/** A platform elsewhere, as one orchestrator sees it. */
class Platform {
  readonly wait = new Gate();
  readonly stops: { graceful: boolean; status: string }[] = [];
  /** What each call of `stopRun` does; those after the last do nothing. */
  readonly stopping: (() => Promise<void>)[] = [];
  /** What `fetchStatus` answers. */
  status: FetchedStatus = {};

  /** A class whose runs go on there. */
  get orchestrator() {
    const { wait, stops, stopping } = this;
    return class Elsewhere extends MinimalOrchestrator {
      override submitPipeline(_: PipelineSubmission): Promise<SubmissionResult> {
        return Promise.resolve({ metadata: { job: 1 }, waitForCompletion: () => wait.promise });
      }
      override async stopRun(
        { status }: PlaceholderRun,
        options?: { graceful?: boolean },
      ): Promise<void> {
        stops.push({ graceful: options?.graceful === true, status });
        await stopping.shift()?.();
      }
    };
  }

  /** The same, with `fetchStatus`. */
  get reporter() {
    const status = (): FetchedStatus => this.status;
    return class Reporting extends this.orchestrator {
      override fetchStatus(): Promise<FetchedStatus> {
        return Promise.resolve(status());
      }
    };
  }
}

/** A run that is accepted elsewhere. */
async function there(
  type: unknown,
  snapshot: Partial<Snapshot> = {},
  options: ConstructorParameters<typeof World>[2] = {},
) {
  const clock = new VirtualClock();
  const world = worldOf(type, { clock, ...options });
  const loop = await world.begin(STEPS, {}, snapshot);
  // Time stands still: a time limit would pass while a disk is slow.
  await vi.waitUntil(() => loop.state.submission === "accepted", 10_000);
  const ended = async () => {
    await clock.until(() => loop.state.finished !== undefined);
    return world.end(loop);
  };
  const lines = (type_: string) => world.lines(loop.state.run).filter(({ type: t }) => t === type_);
  const until = (type_: string, count = 1) => clock.until(() => lines(type_).length >= count);
  return { clock, world, loop, ended, lines, until };
}

const fails = (message: string) => (): Promise<void> => Promise.reject(new Error(message));
const GRACEFUL = { mode: "graceful", by: "me" } as const;
const FORCE = { mode: "force", by: "me" } as const;

describe("a run elsewhere is stopping", () => {
  it("until its wait ends, though stopRun has returned", async () => {
    const platform = new Platform();
    const { clock, loop, ended, until } = await there(platform.orchestrator);
    expect(await loop.requestStop(GRACEFUL)).toEqual({ accepted: true });
    await until("stop.accepted");
    await clock.advance(60_000);
    expect(runStatus(loop.state)).toEqual({ status: "stopping", inProgress: true });
    expect([...loop.state.steps.values()].map(({ status }) => status)).toEqual([
      "initializing",
      "initializing",
    ]);
    expect(platform.stops).toEqual([{ graceful: true, status: "stopping" }]);
    platform.wait.resolve();
    const run = await ended();
    expect(run.status).toBe("stopped");
    expect(run.statuses()).toEqual({ a: "stopped", b: "stopped" });
  });

  it("also where waiting throws in the end", async () => {
    const platform = new Platform();
    const { loop, ended, until } = await there(platform.orchestrator);
    await loop.requestStop(GRACEFUL);
    await until("stop.accepted");
    platform.wait.reject(new Error("the connection is gone"));
    const run = await ended();
    expect(run.status).toBe("stopped");
    expect(run.statuses()).toEqual({ a: "stopped", b: "stopped" });
    expect(run.of("submit.warning")[0]).toMatchObject({ error: { message: /connection/ } });
  });

  it("while stopRun throws: the error is told, and the run completes by itself", async () => {
    const platform = new Platform();
    platform.stopping.push(fails("no permission"));
    const { clock, world, loop, ended, lines, until } = await there(platform.orchestrator);
    expect(await loop.requestStop(GRACEFUL)).toEqual({ accepted: true });
    await until("stop.failed");
    await clock.advance(60_000);
    expect(runStatus(loop.state).status).toBe("stopping");
    expect(lines("stop.failed")).toMatchObject([
      {
        mode: "graceful",
        error: { name: "Error", message: "no permission" },
        because: "the orchestrator minimal could not stop the run: no permission",
      },
    ]);
    expect(world.log.map(({ message }) => message)).toContain(
      "the orchestrator minimal could not stop the run: no permission",
    );
    expect(loop.state.stop?.failed?.message).toBe("no permission");
    platform.wait.resolve();
    const run = await ended();
    expect(run.status).toBe("stopped");
    expect(run.statuses()).toEqual({ a: "completed", b: "completed" });
  });

  it("and a forced stop reaches the orchestrator after a graceful one", async () => {
    const platform = new Platform();
    const { loop, ended, until } = await there(platform.orchestrator);
    await loop.requestStop(GRACEFUL);
    await until("stop.accepted");
    expect(await loop.requestStop(GRACEFUL)).toMatchObject({ accepted: false });
    expect(await loop.requestStop(FORCE)).toEqual({ accepted: true });
    await until("stop.accepted", 2);
    expect(platform.stops.map(({ graceful }) => graceful)).toEqual([true, false]);
    expect(await loop.requestStop(FORCE)).toMatchObject({ accepted: false });
    // The wait hears nothing of it: it gets the grace period.
    const run = await ended();
    const [, accepted] = run.of("stop.accepted");
    expect(Date.parse(run.state.finished!.at) - Date.parse(accepted!.at)).toBe(
      loop.state.snapshot.gracePeriodMs,
    );
    expect(run.statuses()).toEqual({ a: "stopped", b: "stopped" });
    expect(run.status).toBe("stopped");
  });

  it("and a forced stop that fails may be asked for again: it has not ended", async () => {
    const platform = new Platform();
    platform.stopping.push(fails("one"), fails("two"));
    const { clock, loop, ended, until } = await there(platform.orchestrator);
    await loop.requestStop(FORCE);
    await until("stop.failed");
    await clock.advance(600_000);
    expect(runStatus(loop.state).status).toBe("stopping");
    expect(await loop.requestStop(GRACEFUL)).toMatchObject({ accepted: false });
    expect(await loop.requestStop(FORCE)).toEqual({ accepted: true });
    await until("stop.failed", 2);
    expect(await loop.requestStop(FORCE)).toEqual({ accepted: true });
    await until("stop.accepted");
    expect((await ended()).status).toBe("stopped");
    expect(platform.stops).toHaveLength(3);
  });

  it("while stopRun hangs, which is told after 30 s", async () => {
    const platform = new Platform();
    platform.stopping.push(() => new Promise(() => undefined));
    const { clock, world, loop, ended, until } = await there(platform.orchestrator);
    await loop.requestStop(GRACEFUL);
    platform.wait.resolve();
    await clock.advance(29_000);
    // What it says is still to come.
    expect(loop.state.finished).toBeUndefined();
    const stopping = world.pool.started.find(({ id }) => id.includes("#stopRun"));
    expect(stopping!.task.timeoutMs).toBe(30_000);
    const error = { name: "StepTimeout", message: "it took longer than its limit of 30s" };
    world.pool.end(stopping!.id, { ok: false, outcome: "timeout", error });
    await until("stop.failed");
    const run = await ended();
    expect(run.status).toBe("stopped");
    expect(run.statuses()).toEqual({ a: "completed", b: "completed" });
  });

  it("until fetchStatus gives a final status; the wait may say nothing", async () => {
    const platform = new Platform();
    platform.status = { status: "stopping", steps: { a: "running" } };
    const { clock, loop, ended, until } = await there(platform.reporter);
    await loop.requestStop(GRACEFUL);
    await until("stop.accepted");
    await clock.until(() => loop.state.steps.get("a")!.status === "running");
    await clock.advance(6_000);
    expect(loop.state.steps.get("a")!.elsewhere).toBe(true);
    expect(runStatus(loop.state).status).toBe("stopping");
    platform.status = { status: "stopped", steps: { a: "completed" } };
    const run = await ended();
    expect(run.status).toBe("stopped");
    expect(run.statuses()).toEqual({ a: "completed", b: "stopped" });
    const [completed] = run.of("step.completed");
    const [started] = run.of("step.started");
    expect(completed!["durationMs"]).toBe(Date.parse(completed!.at) - Date.parse(started!.at));
    expect(completed!["durationMs"]).toBeGreaterThanOrEqual(5_000);
  });

  it("until the runner that waited dies: then stopRun's answer decides", async () => {
    const platform = new Platform();
    const answer = new Gate();
    // It was in the same runner, and is called again, alone.
    platform.stopping.push(
      () => new Promise(() => undefined),
      () => answer.promise,
    );
    const { clock, world, loop, ended } = await there(platform.orchestrator);
    await loop.requestStop(GRACEFUL);
    await clock.until(() => platform.stops.length === 1);
    world.pool.die();
    await clock.until(() => platform.stops.length === 2);
    expect(runStatus(loop.state).status).toBe("stopping");
    answer.resolve();
    const run = await ended();
    expect(run.status).toBe("stopped");
    expect(run.statuses()).toEqual({ a: "stopped", b: "stopped" });
  });

  it.each(["graceful", "force"] as const)(
    "over a restart: stopRun is called again (%s)",
    async (mode) => {
      const platform = new Platform();
      const { clock, world, loop, until } = await there(platform.orchestrator);
      platform.stopping.push(fails("busy"));
      await loop.requestStop({ mode, by: "me" });
      await until("stop.failed");
      const next = new Platform();
      const answer = new Gate();
      next.stopping.push(() => answer.promise);
      const second = worldOf(next.orchestrator, { clock, runsDir: world.store.runsDir });
      const again = (await RunLoop.recover(loop.state.run, second.deps))!;
      again.start("again");
      await clock.until(() => next.stops.length === 1);
      await clock.settle();
      expect(runStatus(again.state).status).toBe("stopping");
      expect(next.stops).toEqual([{ graceful: mode === "graceful", status: "stopping" }]);
      answer.resolve();
      await clock.until(() => again.state.finished !== undefined);
      const run = await second.end(again);
      expect(run.status).toBe("stopped");
      expect(run.statuses()).toEqual({ a: "stopped", b: "stopped" });
    },
  );

  it("after a restart where stopRun fails: for ever if graceful, and not if forced", async () => {
    const { clock, world, loop, until } = await there(new Platform().orchestrator);
    await loop.requestStop(GRACEFUL);
    await until("stop.accepted");
    const next = new Platform();
    next.stopping.push(fails("busy"), fails("busy"));
    const second = worldOf(next.orchestrator, { clock, runsDir: world.store.runsDir });
    const again = (await RunLoop.recover(loop.state.run, second.deps))!;
    again.start("again");
    await clock.until(() => again.state.stop?.failed !== undefined);
    await clock.advance(600_000);
    expect(runStatus(again.state).status).toBe("stopping");
    expect(await again.requestStop(FORCE)).toEqual({ accepted: true });
    await clock.until(() => again.state.finished !== undefined);
    const run = await second.end(again);
    expect(run.status).toBe("stopped");
    expect(run.of("stop.failed")).toHaveLength(2);
  });

  it("from its time limit on: asked first, and by force after the grace period", async () => {
    const platform = new Platform();
    const { clock, loop, ended } = await there(platform.orchestrator, { timeoutMs: 60_000 });
    await clock.until(() => platform.stops.length > 0);
    expect(runStatus(loop.state)).toEqual({ status: "failed", inProgress: true });
    await clock.until(() => platform.stops.length === 2);
    expect(clock.monotonic()).toBeGreaterThanOrEqual(60_000 + loop.state.snapshot.gracePeriodMs);
    expect(platform.stops.map(({ graceful }) => graceful)).toEqual([true, false]);
    const run = await ended();
    expect(run.status).toBe("failed");
    expect(run.because).toContain("longer than its limit");
    expect(run.statuses()).toEqual({ a: "stopped", b: "stopped" });
  });

  it("while a drain waits for stopRun's answer; then the next daemon goes on", async () => {
    const platform = new Platform();
    const answer = new Gate();
    platform.stopping.push(() => answer.promise);
    const { clock, loop, lines } = await there(platform.orchestrator);
    await loop.requestStop(GRACEFUL);
    let drained = false;
    const drain = loop.drain(20_000).then(() => (drained = true));
    await clock.advance(5_000);
    expect(drained).toBe(false);
    answer.resolve();
    await drain;
    expect(lines("stop.accepted")).toHaveLength(1);
    expect(loop.state.finished).toBeUndefined();
  });

  it("and a drain whose time is up leaves stopRun to the next daemon", async () => {
    const platform = new Platform();
    platform.stopping.push(() => new Promise(() => undefined));
    const { clock, loop } = await there(platform.orchestrator);
    await loop.requestStop(GRACEFUL);
    const drain = loop.drain(2_000);
    await clock.advance(2_000);
    await drain;
    expect(loop.state.finished).toBeUndefined();
  });
});

describe("a stop", () => {
  it("is refused where nobody could stop the run, and nothing is written", async () => {
    const wait = new Gate();
    class Unstoppable extends MinimalOrchestrator {
      override submitPipeline(): Promise<SubmissionResult> {
        return Promise.resolve({ waitForCompletion: () => wait.promise });
      }
    }
    const { loop, ended, lines } = await there(Unstoppable);
    for (const order of [GRACEFUL, FORCE])
      expect(await loop.requestStop(order)).toEqual({
        accepted: false,
        reason: "The orchestrator minimal cannot stop a run.",
      });
    expect(lines("run.stop_requested")).toEqual([]);
    wait.resolve();
    expect((await ended()).status).toBe("completed");
  });

  it("is refused where some steps run elsewhere, and the orchestrator has no stopRun", async () => {
    class Mixed extends MinimalOrchestrator {
      override async submitPipeline(): Promise<SubmissionResult> {
        await this.runStep("a");
        return {};
      }
      override fetchStatus(): Promise<FetchedStatus> {
        return Promise.resolve({ status: "running", steps: { b: "running" } });
      }
    }
    const clock = new VirtualClock();
    const world = worldOf(Mixed, { clock }, { a: () => 1 });
    const loop = await world.begin(STEPS);
    await clock.until(() => loop.state.steps.get("b")!.status === "running");
    expect(await loop.requestStop(GRACEFUL)).toMatchObject({ accepted: false });
    await loop.drain(0);
  });

  it("is accepted where canStop is declared, and orchd lets go of the run", async () => {
    class Declared extends MinimalOrchestrator {
      override readonly capabilities = { canStop: true };
      override submitPipeline(): Promise<SubmissionResult> {
        return Promise.resolve({ waitForCompletion: () => new Promise<void>(() => undefined) });
      }
    }
    const { loop, ended } = await there(Declared);
    expect(await loop.requestStop(GRACEFUL)).toEqual({ accepted: true });
    expect((await ended()).statuses()).toEqual({ a: "skipped", b: "skipped" });
  });

  it("that comes while the run is submitted is told again once it is accepted", async () => {
    const platform = new Platform();
    const submitting = new Gate();
    class Slow extends platform.orchestrator {
      override async submitPipeline(of: PipelineSubmission): Promise<SubmissionResult> {
        await submitting.promise;
        return super.submitPipeline(of);
      }
    }
    const clock = new VirtualClock();
    const world = worldOf(Slow, { clock });
    const loop = await world.begin(STEPS);
    await clock.until(() => loop.state.submission === "started");
    await loop.requestStop(GRACEFUL);
    await clock.until(() => platform.stops.length === 1);
    submitting.resolve();
    await clock.until(() => platform.stops.length === 2);
    platform.wait.resolve();
    await clock.until(() => loop.state.finished !== undefined);
    const run = await world.end(loop);
    expect(run.statuses()).toEqual({ a: "stopped", b: "stopped" });
  });

  it("ends a submission that is never accepted, after the grace period", async () => {
    class Hanging extends new Platform().orchestrator {
      override submitPipeline(): Promise<SubmissionResult> {
        return new Promise(() => undefined);
      }
    }
    const clock = new VirtualClock();
    const world = worldOf(Hanging, { clock });
    const loop = await world.begin(STEPS);
    await clock.until(() => loop.state.submission === "started");
    await loop.requestStop(GRACEFUL);
    await clock.until(() => loop.state.finished !== undefined);
    const run = await world.end(loop);
    expect(run.status).toBe("stopped");
    expect(run.statuses()).toEqual({ a: "skipped", b: "skipped" });
  });

  it("of steps that run through runStep is as ever, and stopRun's error is told", async () => {
    class Own extends MinimalOrchestrator {
      override async submitPipeline({ snapshot }: PipelineSubmission): Promise<SubmissionResult> {
        for (const step of snapshot.steps) await this.runStep(step);
        return {};
      }
      override stopRun(): Promise<void> {
        return Promise.reject(new Error("nothing to stop"));
      }
    }
    const a = held();
    const clock = new VirtualClock();
    const world = worldOf(Own, { clock }, { a, b: () => 1 });
    const loop = await world.begin(STEPS);
    await a.began;
    await loop.requestStop(GRACEFUL);
    await clock.until(() => loop.state.finished !== undefined);
    const run = await world.end(loop);
    expect(run.status).toBe("stopped");
    expect(run.statuses()).toEqual({ a: "stopped", b: "skipped" });
    expect(run.of("stop.failed")).toHaveLength(1);
  });

  it("by fail_fast reaches the orchestrator, by force", async () => {
    const platform = new Platform();
    class Mixed extends platform.orchestrator {
      override readonly capabilities = { supportedExecutionModes: ["fail_fast"] as const };
      override submitPipeline(of: PipelineSubmission): Promise<SubmissionResult> {
        this.runStep("a").catch(() => undefined);
        return super.submitPipeline(of);
      }
    }
    const clock = new VirtualClock();
    const boom = (): never => {
      throw new Error("boom");
    };
    const world = worldOf(Mixed, { clock }, { a: boom });
    const loop = await world.begin(
      [moduleStep("a"), moduleStep("b")],
      {},
      { executionMode: "fail_fast" },
    );
    await clock.until(() => platform.stops.length === 1);
    platform.wait.resolve();
    await clock.until(() => loop.state.finished !== undefined);
    const run = await world.end(loop);
    expect(platform.stops[0]).toMatchObject({ graceful: false });
    expect(run.status).toBe("failed");
    expect(run.because).toContain('step "a" failed: boom');
  });
});

it("a restart does not interrupt the steps that run elsewhere", async () => {
  const platform = new Platform();
  platform.status = { status: "running", steps: { a: "running" } };
  class Reporting extends platform.reporter {
    override submitPipeline(): Promise<SubmissionResult> {
      return Promise.resolve({});
    }
  }
  const { clock, world, loop } = await there(Reporting);
  await clock.until(() => loop.state.steps.get("a")!.status === "running");
  await loop.drain(0);
  const second = worldOf(platform.reporter, { clock, runsDir: world.store.runsDir });
  const again = (await RunLoop.recover(loop.state.run, second.deps))!;
  again.start("again");
  await clock.advance(6_000);
  expect(again.state.steps.get("a")).toMatchObject({ status: "running", attempt: 1 });
  platform.status = { status: "completed" };
  await clock.until(() => again.state.finished !== undefined);
  const run = await second.end(again);
  expect(run.status).toBe("completed");
  expect(run.of("step.interrupted")).toEqual([]);
});
