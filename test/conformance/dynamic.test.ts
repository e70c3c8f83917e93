/** Conformance 55 to 60: dynamic pipelines (docs/zenml.md "Dynamic pipelines"). */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import type { DynamicRun } from "../../src/steps/dynamic-run.ts";
import type { SubmissionResult } from "../../src/orchestrators/submission.ts";
import { step, unmapped } from "../../src/steps/authoring.ts";
import { dynamicModule, fakeCode, held, type FakeClass } from "../support/fake-pool.ts";
import type { Ended } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, MinimalOrchestrator, World, type FlavorUnderTest } from "./world.ts";

const able = FLAVORS.filter(({ capabilities }) => capabilities.supportsDynamicPipelines);
const unable = FLAVORS.filter(({ capabilities }) => !capabilities.supportsDynamicPipelines);
// oxlint-disable-next-line typescript/no-explicit-any -- a step of a test takes what it is given
type Anything = any;
type Steps = Parameters<typeof dynamicModule>[0];
type Body = (run: DynamicRun<Anything>, steps: Anything) => unknown;

const square = ({ inputs }: Anything): number => inputs.x * inputs.x;
const add = ({ inputs }: Anything): number => inputs.x + inputs.y;
const sum = ({ inputs }: Anything): number => (inputs.all as number[]).reduce((a, b) => a + b, 0);
const boom = (): never => {
  throw Object.assign(new Error("boom"), { code: "EBOOM" });
};

function world(
  flavor: FlavorUnderTest,
  steps: Steps,
  body: Body,
  options: ConstructorParameters<typeof World>[2] = {},
): World {
  return new World(
    flavor,
    dynamicModule(steps, (run) => body(run as Anything, steps)),
    options,
  );
}

const dynamic = (more: Partial<Snapshot> = {}): Partial<Snapshot> => ({
  dynamic: fakeCode("function"),
  ...more,
});

function run(
  flavor: FlavorUnderTest,
  steps: Steps,
  body: Body,
  more: Partial<Snapshot> = {},
): Promise<Ended> {
  return world(flavor, steps, body).run([], {}, dynamic(more));
}

it.each(unable)("$name refuses a dynamic pipeline before anything is written", async (flavor) => {
  await world(flavor, {}, () => undefined).runIf(
    false,
    /does not support dynamic pipelines/,
    [],
    {},
    dynamic(),
  );
});

it("57c. without canRunIsolatedSteps an isolated call is refused; others run", async () => {
  class Shared extends MinimalOrchestrator {
    override async submitDynamicPipeline(): Promise<SubmissionResult> {
      return { waitForCompletion: () => this.runPipelineFunction() };
    }
  }
  const flavor = { ...FLAVORS[1]!, classes: { "export:minimal": Shared as unknown as FakeClass } };
  const steps = {
    square: step(square),
    alone: step(square, { isolated: true }),
  } as unknown as Steps;
  const refused = await run(flavor, steps, async (run, { square, alone }) => {
    await run.step(square, { inputs: { x: 2 } });
    await run.step(alone, { inputs: { x: 3 } });
  });
  expect(refused.status).toBe("failed");
  expect(refused.because).toContain(
    "step alone: isolated is refused: the orchestrator minimal cannot run isolated steps",
  );
  expect(refused.statuses()).toEqual({ square: "completed" });
  const taken = await run(FLAVORS[0]!, steps, (run, { alone }) =>
    run.step(alone, { inputs: { x: 3 } }),
  );
  expect(taken.statuses()).toEqual({ alone: "completed" });
});

describe.each(able)("dynamic pipelines with $name", (flavor) => {
  it("55. one after the other: a step's output decides what comes next", async () => {
    const seen: unknown[] = [];
    const ended = await run(flavor, { square, add }, async (run, { square, add }) => {
      const nine = await run.step(square, { inputs: { x: 3 } });
      seen.push(nine);
      seen.push(await run.step(add, { inputs: { x: nine, y: 1 } }));
      seen.push(await run.step(square, { inputs: { x: 2 } }));
    });
    expect(seen).toEqual([9, 10, 4]);
    expect(ended.status).toBe("completed");
    expect(Object.keys(ended.statuses())).toEqual(["square", "add", "square_2"]);
    expect(ended.of("step.added", "square")[0]).toMatchObject({ values: { x: 3 } });
    const types = ended.types().filter((type) => !type.startsWith("hook"));
    expect(types.slice(-2)).toEqual(["run.function_ended", "run.finished"]);
  });

  it("56. at the same time, with handles as inputs and in `after`", async () => {
    const ended = await run(flavor, { square, add }, async (run, { square, add }) => {
      const a = run.submit(square, { inputs: { x: 2 } });
      const b = run.submit(square, { inputs: { x: 3 } });
      const both = run.submit(add, { inputs: { x: a, y: b }, id: "both" });
      const last = run.submit(square, { inputs: { x: 1 }, after: [both], id: "last" });
      await last.result();
    });
    expect(ended.status).toBe("completed");
    expect(ended.output("both")).toBe(13);
    const types = ended.types();
    expect(types.indexOf("step.started square_2")).toBeLessThan(
      types.indexOf("step.completed square"),
    );
    expect(types.indexOf("step.started last")).toBeGreaterThan(
      types.indexOf("step.completed both"),
    );
  });

  it("57. map zips equal lengths, in the items' order, with unmapped values for all", async () => {
    let result: unknown;
    const ended = await run(flavor, { add, sum }, async (run, { add, sum }) => {
      const all = await run.map(add, { x: [1, 2, 3], y: [10, 20, 30] });
      const more = await run.map(add, { x: [1, 2], y: unmapped(100) });
      result = [all, more, await run.step(sum, { inputs: { all } })];
    });
    expect(result).toEqual([[11, 22, 33], [101, 102], 66]);
    expect(Object.keys(ended.statuses())).toEqual([
      "add",
      "add_2",
      "add_3",
      "add_4",
      "add_5",
      "sum",
    ]);
  });

  it("57b. nothing to map, unequal lengths, and an id twice are errors", async () => {
    const error = async (body: Body): Promise<string> =>
      (await run(flavor, { add, square }, body)).because;
    expect(await error((run, { add }) => run.map(add, { x: [] }))).toContain("empty list");
    expect(await error((run, { add }) => run.map(add, { x: [1, 2], y: [1] }))).toContain(
      "equally long",
    );
    expect(await error((run, { add }) => run.map(add, { x: unmapped(1) }))).toContain(
      "nothing to map over",
    );
    expect(
      await error(async (run, { square }) => [
        await run.step(square, { id: "a", inputs: { x: 1 } }),
        await run.step(square, { id: "a", inputs: { x: 1 } }),
      ]),
    ).toContain('"a" already');
  });

  it("57d. a call that is refused fails the run, awaited or not, beside good ones", async () => {
    const long = "x".repeat(1_001);
    for (const isAwaited of [true, false]) {
      const ended = await run(flavor, { square }, async (run, { square }) => {
        const call = run.submit(square, { inputs: { x: 1 }, id: long });
        await run.step(square, { inputs: { x: 2 } });
        if (isAwaited) await call.result();
      });
      expect(ended.status).toBe("failed");
      expect(ended.because).toContain("may have at most 1000 characters");
      expect(ended.statuses()).toEqual({ square: "completed" });
    }
  });

  it("58. product is every combination", async () => {
    let result: unknown;
    await run(flavor, { add }, async (run, { add }) => {
      result = await run.product(add, { x: [1, 2], y: [10, 20] });
    });
    expect(result).toEqual([11, 21, 12, 22]);
  });

  describe("59. a failure", () => {
    it("under continue_on_failure: unawaited, a warning; awaited, its own error", async () => {
      const unawaited = await run(flavor, { boom, square }, async (run, { boom, square }) => {
        run.submit(boom);
        await run.step(square, { inputs: { x: 1 } });
      });
      expect(unawaited.status).toBe("completed");
      expect(unawaited.because).toMatch(/warning: step "boom" failed and nothing awaited it/);
      let caught: unknown;
      const handled = await run(flavor, { boom }, async (run, { boom }) => {
        await run.step(boom).catch((error: unknown) => (caught = error));
      });
      expect(caught).toMatchObject({ message: "boom", code: "EBOOM" });
      expect(handled.status).toBe("completed");
      expect(handled.because).toBe('the function returned; it handled the failure of step "boom"');
      const thrown = await run(flavor, { boom }, async (run, { boom }) => {
        await run.step(boom);
      });
      expect(thrown.status).toBe("failed");
      expect(thrown.because).toContain("boom");
    });

    it("under stop_on_failure: the run fails, and what runs may end", async () => {
      const slow = held();
      const bench = world(
        flavor,
        { boom, slow: slow as never, square },
        async (run, { boom, slow, square }) => {
          run.submit(slow);
          await run.step(boom).catch(() => undefined);
          await run.step(square, { inputs: { x: 1 } });
        },
      );
      const loop = await bench.begin([], {}, dynamic({ executionMode: "stop_on_failure" }));
      await slow.began;
      await new Promise((resolve) => setTimeout(resolve, 20));
      slow.release(1);
      const ended = await bench.end(loop);
      expect(ended.status).toBe("failed");
      expect(ended.statuses()["slow"]).toBe("completed");
      expect(ended.statuses()["square"] ?? "skipped").toBe("skipped");
    });

    it("under fail_fast: the rest is stopped", async () => {
      const slow = held();
      const ended = await run(
        flavor,
        { slow: slow as never, late: async () => (await slow.began, boom()) },
        async (run, { slow, late }) => {
          run.submit(slow);
          await run.step(late);
        },
        { executionMode: "fail_fast" },
      );
      expect(ended.status).toBe("failed");
      expect(ended.because).toContain("boom");
      expect(ended.statuses()).toEqual({ slow: "stopped", late: "failed" });
    });
  });

  describe("60. after a crash", () => {
    /** Runs `first` until its step `wait` runs, then `second` in a new daemon. */
    async function crash(
      first: Body,
      second: Body = first,
      options: ConstructorParameters<typeof World>[2] = {},
    ) {
      const wait = held();
      const one = world(flavor, { square, wait: wait as never }, first, options);
      const loop = await one.begin(
        [],
        {},
        dynamic({
          stepDefaults: {
            retry: { maxRetries: 1, delayMs: 0, backoff: 1, jitter: 0 },
            onInterruption: "retry",
            hooks: {},
          },
        }),
      );
      await wait.began;
      const two = world(flavor, { square, wait: () => "waited" }, second, {
        ...options,
        runsDir: one.store.runsDir,
      });
      const again = (await RunLoop.recover(loop.state.run, two.deps))!;
      again.start("again");
      return { two, again };
    }
    const body: Body = async (run, { square, wait }) => {
      const squares = await run.map(square, { x: [1, 2, 3] });
      await run.step(wait);
      await run.step(square, { inputs: { x: squares[2] } });
    };

    it("completed calls answer from the ledger; a running one follows its policy", async () => {
      const { two, again } = await crash(body);
      const ended = await two.end(again);
      expect(ended.status).toBe("completed");
      expect(two.ran()).toEqual(["wait", "square_4"]);
      expect(ended.output("square_4")).toBe(81);
      expect(ended.state.steps.get("wait")).toMatchObject({ attempt: 2, status: "completed" });
      expect(ended.of("step.added")).toHaveLength(5);
    });

    it("a call with another text ends the run, with both calls", async () => {
      const { two, again } = await crash(body, async (run, { square }) => {
        await run.map(square, { x: [1, 2, 4] });
      });
      const ended = await two.end(again);
      expect(ended.status).toBe("failed");
      expect(ended.because).toContain("nondeterministic pipeline");
      expect(ended.because).toMatch(/square\(.*"value":3.*calls square\(.*"value":4/);
      expect(ended.of("run.function_ended")[0]).toMatchObject({
        error: { code: "ORCHD_NONDETERMINISTIC" },
      });
    });

    it("so does a function that ends without a recorded call", async () => {
      const { two, again } = await crash(body, async (run, { square }) => {
        await run.map(square, { x: [1, 2, 3] });
      });
      const ended = await two.end(again);
      expect(ended.status).toBe("failed");
      expect(ended.because).toMatch(
        /nondeterministic pipeline: the ledger has wait\(\), and the function now ended without it/,
      );
    });

    it("one that ends while a new call of it is held back leaves no timer", async () => {
      const clock = new VirtualClock();
      const { two, again } = await crash(
        body,
        async (run, { square }) => {
          run.step(square, { inputs: { x: 7 }, id: "other" }).catch(() => undefined);
          for (let turn = 0; turn < 9; turn += 1) await nextTurn();
          throw new Error("enough");
        },
        { clock },
      );
      await clock.until(() => again.state.finished !== undefined);
      expect((await two.end(again)).because).toContain("enough");
      expect(clock.timers).toBe(0);
    });

    it("so does a function that makes another call in its place", async () => {
      const clock = new VirtualClock();
      const { two, again } = await crash(
        body,
        async (run, { square }) => {
          await run.map(square, { x: [1, 2, 3] });
          await run.step(square, { inputs: { x: 7 }, id: "other" });
        },
        { clock },
      );
      await clock.until(() => again.state.finished !== undefined);
      const ended = await two.end(again);
      expect(ended.because).toMatch(
        /the ledger has wait\(\), and the function now calls square\(id "other"/,
      );
      expect(two.ran()).not.toContain("other");
    });
  });

  it("60b. whose runner died runs again, and its calls answer from the ledger", async () => {
    const wait = held();
    let deaths = 0;
    const bench = world(
      flavor,
      { square, wait: ((context: Anything) => (deaths === 2 ? 1 : wait(context))) as never },
      async (run, { square, wait }) => {
        await run.step(square, { inputs: { x: 3 } });
        await run.step(wait);
        await run.step(square, { inputs: { x: 4 } });
      },
    );
    const loop = await bench.begin([], {}, dynamic());
    await wait.began;
    deaths = 2;
    bench.pool.die();
    const ended = await bench.end(loop);
    expect(ended.because).toBe("all steps ended well");
    expect(bench.ran()).toEqual(["square", "wait", "wait", "square_2"]);
    expect(ended.of("step.added")).toHaveLength(3);
    expect(ended.output("square_2")).toBe(16);
  });

  it("takes the run's params, caches its steps, and stops", async () => {
    const bench = world(flavor, { square }, async (run, { square }) => {
      await run.step(square, { inputs: { x: (run.params as { n: number }).n } });
    });
    expect((await bench.run([], { params: { n: 5 } }, dynamic())).output("square")).toBe(25);
    expect((await bench.run([], { params: { n: 5 } }, dynamic())).statuses()).toEqual({
      square: "cached",
    });
    const slow = held();
    const stopped = world(flavor, { slow: slow as never }, (run, { slow }) => run.step(slow));
    const loop = await stopped.begin([], {}, dynamic());
    await slow.began;
    await loop.requestStop({ mode: "force", by: "me" });
    const ended = await stopped.end(loop);
    expect(ended.status).toBe("stopped");
    expect(ended.statuses()).toEqual({ slow: "stopped" });
    expect(stopped.pool.running.size).toBe(0);
  });
});
