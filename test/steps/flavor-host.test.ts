/**
 * One call of an orchestrator's class: what the class gets, and what the daemon is asked and told,
 * in which order. The classes here extend nothing but where the stack is asked for.
 */
import { describe, expect, it } from "vitest";
import type { Json } from "../../src/core/snapshot.ts";
import { HOST_SYMBOL, STACK_SYMBOL, type FlavorTask } from "../../src/core/task.ts";
import { BaseOrchestrator } from "../../src/orchestrators/base-orchestrator.ts";
import { callFlavor, runFlavor, type CalledFlavor } from "../../src/steps/flavor-host.ts";
import type { LoadedModule } from "../../src/steps/resolve-code.ts";

type Given = Readonly<Record<string, unknown>>;

const CODE = { bundle: "b.mjs", pick: "export:default", source: "./mine.ts" } as const;
const SENT = {
  stack: { name: "far" },
  placeholderRun: { id: "r@1" },
  environment: { A: "1", ORCHD_ORCHESTRATOR_RUN_ID: "o-early" },
};
/** What `submitPipeline` got without what every case has. */
const NAMED = { ...SENT.environment, ORCHD_ORCHESTRATOR_RUN_ID: "o-7 by the daemon" };

/** Calls one method of a class, and hears the daemon. */
class Called {
  readonly said: string[] = [];

  run(type: unknown, method: FlavorTask["method"], argument: unknown = SENT): Promise<unknown> {
    const module: LoadedModule = { exports: { default: type }, made: [], defined: [] };
    const task = { code: CODE, config: { limit: 3 }, method, argument } as unknown as FlavorTask;
    return runFlavor(module, task, this.call);
  }

  readonly call = (method: string, argument: Json): Promise<Json> => {
    this.said.push(`${method} ${JSON.stringify(argument)}`);
    if (method === "identify") return Promise.resolve(`${argument as string} by the daemon`);
    return Promise.resolve(method === "runInitHook" ? { state: { open: 1 } } : null);
  };
}

/** An orchestrator that says how it is called. */
function named(id: unknown, submit: (given: Given) => unknown = () => undefined) {
  return class {
    readonly config: unknown;
    constructor(config: unknown) {
      this.config = config;
    }
    getOrchestratorRunId(): unknown {
      if (id instanceof Error) throw id;
      return id;
    }
    async submitPipeline(given: Given): Promise<unknown> {
      return submit(given);
    }
    describe(): string {
      return `describes ${JSON.stringify(this.config)}`;
    }
  };
}

it("fails with a sentence where the class returns what is of no use", async () => {
  const bigint = () => ({ metadata: { n: 1n } });
  const noWait = () => ({ waitForCompletion: true });
  for (const [type, said] of [
    [named(Promise.resolve("late")), "getOrchestratorRunId returned a promise"],
    [named("o-7", bigint), "the metadata of the submission is no JSON"],
    [named("o-7", noWait), "a waitForCompletion that is no function"],
  ] as const)
    await expect(new Called().run(type, "submitPipeline")).rejects.toThrow(said);
  class Odd extends named("o-7") {
    fetchStatus(): unknown {
      return { status: "done" };
    }
  }
  await expect(new Called().run(Odd, "fetchStatus", { run: "r" })).rejects.toThrow(
    'fetchStatus returned as status "done"',
  );
});

describe("a submission", () => {
  it("has the id that the daemon says, and is accepted before it is waited for", async () => {
    const called = new Called();
    const given: Given[] = [];
    const submission = {
      metadata: { job: 9, at: new Date(0), none: undefined },
      waitForCompletion(this: unknown) {
        called.said.push(`waited, as ${this === submission ? "its" : "nobody's"} own`);
        return Promise.resolve("dropped");
      },
    };
    const type = named("o-7", (one) => {
      given.push(one);
      return submission;
    });
    expect(await called.run(type, "submitPipeline")).toBeNull();
    expect(called.said).toEqual([
      'identify "o-7"',
      'accepted {"orchestratorRunId":"o-7 by the daemon",' +
        '"metadata":{"job":9,"at":"1970-01-01T00:00:00.000Z"},"waits":true}',
      "waited, as its own",
    ]);
    expect(given).toEqual([
      {
        ...SENT,
        environment: NAMED,
        placeholderRun: { id: "r@1", orchestratorRunId: "o-7 by the daemon" },
      },
    ]);
  });

  it.each([[""], [undefined], [7], [new Error("not yet")]])(
    "goes without an id where the class says %o",
    async (id) => {
      const called = new Called();
      const given: Given[] = [];
      await called.run(
        named(id, (one) => void given.push(one)),
        "submitPipeline",
      );
      expect(given).toEqual([SENT]);
      expect(called.said).toEqual(['accepted {"metadata":{},"waits":false}']);
    },
  );

  it("says the id that the class knows only later", async () => {
    const called = new Called();
    class Late {
      #id = "";
      getOrchestratorRunId = (): string => this.#id;
      submitPipeline(): null {
        this.#id = "o-late";
        return null;
      }
      describe(): void {}
    }
    await called.run(Late, "submitPipeline");
    expect(called.said).toEqual([
      'accepted {"orchestratorRunId":"o-late","metadata":{},"waits":false}',
    ]);
  });

  it("has whole environments, and the step's own over the run's", async () => {
    const given: Given[] = [];
    class Dynamic extends named("o-7") {
      async submitDynamicPipeline(one: Given): Promise<void> {
        given.push(one);
      }
    }
    const base = { A: "1", B: "1", ORCHD_ORCHESTRATOR_RUN_ID: "o-early" };
    const steps = { a: { B: "2" }, b: { ORCHD_ORCHESTRATOR_RUN_ID: "its own" } };
    await new Called().run(Dynamic, "submitDynamicPipeline", {
      stack: SENT.stack,
      placeholderRun: {},
      baseEnvironment: base,
      stepEnvironments: steps,
    });
    const whole = { ...base, ORCHD_ORCHESTRATOR_RUN_ID: "o-7 by the daemon" };
    expect(given[0]).toMatchObject({ baseEnvironment: whole });
    expect(given[0]!["stepEnvironments"]).toEqual({
      a: { ...whole, B: "2" },
      b: { ...whole, ORCHD_ORCHESTRATOR_RUN_ID: "its own" },
    });
    // The daemon sends none where no step has more.
    await new Called().run(Dynamic, "submitDynamicPipeline", { ...SENT, environment: undefined });
    expect(given[1]).toMatchObject({
      baseEnvironment: { ORCHD_ORCHESTRATOR_RUN_ID: "o-7 by the daemon" },
      stepEnvironments: {},
    });
  });

  it("has a live stack, made by the class's own copy of the package", async () => {
    const given: Given[] = [];
    class Stacked extends named("o-7", (one) => void given.push(one)) {
      [STACK_SYMBOL](name: string): unknown {
        return [name, this.config];
      }
    }
    await new Called().run(Stacked, "submitPipeline");
    expect(given[0]!["stack"]).toEqual(["far", { limit: 3 }]);
  });

  it("that throws is not accepted; one whose wait throws is, with its own code", async () => {
    const called = new Called();
    const fault = Object.assign(new TypeError("no cluster"), { code: "E1" });
    const refuses = named("o", () => Promise.reject(fault));
    await expect(called.run(refuses, "submitPipeline")).rejects.toBe(fault);
    expect(called.said).toEqual(['identify "o"']);
    const waits = named("o", () => ({ waitForCompletion: () => Promise.reject(fault) }));
    await expect(called.run(waits, "submitPipeline")).rejects.toMatchObject({
      name: "TypeError",
      message: "no cluster",
      code: "ORCHD_WAIT",
    });
    expect(called.said.slice(2)).toEqual([
      'accepted {"orchestratorRunId":"o by the daemon","metadata":{},"waits":true}',
    ]);
  });

  it("of a kind that the class does not have is told so before its id is asked", async () => {
    const called = new Called();
    await expect(called.run(named("o"), "submitDynamicPipeline")).rejects.toThrow(
      "the orchestrator has no submitDynamicPipeline",
    );
    expect(called.said).toEqual([]);
  });
});

it("asks for a status with its steps, and for a graceful stop, only where told", async () => {
  const asked: unknown[] = [];
  class Far extends named("o") {
    async fetchStatus(run: unknown, options: unknown): Promise<unknown> {
      asked.push(["fetch", run, options]);
      return (run as string) === "known" ? { status: "running" } : undefined;
    }
    async stopRun(run: unknown, options: unknown): Promise<string> {
      asked.push(["stop", run, options]);
      return "dropped";
    }
  }
  const one = new Called();
  const fetched = [
    await one.run(Far, "fetchStatus", { run: "known", includeSteps: true }),
    await one.run(Far, "fetchStatus", { run: "other" }),
    await one.run(Far, "stopRun", { run: "known", graceful: true }),
    await one.run(Far, "stopRun", { run: "other" }),
  ];
  expect(fetched).toEqual([{ status: "running" }, {}, null, null]);
  expect(asked).toEqual([
    ["fetch", "known", { includeSteps: true }],
    ["fetch", "other", { includeSteps: false }],
    ["stop", "known", { graceful: true }],
    ["stop", "other", { graceful: false }],
  ]);
  expect(one.said).toEqual([]);
});

describe("a hook", () => {
  const own = () => {
    const calls: unknown[] = [];
    const submit = (): unknown => Hooked.runInitHook("from the submission");
    class Hooked extends named("o", submit) {
      static state: unknown = { open: 2 };
      static async runInitHook(snapshot: unknown): Promise<unknown> {
        calls.push([this === Hooked, snapshot]);
        return Hooked.state;
      }
      static async runCleanupHook(snapshot: unknown): Promise<unknown> {
        calls.push(["cleanup", snapshot]);
        return "dropped";
      }
    }
    return { Hooked, calls };
  };

  it("replies with its state, and without one where it returns nothing", async () => {
    const { Hooked, calls } = own();
    const called = new Called();
    expect(await called.run(Hooked, "runInitHook", { id: 1 })).toEqual({ state: { open: 2 } });
    Hooked.state = undefined;
    expect(await called.run(Hooked, "runInitHook", { id: 2 })).toEqual({});
    Hooked.state = null;
    expect(await called.run(Hooked, "runInitHook", { id: 3 })).toEqual({ state: null });
    expect(await called.run(Hooked, "runCleanupHook", { id: 4 })).toEqual({});
    expect(calls).toEqual([
      [true, { id: 1 }],
      [true, { id: 2 }],
      [true, { id: 3 }],
      ["cleanup", { id: 4 }],
    ]);
    await expect(called.run(named("o"), "runInitHook", {})).rejects.toThrow(
      "the orchestrator has no static runInitHook",
    );
  });

  it("that a submission calls is called by the daemon, and stays itself", async () => {
    const { Hooked, calls } = own();
    const called = new Called();
    for (const _ of ["once", "again"]) await called.run(Hooked, "submitPipeline");
    expect(calls).toEqual([]);
    // A program submits thousands of times: nothing grows by that.
    const before = Hooked.runInitHook;
    await called.run(Hooked, "submitPipeline");
    expect(Hooked.runInitHook).toBe(before);
    called.said.splice(-2);
    expect(called.said.filter((text) => text.startsWith("run"))).toEqual([
      "runInitHook null",
      "runInitHook null",
    ]);
    expect(await called.run(Hooked, "runInitHook", { id: 1 })).toEqual({ state: { open: 2 } });
    // Outside of any call it is the class's own method.
    await Hooked.runInitHook("elsewhere");
    expect(calls).toEqual([
      [true, { id: 1 }],
      [true, "elsewhere"],
    ]);
  });

  it("gives a submission the state of the daemon's call", async () => {
    const states: unknown[] = [];
    class Hooked extends named("o", async () => {
      states.push(await Hooked.runInitHook(), await Hooked.runCleanupHook());
    }) {
      static runInitHook(): unknown {
        return "its own";
      }
      static runCleanupHook(): unknown {
        return "its own";
      }
    }
    await new Called().run(Hooked, "submitPipeline");
    expect(states).toEqual([{ open: 1 }, undefined]);
  });

  it("may call the one of the class above it, which is not the daemon's matter", async () => {
    const calls: unknown[] = [];
    class Above extends named("o") {
      static async runInitHook(snapshot: unknown): Promise<unknown> {
        calls.push(snapshot);
        return "above";
      }
    }
    class Below extends Above {
      static override async runInitHook(snapshot: unknown): Promise<unknown> {
        return [await super.runInitHook(snapshot), "below"];
      }
    }
    const called = new Called();
    await called.run(Below, "submitPipeline");
    expect(await called.run(Below, "runInitHook", 1)).toEqual({ state: ["above", "below"] });
    expect([calls, called.said.slice(2)]).toEqual([[1], []]);
  });

  it("of a class above it is put before too, and that of the package is not", async () => {
    const calls: string[] = [];
    abstract class Above extends BaseOrchestrator {
      static override async runInitHook(): Promise<void> {
        calls.push("above");
      }
    }
    class Below extends Above {
      getOrchestratorRunId(): string {
        return "o";
      }
      async submitPipeline(): Promise<void> {
        await Below.runInitHook();
      }
    }
    const before = Object.getOwnPropertyDescriptor(BaseOrchestrator, "runInitHook");
    const called = new Called();
    await called.run(Below, "submitPipeline");
    expect([called.said[1], calls]).toEqual(["runInitHook null", []]);
    expect(Object.hasOwn(Below, "runInitHook")).toBe(false);
    expect(Object.getOwnPropertyDescriptor(BaseOrchestrator, "runInitHook")).toEqual(before);
  });
});

it("calls that are made side by side have a way to the daemon each, and none is left", async () => {
  const host = (): { call: (method: string, argument: Json) => Promise<Json> } =>
    (globalThis as Record<symbol, unknown>)[HOST_SYMBOL] as never;
  const type = named("o", async ({ name }) => {
    await new Promise((resolve) => setImmediate(resolve));
    await host().call("runStep", name as Json);
  });
  const [one, other] = [new Called(), new Called()];
  await Promise.all([
    one.run(type, "submitPipeline", { ...SENT, name: "one" }),
    other.run(type, "submitPipeline", { ...SENT, name: "other" }),
  ]);
  expect([one.said[1], other.said[1]]).toEqual(['runStep "one"', 'runStep "other"']);
  expect(() => host().call("runStep", null)).toThrow("runStep works within submitPipeline only.");
});

it("asks for the run's id by who serves several runs, within its call alone", async () => {
  const host = (): { identified: (ask: () => string) => string } =>
    (globalThis as Record<symbol, unknown>)[HOST_SYMBOL] as never;
  const said: string[] = [];
  const type = named("o", () => void said.push(host().identified(() => "asked")));
  const flavor = {
    type,
    instance: () => new type({}),
    identified: (ask: () => string) => `${ask()} under its run`,
  } as unknown as CalledFlavor;
  await callFlavor(flavor, "submitPipeline", SENT, new Called().call);
  await new Called().run(type, "submitPipeline");
  said.push(host().identified(() => "outside"));
  expect(said).toEqual(["asked under its run", "asked", "outside"]);
});

describe("an export", () => {
  const refusal = (type: unknown, method: FlavorTask["method"] = "describe") =>
    new Called().run(type, method).then(
      () => "taken",
      (error: Error) => `${error.name}: ${error.message}`,
    );

  it("that is an orchestrator describes itself, with its config", async () => {
    expect(await new Called().run(named("o"), "describe")).toBe('describes {"limit":3}');
  });

  it.each(["describe", "submitPipeline"] as const)(
    "that is none is refused, whatever it is (%s)",
    async (method) => {
      const none =
        "LoadError: ./mine.ts: the export is no orchestrator; write export default class " +
        "extends BaseOrchestrator, with getOrchestratorRunId and submitPipeline";
      const others = [undefined, 7, {}, () => 1, class extends Map {}];
      expect(await Promise.all(others.map((other) => refusal(other, method)))).toEqual(
        others.map(() => none),
      );
    },
  );

  it("without what every orchestrator needs is refused", async () => {
    class NoId {
      submitPipeline(): void {}
      describe(): void {}
    }
    class NoDescription {
      submitPipeline(): void {}
      getOrchestratorRunId(): void {}
    }
    expect([await refusal(NoId), await refusal(NoDescription)]).toEqual([
      "LoadError: ./mine.ts: the orchestrator has no getOrchestratorRunId, " +
        "which every orchestrator needs",
      'LoadError: ./mine.ts: the class does not extend BaseOrchestrator of "orchd"',
    ]);
  });

  it("with its submission as a field has its own words for that", async () => {
    class Field extends named("o") {
      override submitPipeline: never = (() => undefined) as never;
      override describe(): never {
        throw new Error("submitPipeline is a field");
      }
    }
    Reflect.deleteProperty(Field.prototype, "submitPipeline");
    Object.setPrototypeOf(Field.prototype, { describe: Field.prototype.describe });
    expect(await refusal(Field)).toBe("Error: submitPipeline is a field");
  });

  it("whose config does not fit says which keys, and throws on what is no such fault", async () => {
    const throwing = (error: Error) =>
      class extends named("o") {
        constructor(config: unknown) {
          super(config);
          throw error;
        }
      };
    const issues = [
      { path: ["limit", 0], message: "too large" },
      { path: [], message: "no object" },
    ];
    const zod = Object.assign(new Error("x"), { name: "ZodError", issues });
    expect(await refusal(throwing(zod))).toBe(
      "LoadError: ./mine.ts: the config does not fit: limit[0]: too large; it: no object",
    );
    const own = Object.assign(new Error("x"), { issues });
    expect(await refusal(throwing(own))).toBe("Error: x");
    expect(await refusal(throwing(Object.assign(new Error("y"), { name: "ZodError" })))).toBe(
      "ZodError: y",
    );
  });
});
