/** How an orchestrator is found by its name, and asked once what it declares. */
import { describe, expect, it } from "vitest";
import type { FlavorTask } from "../../src/core/task.ts";
import type { Json, OrchestratorRef, Snapshot } from "../../src/core/snapshot.ts";
import {
  Flavors,
  isolationRefusal,
  overriddenBy,
  SubmissionRefused,
  type Flavor,
} from "../../src/orchestrators/flavors.ts";
import { DEFAULT_CAPABILITIES } from "../../src/orchestrators/capabilities.ts";
import type { Place, TaskHandlers } from "../../src/places/place.ts";

const CODE = { bundle: "b".repeat(64), pick: "export:default", source: "./mine.ts" };
const REF: OrchestratorRef = { flavor: "Mine", code: CODE, config: { depth: 1 } };

function rig(
  orchestrators: NonNullable<ConstructorParameters<typeof Flavors>[0]["orchestrators"]> = {},
) {
  const asked: { id: string; task: FlavorTask; handlers: TaskHandlers }[] = [];
  /** What the class declares, or how asking it goes wrong. */
  const world: { answer: Json; fault?: (handlers: TaskHandlers) => void } = {
    answer: { flavor: "mine" },
  };
  const place = {
    start: (id: string, task: FlavorTask, handlers: TaskHandlers) => {
      asked.push({ id, task, handlers });
      setImmediate(() => {
        if (world.fault !== undefined) world.fault(handlers);
        else handlers.done({ ok: true, value: world.answer }, 1, 0);
      });
    },
  } as unknown as Place;
  return { asked, world, flavors: new Flavors({ place, orchestrators }) };
}

const messageOf = async (act: () => unknown): Promise<string> => {
  try {
    await act();
  } catch (error) {
    expect(error).toBeInstanceOf(SubmissionRefused);
    return (error as Error).message;
  }
  throw new Error("it was not refused");
};

describe("an orchestrator is found", () => {
  it("as local, without a question, where none is named, or that one, or a place", async () => {
    const { flavors, asked } = rig({ slow: { config: { x: 1 } } } as never);
    const local = flavors.resolve(undefined) as Flavor;
    expect(local).toMatchObject({ name: "local", hasStopRun: false, declaresStop: true });
    expect(local.capabilities).toMatchObject({
      isSchedulable: true,
      supportsDynamicPipelines: true,
    });
    expect(flavors.resolve({ flavor: "local", config: {} })).toBe(local);
    expect(flavors.resolve({ flavor: "slow", config: {} })).toBe(local);
    const place = flavors.resolve({ flavor: "farm", config: {}, place: true }) as Flavor;
    expect(place).toEqual({ ...local, name: "farm" });
    expect(asked).toEqual([]);
  });

  it("by its name in orchd.yaml, with both configs, the pipeline's over the other", async () => {
    const { flavors, asked } = rig({
      mine: { code: CODE, config: { depth: 7, url: "x" } },
    } as never);
    await flavors.resolve({ flavor: "mine", config: { depth: 2 } });
    expect(asked[0]!.task).toMatchObject({
      kind: "flavor",
      code: CODE,
      config: { depth: 2, url: "x" },
      method: "describe",
      timeoutMs: 30_000,
      gracePeriodMs: 5_000,
    });
    flavors.reload({});
    expect(await messageOf(() => flavors.resolve({ flavor: "mine", config: {} }))).toBe(
      'orchestrator names "mine", and there is no orchestrator of that name; ' +
        "orchd.yaml and orchd itself have local",
    );
  });

  it("not by a name that nobody gave, or whose module is bad", async () => {
    const { flavors } = rig({ a: { code: CODE }, bad: { uses: "./bad.ts" } } as never);
    for (const flavor of ["b", "constructor"])
      expect(await messageOf(() => flavors.resolve({ flavor, config: {} }))).toBe(
        `orchestrator names "${flavor}", and there is no orchestrator of that name; ` +
          "orchd.yaml and orchd itself have local, a, bad",
      );
    expect(await messageOf(() => flavors.resolve({ flavor: "bad", config: {} }))).toBe(
      "orchestrator cannot be used: its module ./bad.ts of orchd.yaml is bad",
    );
  });
});

describe("a class is asked", () => {
  it("once for each name, code and config, by whoever comes", async () => {
    const { flavors, asked } = rig();
    const [one, same] = await Promise.all([flavors.resolve(REF), flavors.resolve({ ...REF })]);
    expect(one).toBe(same);
    await flavors.resolve({ ...REF, config: { depth: 2 } });
    await flavors.resolve({ ...REF, code: { ...CODE, bundle: "c".repeat(64) } });
    await flavors.resolve({ ...REF, flavor: "Other" });
    await flavors.resolve(REF);
    expect(asked.map(({ id }) => id)).toEqual([1, 2, 3, 4].map((n) => `describe#${n}`));
  });

  it("again after a failure, with its sentence each time", async () => {
    const { flavors, asked, world } = rig();
    const fail = (message: string): void => {
      world.fault = ({ done }) =>
        done({ ok: false, outcome: "failed", error: { name: "Error", message } }, 1, 0);
    };
    fail("it has no config");
    const asks = (): Promise<string> => messageOf(() => flavors.resolve(REF));
    expect(await asks()).toBe("orchestrator cannot be used: ./mine.ts: it has no config");
    fail("./mine.ts has no default export");
    expect(await asks()).toBe("orchestrator cannot be used: ./mine.ts has no default export");
    const death = { inFlight: ["x"], alone: true, because: "it died", code: "x" };
    world.fault = ({ died }) => died(death);
    expect(await asks()).toBe(
      "orchestrator cannot be used: ./mine.ts ended its runner process when it was loaded",
    );
    delete world.fault;
    expect(await flavors.resolve(REF)).toMatchObject({ name: "mine" });
    expect(asked).toHaveLength(4);
  });

  it("again where 256 others were asked about since", async () => {
    const { flavors, asked } = rig();
    for (let depth = 0; depth < 256; depth += 1)
      await flavors.resolve({ ...REF, config: { depth } });
    await flavors.resolve({ ...REF, config: { depth: 0 } });
    expect(asked).toHaveLength(256);
    await flavors.resolve({ ...REF, config: { depth: 256 } });
    await flavors.resolve({ ...REF, config: { depth: 1 } });
    expect(asked).toHaveLength(257);
    await flavors.resolve({ ...REF, config: { depth: 0 } });
    expect(asked).toHaveLength(258);
  });
});

describe("what a class declares", () => {
  const described = async (answer: Json): Promise<Flavor> => {
    const { flavors, world } = rig();
    world.answer = answer;
    return flavors.resolve(REF);
  };

  it.each<[Json, Partial<Flavor>]>([
    [null, { name: "Mine", hasStopRun: true, declaresStop: false, environment: {} }],
    [{ flavor: "" }, { name: "Mine" }],
    [{ flavor: 7 }, { name: "Mine" }],
    [{ flavor: "x".repeat(300) }, { name: "x".repeat(256) }],
    [{ hasStopRun: false }, { hasStopRun: false }],
    [{ declaresStop: true }, { declaresStop: true }],
    [{ declaresStop: "yes" }, { declaresStop: false }],
    [{ environment: { A: "b" } }, { environment: { A: "b" } }],
  ])("as %j is %j", async (answer, expected) => {
    expect(await described(answer)).toMatchObject({ ...expected, ref: REF });
  });

  it("fills in the defaults, and knows no mode that this release does not", async () => {
    const { capabilities } = await described({
      capabilities: { isSchedulable: true, supportedExecutionModes: ["fail_fast", "lazily"] },
    });
    expect(capabilities).toEqual({
      ...DEFAULT_CAPABILITIES,
      isSchedulable: true,
      supportedExecutionModes: ["fail_fast"],
    });
    expect((await described({})).capabilities).toEqual(DEFAULT_CAPABILITIES);
  });

  it("is refused where its environment holds no texts", async () => {
    const sentence = await messageOf(() => described({ flavor: "mine", environment: { A: 7 } }));
    expect(sentence).toBe(
      "orchestrator cannot be used: The environment of the orchestrator mine has A, " +
        "which is a number: give a text.",
    );
  });

  it.each<[Json, string[]]>([
    [{}, []],
    [{ hooks: { init: true, cleanup: false } }, ["init"]],
    [{ hooks: { init: true, cleanup: true } }, ["init", "cleanup"]],
    [{ hooks: { init: "yes", cleanup: true } }, ["cleanup"]],
  ])("as %j overrides the hooks %j", async (answer, hooks) => {
    expect(overriddenBy(await described(answer))).toEqual(hooks);
  });
});

describe("a snapshot", () => {
  const snapshot = (orchestrator?: OrchestratorRef): Snapshot =>
    ({ executionMode: "continue_on_failure", steps: [], orchestrator }) as never;

  it("is refused by its orchestrator, by one that is not there, or by one that fails", async () => {
    const { flavors, world } = rig();
    expect(await flavors.refuses(snapshot(), true)).toBeUndefined();
    expect(await flavors.refuses(snapshot(REF), false)).toBeUndefined();
    expect(await flavors.refuses(snapshot(REF), true)).toMatchObject({ path: ["schedule"] });
    expect(await flavors.refuses(snapshot({ flavor: "b", config: {} }), false)).toEqual({
      path: ["orchestrator"],
      message: expect.stringMatching(/^names "b"/),
    });
    world.fault = () => undefined;
    const closed = new Flavors({
      place: {
        start: () => {
          throw new Error("the runners are closed");
        },
      } as unknown as Place,
    });
    expect(await closed.refuses(snapshot(REF), false)).toEqual({
      path: ["orchestrator"],
      message: "cannot be used: the runners are closed",
    });
  });

  it("has its stack's environment", async () => {
    const { flavors, world } = rig();
    world.answer = { environment: { REGION: "eu" } };
    expect(await flavors.stackEnv(snapshot(REF))).toEqual({ REGION: "eu" });
    expect(await flavors.stackEnv(snapshot())).toEqual({});
  });
});

it("an isolated step is refused where the orchestrator cannot run one, and no other", () => {
  const flavor = { name: "mine", capabilities: DEFAULT_CAPABILITIES } as Flavor;
  const can = { name: "mine", capabilities: { canRunIsolatedSteps: true } } as Flavor;
  expect(isolationRefusal(flavor, { isolated: true } as never)).toBe(
    "is refused: the orchestrator mine cannot run isolated steps; " +
      "let it declare canRunIsolatedSteps, or remove isolated",
  );
  expect(isolationRefusal(can, { isolated: true } as never)).toBeUndefined();
  expect(isolationRefusal(flavor, { isolated: false } as never)).toBeUndefined();
});
