/** Conformance: the environments that a submission gives to an orchestrator. */
import { describe, expect, it } from "vitest";
import type {
  DynamicPipelineSubmission,
  PipelineSubmission,
  SubmissionResult,
} from "../../src/orchestrators/submission.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import { dynamicModule, fakeCode, held, type FakeClass } from "../support/fake-pool.ts";
import { moduleStep } from "../support/run-bench.ts";
import { FLAVORS, MinimalOrchestrator, World, refTo } from "./world.ts";

type Options = ConstructorParameters<typeof World>[2];
type Functions = ConstructorParameters<typeof World>[1];

function worldOf(type: unknown, functions: Functions = {}, options: Options = {}): World {
  return new World(
    { ...FLAVORS[1]!, ref: refTo("own"), classes: { "export:own": type as FakeClass } },
    functions,
    options,
  );
}

let given: PipelineSubmission | undefined;
let givenDynamic: DynamicPipelineSubmission | undefined;
let ids: (() => string)[] = [];

/** Knows its own id of a run, and asks for the steps where it is told to. */
class Named extends MinimalOrchestrator {
  override getOrchestratorRunId(): string {
    return (ids.length > 1 ? ids.shift()! : ids[0]!)();
  }
  override submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
    given = submission;
    const steps = Promise.allSettled(submission.snapshot.steps.map((step) => this.runStep(step)));
    return Promise.resolve({ waitForCompletion: () => steps.then(() => undefined) });
  }
  override async submitDynamicPipeline(
    submission: DynamicPipelineSubmission,
  ): Promise<SubmissionResult> {
    givenDynamic = submission;
    return { waitForCompletion: () => this.runPipelineFunction() };
  }
}

/** Runs everything elsewhere. */
class Elsewhere extends Named {
  override submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
    given = submission;
    return Promise.resolve({ metadata: {}, waitForCompletion: () => Promise.resolve() });
  }
}

const secrets = { get: (name: string): string => `canary-${name}` };

describe("stepEnvironments", () => {
  it("hold the base merged with each step's own, as text, with orchd's names last", async () => {
    ids = [() => "job-1"];
    const world = worldOf(
      Elsewhere,
      {},
      { settings: { env: { A: "settings", B: "settings", C: "settings" } } },
    );
    const ended = await world.run(
      [
        moduleStep("a", { env: { C: "step", R: "${run.id}", ORCHD_RUN_ID: "mine" } }),
        moduleStep("b", { needs: ["a"] }),
      ],
      {},
      { env: { B: "pipeline", C: "pipeline" } },
    );
    const base = {
      PATH: "/usr/bin:/bin",
      A: "settings",
      B: "pipeline",
      C: "pipeline",
      ORCHD_RUN_ID: ended.run,
      ORCHD_ORCHESTRATOR_RUN_ID: "job-1",
      ORCHD_PIPELINE: "p",
      ORCHD_SCHEDULED_FOR: "",
    };
    expect(given!.baseEnvironment).toEqual(base);
    const a = { ...base, C: "step", R: ended.run, ORCHD_STEP: "a", ORCHD_ATTEMPT: "1" };
    expect(given!.stepEnvironments).toEqual({
      a,
      b: { ...base, ORCHD_STEP: "b", ORCHD_ATTEMPT: "1" },
    });
  });

  it("are what the same steps see where orchd runs them", async () => {
    ids = [() => "job-1"];
    const envOf = ({ task }: { task: { env: object } }): object => task.env;
    const world = worldOf(Named, { a: envOf, b: envOf });
    const trigger = { kind: "manual" as const, scheduledFor: "2026-11-23T02:00:00.000Z" };
    const ended = await world.run(
      [moduleStep("a", { env: { X: "1" } }), moduleStep("b")],
      { trigger },
      { env: { Y: "2", ORCHD_STEP: "mine" } },
    );
    expect(ended.output("a")).toEqual(given!.stepEnvironments["a"]);
    expect(ended.output("b")).toEqual(given!.stepEnvironments["b"]);
    expect(given!.stepEnvironments["b"]!["ORCHD_SCHEDULED_FOR"]).toBe(trigger.scheduledFor);
  });

  it("have secrets' values, which are masked where the code runs and never recorded", async () => {
    ids = [() => "job-1"];
    const world = worldOf(Elsewhere, {}, { deps: { secrets } });
    const ended = await world.run(
      [moduleStep("a", { env: { T: { secret: "STEP" } } })],
      {},
      { env: { P: { secret: "PIPE" } } },
    );
    expect(given!.stepEnvironments["a"]).toMatchObject({ T: "canary-STEP", P: "canary-PIPE" });
    expect(given!.baseEnvironment).toMatchObject({ P: "canary-PIPE" });
    const { task } = world.pool.started.find(({ id }) => id.includes("#submitPipeline"))!;
    expect(task.secrets).toEqual(["canary-PIPE", "canary-STEP"]);
    expect(JSON.stringify(ended.lines)).not.toContain("canary");
  });

  it("leave out the steps that the cache answered", async () => {
    ids = [() => "job-1"];
    const world = worldOf(Named, { a: () => 1, b: () => 2 });
    await world.run([moduleStep("a")]);
    await world.run([moduleStep("a"), moduleStep("b", { needs: ["a"], enableCache: false })]);
    expect(Object.keys(given!.stepEnvironments)).toEqual(["b"]);
  });
});

describe("ORCHD_ORCHESTRATOR_RUN_ID of the environments", () => {
  it("is the id that submit.accepted records, also for a class with an id of its own", async () => {
    ids = [() => "job-7"];
    const ended = await worldOf(Elsewhere).run([moduleStep("a")]);
    expect(ended.of("submit.accepted")).toMatchObject([{ orchestratorRunId: "job-7" }]);
    expect(ended.of("submit.identified")).toMatchObject([{ orchestratorRunId: "job-7" }]);
    expect(given!.baseEnvironment["ORCHD_ORCHESTRATOR_RUN_ID"]).toBe("job-7");
    expect(given!.placeholderRun.orchestratorRunId).toBe("job-7");
    expect(ended.types().indexOf("submit.identified")).toBeLessThan(
      ended.types().indexOf("submit.accepted"),
    );
  });

  it("stays the first one where the class gives another each time", async () => {
    let n = 0;
    ids = [() => `job-${(n += 1)}`];
    const world = worldOf(Named, { a: ({ task }) => task.env["ORCHD_ORCHESTRATOR_RUN_ID"] });
    const ended = await world.run([moduleStep("a")]);
    expect(ended.output("a")).toBe("job-1");
    expect(ended.of("submit.accepted")[0]!["orchestratorRunId"] ?? "job-1").toBe("job-1");
    expect(ended.of("submit.identified")).toHaveLength(1);
    expect(ended.state.orchestratorRunId).toBe("job-1");
    expect(given!.baseEnvironment["ORCHD_ORCHESTRATOR_RUN_ID"]).toBe("job-1");
  });

  it.each([
    ["throws", () => boom()],
    ["gives nothing", () => ""],
  ])("is the run's own where the class %s before it has submitted", async (_, early) => {
    ids = [early, () => "job-late"];
    const ended = await worldOf(Elsewhere).run([moduleStep("a")]);
    expect(given!.baseEnvironment["ORCHD_ORCHESTRATOR_RUN_ID"]).toBe(ended.run);
    // What it tells of the run elsewhere afterwards is recorded all the same.
    expect(ended.of("submit.accepted")).toMatchObject([{ orchestratorRunId: "job-late" }]);
  });

  it("is in submitDynamicPipeline's environment, its function and its steps", async () => {
    ids = [() => "job-9"];
    const world = worldOf(Named, {
      ...dynamicModule({}, () => undefined),
      square: () => 4,
    });
    const ended = await world.run([], {}, { dynamic: fakeCode("function"), env: { B: "1" } });
    expect(ended.status).toBe("completed");
    expect(givenDynamic!.environment).toEqual({
      PATH: "/usr/bin:/bin",
      B: "1",
      ORCHD_RUN_ID: ended.run,
      ORCHD_ORCHESTRATOR_RUN_ID: "job-9",
      ORCHD_PIPELINE: "p",
      ORCHD_SCHEDULED_FOR: "",
    });
    const task = world.pool.started.find(({ task: { kind } }) => kind === "dynamic")!.task;
    expect(task.env).toEqual(givenDynamic!.environment);
    expect(ended.state.orchestratorRunId).toBe("job-9");
  });

  it("is the recorded one where a run is submitted again and a step has run", async () => {
    class Again extends Named {
      override readonly capabilities = { resubmits: true };
    }
    const lost = held();
    ids = [() => "job-1"];
    const first = worldOf(Again, { a: () => 1, b: lost });
    const loop = await first.begin([
      moduleStep("a"),
      moduleStep("b", { needs: ["a"], onInterruption: "rerun" }),
    ]);
    await lost.began;
    ids = [() => "job-2"];
    const second = worldOf(
      Again,
      { a: () => 1, b: ({ task }) => task.env["ORCHD_ORCHESTRATOR_RUN_ID"] },
      { runsDir: first.store.runsDir },
    );
    const again = (await RunLoop.recover(loop.state.run, second.deps))!;
    again.start("again");
    const ended = await second.end(again);
    expect(ended.output("b")).toBe("job-1");
    expect(given!.baseEnvironment["ORCHD_ORCHESTRATOR_RUN_ID"]).toBe("job-1");
    expect(ended.state.orchestratorRunId).toBe("job-1");
  });
});

function boom(): never {
  throw new Error("not yet");
}
