/** Conformance: the run's hooks as static methods of an orchestrator's class. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Snapshot } from "../../src/core/snapshot.ts";
import type {
  DynamicPipelineSubmission,
  PipelineSubmission,
  SubmissionResult,
} from "../../src/orchestrators/submission.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import {
  dynamicModule,
  fakeCode,
  held,
  type FakeClass,
  type FakeContext,
} from "../support/fake-pool.ts";
import { moduleStep } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, MinimalOrchestrator, World, refTo } from "./world.ts";

type Options = ConstructorParameters<typeof World>[2];
type Functions = ConstructorParameters<typeof World>[1];

/** What was called, in order. */
let seen: string[] = [];
beforeEach(() => void (seen = []));

const note = (name: string, value?: unknown) => () => (seen.push(name), value);
const HOOKS = { hooks: { init: fakeCode("init"), cleanup: fakeCode("cleanup") } };

/** A world whose orchestrator is this class, with functions for steps and the pipeline's hooks. */
function worldOf(type: unknown, functions: Functions = {}, options: Options = {}): World {
  return new World(
    { ...FLAVORS[1]!, ref: refTo("own"), classes: { "export:own": type as FakeClass } },
    {
      init: note("pipeline init", { from: "pipeline" }),
      cleanup: note("pipeline cleanup"),
      a: note("a"),
      b: note("b"),
      ...functions,
    },
    options,
  );
}

/** Asks for all steps, and notes that it was called. */
class Noting extends MinimalOrchestrator {
  override submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
    seen.push("submit");
    return super.submitPipeline(submission);
  }
  override async submitDynamicPipeline(): Promise<SubmissionResult> {
    seen.push("submit");
    return { waitForCompletion: () => this.runPipelineFunction() };
  }
}

/** Overrides both hooks, and never calls the pipeline's. */
class Own extends Noting {
  static override runInitHook(snapshot: Snapshot): Promise<unknown> {
    seen.push(`init of ${snapshot.name}`);
    return Promise.resolve({ from: "class" });
  }
  static override runCleanupHook(snapshot: Snapshot): Promise<unknown> {
    seen.push(`cleanup of ${snapshot.name}`);
    return Promise.resolve();
  }
}

/** Overrides both hooks around the pipeline's. */
class Around extends Noting {
  static override async runInitHook(snapshot: Snapshot): Promise<void> {
    seen.push("before init");
    const state = await super.runInitHook(snapshot);
    seen.push(`after init ${JSON.stringify(state)}`);
  }
  static override async runCleanupHook(snapshot: Snapshot): Promise<void> {
    seen.push("before cleanup");
    await super.runCleanupHook(snapshot);
    seen.push("after cleanup");
  }
}

const stateOf = ({ task }: FakeContext): unknown => ("state" in task ? task.state : null);

describe("an overridden hook", () => {
  it("is called once a run, init before the submission, also without the pipeline's", async () => {
    const world = worldOf(Own, { a: stateOf, b: note("b") });
    const ended = await world.run([moduleStep("a"), moduleStep("b", { needs: ["a"] })]);
    expect(seen).toEqual(["init of p", "submit", "b", "cleanup of p"]);
    expect(ended.status).toBe("completed");
    expect(ended.output("a")).toEqual({ from: "class" });
    expect(ended.of("hook.completed").map(({ hook }) => hook)).toEqual(["init", "cleanup"]);
    expect(ended.types().at(-1)).toBe("run.finished");
  });

  it("that never calls super leaves the pipeline's own hook out", async () => {
    const ended = await worldOf(Own).run([moduleStep("a")], {}, HOOKS);
    expect(seen).toEqual(["init of p", "submit", "a", "cleanup of p"]);
    expect(ended.of("hook.completed")).toMatchObject([{ state: { from: "class" } }, {}]);
  });

  it("runs the pipeline's by super, whose value is the run's state", async () => {
    const ended = await worldOf(Around, { a: stateOf }).run([moduleStep("a")], {}, HOOKS);
    expect(seen).toEqual([
      "before init",
      "pipeline init",
      'after init {"from":"pipeline"}',
      "submit",
      "before cleanup",
      "pipeline cleanup",
      "after cleanup",
    ]);
    expect(ended.output("a")).toEqual({ from: "pipeline" });
    expect(ended.of("hook.completed")).toHaveLength(2);
  });

  it("may call super where the pipeline has no hook, and then gets nothing", async () => {
    const ended = await worldOf(Around, { a: stateOf }).run([moduleStep("a")]);
    expect(seen).toContain("after init undefined");
    expect(ended.output("a")).toBeNull();
    expect(ended.status).toBe("completed");
  });

  it("gives what it returns itself, made from the pipeline's", async () => {
    class More extends Noting {
      static override async runInitHook(snapshot: Snapshot): Promise<unknown> {
        return { ...((await super.runInitHook(snapshot)) as object), more: 1 };
      }
    }
    const ended = await worldOf(More, { a: stateOf }).run([moduleStep("a")], {}, HOOKS);
    expect(ended.output("a")).toEqual({ from: "pipeline", more: 1 });
  });

  it("that calls super twice runs the pipeline's hook once", async () => {
    class Twice extends Noting {
      static override async runInitHook(snapshot: Snapshot): Promise<unknown> {
        await super.runInitHook(snapshot);
        return super.runInitHook(snapshot);
      }
    }
    const ended = await worldOf(Twice, { a: stateOf }).run([moduleStep("a")], {}, HOOKS);
    expect(seen).toEqual(["pipeline init", "submit", "pipeline cleanup"]);
    expect(ended.output("a")).toEqual({ from: "pipeline" });
  });

  it("of a parent class of the user's is one as well, and super goes through each", async () => {
    class Child extends Around {
      static override async runInitHook(snapshot: Snapshot): Promise<void> {
        seen.push("child");
        await super.runInitHook(snapshot);
      }
    }
    await worldOf(Child).run([moduleStep("a")], {}, HOOKS);
    expect(seen.slice(0, 4)).toEqual([
      "child",
      "before init",
      "pipeline init",
      'after init {"from":"pipeline"}',
    ]);
    expect(seen.filter((what) => what === "before cleanup")).toHaveLength(1);
  });

  it("has large states of the pipeline's hook, and passes them on", async () => {
    const large = { text: "x".repeat(100_000) };
    const world = worldOf(Around, { init: () => large, a: stateOf });
    const ended = await world.run([moduleStep("a")], {}, HOOKS);
    expect(ended.status).toBe("completed");
    expect(seen[1]).toBe(`after init ${JSON.stringify(large)}`);
    expect(ended.output("a")).not.toBeNull();
  });

  it("of a dynamic pipeline runs before its submission, and after its function", async () => {
    const functions = dynamicModule({}, () => void seen.push("function"));
    const ended = await worldOf(Own, functions).run([], {}, { dynamic: fakeCode("function") });
    expect(ended.status).toBe("completed");
    expect(seen).toEqual(["init of p", "submit", "function", "cleanup of p"]);
  });

  it("is not called where the cache answers every step", async () => {
    const world = worldOf(Own, { a: () => 1 });
    await world.run([moduleStep("a")]);
    seen = [];
    expect((await world.run([moduleStep("a")])).statuses()).toEqual({ a: "cached" });
    expect(seen).toEqual([]);
  });
});

describe("an init hook of a class that throws", () => {
  class Broken extends Own {
    static override runInitHook(): Promise<unknown> {
      throw Object.assign(new RangeError("no licence"), { code: "ELICENCE" });
    }
  }

  it("fails the run before any step and the submission; nothing is cleaned up", async () => {
    const ended = await worldOf(Broken).run([moduleStep("a")], {}, HOOKS);
    expect(ended.status).toBe("failed");
    expect(ended.because).toBe("the init hook failed: no licence");
    expect(ended.statuses()).toEqual({ a: "skipped" });
    expect(ended.of("hook.failed")).toMatchObject([
      { hook: "init", error: { name: "RangeError", message: "no licence", code: "ELICENCE" } },
    ]);
    expect(seen).toEqual([]);
    expect(ended.of("submit.started")).toEqual([]);
  });

  it("does so for a dynamic pipeline", async () => {
    const functions = dynamicModule({}, () => void seen.push("function"));
    const ended = await worldOf(Broken, functions).run([], {}, { dynamic: fakeCode("function") });
    expect(ended).toMatchObject({ status: "failed", because: "the init hook failed: no licence" });
    expect(seen).toEqual([]);
  });

  it("passes on the error of the pipeline's own hook", async () => {
    const init = (): never => {
      throw Object.assign(new Error("no table"), { code: "ETABLE" });
    };
    const ended = await worldOf(Around, { init }).run([moduleStep("a")], {}, HOOKS);
    expect(ended.because).toBe("the init hook failed: no table");
    expect(ended.of("hook.failed")).toMatchObject([{ error: { code: "ETABLE" } }]);
    expect(seen).toEqual(["before init"]);
  });
});

describe("a cleanup hook of a class", () => {
  it("that throws is recorded, and changes nothing", async () => {
    class Messy extends Own {
      static override runCleanupHook(): Promise<unknown> {
        return Promise.reject(new Error("the lock stays"));
      }
    }
    const ended = await worldOf(Messy).run([moduleStep("a")]);
    expect(ended.status).toBe("completed");
    expect(ended.of("hook.failed")).toMatchObject([
      { hook: "cleanup", error: { message: "the lock stays" } },
    ]);
  });

  it("may return what is no JSON", async () => {
    class Odd extends Own {
      static override runCleanupHook(): Promise<unknown> {
        seen.push("odd");
        return Promise.resolve(() => 1);
      }
    }
    const ended = await worldOf(Odd).run([moduleStep("a")]);
    expect(ended.of("hook.failed")).toEqual([]);
    expect(seen.at(-1)).toBe("odd");
  });

  it("runs after a failure", async () => {
    const boom = (): never => {
      throw new Error("boom");
    };
    const ended = await worldOf(Own, { a: boom }).run([moduleStep("a")]);
    expect(ended.status).toBe("failed");
    expect(seen).toEqual(["init of p", "submit", "cleanup of p"]);
  });

  it.each(["graceful", "force"] as const)("runs after a %s stop", async (mode) => {
    const a = held();
    const world = worldOf(Own, { a });
    const loop = await world.begin([moduleStep("a")]);
    await a.began;
    await loop.requestStop({ mode, by: "me" });
    const ended = await world.end(loop);
    expect(ended.status).toBe("stopped");
    expect(seen).toEqual(["init of p", "submit", "cleanup of p"]);
  });

  it("runs after a crash, and init does not run again", async () => {
    class Again extends Own {
      override readonly capabilities = { resubmits: true };
    }
    const lost = held();
    const first = worldOf(Again, { b: lost });
    const loop = await first.begin([
      moduleStep("a"),
      moduleStep("b", { needs: ["a"], onInterruption: "rerun" }),
    ]);
    await lost.began;
    const second = worldOf(Again, {}, { runsDir: first.store.runsDir });
    const again = (await RunLoop.recover(loop.state.run, second.deps))!;
    again.start("again");
    expect((await second.end(again)).status).toBe("completed");
    expect(seen).toEqual(["init of p", "submit", "a", "submit", "b", "cleanup of p"]);
  });

  it("runs where only it is overridden, and not where the cache answers every step", async () => {
    class Last extends Noting {
      static override runCleanupHook(): Promise<unknown> {
        seen.push("cleanup");
        return Promise.resolve();
      }
    }
    await worldOf(Last).run([moduleStep("a")]);
    expect(seen).toEqual(["submit", "a", "cleanup"]);
  });

  it("fails, and ends the run all the same, where the class is gone after a crash", async () => {
    const lost = held();
    const first = worldOf(Own, { a: lost });
    const loop = await first.begin([moduleStep("a")]);
    await lost.began;
    const second = worldOf({ gone: true }, {}, { runsDir: first.store.runsDir });
    const again = (await RunLoop.recover(loop.state.run, second.deps))!;
    again.start("again");
    const ended = await second.end(again);
    expect(ended.status).toBe("failed");
    expect(ended.of("hook.failed")).toMatchObject([
      { hook: "cleanup", error: { message: expect.stringContaining("is not there") as string } },
    ]);
  });
});

it("a stop by force ends a class's init hook, and the pipeline's hook in it", async () => {
  const init = held();
  const world = worldOf(Around, { init });
  const loop = await world.begin([moduleStep("a")], {}, HOOKS);
  await init.began;
  await loop.requestStop({ mode: "force", by: "me" });
  const ended = await world.end(loop);
  expect(ended.status).toBe("stopped");
  expect(ended.of("hook.failed")).toMatchObject([{ hook: "init" }]);
  expect(seen).not.toContain("pipeline cleanup");
  expect(world.pool.running.size).toBe(0);
});

it.each([
  ["the pipeline's", Noting],
  ["a class's", Around],
])("the limit of a run ends %s init hook, and the run fails with it", async (_, type) => {
  const init = held();
  const clock = new VirtualClock();
  const world = worldOf(type, { init }, { clock });
  const loop = await world.begin([moduleStep("a")], {}, { ...HOOKS, timeoutMs: 60_000 });
  await init.began;
  await clock.until(() => loop.state.finished !== undefined);
  const ended = await world.end(loop);
  expect(ended.status).toBe("failed");
  expect(ended.because).toBe("the run took longer than its limit of 1m");
  expect(ended.of("hook.failed")).toMatchObject([{ hook: "init" }]);
  expect(ended.statuses()).toEqual({ a: "skipped" });
  expect(world.pool.running.size).toBe(0);
});

describe("a submission that calls the hooks itself", () => {
  class Calling extends Around {
    override async submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
      seen.push("begin");
      await Calling.runInitHook(submission.snapshot);
      seen.push("set up");
      return super.submitPipeline(submission);
    }
    override async submitDynamicPipeline(
      submission: DynamicPipelineSubmission = {} as never,
    ): Promise<SubmissionResult> {
      seen.push("begin");
      await Calling.runInitHook(submission.snapshot);
      return super.submitDynamicPipeline();
    }
  }
  const RAN = ["before init", "pipeline init", 'after init {"from":"pipeline"}'];

  it("has init run there and then, once, and waits for its end", async () => {
    const ended = await worldOf(Calling, { a: stateOf }).run([moduleStep("a")], {}, HOOKS);
    expect(seen.slice(0, 6)).toEqual(["begin", ...RAN, "set up", "submit"]);
    expect(seen.slice(6)).toEqual(["before cleanup", "pipeline cleanup", "after cleanup"]);
    expect(ended.output("a")).toEqual({ from: "pipeline" });
    expect(ended.of("hook.completed")).toHaveLength(2);
  });

  it("has it run for a dynamic pipeline too", async () => {
    const functions = dynamicModule({}, () => void seen.push("function"));
    await worldOf(Calling, functions).run([], {}, { ...HOOKS, dynamic: fakeCode("function") });
    expect(seen.slice(0, 6)).toEqual(["begin", ...RAN, "submit", "function"]);
  });

  it("without an override gets the pipeline's hook and its value, or nothing", async () => {
    let value: unknown;
    class Plain extends Noting {
      override async submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
        seen.push("begin");
        value = await Plain.runInitHook(submission.snapshot);
        return super.submitPipeline(submission);
      }
    }
    await worldOf(Plain).run([moduleStep("a")], {}, HOOKS);
    expect(seen).toEqual(["begin", "pipeline init", "submit", "a", "pipeline cleanup"]);
    expect(value).toEqual({ from: "pipeline" });
    await worldOf(Plain).run([moduleStep("a")]);
    expect(value).toBeUndefined();
  });

  it("twice at once has it run once", async () => {
    class Hasty extends Around {
      override async submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
        const both = [1, 2].map(() => Hasty.runInitHook(submission.snapshot));
        seen.push(JSON.stringify(await Promise.all(both)));
        return super.submitPipeline(submission);
      }
    }
    await worldOf(Hasty).run([moduleStep("a")], {}, HOOKS);
    expect(seen.slice(0, 4)).toEqual([...RAN, '[{"from":"pipeline"},{"from":"pipeline"}]']);
  });

  it("gets the init hook's own error, and the run fails with it", async () => {
    const init = (): never => {
      throw Object.assign(new Error("no table"), { code: "ETABLE" });
    };
    const ended = await worldOf(Calling, { init }).run([moduleStep("a")], {}, HOOKS);
    expect(ended.because).toBe("the init hook failed: no table");
    expect(seen).toEqual(["begin", "before init"]);
    expect(ended.of("submit.failed")).toEqual([]);
  });

  it("has cleanup run there and then, once", async () => {
    class Tidy extends Around {
      override async submitPipeline({ snapshot }: PipelineSubmission): Promise<SubmissionResult> {
        await Promise.allSettled(snapshot.steps.map((step) => this.runStep(step)));
        await Tidy.runCleanupHook(snapshot);
        seen.push("tidied");
        return {};
      }
    }
    const ended = await worldOf(Tidy).run([moduleStep("a")], {}, HOOKS);
    const tidying = ["before cleanup", "pipeline cleanup", "after cleanup", "tidied"];
    expect(seen).toEqual([...RAN, "a", ...tidying]);
    expect(ended.of("hook.completed")).toHaveLength(2);
  });

  it("that names the hook and never calls it has init run before the first step", async () => {
    class Never extends Around {
      override submitPipeline(submission: PipelineSubmission): Promise<SubmissionResult> {
        if (submission.snapshot.name === "") void Never.runInitHook(submission.snapshot);
        return super.submitPipeline(submission);
      }
    }
    await worldOf(Never).run([moduleStep("a")], {}, HOOKS);
    expect(seen.slice(0, 5)).toEqual(["submit", ...RAN, "a"]);
  });
});
