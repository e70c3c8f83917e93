/** What a submission of a dynamic pipeline tells, as that of a static one does. */
import { describe, expect, it, vi } from "vitest";
import type { FetchedStatus, SubmissionResult } from "../../src/orchestrators/submission.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import type { DynamicRun } from "../../src/steps/dynamic-run.ts";
import { step } from "../../src/steps/authoring.ts";
import {
  dynamicModule,
  fakeCode,
  held,
  type FakeClass,
  type FakeFunction,
} from "../support/fake-pool.ts";
import { moduleStep, type Ended } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, MinimalOrchestrator, World, refTo } from "./world.ts";

/** What `submitDynamicPipeline` does; `run` has orchd run the function. */
type Submit = (run: () => Promise<void>) => Promise<SubmissionResult | undefined>;

/** A flavor with this submission, whose id of a run is known from the start, late or never. */
function flavorOf(submit: Submit, id: "early" | "late" | "never" = "early") {
  return class Dynamic extends MinimalOrchestrator {
    #id = id === "early" ? "own-1" : "";
    override getOrchestratorRunId(): string {
      if (id === "never") throw new Error("not known");
      return this.#id;
    }
    override submitDynamicPipeline(): Promise<SubmissionResult | undefined> {
      return submit(() => {
        this.#id ||= "own-2";
        return this.runPipelineFunction();
      });
    }
  };
}

const boom = (): never => {
  throw new Error("boom");
};

/** Runs a function of one step, `a`, with this flavor. */
function runWith(
  type: unknown,
  body: (run: DynamicRun<never>, a: never) => unknown = (run, a) => run.step(a),
  functions: { [name: string]: FakeFunction } = {},
): { readonly world: World; readonly ended: Promise<Ended> } {
  const a = step(functions["a"] === undefined ? () => 1 : (functions["a"] as never));
  const flavor = { ...FLAVORS[0]!, name: "own", ref: refTo("own") };
  const world = new World(
    { ...flavor, classes: { "export:own": type as FakeClass } },
    dynamicModule({ a } as never, (run) => body(run, a as never)),
  );
  return { world, ended: world.run([], {}, { dynamic: fakeCode("function") }) };
}

const idInStep = (world: World): unknown =>
  world.pool.started.find(({ task }) => task.step === "a")?.task.env["ORCHD_ORCHESTRATOR_RUN_ID"];

it.each(["early", "late"] as const)(
  "its metadata and id are recorded, and steps see the id (known %s)",
  async (known) => {
    const type = flavorOf(async (run) => {
      await run();
      return { metadata: { job: "12" } };
    }, known);
    const { world, ended } = runWith(type);
    const run = await ended;
    const id = known === "early" ? "own-1" : "own-2";
    expect(run.status).toBe("completed");
    expect(run.of("submit.accepted")).toMatchObject([
      { metadata: { job: "12" }, orchestratorRunId: id },
    ]);
    expect(idInStep(world)).toBe(id);
    const named = run.types().indexOf("submit.identified");
    expect(named).toBeGreaterThan(0);
    expect(named).toBeLessThan(run.types().indexOf("step.started a"));
    expect(run.types().at(-1)).toBe("run.finished");
  },
);

it("is accepted before the function's first step where waiting runs it", async () => {
  const type = flavorOf((run) =>
    Promise.resolve({ metadata: { job: "12" }, waitForCompletion: run }),
  );
  const { ended } = runWith(type);
  const types = (await ended).types();
  expect(types.indexOf("submit.accepted")).toBeLessThan(types.indexOf("step.started a"));
});

it("keeps the run's own id where the flavor never tells one", async () => {
  const { world, ended } = runWith(flavorOf((run) => run().then(() => undefined), "never"));
  const run = await ended;
  expect(idInStep(world)).toBe(run.run);
  expect(run.of("submit.accepted")).toHaveLength(1);
});

it("a throw after the function's end is recorded, and fails no run", async () => {
  const { world, ended } = runWith(flavorOf((run) => run().then(boom)));
  const run = await ended;
  expect(run.status).toBe("completed");
  expect(run.of("submit.warning")).toMatchObject([
    {
      error: { message: "boom" },
      because: "it threw after the end of all that it had asked for: boom",
    },
  ]);
  expect(world.log.map(({ level, message }) => [level, message])).toContainEqual([
    "warn",
    "it threw after the end of all that it had asked for: boom",
  ]);
});

it("so is a throw of waiting", async () => {
  const type = flavorOf((run) => Promise.resolve({ waitForCompletion: () => run().then(boom) }));
  const run = await runWith(type).ended;
  expect(run.status).toBe("completed");
  expect(run.of("submit.warning")).toMatchObject([{ error: { message: "boom" } }]);
});

it("a throw that passes on the function's error is told once", async () => {
  const run = await runWith(
    flavorOf((go) => go().then(() => undefined)),
    boom,
  ).ended;
  expect(run.status).toBe("failed");
  expect(run.because).toContain("boom");
  expect(run.of("submit.warning")).toEqual([]);
});

it("another one is told beside it; metadata after a caught one is recorded", async () => {
  const other = (): never => {
    throw new Error("the platform is gone");
  };
  const one = await runWith(
    flavorOf((go) => go().catch(other) as Promise<undefined>),
    boom,
  ).ended;
  expect(one.status).toBe("failed");
  expect(one.because).toContain("boom");
  expect(one.of("submit.warning")).toMatchObject([{ error: { message: "the platform is gone" } }]);
  const caught = flavorOf((go) =>
    go()
      .catch(() => undefined)
      .then(() => ({ metadata: { n: 1 } })),
  );
  const two = await runWith(caught, boom).ended;
  expect(two.status).toBe("failed");
  expect(two.of("submit.accepted")).toMatchObject([{ metadata: { n: 1 } }]);
});

it("a flavor that asks for the function again is told how that ended", async () => {
  const twice = flavorOf((go) => go().catch(() => go()) as Promise<undefined>);
  const run = await runWith(twice, boom).ended;
  expect([run.status, run.of("run.function_ended").length]).toEqual(["failed", 1]);
  expect(run.because).toContain("boom");
  const well = await runWith(
    flavorOf((go) =>
      go()
        .then(go)
        .then(() => undefined),
    ),
  ).ended;
  expect(well.status).toBe("completed");
});

it("a throw before the function runs fails the run", async () => {
  const run = await runWith(flavorOf(() => Promise.resolve().then(boom))).ended;
  expect(run.status).toBe("failed");
  expect(run.of("submit.failed")).toMatchObject([{ error: { message: "boom" } }]);
});

it("the static twin's throw after its last step is recorded too", async () => {
  class Static extends MinimalOrchestrator {
    override async submitPipeline(): Promise<SubmissionResult> {
      await this.runStep("a");
      return boom();
    }
  }
  const flavor = { ...FLAVORS[0]!, name: "own", ref: refTo("own") };
  const classes = { "export:own": Static as unknown as FakeClass };
  const run = await new World({ ...flavor, classes }, { a: () => 1 }).run([moduleStep("a")]);
  expect(run.status).toBe("completed");
  expect(run.of("submit.warning")).toMatchObject([{ error: { message: "boom" } }]);
});

it("a stop during the function ends the run; stopRun's error is told", async () => {
  class Stopping extends flavorOf((run) => run().then(() => undefined)) {
    override stopRun(): Promise<void> {
      return Promise.reject(new Error("no permission"));
    }
  }
  const a = held();
  const flavor = { ...FLAVORS[0]!, name: "own", ref: refTo("own") };
  const own = step(a as never);
  const world = new World(
    { ...flavor, classes: { "export:own": Stopping } },
    dynamicModule({ a: own } as never, (run) => run.step(own as never)),
  );
  const loop = await world.begin([], {}, { dynamic: fakeCode("function") });
  await a.began;
  await loop.requestStop({ mode: "force", by: "me" });
  const run = await world.end(loop);
  expect(run.status).toBe("stopped");
  expect(run.of("stop.failed")).toMatchObject([{ error: { message: "no permission" } }]);
});

it("a flavor that retries itself leaves the retries of a dynamic pipeline to orchd", async () => {
  class Retrying extends flavorOf((run) => run().then(() => undefined)) {
    override readonly capabilities = { handlesStepRetries: true };
  }
  let calls = 0;
  const flavor = { ...FLAVORS[0]!, name: "own", ref: refTo("own") };
  const own = step(
    () => {
      calls += 1;
      if (calls === 1) boom();
      return 1;
    },
    { retry: { maxRetries: 2 } },
  );
  const world = new World(
    { ...flavor, classes: { "export:own": Retrying } },
    dynamicModule({ a: own } as never, (run) => run.step(own as never)),
  );
  const run = await world.run([], {}, { dynamic: fakeCode("function") });
  expect(run.status).toBe("completed");
  expect(run.of("step.started")).toHaveLength(2);
});

/** A flavor that runs the function, and says `status` of each run. */
function asked(fetched: FetchedStatus, own: object = {}) {
  return class Asked extends flavorOf((run) => run().then(() => undefined)) {
    override readonly capabilities = own;
    override fetchStatus(): Promise<FetchedStatus> {
      return Promise.resolve(fetched);
    }
  };
}

/** A daemon dies while step `b` of a function runs; another one takes the run over. */
async function crash(
  type: unknown,
  clock?: VirtualClock,
): Promise<{ readonly loop: RunLoop; readonly world: World }> {
  const b = held();
  const flavor = {
    ...FLAVORS[0]!,
    name: "own",
    ref: refTo("own"),
    classes: { "export:own": type as FakeClass },
  };
  const worldWith = (
    does: unknown,
    options: ConstructorParameters<typeof World>[2] = {},
  ): World => {
    const steps = { a: step(() => 1), b: step(does as never) };
    const body = async (run: DynamicRun<never>): Promise<void> => {
      await run.step(steps.a as never);
      await run.step(steps.b as never);
    };
    return new World(flavor, dynamicModule(steps as never, body), options);
  };
  const one = worldWith(b);
  const first = await one.begin([], {}, { dynamic: fakeCode("function"), stepDefaults: RETRIED });
  await b.began;
  const options = { runsDir: one.store.runsDir, ...(clock === undefined ? {} : { clock }) };
  const world = worldWith(() => 2, options);
  const loop = (await RunLoop.recover(first.state.run, world.deps))!;
  loop.start("again");
  return { loop, world };
}

const RETRIED = {
  retry: { maxRetries: 1, delayMs: 0, backoff: 1, jitter: 0 },
  onInterruption: "retry" as const,
  hooks: {},
};

const count = (world: World, method: string): number =>
  world.pool.started.filter(({ id }) => id.includes(`#${method}-`)).length;

describe("after a crash a flavor that has fetchStatus is asked", () => {
  it.each(["running", "initializing", "completed"] as const)(
    "%s: orchd runs the function again, and submits nothing twice",
    async (status) => {
      const { loop, world } = await crash(asked({ status, steps: { a: "failed", b: "failed" } }));
      const run = await world.end(loop);
      expect(run.status).toBe("completed");
      // What `fetchStatus` says of the steps is not heard: orchd runs them itself.
      expect(run.statuses()).toEqual({ a: "completed", b: "completed" });
      expect(world.ran()).toEqual(["b"]);
      expect(count(world, "submitDynamicPipeline")).toBe(0);
      expect(run.of("submit.started")).toHaveLength(1);
      expect(count(world, "fetchStatus")).toBe(1);
    },
  );

  it.each(["failed", "stopped"] as const)("%s: the run fails, with that", async (status) => {
    const { loop, world } = await crash(asked({ status }));
    const run = await world.end(loop);
    expect(run.status).toBe("failed");
    expect(run.because).toContain(`the orchestrator minimal reported that the run ${status}`);
    expect(count(world, "function")).toBe(0);
  });

  it("nothing is known: the run fails with submission unknown", async () => {
    const { loop, world } = await crash(asked({}));
    const run = await world.end(loop);
    expect(run.because).toContain("submission unknown");
  });

  it("nothing is known, and it resubmits: it is handed over again", async () => {
    const { loop, world } = await crash(asked({}, { resubmits: true }));
    const run = await world.end(loop);
    expect(run.status).toBe("completed");
    expect(count(world, "submitDynamicPipeline")).toBe(1);
  });

  it("where it cannot say, it is asked again, and then the function runs", async () => {
    const clock = new VirtualClock();
    let calls = 0;
    class Shy extends asked({}) {
      override fetchStatus(): Promise<FetchedStatus> {
        calls += 1;
        return calls < 3
          ? Promise.reject(new Error("busy"))
          : Promise.resolve({ status: "running" });
      }
    }
    const { loop, world } = await crash(Shy, clock);
    await clock.until(() => loop.state.finished !== undefined);
    const run = await world.end(loop);
    expect(run.status).toBe("completed");
    expect(calls).toBe(3);
  });

  it("a stop while it is asked ends the run", async () => {
    class Deaf extends asked({}) {
      override fetchStatus(): Promise<FetchedStatus> {
        return new Promise(() => undefined);
      }
    }
    const { loop, world } = await crash(Deaf);
    await loop.requestStop({ mode: "force", by: "me" });
    const run = await world.end(loop);
    expect(run.status).toBe("stopped");
  });
});

it("a runner that dies while it waits fails no run: the function decides", async () => {
  const a = held();
  class Waits extends flavorOf(() => Promise.resolve(undefined)) {
    override submitDynamicPipeline(): Promise<SubmissionResult> {
      return Promise.resolve({
        waitForCompletion: async () => {
          await this.runPipelineFunction();
          await new Promise(() => undefined);
        },
      });
    }
  }
  const { world, ended } = runWith(Waits, undefined, { a });
  await a.began;
  a.release(1);
  await vi.waitUntil(() => world.log.length > 0 || world.pool.running.size === 1);
  world.pool.die();
  const run = await ended;
  expect(run.status).toBe("completed");
  expect(run.of("submit.warning")).toMatchObject([{ error: { name: "RunnerDied" } }]);
});
