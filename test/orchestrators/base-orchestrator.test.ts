/** What a user's orchestrator declares, what it asks its host, and who hears its calls. */
import { describe, expect, it, onTestFinished } from "vitest";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { HOST_SYMBOL } from "../../src/core/task.ts";
import { BaseOrchestrator } from "../../src/orchestrators/base-orchestrator.ts";
import { DEFAULT_CAPABILITIES, type Capabilities } from "../../src/orchestrators/capabilities.ts";
import { LocalOrchestrator } from "../../src/orchestrators/local-orchestrator.ts";
import { openRoots, type ProgramRuns } from "../../src/orchestrators/program-runs.ts";
import type { PipelineSubmission, PlaceholderRun } from "../../src/orchestrators/submission.ts";

const MODES = "a list of some of continue_on_failure, stop_on_failure, fail_fast.";

class Plain extends BaseOrchestrator {
  runId: string | undefined = "o-7";
  getOrchestratorRunId(): string {
    if (this.runId === undefined) throw new Error("not yet");
    return this.runId;
  }
  submitPipeline(_submission: PipelineSubmission): Promise<void> {
    return Promise.resolve();
  }
}

const declaring = (capabilities: Partial<Capabilities>): Plain =>
  Object.assign(new Plain(), { capabilities });

it("an instance shows the fields of its class, and nothing of orchd's", () => {
  expect(Object.keys(new Plain())).toEqual(expect.arrayContaining(["runId"]));
  const hidden = new Set(["submitPipeline", "submitDynamicPipeline", "fetchStatus", "stopRun"]);
  expect(Object.keys(new Plain()).filter((name) => hidden.has(name))).toEqual([]);
});

describe("what a class declares", () => {
  it("are the defaults where it declares nothing", () => {
    expect(new Plain().describe()).toEqual({
      flavor: "Plain",
      capabilities: DEFAULT_CAPABILITIES,
      environment: {},
      hooks: { init: false, cleanup: false, callsInit: false },
      hasStopRun: false,
      declaresStop: false,
    });
  });

  const switches = [
    "enableCache",
    "isSynchronous",
    "isSchedulable",
    "supportsClientSideCaching",
    "handlesStepRetries",
    "canRunIsolatedSteps",
  ] as const;
  it.each(switches)("%s is its config's, else its class's, else the default", (name) => {
    const other = !DEFAULT_CAPABILITIES[name];
    expect(new Plain()[name]).toBe(!other);
    const declared = declaring({ [name]: other });
    expect([declared[name], declared.describe().capabilities[name]]).toEqual([other, other]);
    const configured = Object.assign(new Plain({ [name]: !other }), {
      capabilities: { [name]: other },
    });
    expect([configured[name], configured.describe().capabilities[name]]).toEqual([!other, !other]);
    // Only a switch is one.
    expect(new Plain({ [name]: "no" })[name]).toBe(!other);
  });

  it("are its execution modes, its stop, and whether it may be submitted again", () => {
    const { capabilities, declaresStop } = declaring({
      supportedExecutionModes: ["fail_fast"],
      resubmits: true,
      canStop: true,
    }).describe();
    expect(capabilities).toMatchObject({ supportedExecutionModes: ["fail_fast"], resubmits: true });
    expect(declaresStop).toBe(true);
    expect(declaring({ canStop: false }).describe()).toMatchObject({
      capabilities: { canStop: false },
      declaresStop: false,
    });
  });

  it("is what it implements: dynamic pipelines, a stop, a status", () => {
    class Whole extends Plain {
      override submitDynamicPipeline(): Promise<void> {
        return Promise.resolve();
      }
      override stopRun(): Promise<void> {
        return Promise.resolve();
      }
      override fetchStatus(): Promise<object> {
        return Promise.resolve({});
      }
    }
    expect(new Whole().describe()).toMatchObject({
      capabilities: { supportsDynamicPipelines: true, reportsStatus: true },
      hasStopRun: true,
    });
    const silent = Object.assign(new Whole(), { capabilities: { reportsStatus: false } });
    expect(silent.describe().capabilities.reportsStatus).toBe(false);
    const dumb = Object.assign(new Whole(), { capabilities: { supportsDynamicPipelines: false } });
    expect(() => dumb.describe()).toThrow(
      "The orchestrator Whole declares that it does not support dynamic pipelines, and has " +
        "submitDynamicPipeline; remove one of the two.",
    );
    expect(() => declaring({ supportsDynamicPipelines: true }).describe()).toThrow(
      "The orchestrator Plain declares supportsDynamicPipelines, but has no submitDynamicPipeline.",
    );
    expect(() => declaring({ isShedulable: true } as never).describe()).toThrow(
      'The orchestrator Plain declares "isShedulable", which is no capability; ' +
        'did you mean "isSchedulable"?',
    );
  });

  it.each([
    [{ isSchedulable: "yes" }, '"isSchedulable", which is not true or false.'],
    [{ supportedExecutionModes: "fail_fast" }, `"supportedExecutionModes", which is not ${MODES}`],
    [{ supportedExecutionModes: ["fast"] }, `"supportedExecutionModes", which is not ${MODES}`],
    [{ supportedExecutionModes: [] }, `"supportedExecutionModes", which is not ${MODES}`],
    [{ isSchedulabel: true }, '"isSchedulabel", which is no capability; did you mean'],
  ])("is refused where it is none: %j", (capabilities, why) => {
    const wrong = declaring(capabilities as Partial<Capabilities>);
    expect(() => wrong.describe()).toThrow(`The orchestrator Plain declares ${why}`);
  });

  it("is refused as a static member that nobody reads, or that is not what it has to be", () => {
    const withStatics = (statics: object): Plain =>
      new (Object.assign(class Odd extends Plain {}, statics))();
    expect(() => withStatics({ capabilities: { isSchedulable: true } }).describe()).toThrow(
      "The orchestrator Odd has static capabilities, which nobody reads: write them without ",
    );
    expect(() => withStatics({ environment: { REGION: "eu" } })).toThrow(
      "The environment of Odd is static, where nobody reads it: write it without static.",
    );
    for (const flavor of [7, "", null])
      expect(() => withStatics({ flavor })).toThrow("The static flavor of Odd is no name");
    for (const config of [7, {}, null])
      expect(() => withStatics({ config })).toThrow(
        "The static config of Odd is no zod schema: write static config = z.object({ … }).",
      );
    expect(withStatics({ flavor: "even" }).describe().flavor).toBe("even");
  });

  it("is remote where its config says so with true", () => {
    expect(new Plain({ isRemote: true }).isRemote).toBe(true);
    expect(new Plain({ isRemote: "yes" }).isRemote).toBe(false);
    expect(new Plain().isRemote).toBe(false);
  });

  it("are the hooks that it overrides, and whether it calls the first one itself", () => {
    class Init extends Plain {
      static override runInitHook(snapshot: Snapshot): Promise<unknown> {
        return super.runInitHook(snapshot);
      }
    }
    class Calls extends Init {
      override async submitPipeline({ snapshot }: PipelineSubmission): Promise<void> {
        await Calls.runInitHook(snapshot);
      }
    }
    class Below extends Calls {
      static override runCleanupHook(): Promise<unknown> {
        return Promise.resolve();
      }
    }
    expect(new Init().describe().hooks).toEqual({ init: true, cleanup: false, callsInit: false });
    expect(new Calls().describe().hooks).toEqual({ init: true, cleanup: false, callsInit: true });
    expect(new Below().describe().hooks).toEqual({ init: true, cleanup: true, callsInit: true });
  });
});

describe("what an instance asks of its host", () => {
  function host(identified?: (ask: () => string) => string): unknown[] {
    const calls: unknown[] = [];
    const global = globalThis as Record<symbol, unknown>;
    global[HOST_SYMBOL] = {
      call: (method: string, argument: unknown) => {
        calls.push([method, argument]);
        return Promise.resolve(method.endsWith("Hook") ? { state: 42 } : null);
      },
      ...(identified === undefined ? {} : { identified }),
    };
    onTestFinished(() => void delete global[HOST_SYMBOL]);
    return calls;
  }

  it("is a step by its id, with the run's own id where that is known", async () => {
    const calls = host();
    const plain = new Plain();
    await plain.runStep("a");
    await plain.runStep({ id: "b" });
    plain.runId = "";
    await plain.runStep("c");
    plain.runId = undefined;
    await plain.runStep("d");
    await plain.runPipelineFunction();
    plain.runId = "o-8";
    await plain.runPipelineFunction();
    expect(calls).toEqual([
      ["runStep", { step: "a", orchestratorRunId: "o-7" }],
      ["runStep", { step: "b", orchestratorRunId: "o-7" }],
      ["runStep", { step: "c" }],
      ["runStep", { step: "d" }],
      ["runFunction", {}],
      ["runFunction", { orchestratorRunId: "o-8" }],
    ]);
  });

  it("is its id through a host that serves several runs", async () => {
    const calls = host((ask) => `${ask()} of r@1`);
    await new Plain().runStep("a");
    expect(calls).toEqual([["runStep", { step: "a", orchestratorRunId: "o-7 of r@1" }]]);
  });

  it("is a hook of the run, whose state it gets", async () => {
    const calls = host();
    expect(await Plain.runInitHook({} as never)).toBe(42);
    expect(await Plain.runCleanupHook({} as never)).toBe(42);
    expect(calls).toEqual([
      ["runInitHook", null],
      ["runCleanupHook", null],
    ]);
  });

  it("is nothing outside of a submission", async () => {
    const sentence = (method: string): string => `${method} works within submitPipeline only.`;
    await expect(new Plain().runStep("a")).rejects.toThrow(sentence("runStep"));
    await expect(new Plain().runPipelineFunction()).rejects.toThrow(
      sentence("runPipelineFunction"),
    );
    await expect(Plain.runInitHook({} as never)).rejects.toThrow(sentence("runInitHook"));
  });
});

describe("a call of a method that takes a run", () => {
  const run = { id: "r@1" } as PlaceholderRun;
  function open(own: string): unknown[] {
    const heard: unknown[] = [];
    const root: ProgramRuns = {
      has: ({ id }) => id === own,
      submit: (_orchestrator, method, { placeholderRun }) => {
        heard.push([method, placeholderRun.id]);
        return Promise.resolve({ metadata: { by: "root" } });
      },
      fetchStatus: (_orchestrator, { id }, options) => {
        heard.push(["fetchStatus", id, options]);
        return Promise.resolve({ status: "running" });
      },
      stopRun: (_orchestrator, { id }, options) => {
        heard.push(["stopRun", id, options]);
        return Promise.resolve();
      },
    };
    openRoots().add(root);
    onTestFinished(() => void openRoots().delete(root));
    return heard;
  }

  it("goes through the open root that has the run", async () => {
    const [other, heard] = [open("r@2"), open("r@1")];
    const plain = new Plain();
    const submission = { placeholderRun: run } as PipelineSubmission;
    expect(await plain.submitPipeline(submission)).toEqual({ metadata: { by: "root" } });
    await plain.submitDynamicPipeline(submission as never);
    expect(await plain.fetchStatus(run)).toEqual({ status: "running" });
    await plain.fetchStatus(run, { includeSteps: true });
    await plain.stopRun(run);
    await plain.stopRun(run, { graceful: true });
    expect(heard).toEqual([
      ["submitPipeline", "r@1"],
      ["submitDynamicPipeline", "r@1"],
      ["fetchStatus", "r@1", {}],
      ["fetchStatus", "r@1", { includeSteps: true }],
      ["stopRun", "r@1", {}],
      ["stopRun", "r@1", { graceful: true }],
    ]);
    expect(other).toEqual([]);
  });

  it.each([[run], [undefined], [null], [7], [{}]])(
    "is the class's own where no open root has the run: %j",
    async (given) => {
      const heard = open("r@2");
      const plain = new Plain();
      expect(await plain.submitPipeline({ placeholderRun: given } as never)).toBeUndefined();
      expect(await plain.fetchStatus(given as never)).toEqual({});
      expect(await plain.stopRun(given as never)).toBeUndefined();
      await expect(plain.submitDynamicPipeline({ placeholderRun: given } as never)).rejects.toThrow(
        "The orchestrator Plain does not support dynamic pipelines: " +
          "it has no submitDynamicPipeline.",
      );
      expect(heard).toEqual([]);
    },
  );

  it("of the orchestrator local says that it needs an open root", async () => {
    const local = new LocalOrchestrator();
    for (const method of ["submitPipeline", "submitDynamicPipeline", "fetchStatus", "stopRun"])
      await expect((local as unknown as Record<string, () => unknown>)[method]!()).rejects.toThrow(
        `${method} of the orchestrator local needs a run of an open root: ` +
          'open one with openRoot("/path"), and take the run from its placeholder().',
      );
    expect(() => local.getOrchestratorRunId()).toThrow("Outside a step there is no one run");
  });
});
