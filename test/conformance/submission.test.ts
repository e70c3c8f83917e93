/**
 * Conformance 47 to 54: schedules and submission (docs/zenml.md "Members", docs/semantics.md 22).
 */
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { compile } from "../../src/core/compile.ts";
import { pipelineSchema } from "../../src/core/pipeline.ts";
import { resolveSchedules } from "../../src/core/schedule/resolve-schedule.ts";
import { runIdForSlot } from "../../src/core/run-id.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import type { Capabilities } from "../../src/orchestrators/capabilities.ts";
import { BaseOrchestrator } from "../../src/orchestrators/base-orchestrator.ts";
import { LocalOrchestrator } from "../../src/orchestrators/local-orchestrator.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import type {
  DynamicPipelineSubmission,
  FetchedStatus,
  PipelineSubmission,
  PlaceholderRun,
  SubmissionResult,
} from "../../src/orchestrators/submission.ts";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { fakeCode, held, type FakeClass } from "../support/fake-pool.ts";
import { moduleStep } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, MinimalOrchestrator, World, refTo } from "./world.ts";

const context = { timezone: "Europe/Berlin", now: Date.UTC(2026, 10, 24) };

describe("schedules", () => {
  it("47. an empty one is refused; cron, interval, once; of two, cron wins with a warning", () => {
    expect(resolveSchedules({}, context).faults[0]?.message).toMatch(/empty/);
    expect(resolveSchedules({ cron: "@daily" }, context).faults).toEqual([]);
    expect(
      resolveSchedules({ intervalSeconds: 60, startTime: "2026-12-01T00:00:00Z" }, context).faults,
    ).toEqual([]);
    const both = resolveSchedules(
      { cron: "@daily", intervalSeconds: 60, startTime: "2026-12-01T00:00:00Z" },
      context,
    );
    expect(both.schedules[0]).toMatchObject({ cron: "0 0 * * *" });
    expect(both.warnings.join()).toMatch(/cron wins/);
    expect(resolveSchedules({ runOnceAt: "2026-12-01T00:00:00Z" }, context).faults).toEqual([]);
  });

  it("48. naive times are local, and kept in UTC", () => {
    expect(
      resolveSchedules({ runOnceAt: "2026-12-01T02:00:00" }, context).schedules[0],
    ).toMatchObject({ runOnceAt: "2026-12-01T01:00:00.000Z" });
    expect(
      resolveSchedules({ runOnceAt: "2026-07-01T02:00:00" }, context).schedules[0],
    ).toMatchObject({ runOnceAt: "2026-07-01T00:00:00.000Z" });
  });

  it("49. duplicate names are refused", () => {
    const twice = compile({
      definition: pipelineSchema.parse({
        schedule: [
          { name: "a", cron: "@daily" },
          { name: "a", cron: "@hourly" },
        ],
        steps: { a: { run: "true" } },
      }),
      file: "/srv/p.yaml",
      code: new Map(),
      settings: DEFAULT_SETTINGS,
      now: 0,
      watched: [],
    });
    expect(JSON.stringify(twice)).toMatch(/another schedule is called/);
  });

  it.each(FLAVORS)(
    "50. $name: taken if it is schedulable, else refused before anything is written",
    async (flavor) => {
      const world = new World(flavor, { a: () => 1 });
      const slot = Date.UTC(2026, 10, 23, 2);
      const trigger = { kind: "schedule" as const, scheduledFor: new Date(slot).toISOString() };
      const ended = await world.runIf(
        flavor.capabilities.isSchedulable,
        /cannot be scheduled/,
        [moduleStep("a")],
        {
          trigger,
          run: runIdForSlot("p", slot),
        },
      );
      if (flavor.capabilities.isSchedulable) expect(ended?.status).toBe("completed");
    },
  );
});

/** A world whose orchestrator is this class. */
function worldOf(
  type: unknown,
  functions: ConstructorParameters<typeof World>[1] = {},
  options: ConstructorParameters<typeof World>[2] = {},
  capabilities: Partial<Capabilities> = {},
): World {
  const [local] = FLAVORS;
  return new World(
    {
      name: "own",
      ref: refTo("own"),
      capabilities: { ...local!.capabilities, ...capabilities },
      classes: { "export:own": type as FakeClass },
    },
    functions,
    options,
  );
}

describe("submission", () => {
  it("starts with a durable placeholder; then come the call and its outcome", async () => {
    const world = worldOf(MinimalOrchestrator, { a: () => 1 });
    const ended = await world.run([moduleStep("a")]);
    expect(ended.types().slice(0, 4)).toEqual([
      "run.submitted",
      "run.started",
      "submit.started",
      "submit.identified",
    ]);
    expect(ended.of("submit.accepted")).toHaveLength(1);
    expect(ended.of("submit.accepted").at(-1)).toMatchObject({ metadata: { steps: 1 } });
    expect(ended.state.orchestratorRunId).toBe(`minimal-${ended.run}`);
    expect(ended.state.metadata).toEqual({ steps: 1 });
  });

  it("53b. gives the orchestrator snapshot, stack, environments and run", async () => {
    let given: PipelineSubmission | undefined;
    class Looking extends MinimalOrchestrator {
      override submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
        given = submission;
        return super.submitPipeline(submission);
      }
    }
    const world = worldOf(
      Looking,
      { a: () => 1, b: () => 2 },
      { settings: { env: { BASE: "1" } } },
    );
    await world.run(
      [moduleStep("a", { env: { OWN: "a" } }), moduleStep("b", { needs: ["a"] })],
      { params: { p: 1 } },
      { env: { PIPE: "2" } },
    );
    expect(given).toMatchObject({
      stack: { orchestrator: { type: "orchestrator", name: "minimal" } },
      baseEnvironment: { PATH: "/usr/bin:/bin", BASE: "1", PIPE: "2", ORCHD_PIPELINE: "p" },
      stepEnvironments: { a: { OWN: "a" }, b: {} },
      placeholderRun: { pipeline: "p", status: "initializing", params: { p: 1 }, metadata: {} },
    });
    expect(given!.snapshot.steps.map(({ id }) => id)).toEqual(["a", "b"]);
  });

  it("51. that throws fails an unfinished run with the orchestrator's own error", async () => {
    class Refusing extends MinimalOrchestrator {
      override submitPipeline(): Promise<SubmissionResult> {
        return Promise.reject(
          Object.assign(new Error("no room in the cluster"), { code: "EROOM" }),
        );
      }
    }
    const ended = await worldOf(Refusing).run([moduleStep("a")]);
    expect(ended.status).toBe("failed");
    expect(ended.because).toContain("no room in the cluster");
    expect(ended.of("submit.failed")[0]).toMatchObject({ error: { code: "EROOM" } });
    expect(ended.statuses()).toEqual({ a: "skipped" });
  });

  it("52. whose waiting throws does not fail the run", async () => {
    class Impatient extends MinimalOrchestrator {
      override async submitPipeline({ snapshot }: PipelineSubmission): Promise<SubmissionResult> {
        for (const step of snapshot.steps) await this.runStep(step);
        return { waitForCompletion: () => Promise.reject(new Error("the connection is gone")) };
      }
    }
    const world = worldOf(Impatient, { a: () => 1 });
    const ended = await world.run([moduleStep("a")]);
    expect(ended.status).toBe("completed");
  });

  it("52b. of a run elsewhere completes with its wait; a throwing wait fails none", async () => {
    const elsewhere = (wait: () => Promise<void>): unknown =>
      class Elsewhere extends MinimalOrchestrator {
        override submitPipeline(): Promise<SubmissionResult> {
          return Promise.resolve({ metadata: { jobId: "12345" }, waitForCompletion: wait });
        }
      };
    const waited = await worldOf(elsewhere(() => Promise.resolve())).run([
      moduleStep("a"),
      moduleStep("b", { needs: ["a"] }),
    ]);
    expect(waited.status).toBe("completed");
    expect(waited.statuses()).toEqual({ a: "completed", b: "completed" });
    expect(waited.state.metadata).toEqual({ jobId: "12345" });
    const lost = await worldOf(elsewhere(() => Promise.reject(new Error("gone")))).run([
      moduleStep("a"),
    ]);
    expect(lost.status).not.toBe("failed");
    expect(lost.statuses()).toEqual({ a: "skipped" });
  });

  describe("52c. whose waiting is lost with its runner fails no run", () => {
    /** Accepts the run, asks for the first `asks` steps while it waits, and waits for ever. */
    const waiting = (asks: number, own: object = {}): unknown =>
      class Waits extends MinimalOrchestrator {
        override readonly capabilities = own;
        override submitPipeline({ snapshot }: PipelineSubmission): Promise<SubmissionResult> {
          return Promise.resolve({
            waitForCompletion: async () => {
              for (const step of snapshot.steps.slice(0, asks)) void this.runStep(step);
              await new Promise(() => undefined);
            },
          });
        }
      };
    async function lose(asks: number, capabilities: object = {}) {
      const world = worldOf(waiting(asks, capabilities), { a: () => 1 });
      const loop = await world.begin([moduleStep("a")]);
      await vi.waitUntil(
        () =>
          world.lines(loop.state.run).some(({ type }) => type === "submit.accepted") &&
          loop.state.steps.get("a")!.phase === (asks === 0 ? "ready" : "ended"),
      );
      world.pool.die();
      return { world, ended: await world.end(loop) };
    }

    it("where its steps are elsewhere: nothing is known of them", async () => {
      const { ended, world } = await lose(0);
      expect(ended.status).toBe("completed");
      expect(ended.statuses()).toEqual({ a: "skipped" });
      expect(ended.of("submit.warning")).toMatchObject([
        {
          because:
            "waiting for the run's end failed: " +
            "the runner was ended by SIGKILL while the orchestrator was in it",
          error: { code: "ORCHD_RUNNER_DIED" },
        },
      ]);
      expect(world.log).toContainEqual(
        expect.objectContaining({
          level: "warn",
          message: expect.stringContaining("waiting for the run's end failed") as string,
        }),
      );
    });

    it("where its steps run through runStep: they decide", async () => {
      const { ended } = await lose(1);
      expect(ended.status).toBe("completed");
      expect(ended.statuses()).toEqual({ a: "completed" });
      expect(ended.of("submit.warning")).toHaveLength(1);
      expect(ended.of("submit.failed")).toEqual([]);
    });

    it("while a step that it asked for runs: the step goes on, and decides", async () => {
      const a = held();
      const world = worldOf(waiting(1), { a });
      const loop = await world.begin([moduleStep("a", { onInterruption: "retry" })]);
      await a.began;
      const submission = [...world.pool.running.keys()].find((id) => id.includes("#submit"));
      world.pool.die();
      expect(submission).toBeDefined();
      a.release(1);
      const ended = await world.end(loop);
      expect(ended.of("submit.failed")).toEqual([]);
      expect(ended.of("submit.warning")).toHaveLength(1);
    });

    it("but a step that nobody asks for any more is named", async () => {
      const world = worldOf(waiting(1), { a: () => 1 });
      const loop = await world.begin([moduleStep("a"), moduleStep("b", { does: "a" })]);
      await vi.waitUntil(() => loop.state.steps.get("a")!.phase === "ended");
      world.pool.die();
      const ended = await world.end(loop);
      expect(ended.of("submit.warning")).toHaveLength(1);
      expect(ended.because).toContain('ended without running "b"');
    });

    it("but a death before the run was accepted fails it, with the death", async () => {
      class Never extends MinimalOrchestrator {
        override submitPipeline(): Promise<SubmissionResult> {
          return new Promise(() => undefined);
        }
      }
      const world = worldOf(Never, { a: () => 1 });
      const loop = await world.begin([moduleStep("a")]);
      await vi.waitUntil(() => world.pool.running.size > 0);
      world.pool.die();
      const ended = await world.end(loop);
      expect(ended.status).toBe("failed");
      expect(ended.of("submit.failed")).toMatchObject([{ error: { name: "RunnerDied" } }]);
    });
  });

  it("53. runStep waits for the step, and rejects with the step's own error", async () => {
    const seen: string[] = [];
    class OneByOne extends BaseOrchestrator {
      getOrchestratorRunId(): string {
        return "mine-1";
      }
      async submitPipeline({ snapshot }: PipelineSubmission): Promise<undefined> {
        for (const step of snapshot.steps) {
          await this.runStep(step).then(
            () => seen.push(`${step.id} ended`),
            (error: Error & { code?: string }) =>
              seen.push(`${step.id} ${error.name} ${error.message} ${error.code ?? ""}`),
          );
        }
      }
    }
    const boom = (): never => {
      throw Object.assign(new TypeError("bad row"), { code: "EROW" });
    };
    const ended = await worldOf(OneByOne, { a: () => 1, b: boom }).run([
      moduleStep("a"),
      moduleStep("b"),
      moduleStep("c", { does: "a", params: { n: 1 }, needs: ["b"] }),
    ]);
    expect(seen).toEqual([
      "a ended",
      "b TypeError bad row EROW",
      expect.stringContaining('c StepSkipped step "c" was skipped: upstream step "b" failed'),
    ]);
    expect(ended.because).toContain('step "b" failed: bad row');
  });

  it("53c. who asks for a run waits for its end if the orchestrator is synchronous", async () => {
    class Waiting extends MinimalOrchestrator {
      override readonly capabilities = { isSynchronous: true };
    }
    for (const [type, expected] of [
      [Waiting, true],
      [MinimalOrchestrator, false],
    ] as const) {
      const world = worldOf(type, { a: () => 1 });
      const loop = await world.begin([moduleStep("a")]);
      expect(loop.isSynchronous).toBe(expected);
      await world.end(loop);
    }
  });

  it("that passes on a failed step's error fails because of the step", async () => {
    class Passing extends MinimalOrchestrator {
      override async submitPipeline({ snapshot }: PipelineSubmission): Promise<SubmissionResult> {
        for (const step of snapshot.steps) await this.runStep(step);
        return {};
      }
    }
    const boom = (): never => {
      throw new Error("boom");
    };
    const ended = await worldOf(Passing, { a: boom }).run([
      moduleStep("a"),
      moduleStep("b", { does: "a" }),
    ]);
    expect(ended.because).toContain('step "a" failed: boom');
    expect(ended.statuses()).toEqual({ a: "failed", b: "skipped" });
  });

  it.each([[7], [{ a: 1 }], [["x"]], [null], [7n]])(
    "names nothing by an id that is no text: %s",
    async (id) => {
      class Odd extends MinimalOrchestrator {
        override getOrchestratorRunId(): string {
          return id as unknown as string;
        }
        override async submitPipeline({ snapshot }: PipelineSubmission): Promise<SubmissionResult> {
          for (const step of snapshot.steps) await this.runStep(step);
          return {};
        }
      }
      const ended = await worldOf(Odd, { a: () => 1 }).run([moduleStep("a")]);
      expect(ended.status).toBe("completed");
      expect(ended.of("submit.identified")).toEqual([]);
      expect(ended.state.orchestratorRunId).toBe(ended.run);
    },
  );

  it("whose run id is a promise fails, and says how to write it", async () => {
    class Async extends MinimalOrchestrator {
      override getOrchestratorRunId(): string {
        return Promise.reject(new Error("nobody waits")) as unknown as string;
      }
      override async submitPipeline({ snapshot }: PipelineSubmission): Promise<SubmissionResult> {
        for (const step of snapshot.steps) await this.runStep(step);
        return {};
      }
    }
    const ended = await worldOf(Async, { a: () => 1 }).run([moduleStep("a")]);
    expect(ended.status).toBe("failed");
    expect(ended.because).toContain("returned a promise: write it without async");
  });

  it("that leaves steps out fails, and names them", async () => {
    class Lazy extends MinimalOrchestrator {
      override async submitPipeline({ snapshot }: PipelineSubmission): Promise<SubmissionResult> {
        await this.runStep(snapshot.steps[0]!);
        return {};
      }
    }
    const ended = await worldOf(Lazy, { a: () => 1 }).run([
      moduleStep("a"),
      moduleStep("b", { does: "a" }),
    ]);
    expect(ended.status).toBe("failed");
    expect(ended.because).toContain('ended without running "b"');
  });

  it("54. a stop is refused where it must be; a forced one may follow a graceful one", async () => {
    class Unstoppable extends MinimalOrchestrator {
      override get capabilities() {
        return { canStop: false };
      }
    }
    const a = held();
    const world = worldOf(Unstoppable, { a });
    const loop = await world.begin([moduleStep("a")]);
    await a.began;
    expect(await loop.requestStop({ mode: "force", by: "me" })).toEqual({
      accepted: false,
      reason: "The orchestrator minimal cannot stop a run.",
    });
    expect(world.lines(loop.state.run).some(({ type }) => type === "run.stop_requested")).toBe(
      false,
    );
    a.release(1);
    expect((await world.end(loop)).status).toBe("completed");

    const stubborn = held();
    const [local] = FLAVORS;
    const here = new World(local!, {
      a: () =>
        Promise.race([
          stubborn({ signal: new AbortController().signal } as never),
          new Promise(() => undefined),
        ]),
    });
    const run = await here.begin([moduleStep("a")]);
    await stubborn.began;
    expect(await run.requestStop({ mode: "graceful", by: "me" })).toEqual({ accepted: true });
    expect(await run.requestStop({ mode: "graceful", by: "me" })).toMatchObject({
      accepted: false,
    });
    expect(await run.requestStop({ mode: "force", by: "me" })).toEqual({ accepted: true });
    expect((await here.end(run)).status).toBe("stopped");
  });

  it("a stop reaches the orchestrator", async () => {
    const stopped: unknown[] = [];
    class Stopping extends MinimalOrchestrator {
      override stopRun(run: PlaceholderRun, options: { graceful: boolean }): Promise<void> {
        stopped.push([run.id, options.graceful]);
        return Promise.resolve();
      }
    }
    const a = held();
    const world = worldOf(Stopping, { a });
    const loop = await world.begin([moduleStep("a")]);
    await a.began;
    await loop.requestStop({ mode: "graceful", by: "me" });
    await world.end(loop);
    expect(stopped).toEqual([[loop.state.run, true]]);
  });

  it("51b. that is a field of its class is refused; the id may be one", async () => {
    class Field extends BaseOrchestrator {
      getOrchestratorRunId = (): string => "own";
      submitPipeline = (): Promise<undefined> => Promise.resolve(undefined);
    }
    await expect(worldOf(Field).begin([moduleStep("a")])).rejects.toThrow(
      /has submitPipeline as a field: .*Write it as a method of the class/,
    );
    class Named extends BaseOrchestrator {
      getOrchestratorRunId = (): string => "own";
      async submitPipeline({ snapshot }: PipelineSubmission): Promise<void> {
        for (const one of snapshot.steps) await this.runStep(one);
      }
    }
    const ended = await worldOf(Named, { a: () => 1 }).run([moduleStep("a")]);
    expect(ended.status).toBe("completed");
    expect(ended.state.orchestratorRunId).toBe("own");
  });

  it("54b. a declaration and a method that contradict each other are refused", async () => {
    class Boasting extends MinimalOrchestrator {
      override get capabilities() {
        return { supportsDynamicPipelines: true };
      }
    }
    await expect(worldOf(Boasting).begin([moduleStep("a")])).rejects.toThrow(
      /declares supportsDynamicPipelines, but has no submitDynamicPipeline/,
    );
    class Misspelt extends MinimalOrchestrator {
      override get capabilities() {
        return { isSchedulabel: true } as object;
      }
    }
    await expect(worldOf(Misspelt).begin([moduleStep("a")])).rejects.toThrow(
      'declares "isSchedulabel", which is no capability; did you mean "isSchedulable"?',
    );
    class Member extends MinimalOrchestrator {
      override readonly capabilities = { supportedExecutionModes: ["fail_fast"] as const };
    }
    await expect(worldOf(Member).begin([moduleStep("a")])).rejects.toThrow(
      /it supports fail_fast$/,
    );
    expect(
      FLAVORS.map(({ capabilities, name }) => [name, capabilities.supportsDynamicPipelines]),
    ).toEqual([
      ["local", true],
      ["minimal", false],
      ["maximal", true],
    ]);
  });

  it.each(FLAVORS)(
    "54c. $name takes an isolated step if it can, or refuses it and writes nothing",
    async (flavor) => {
      const world = new World(flavor, { a: () => 1 });
      const ended = await world.runIf(
        flavor.capabilities.canRunIsolatedSteps,
        /cannot run isolated steps/,
        [moduleStep("a", { isolated: true })],
      );
      if (ended !== undefined)
        expect(
          world.pool.started.findLast(({ task }) => task.kind === "module")?.task,
        ).toMatchObject({ isolated: true });
    },
  );

  it("what an orchestrator cannot take is known at loading, with its key", async () => {
    const [local, minimal] = FLAVORS;
    const faultOf = (flavor: typeof local, more: Partial<Snapshot>, scheduled = false) => {
      const world = new World(flavor!);
      return world.deps.orchestrators.refuses(world.snapshot([moduleStep("a")], more), scheduled);
    };
    const asked: [Partial<Snapshot>, boolean, (string | number)[]][] = [
      [{ executionMode: "fail_fast" }, false, ["executionMode"]],
      [{}, true, ["schedule"]],
      [{ dynamic: fakeCode("f") }, false, ["orchestrator"]],
      [{ steps: [moduleStep("a", { isolated: true })] }, false, ["steps", "a", "isolated"]],
      [{ orchestrator: refTo("absent") }, false, ["orchestrator"]],
    ];
    for (const [more, scheduled, path] of asked) {
      expect((await faultOf(minimal, more, scheduled))?.path).toEqual(path);
      if (more.orchestrator === undefined)
        expect(await faultOf(local, more, scheduled)).toBeUndefined();
    }
    expect(await faultOf(minimal, {})).toBeUndefined();
  });

  it("an orchestrator that could not be loaded is asked again; one that could is not", async () => {
    const [, minimal] = FLAVORS;
    const world = new World({ ...minimal!, classes: {} });
    const refuses = () =>
      world.deps.orchestrators.refuses(world.snapshot([moduleStep("a")]), false);
    expect((await refuses())?.message).toMatch(/^cannot be used: /);
    world.pool.functions["export:minimal"] = MinimalOrchestrator;
    expect([await refuses(), await refuses()]).toEqual([undefined, undefined]);
    expect(world.pool.started).toHaveLength(2);
  });

  it("an orchestrator that is not there is named, and so are those that are", async () => {
    const world = new World(FLAVORS[0]!);
    await expect(
      world.begin(world.snapshot([], { orchestrator: { flavor: "loca", config: {} } })),
    ).rejects.toThrow(
      'orchestrator names "loca", and there is no orchestrator of that name; ' +
        "orchd.yaml and orchd itself have local",
    );
  });
});

it("local needs an open root, and knows a run's id only within a step", async () => {
  const local = new LocalOrchestrator();
  const rootless = "needs a run of an open root";
  await expect(local.submitPipeline({} as PipelineSubmission)).rejects.toThrow(rootless);
  await expect(local.submitDynamicPipeline({} as DynamicPipelineSubmission)).rejects.toThrow(
    rootless,
  );
  expect(() => local.getOrchestratorRunId()).toThrow("Outside a step there is no one run");
  vi.stubEnv("ORCHD_ORCHESTRATOR_RUN_ID", "p@1");
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(local.getOrchestratorRunId()).toBe("p@1");
});

describe("a submission that a crash cut off", () => {
  /** Runs until the orchestrator works, and takes the run over in another daemon. */
  async function crashed(
    type: unknown,
    next: unknown = type,
    options: ConstructorParameters<typeof World>[2] = {},
  ) {
    const lost = held();
    const first = worldOf(type, { a: () => 1, b: lost }, options);
    const loop = await first.begin([
      moduleStep("a"),
      moduleStep("b", { needs: ["a"], onInterruption: "rerun" }),
    ]);
    await lost.began;
    const second = worldOf(
      next,
      { a: () => 1, b: () => 2 },
      { ...options, runsDir: first.store.runsDir },
    );
    const again = (await RunLoop.recover(loop.state.run, second.deps))!;
    again.start("again");
    return { second, again };
  }

  it("fails if nobody can say what became of it", async () => {
    const { second, again } = await crashed(MinimalOrchestrator);
    const ended = await second.end(again);
    expect(ended.status).toBe("failed");
    expect(ended.because).toContain("submission unknown");
  });

  it("is made again if the orchestrator declares resubmits; ended steps stay so", async () => {
    class Again extends MinimalOrchestrator {
      override get capabilities() {
        return { resubmits: true };
      }
    }
    const { second, again } = await crashed(Again);
    const ended = await second.end(again);
    expect(ended.status).toBe("completed");
    expect(second.ran()).toEqual(["b"]);
  });

  it("54d. goes on by fetchStatus, asked every 5 s, until the run is over elsewhere", async () => {
    const answers: FetchedStatus[] = [
      { status: "running", steps: { a: "completed", b: "running" } },
      { status: "completed", steps: { a: "completed", b: "completed" } },
    ];
    const asked: [at: number, metadata: unknown][] = [];
    const clock = new VirtualClock();
    class Elsewhere extends MinimalOrchestrator {
      override submitPipeline(): Promise<SubmissionResult> {
        return Promise.resolve({
          metadata: { job: "1" },
          waitForCompletion: () => new Promise<void>(() => undefined),
        });
      }
      override fetchStatus({ metadata }: PlaceholderRun): Promise<FetchedStatus> {
        asked.push([clock.monotonic(), metadata]);
        return Promise.resolve(answers.shift() ?? {});
      }
    }
    const first = worldOf(Elsewhere, {}, { clock });
    const loop = await first.begin([moduleStep("a"), moduleStep("b", { needs: ["a"] })]);
    await clock.until(() => loop.state.submission === "accepted");
    const second = worldOf(Elsewhere, {}, { clock, runsDir: first.store.runsDir });
    const again = (await RunLoop.recover(loop.state.run, second.deps))!;
    again.start("again");
    await clock.until(() => again.state.finished !== undefined);
    const ended = await second.end(again);
    expect(ended.status).toBe("completed");
    expect(ended.statuses()).toEqual({ a: "completed", b: "completed" });
    // By what it said of the run when it took it, it finds the run there.
    expect(asked).toEqual([
      [0, { job: "1" }],
      [5_000, { job: "1" }],
    ]);
  });

  it("54e. leaves the steps that orchd runs to orchd, whatever fetchStatus says", async () => {
    const clock = new VirtualClock();
    const a = held();
    const answers: FetchedStatus[] = [
      { status: "running", steps: { a: "completed", b: "completed" } },
      { status: "running", steps: { a: "failed" } },
      { status: "completed", steps: { a: "skipped" } },
    ];
    class Half extends MinimalOrchestrator {
      override submitPipeline(): Promise<SubmissionResult> {
        void this.runStep("a");
        return Promise.resolve({});
      }
      override fetchStatus(): Promise<FetchedStatus> {
        return Promise.resolve(answers.shift()!);
      }
    }
    const world = worldOf(Half, { a }, { clock });
    const loop = await world.begin([moduleStep("a"), moduleStep("b"), moduleStep("c")]);
    await a.began;
    await clock.until(() => answers.length === 0);
    await clock.advance(1_000);
    expect(loop.state.finished).toBeUndefined();
    a.release(7);
    await clock.until(() => loop.state.finished !== undefined);
    const ended = await world.end(loop);
    expect(ended.statuses()).toEqual({ a: "completed", b: "completed", c: "completed" });
    expect(ended.output("a")).toBe(7);
    expect(ended.of("step.completed", "a")).toHaveLength(1);
  });

  it("fails, and says so, if the orchestrator's class is gone", async () => {
    const { second, again } = await crashed(
      MinimalOrchestrator,
      class NoOrchestrator {
        readonly runs = "nothing";
      },
    );
    const ended = await second.end(again);
    expect(ended.status).toBe("failed");
    expect(ended.because).toContain("is no orchestrator");
  });
});
