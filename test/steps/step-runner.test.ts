/* oxlint-disable unicorn/no-thenable -- a step may return any thenable */
/** What each kind of task gives to the user's function, and what it makes of what comes back. */
import { describe, expect, it } from "vitest";
import type { CodeRef } from "../../src/core/snapshot.ts";
import { ANSWER_LIMIT } from "../../src/core/task.ts";
import type { DaemonCall } from "../../src/steps/thread-protocol.ts";
import { dynamicPipeline } from "../../src/steps/dynamic-pipeline.ts";
import type { LoadedModule, Modules } from "../../src/steps/resolve-code.ts";
import { perform, type TaskHost, type ThreadTask } from "../../src/steps/step-runner.ts";

const RUN = { id: "p@1", pipeline: "p", scheduledFor: "2026-11-23T02:00:00.000Z" };
const CODE: CodeRef = { bundle: "b".repeat(64), pick: "export:default", source: "./p.ts" };
const LOG = { info: () => undefined } as never;
const SIGNAL = new AbortController().signal;

class Given {
  context: unknown;
  begun = 0;
  /** What began before the function was called. */
  order: string[] = [];

  host(exported: unknown, call: DaemonCall = () => Promise.resolve(null), loaded = true): TaskHost {
    const module: LoadedModule = { exports: { default: exported }, made: [], defined: [] };
    const modules = {
      loaded: () => (loaded ? module : undefined),
      load: () => Promise.resolve(module),
    } as unknown as Modules;
    return {
      modules,
      log: LOG,
      signal: () => SIGNAL,
      begins: () => void ((this.begun += 1), this.order.push("begins")),
      call,
    };
  }

  /** A function that keeps its context and gives `value`. */
  gives(value: unknown): (context: unknown) => unknown {
    return (context) => {
      this.order.push("called");
      this.context = context;
      return value;
    };
  }
}

const task = (more: object): ThreadTask =>
  ({ run: RUN, code: CODE, env: { A: "1" }, ...more }) as unknown as ThreadTask;
const COMMON = { run: RUN, env: { A: "1" }, log: LOG, signal: SIGNAL };

describe("a module's step", () => {
  const step = (more: object = {}): ThreadTask =>
    task({ kind: "module", step: "s", params: { n: 1 }, inputs: { i: 2 }, ...more });

  it("gets its params, inputs, environment, log, run, state and signal, and no more", () => {
    const given = new Given();
    expect(perform(step({ state: { x: 1 } }), given.host(given.gives(7)))).toBe("7");
    expect(given.context).toEqual({
      ...COMMON,
      params: { n: 1 },
      inputs: { i: 2 },
      state: { x: 1 },
    });
    expect(Object.isFrozen((given.context as { env: object }).env)).toBe(true);
    expect(given.order).toEqual(["begins", "called"]);
    void perform(step(), given.host(given.gives(7)));
    expect(given.context).toMatchObject({ state: null });
  });

  it("gives no promise where it returned at once and was loaded before", async () => {
    const given = new Given();
    expect(perform(step(), given.host(given.gives(undefined)))).toBe("null");
    const later = perform(step(), given.host(given.gives(Promise.resolve([1]))));
    expect(later).toBeInstanceOf(Promise);
    expect(await later).toBe("[1]");
    // Whatever has a `then` is waited for, as `await` does.
    const thenable = { then: (done: (value: number) => void) => done(3) };
    expect(await perform(step(), given.host(given.gives(thenable)))).toBe("3");
    const callable = Object.assign(() => 1, { then: (done: (value: number) => void) => done(4) });
    expect(await perform(step(), given.host(given.gives(callable)))).toBe("4");
    const unloaded = perform(step(), given.host(given.gives(5), undefined, false));
    expect(unloaded).toBeInstanceOf(Promise);
    expect(await unloaded).toBe("5");
    expect(perform(step(), given.host(given.gives({ then: 1 })))).toBe('{"then":1}');
  });

  it("has to give its declared outputs, at once or later", async () => {
    const given = new Given();
    const declared = step({ outputs: ["a"] });
    expect(perform(declared, given.host(given.gives({ a: 1 })))).toBe('{"a":1}');
    const wrong = 'step "s" returned no "a", which it declares as output';
    expect(() => perform(declared, given.host(given.gives({})))).toThrow(wrong);
    await expect(perform(declared, given.host(given.gives(Promise.resolve({}))))).rejects.toThrow(
      wrong,
    );
  });

  it("fails with what it throws", async () => {
    const thrown = new Error("no");
    const given = new Given();
    const host = given.host(() => {
      throw thrown;
    });
    expect(() => perform(step(), host)).toThrow(thrown);
    await expect(
      perform(
        step(),
        given.host(() => Promise.reject(thrown)),
      ),
    ).rejects.toBe(thrown);
  });
});

describe("a hook", () => {
  it("gets what it is about, and only an init hook's value counts", async () => {
    const given = new Given();
    const error = { name: "E", message: "no" };
    const about = { step: "s", error, because: "it failed", slots: [1], params: { n: 1 } };
    const failure = task({ kind: "hook", hook: "onFailure", ...about, state: { x: 1 } });
    expect(await perform(failure, given.host(given.gives({ y: 2 })))).toBe("null");
    expect(given.context).toEqual({ ...COMMON, ...about, state: { x: 1 } });
    expect(given.order).toEqual(["begins", "called"]);
    const bare = task({ kind: "hook", hook: "init" });
    expect(await perform(bare, given.host(given.gives(Promise.resolve({ y: 2 }))))).toBe('{"y":2}');
    expect(given.context).toEqual({ ...COMMON, state: null });
    await expect(perform(bare, given.host(given.gives(1n)))).rejects.toThrow(
      'step "the init hook": the result is a BigInt, which JSON cannot hold',
    );
    for (const hook of ["onSuccess", "cleanup"])
      expect(await perform(task({ kind: "hook", hook }), given.host(given.gives(1n)))).toBe("null");
  });
});

describe("a cache function", () => {
  const asked = task({ kind: "cacheFunction", step: "s", params: { n: 1 }, inputs: { i: 2 } });
  it("gets the step's params and inputs, and has to give a text", async () => {
    const given = new Given();
    expect(await perform(asked, given.host(given.gives("key")))).toBe('"key"');
    expect(given.context).toEqual({
      params: { n: 1 },
      inputs: { i: 2 },
      env: { A: "1" },
      run: RUN,
    });
    expect(given.order).toEqual(["begins", "called"]);
    for (const [value, kind] of [
      [null, "null"],
      [undefined, "a undefined"],
      [7, "a number"],
      [{}, "a object"],
    ] as const)
      await expect(perform(asked, given.host(given.gives(value)))).rejects.toThrow(
        `the cache function of step "s" returned ${kind}; it has to return a text`,
      );
  });

  it("has to give one that passes whole", async () => {
    const given = new Given();
    // In quotes.
    const most = "x".repeat(ANSWER_LIMIT - 2);
    expect(await perform(asked, given.host(given.gives(most)))).toHaveLength(ANSWER_LIMIT);
    await expect(perform(asked, given.host(given.gives(`${most}x`)))).rejects.toThrow(
      /^\.\/p\.ts: the text of the cache function is [\d.]+ MiB of JSON, and at most [\d.]+ MiB/,
    );
  });
});

it("a call of an orchestrator's class has begun before the class is called", async () => {
  const given = new Given();
  class Orchestrator {
    getOrchestratorRunId(): string {
      return "o";
    }
    submitPipeline(): void {
      given.order.push("called");
    }
  }
  const call = { kind: "flavor", method: "submitPipeline", config: {}, argument: {} };
  await perform(task(call), given.host(Orchestrator));
  expect(given.order).toEqual(["begins", "called"]);
});

it("a load describes the definition", async () => {
  const given = new Given();
  const load = task({ kind: "load", code: { ...CODE, pick: "definition" } });
  expect(await perform(load, given.host({ steps: { a: { run: "true" } } }))).toBe(
    '{"kind":"pipeline","definition":{"steps":{"a":{"run":"true"}}}}',
  );
});

it("a dynamic pipeline's function gets the run's parts and its calls", async () => {
  const given = new Given();
  const asked = task({
    kind: "dynamic",
    params: { n: 1 },
    code: { ...CODE, pick: "function:" },
    state: 9,
  });
  const host = given.host(dynamicPipeline({ name: "p" }, given.gives(undefined)));
  expect(JSON.parse(await perform(asked, host))).toBeDefined();
  const { id, pipeline, scheduledFor, params, env, log, state, signal, ...calls } =
    given.context as Record<string, unknown>;
  expect({ id, pipeline, scheduledFor, params, env, log, state, signal }).toEqual({
    ...RUN,
    params: { n: 1 },
    env: { A: "1" },
    log: LOG,
    state: 9,
    signal: SIGNAL,
  });
  expect(Object.keys(calls).toSorted()).toEqual(["map", "product", "step", "submit"]);
  expect(given.order).toEqual(["begins", "called"]);
});
