/** The calls of a dynamic pipeline's function: which are recorded, held back and refused. */
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../src/core/event.ts";
import type { RunState } from "../../src/core/run-state.ts";
import type { DynamicCall, Task, TaskResult } from "../../src/core/task.ts";
import type { TaskHandlers } from "../../src/places/place.ts";
import { DynamicCalls } from "../../src/run/dynamic-calls.ts";
import type { RunParts } from "../../src/run/run-parts.ts";
import { StepWaiters } from "../../src/run/step-waiters.ts";
import { silentLog } from "../../src/log.ts";
import { GivenRun, snapshotOf } from "../support/given-run.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const CODE = { bundle: "b".repeat(64), pick: "function", source: "./p.ts" };

/** A run whose turns, writes and place are the test's. */
class Rig {
  readonly run: GivenRun;
  readonly clock = new VirtualClock();
  readonly started: { id: string; task: Task; alone: boolean; handlers: TaskHandlers }[] = [];
  readonly stops: string[] = [];
  readonly warned: string[] = [];
  readonly events: RunEvent[] = [];
  /** Calls that waited, and how they were answered. */
  readonly answers: string[] = [];
  #arrivals: (() => void)[] = [];
  /** Lines that wait until their fields are put aside. */
  readonly put: (() => void)[] = [];
  holdsPuts = false;
  readonly calls: DynamicCalls;

  /**
   * @param shared the secrets of the environment that steps share, by variable
   * @param secret reads one of the params
   */
  constructor(
    recorded: readonly DynamicCall[] = [],
    params: RunState["params"] = {},
    shared: Readonly<Record<string, string>> = {},
    secret: (name: string) => string = (name) => `the ${name}`,
  ) {
    this.run = new GivenRun(snapshotOf([], { dynamic: CODE }), params);
    for (const call of recorded)
      this.run.happen({
        type: "step.added",
        step: call.id,
        spec: { id: call.id, run: "true", inputs: {}, after: [], hooks: {}, retry: {} } as never,
        call: JSON.stringify(call),
      });
    const { run } = this;
    const emit = (event: RunEvent): string => {
      this.events.push(event);
      run.happen(event);
      return "";
    };
    const parts = {
      state: run.state,
      deps: {
        clock: this.clock,
        log: { ...silentLog, warn: (_: object, text: string) => void this.warned.push(text) },
        artifacts: { directory: "/artifacts" },
        place: {
          start: (id: string, task: Task, handlers: TaskHandlers, { alone }: { alone: boolean }) =>
            void this.started.push({ id, task, alone, handlers }),
          stop: (id: string, mode: string) => void this.stops.push(`${mode} ${id.slice(-1)}`),
        },
      },
      journal: { afterwards: (act: () => void) => act() },
      secrets: { get: (name: string) => secret(name) },
      environment: {
        shared: () => ({ env: shared, secrets: Object.values(shared) }),
        trace: {},
      },
      waiters: new StepWaiters(run.state, false),
      emit,
      emitWhole: (event: RunEvent, still: () => boolean) => {
        const fold = (): void => void (still() && emit(event));
        if (this.holdsPuts) this.put.push(fold);
        else fold();
      },
      arrive: (arrival: () => void) => void this.#arrivals.push(arrival),
      output: () => undefined,
      draining: () => false,
    } as unknown as RunParts;
    const flavor = { name: "local", capabilities: { canRunIsolatedSteps: true } };
    this.calls = new DynamicCalls(parts, flavor as never);
    this.calls.start();
  }

  /** The function asks for a step. */
  ask(id: string, more: Partial<DynamicCall> = {}, of = this.started.at(-1)!): void {
    const call = callOf(id, more);
    of.handlers.call!("step", call as never).then(
      () => void this.answers.push(`${id} taken`),
      (error: unknown) => void this.answers.push(`${id}: ${(error as Error).message}`),
    );
  }

  /** All that arrived is done, and what it makes arrive. */
  async turn(): Promise<void> {
    for (let n = 0; n < 6; n += 1) {
      for (const arrival of this.#arrivals.splice(0)) arrival();
      await new Promise((resolve) => void setImmediate(resolve));
    }
  }

  /** One turn, and nothing that comes of it. */
  once(): void {
    for (const arrival of this.#arrivals.splice(0)) arrival();
  }

  get added(): string[] {
    return this.events.flatMap((event) => (event.type === "step.added" ? [event.step] : []));
  }

  get end(): Extract<RunEvent, { type: "run.function_ended" }> | undefined {
    return this.events.find((event) => event.type === "run.function_ended");
  }

  async done(result: TaskResult): Promise<void> {
    this.started.at(-1)!.handlers.done(result, 1, 1);
    await this.turn();
  }
}

function callOf(id: string, more: Partial<DynamicCall> = {}): DynamicCall {
  return {
    id,
    name: "read",
    pick: "export:read",
    options: {},
    params: {},
    inputs: {},
    after: [],
    ...more,
  };
}

describe("a function", () => {
  it("is given the secrets of its params and of its environment, all to be masked", () => {
    const params = { token: { secret: "TOKEN" }, deep: [{ key: { secret: "KEY" } }], n: 1 };
    const rig = new Rig([], params, { PASSWORD: "open" });
    expect(rig.started[0]!.task).toMatchObject({
      params: { token: "the TOKEN", deep: [{ key: "the KEY" }], n: 1 },
      env: { PASSWORD: "open" },
      secrets: ["open", "the TOKEN", "the KEY"],
    });
    expect(new Rig().started[0]!.task).not.toHaveProperty("secrets");
  });
});

describe("a call of a function", () => {
  it("is recorded in its order, and answered when it is", async () => {
    const rig = new Rig();
    rig.holdsPuts = true;
    for (const id of ["a", "b", "c"]) rig.ask(id);
    await rig.turn();
    // The second waits until the first is in the ledger: it may name it.
    expect([rig.put.length, rig.answers]).toEqual([1, []]);
    for (let n = 0; n < 3; n += 1) {
      rig.put.shift()!();
      await rig.turn();
    }
    expect(rig.added).toEqual(["a", "b", "c"]);
    expect(rig.answers).toEqual(["a taken", "b taken", "c taken"]);
    expect(rig.events[0]).toMatchObject({ because: "the function asked for it" });
    expect(rig.events[0]).not.toHaveProperty("values");
  });

  it("has the values that it was given in its line", async () => {
    const rig = new Rig();
    rig.ask("a", { inputs: { x: { value: 7 } } });
    await rig.turn();
    expect(rig.events[0]).toMatchObject({ values: { x: 7 } });
  });

  it.each<[string, string, Partial<DynamicCall>, RegExp]>([
    ["a", "an id that was called", {}, /^a: there is an invocation "a" already; give this one/],
    [
      "n",
      "an input of no step",
      { inputs: { x: { step: "z" } } },
      /needs "z", and there is no such/,
    ],
    ["n", "after no step", { after: ["a", "y"] }, /^n: step "n" needs "y", and there is no such/],
    ["x".repeat(1_001), "a long id", {}, /: the id of an invocation may have at most 1000 charac/],
  ])("%.3s with %s is refused, and the next one taken", async (id, _, more, says) => {
    const rig = new Rig();
    rig.ask("a");
    rig.ask(id, more);
    rig.ask("last");
    await rig.turn();
    expect(rig.added).toEqual(["a", "last"]);
    expect(rig.answers.filter((answer) => !answer.endsWith("taken"))).toEqual([
      expect.stringMatching(says),
    ]);
  });

  it("may have an id of a thousand characters", async () => {
    const rig = new Rig();
    rig.ask("x".repeat(1_000));
    await rig.turn();
    expect(rig.added).toHaveLength(1);
  });

  it("is taken in with forty at once at most, and no more than 256 KiB of them", async () => {
    const many = new Rig();
    for (let n = 0; n < 95; n += 1) many.ask(`s${n}`);
    const sizes: number[] = [];
    for (let n = 0; n < 3; n += 1) {
      many.once();
      await new Promise((resolve) => void setImmediate(resolve));
      await new Promise((resolve) => void setImmediate(resolve));
      sizes.push(many.calls.running ? many.answers.length + many.added.length : 0);
    }
    await many.turn();
    expect(many.added).toHaveLength(95);
    expect(sizes[0]).toBeLessThanOrEqual(80);

    const large = new Rig();
    const text = JSON.stringify(callOf("a")).length;
    const filled = (length: number): Partial<DynamicCall> => ({
      params: { x: "y".repeat(length - text - '"x":""'.length) },
    });
    large.ask("a", filled(262_144));
    large.ask("b");
    large.once();
    expect([large.added, large.calls.running]).toEqual([["a"], true]);
    await large.turn();
    expect(large.added).toEqual(["a", "b"]);
  });

  it("of another kind is refused", async () => {
    const rig = new Rig();
    await expect(rig.started[0]!.handlers.call!("else", null)).rejects.toThrow(
      `a dynamic pipeline's function cannot call "else"`,
    );
  });

  it("of an earlier start, or after the end, is refused", async () => {
    const rig = new Rig();
    rig.ask("a");
    const first = rig.started[0]!;
    first.handlers.died({ inFlight: ["x", "y"], alone: false, because: "gone" } as never);
    await rig.turn();
    rig.ask("late", {}, first);
    await rig.turn();
    expect(rig.answers).toEqual(["a taken", "late: the run is ending"]);
    await rig.done({ ok: true, value: {} });
    rig.ask("later");
    await rig.turn();
    expect(rig.answers.at(-1)).toBe("later: the run is ending");
  });
});

describe("a function that runs again", () => {
  it("is answered from the ledger, and a new call waits until all of it was called", async () => {
    const rig = new Rig([callOf("a"), callOf("b")]);
    rig.ask("new");
    rig.ask("a");
    await rig.turn();
    expect([rig.answers, rig.added]).toEqual([["a taken"], []]);
    await rig.clock.advance(2_999);
    await rig.turn();
    rig.ask("b");
    await rig.turn();
    expect([rig.answers, rig.added]).toEqual([["a taken", "b taken", "new taken"], ["new"]]);
    expect(rig.clock.timers).toBe(0);
  });

  it("left the recorded path after three seconds without a recorded call", async () => {
    const rig = new Rig([callOf("a"), callOf("b", { name: "sum", after: ["a"] })]);
    rig.ask("new", { name: "other", params: { day: 1 } });
    await rig.turn();
    await rig.clock.advance(2_000);
    rig.ask("a");
    await rig.turn();
    // Each recorded call begins the three seconds anew.
    await rig.clock.advance(2_999);
    await rig.turn();
    expect(rig.end).toBeUndefined();
    await rig.clock.advance(1);
    await rig.turn();
    expect(rig.end!.error).toMatchObject({ name: "NondeterministicPipeline" });
    expect(rig.end!.error!.message).toContain(
      'the ledger has sum(id "b", after a), and the function now calls ' +
        'other(id "new", params {"day":1}). A function has to make the same calls',
    );
    expect(rig.answers.at(-1)).toMatch(/^new: nondeterministic pipeline/);
    expect(rig.stops).toEqual(["force 1"]);
  });

  it("has no time limit while it makes no new call", async () => {
    const rig = new Rig([callOf("a")]);
    await rig.clock.advance(60_000);
    await rig.turn();
    expect([rig.end, rig.clock.timers]).toEqual([undefined, 0]);
  });

  it("may not call with another text, nor end without a recorded call", async () => {
    const other = new Rig([callOf("a", { params: { day: 1 } })]);
    other.ask("a", { params: { day: 2 } });
    await other.turn();
    expect(other.end!.error!.message).toContain(
      'the ledger has read(id "a", params {"day":1}), and the function now calls ' +
        'read(id "a", params {"day":2})',
    );
    const without = new Rig([callOf("a"), callOf("b")]);
    without.ask("a");
    await without.turn();
    await without.done({ ok: true, value: {} });
    expect(without.end!.error!.message).toContain('read(id "b"), and the function now ended wit');
    // A failure is told as it is.
    const failed = new Rig([callOf("a")]);
    await failed.done({ ok: false, outcome: "failed", error: { name: "E", message: "no" } });
    expect(failed.end!.error).toMatchObject({ name: "E", message: "no" });
  });

  it("starts again three times, alone, where its runner died beside others", async () => {
    const rig = new Rig();
    const ended = rig.calls.ended();
    for (let n = 0; n < 4; n += 1) {
      expect(rig.started).toHaveLength(n + 1);
      rig.started[n]!.handlers.died({
        inFlight: ["x", "y"],
        alone: false,
        blameless: "the machine is gone",
        because: "it is gone",
        code: "ORCHD_RUNNER_DIED",
      } as never);
      await rig.turn();
    }
    expect(rig.started.map(({ alone }) => alone)).toEqual([false, true, true, true]);
    expect(rig.started.map(({ id }) => id.slice(-10))).toEqual([
      "function-1",
      "function-2",
      "function-3",
      "function-4",
    ]);
    expect(await ended).toMatchObject({ code: "ORCHD_RUNNER_DIED" });
    expect(rig.calls.running).toBe(false);
  });
});

it.each([false, true])(
  "a function waits for a descriptor to read its secrets by, and is stopped meanwhile: %s",
  async (isStopped) => {
    let hasNone = true;
    const none = Object.assign(new Error("EMFILE"), { code: "EMFILE" });
    const rig = new Rig([], { token: { secret: "TOKEN" } }, {}, (name) => {
      if (hasNone) throw new Error("The secret cannot be read", { cause: none });
      return `the ${name}`;
    });
    await rig.clock.advance(1_000);
    await rig.turn();
    expect([rig.started, rig.events, rig.calls.running]).toEqual([[], [], true]);
    if (isStopped) expect(rig.calls.stop("now")).toBe(false);
    hasNone = false;
    await rig.clock.advance(1_000);
    await rig.turn();
    expect(rig.started).toHaveLength(isStopped ? 0 : 1);
    expect(rig.events).toEqual(isStopped ? [{ type: "run.function_ended" }] : []);
  },
);

it("a second start knows nothing of the first but what is recorded", async () => {
  const rig = new Rig([callOf("old")]);
  rig.ask("old");
  await rig.turn();
  rig.holdsPuts = true;
  for (const id of ["a", "b"]) rig.ask(id);
  await rig.turn();
  const lost = { inFlight: ["x", "y"], alone: false, because: "gone" };
  rig.started[0]!.handlers.died(lost as never);
  await rig.turn();
  // The line of the first call is written all the same; the second was never begun.
  rig.put.shift()!();
  await rig.turn();
  expect(rig.added).toEqual(["a"]);
  rig.holdsPuts = false;
  rig.answers.length = 0;
  for (const id of ["new", "old", "a"]) rig.ask(id);
  await rig.turn();
  expect([rig.answers.toSorted(), rig.added]).toEqual([
    ["a taken", "new taken", "old taken"],
    ["a", "new"],
  ]);
  // A stop is told to this start too.
  rig.calls.stop("now");
  expect(rig.stops).toEqual(["force 2"]);
});

it("a second start records no call that the first one's function waited with", async () => {
  const rig = new Rig([callOf("old")]);
  rig.ask("new");
  await rig.turn();
  const lost = { inFlight: ["x", "y"], alone: false, because: "gone" };
  rig.started[0]!.handlers.died(lost as never);
  await rig.turn();
  rig.ask("old");
  await rig.turn();
  expect([rig.answers, rig.added]).toEqual([["old taken"], []]);
});

it("the function of a run that is over starts no more, and leaves no timer", async () => {
  const lost = { inFlight: ["x", "y"], alone: false, because: "gone" };
  const over = new Rig();
  over.calls.end();
  over.started[0]!.handlers.died(lost as never);
  await over.turn();
  expect(over.started).toHaveLength(1);
  const waiting = new Rig([callOf("a")]);
  waiting.ask("new");
  await waiting.turn();
  expect(waiting.clock.timers).toBe(1);
  waiting.calls.end();
  expect(waiting.clock.timers).toBe(0);
});

describe("a stop", () => {
  it("ends the function once, and its end is no failure", async () => {
    const rig = new Rig();
    expect([rig.calls.stop("now"), rig.calls.stop("now")]).toEqual([false, false]);
    expect(rig.stops).toEqual(["force 1"]);
    await rig.done({ ok: false, outcome: "stopped", error: { name: "S", message: "stopped" } });
    expect(rig.end).toEqual({ type: "run.function_ended" });
    expect(rig.calls.stop("again")).toBe(false);
    expect(rig.events).toHaveLength(1);
  });

  it("is its end where its runner dies of it: it does not start again", async () => {
    const rig = new Rig();
    rig.calls.stop("now");
    rig.started[0]!.handlers.died({ inFlight: ["x", "y"], alone: false } as never);
    await rig.turn();
    expect([rig.started.length, rig.end]).toEqual([1, { type: "run.function_ended" }]);
  });

  it("that nobody asked for is a failure", async () => {
    const rig = new Rig();
    await rig.done({ ok: false, outcome: "stopped", error: { name: "S", message: "stopped" } });
    expect(rig.end!.error).toMatchObject({ name: "S" });
  });

  it("before the function runs is its end", async () => {
    const rig = new Rig();
    rig.started[0]!.handlers.died({ inFlight: ["x", "y"], alone: false } as never);
    // It is about to start again: nothing runs at this moment only once the run stopped it.
    await rig.turn();
    rig.calls.end();
    expect(rig.stops).toEqual(["force 2"]);
    await rig.done({ ok: true, value: {} });
    expect(rig.events).toEqual([]);
    rig.ask("late");
    await rig.turn();
    expect(rig.answers).toEqual(["late: the run is ending"]);
  });
});

it("failures that nobody awaited are told in the log, each with its step", async () => {
  const rig = new Rig();
  const ended = rig.calls.ended();
  await rig.done({
    ok: true,
    value: {
      unawaited: [
        { id: "a", message: "no a" },
        { id: "b", message: "no b" },
      ],
    },
  });
  expect(await ended).toBeUndefined();
  expect(rig.warned).toEqual([
    "step a failed and nothing awaited it: no a",
    "step b failed and nothing awaited it: no b",
  ]);
  expect(rig.events).toEqual([{ type: "run.function_ended", unawaited: ["a", "b"] }]);
});

it.each<[string, TaskResult, unknown]>([
  ["well", { ok: true, value: {} }, undefined],
  [
    "badly",
    { ok: false, outcome: "failed", error: { name: "E", message: "no" } },
    { name: "E", message: "no" },
  ],
])("who asks for the end after a function ended %s hears of it too", async (_, result, error) => {
  const rig = new Rig();
  await rig.done(result);
  const heard: unknown[] = [];
  void rig.calls.ended().then((end) => void heard.push(end));
  await rig.turn();
  expect(heard).toEqual([error]);
});
