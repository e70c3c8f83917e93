/** Conformance: the stack, its live components, and its layer of every environment. */
import { describe, expect, it } from "vitest";
import type { Json, Snapshot } from "../../src/core/snapshot.ts";
import { LocalArtifactStore } from "../../src/orchestrators/local-artifact-store.ts";
import { Stack } from "../../src/orchestrators/stack.ts";
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

/** A world whose orchestrator is this class. */
function worldOf(type: unknown, functions: Functions = {}, options: Options = {}): World {
  return new World(
    { ...FLAVORS[1]!, ref: refTo("own"), classes: { "export:own": type as FakeClass } },
    functions,
    options,
  );
}

const STACK = { A: "stack", B: "stack", C: "stack", T: "${run.id}" };
let region = "eu";
let given: PipelineSubmission | DynamicPipelineSubmission | undefined;

class Regional extends MinimalOrchestrator {
  override get environment(): Record<string, string> {
    return { REGION: region, ...STACK };
  }
  override submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
    given = submission;
    return super.submitPipeline(submission);
  }
  override async submitDynamicPipeline(
    submission: DynamicPipelineSubmission,
  ): Promise<SubmissionResult> {
    given = submission;
    return { waitForCompletion: () => this.runPipelineFunction() };
  }
}

const settings = { env: { A: "settings", Z: "settings" } };
const pipeline = { env: { B: "pipeline", C: "pipeline" } };
const envOf = ({ task }: { task: { env: object } }): object => task.env;
/** The layers in a step that sets C itself. */
const LAYERS = { Z: "settings", A: "stack", B: "pipeline", C: "step", REGION: "eu" };

describe("the stack's environment is a layer: base < stack < pipeline < step", () => {
  it("in steps, and as it is: nothing in it is replaced", async () => {
    const world = worldOf(Regional, { a: envOf, b: envOf }, { settings });
    const ended = await world.run(
      [moduleStep("a", { env: { C: "step" } }), moduleStep("b")],
      {},
      pipeline,
    );
    expect(ended.output("a")).toMatchObject({ ...LAYERS, T: "${run.id}" });
    expect(ended.output("b")).toMatchObject({ ...LAYERS, C: "pipeline", T: "${run.id}" });
  });

  it("in shell steps and in hooks of the run and of a step", async () => {
    const seen: Record<string, object> = {};
    const note = (name: string) => (context: { task: { env: object } }) =>
      void (seen[name] = context.task.env);
    const world = worldOf(
      Regional,
      { sh: note("sh"), init: note("init"), cleanup: note("cleanup"), onSuccess: note("step") },
      { settings },
    );
    const shell = { ...moduleStep("a", { env: { C: "step" } }), code: undefined, run: "sh" };
    await world.run(
      [shell],
      {},
      {
        ...pipeline,
        hooks: {
          init: fakeCode("init"),
          cleanup: fakeCode("cleanup"),
          onSuccess: fakeCode("onSuccess"),
        },
      },
    );
    expect(seen["sh"]).toMatchObject(LAYERS);
    expect(seen["step"]).toMatchObject(LAYERS);
    expect(seen["init"]).toMatchObject({ ...LAYERS, C: "pipeline" });
    expect(seen["cleanup"]).toMatchObject({ ...LAYERS, C: "pipeline" });
  });

  it("in a dynamic pipeline's function, its steps and submitDynamicPipeline", async () => {
    const functions = dynamicModule({}, () => undefined);
    const world = worldOf(Regional, functions, { settings });
    const ended = await world.run([], {}, { ...pipeline, dynamic: fakeCode("function") });
    const layers = { ...LAYERS, C: "pipeline" };
    const task = world.pool.started.find(({ task: { kind } }) => kind === "dynamic")!.task;
    expect(task.env).toMatchObject(layers);
    expect((given as DynamicPipelineSubmission).environment).toMatchObject(layers);
    expect((given as DynamicPipelineSubmission).environment["ORCHD_RUN_ID"]).toBe(ended.run);
  });

  it("in the cache key: another value runs the step again, and says why", async () => {
    const world = worldOf(Regional, { a: () => 1 });
    await world.run([moduleStep("a")]);
    expect((await world.run([moduleStep("a")])).statuses()).toEqual({ a: "cached" });
    region = "us";
    try {
      const other = worldOf(Regional, { a: () => 1 }, { runsDir: world.store.runsDir });
      const ended = await other.run([moduleStep("a")]);
      expect(ended.statuses()).toEqual({ a: "completed" });
      expect(ended.of("step.started", "a")[0]!["because"]).toContain('env "REGION" changed');
    } finally {
      region = "eu";
    }
  });

  it("recorded with the run: one that is taken over has the same", async () => {
    const lost = held();
    class Again extends Regional {
      override readonly capabilities = { resubmits: true };
    }
    const steps = [
      moduleStep("a", { enableCache: false }),
      moduleStep("b", { needs: ["a"], onInterruption: "rerun" }),
    ];
    const first = worldOf(Again, { a: envOf, b: lost });
    const loop = await first.begin(steps);
    await lost.began;
    region = "us";
    try {
      const second = worldOf(Again, { a: envOf, b: envOf }, { runsDir: first.store.runsDir });
      const again = (await RunLoop.recover(loop.state.run, second.deps))!;
      again.start("again");
      const ended = await second.end(again);
      expect(ended.output("a")).toMatchObject({ REGION: "eu" });
      expect(ended.output("b")).toMatchObject({ REGION: "eu" });
      const { snapshot } = ended.lines[0] as unknown as { snapshot: Snapshot };
      expect(snapshot.stackEnv).toEqual({ REGION: "eu", ...STACK });
    } finally {
      region = "eu";
    }
  });

  it("and with no environment leaves no trace in the header", async () => {
    const ended = await worldOf(MinimalOrchestrator, { a: () => 1 }).run([moduleStep("a")]);
    expect(Object.keys(ended.lines[0]!["snapshot"] as object)).not.toContain("stackEnv");
  });
});

it("a submission's stack holds the orchestrator itself, and the runs' store", async () => {
  let isOwn = false;
  class Looking extends Regional {
    override submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
      isOwn = submission.stack.orchestrator === this;
      return super.submitPipeline(submission);
    }
  }
  await worldOf(Looking, { a: () => 1 }).run([moduleStep("a")]);
  const { stack } = given!;
  expect(stack).toBeInstanceOf(Stack);
  expect(stack.name).toBe("minimal");
  expect(isOwn).toBe(true);
  expect(stack.artifactStore).toBeInstanceOf(LocalArtifactStore);
  expect(stack.environment).toMatchObject({ REGION: "eu" });
});

describe("an environment that is no object of texts", () => {
  const REFUSED: readonly [string, () => unknown, RegExp][] = [
    ["throws", () => boom(), /environment of the orchestrator minimal cannot be read: boom$/],
    ["has a number", () => ({ PORT: 80 }), /has PORT, which is a number: give a text\.$/],
    ["has a secret", () => ({ T: { secret: "t" } }), /has T, which is an object: give a text\.$/],
    ["is none", () => null, /environment of the orchestrator minimal is null/],
  ];
  it.each(REFUSED)(
    "is refused where it %s: when it is loaded, and before anything is written",
    async (_, environment, sentence) => {
      class Bad extends MinimalOrchestrator {
        override get environment(): Record<string, string> {
          return environment() as Record<string, string>;
        }
      }
      const world = worldOf(Bad);
      const fault = await world.deps.orchestrators.refuses(
        world.snapshot([moduleStep("a")]),
        false,
      );
      expect(fault?.path).toEqual(["orchestrator"]);
      expect(fault?.message).toMatch(sentence);
      await expect(world.begin([moduleStep("a")])).rejects.toThrow(sentence);
      expect(world.store.pipelines()).toEqual([]);
    },
  );

  it("is refused also where a class of another copy of orchd lets it through", async () => {
    class Other extends MinimalOrchestrator {
      override describe(): ReturnType<MinimalOrchestrator["describe"]> {
        return { ...super.describe(), environment: { PORT: 80 as never } };
      }
    }
    await expect(worldOf(Other).begin([moduleStep("a")])).rejects.toThrow(
      /environment of the orchestrator minimal has PORT, which is a number/,
    );
  });
});

function boom(): Json {
  throw new Error("boom");
}
