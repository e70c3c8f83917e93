/** A run's hooks: when each begins, with what, how its end is written, and who is answered. */
import { describe, expect, it } from "vitest";
import type { RunHeader } from "../../src/core/event.ts";
import type { Snapshot } from "../../src/core/snapshot.ts";
import { StoredOutputs, type StagedValue, type TaskResult } from "../../src/core/task.ts";
import type { Flavor } from "../../src/orchestrators/flavors.ts";
import { HookRuns } from "../../src/run/hook-runs.ts";
import { fakeCode } from "../support/fake-pool.ts";
import { snapshotOf } from "../support/given-run.ts";
import { PlayedRun } from "../support/played-run.ts";
import { moduleStep } from "../support/run-bench.ts";

const ALL = {
  init: fakeCode("init"),
  cleanup: fakeCode("cleanup"),
  onRunFailure: fakeCode("onRunFailure"),
};
const ok = (value: unknown = null): TaskResult => ({ ok: true, value }) as TaskResult;
const inFiles = (value: unknown): TaskResult =>
  ({ ok: true, staged: { value, files: [{ file: "f1" }] } }) as unknown as {
    readonly ok: true;
    readonly staged: StagedValue;
  };
const bad = (message: string, code?: string): TaskResult => ({
  ok: false,
  outcome: "failed",
  error: code === undefined ? { name: "E", message } : { name: "E", message, code },
});

/** A run whose hooks run. */
class Hooks extends PlayedRun {
  readonly hooks: HookRuns;

  constructor(
    snapshot: Partial<Snapshot> = {},
    more: Partial<RunHeader> = {},
    flavor: Partial<Flavor> = {},
  ) {
    const steps = [moduleStep("a", { hooks: { onFailure: fakeCode("onFailure") } })];
    super(snapshotOf(steps, { hooks: ALL, ...snapshot }), more);
    this.hooks = new HookRuns(this.parts, { name: "Its", ...flavor } as Flavor);
  }

  /** @returns all that was said */
  start(hook: "init" | "cleanup" | "onRunFailure" | "onFailure", step?: string): string[] {
    return this.turn(() => this.hooks.start(hook, step, "it is due"));
  }

  /** A task ends. @returns all that was said */
  ends(id: string, result: TaskResult): string[] {
    return this.turn(() => this.handlers.get(id)!.done(result, 1, 0));
  }

  dies(id: string, alone: boolean): string[] {
    const info = { inFlight: ["x", "y"], alone, because: "it was killed", code: "C" };
    return this.turn(() => this.handlers.get(id)!.died(info));
  }

  stopped(mode: "graceful" | "force"): void {
    this.happen({ type: "run.stop_requested", mode, by: "me" });
  }
}

const INIT = "r#hook-1-init";

/** How a promise ended, where it has. */
async function now(promise: Promise<unknown>): Promise<unknown> {
  let end: unknown = "open";
  void promise.then(
    (value) => (end = value),
    (error: unknown) => (end = `rejected: ${(error as Error).message}`),
  );
  for (let n = 0; n < 20; n += 1) await Promise.resolve();
  return end;
}

describe("a hook", () => {
  it("begins once the line that made it due is durable, and counts as running before", () => {
    const run = new Hooks();
    expect(run.start("init")).toEqual(["durable", `start ${INIT}`]);
    expect([...run.hooks.running]).toEqual(["init"]);
    expect(run.hooks.idle).toBe(false);
    expect(run.ends(INIT, ok())).toEqual(['hook.completed hook="init"']);
    expect([run.hooks.running.size, run.hooks.idle]).toEqual([0, true]);
  });

  it("is given its code, why it runs, and the run's failure where that is its matter", () => {
    const run = new Hooks();
    run.happen({ type: "step.started", step: "a", attempt: 2, because: "x" });
    const error = { name: "E", message: "a failed" };
    run.happen({ type: "step.failed", step: "a", attempt: 2, error });
    run.start("cleanup");
    run.start("onRunFailure");
    run.start("onFailure", "a");
    const tasks: Record<string, unknown>[] = Array.from(run.tasks.values(), (task) => ({
      ...task,
    }));
    const all = { kind: "hook", because: "it is due", artifacts: "/artifacts" };
    expect(tasks).toMatchObject([
      { ...all, hook: "cleanup", code: ALL.cleanup, run: { id: "r", attempt: 1 } },
      { ...all, hook: "onRunFailure", code: ALL.onRunFailure, error },
      { ...all, hook: "onFailure", step: "a", error, run: { attempt: 2 } },
    ]);
    expect(tasks.map((task) => [task["error"] !== undefined, task["timeoutMs"]])).toEqual([
      [false, undefined],
      [true, undefined],
      [true, undefined],
    ]);
    expect(tasks[2]!["env"]).toMatchObject({ ORCHD_STEP: "a", ORCHD_ATTEMPT: "2" });
    expect(tasks[2]!["env"]).toHaveProperty("TRACEPARENT");
  });

  it.each<[string, (run: Hooks) => void, string]>([
    [
      "the time that was up",
      (run) => run.happen({ type: "run.timed_out", because: "1 h is over" }),
      "1 h is over",
    ],
    [
      "the submission's error",
      (run) => run.happen({ type: "submit.failed", error: { name: "E", message: "no cluster" } }),
      "no cluster",
    ],
    [
      "the init hook's error",
      (run) =>
        run.happen({ type: "hook.failed", hook: "init", error: { name: "E", message: "no db" } }),
      "no db",
    ],
  ])("for a failed run is told %s first", (_name, happens, message) => {
    const run = new Hooks();
    run.happen({ type: "step.started", step: "a", attempt: 1, because: "x" });
    const error = { name: "E", message: "a failed" };
    run.happen({ type: "step.failed", step: "a", attempt: 1, error });
    happens(run);
    run.start("onRunFailure");
    expect([...run.tasks.values()][0]).toMatchObject({ error: { message } });
  });

  it.each([
    ["force", 10_000, 10_000],
    ["force", 0, 1],
    ["graceful", 10_000, undefined],
  ] as const)("under a stop by %s with %d ms has the limit %s", (mode, gracePeriodMs, limit) => {
    const run = new Hooks({ gracePeriodMs });
    run.stopped(mode);
    run.start("cleanup");
    expect([...run.tasks.values()][0]!.timeoutMs).toBe(limit);
  });

  it("that is not there fails, with a sentence", () => {
    const run = new Hooks({ hooks: {} });
    expect(run.start("cleanup")).toEqual([
      'hook.failed "the pipeline has no hook cleanup" hook="cleanup"',
    ]);
  });

  it("gives the run's state to all that come after it, and other hooks give none", () => {
    const run = new Hooks();
    run.start("init");
    expect(run.ends(INIT, ok({ db: 1 }))).toEqual(['hook.completed hook="init" state={"db":1}']);
    run.start("cleanup");
    expect(run.tasks.get("r#hook-2-cleanup")).toMatchObject({ state: { db: 1 } });
    expect(run.ends("r#hook-2-cleanup", ok({ x: 1 }))).toEqual(['hook.completed hook="cleanup"']);
  });
});

describe("the end of a hook", () => {
  const failed = (message: string): string => `hook.failed "${message}" hook="init"`;

  it("that failed has a code, its own where it has one", () => {
    for (const [code, expected] of [
      [undefined, "ORCHD_HOOK"],
      ["MINE", "MINE"],
    ] as const) {
      const run = new Hooks();
      run.start("init");
      expect(run.ends(INIT, bad("no", code))).toEqual([failed("no")]);
      expect(run.state.initError!.code).toBe(expected);
    }
  });

  it("is heard once", () => {
    const run = new Hooks();
    run.start("init");
    run.ends(INIT, ok());
    expect(run.ends(INIT, ok())).toEqual([]);
    expect(run.ends(INIT, bad("no"))).toEqual([]);
  });

  it("with a large state waits until that is kept, and fails where it cannot be", async () => {
    const long = ok("x".repeat(100_000));
    for (const [result, asked] of [
      [long, []],
      [inFiles({ $artifact: "a" }), ["adopt f1"]],
    ] as const) {
      const run = new Hooks();
      let kept!: () => void;
      run.storing = new Promise<void>((resolve) => (kept = resolve));
      run.start("init");
      expect(run.ends(INIT, result)).toEqual(asked);
      expect(await run.later()).toEqual([]);
      expect(run.hooks.idle).toBe(false);
      kept();
      expect((await run.later())[0]).toMatch(/^hook\.completed hook="init" state=/);
      const full = new Hooks();
      full.storing = Promise.reject(new Error("no disk"));
      full.storing.catch(() => undefined);
      full.start("init");
      full.ends(INIT, result);
      expect(await full.later()).toEqual([failed("no disk")]);
    }
  });

  it("by another's doing starts it again alone; by its own it fails", () => {
    const run = new Hooks();
    run.start("init");
    expect(run.dies(INIT, false)).toEqual(["durable", "start r#hook-2-init alone"]);
    expect([...run.hooks.running]).toEqual(["init"]);
    expect(run.dies("r#hook-2-init", false)).toEqual([
      failed("the hook init ended its runner process: it was killed"),
    ]);
  });

  it("that could not be started fails", () => {
    const run = new Hooks();
    run.noStart = new Error("closed");
    run.start("init");
    expect(run.turn()).toEqual([failed("closed")]);
  });
});

describe("hooks are told to end", () => {
  const both = (): Hooks => {
    const run = new Hooks();
    for (const hook of ["init", "onRunFailure"] as const) run.start(hook);
    return run;
  };
  const stop = (because: string): string[] => [
    `stop ${INIT} force (${because})`,
    `stop r#hook-2-onRunFailure force (${because})`,
  ];

  it("once that is durable, all that run", () => {
    const run = both();
    expect(run.turn(() => run.hooks.stop("enough"))).toEqual(["durable", ...stop("enough")]);
    run.ends(INIT, ok());
    expect(run.turn(() => run.hooks.stop("enough"))).toEqual(["durable", stop("enough")[1]]);
  });

  it("by the run's time limit, but for those that look after its end", () => {
    const run = both();
    const said = run.turn(() => run.hooks.timeIsUp("1 h"));
    expect(said).toEqual(["durable", stop("1 h")[0]]);
    run.ends(INIT, ok());
    expect(run.turn(() => run.hooks.timeIsUp("1 h"))).toEqual(["durable"]);
  });

  it("while the daemon ends, and what comes then is not heard: they run again", () => {
    const run = both();
    expect(run.turn(() => run.hooks.abandon())).toEqual(["durable", ...stop("the daemon ends")]);
    expect(run.ends(INIT, ok())).toEqual([]);
    expect([run.hooks.idle, [...run.hooks.running]]).toEqual([true, ["init", "onRunFailure"]]);
    expect(run.start("cleanup")).toEqual([]);
    expect(run.turn(() => run.hooks.stop("again"))).toEqual([]);
  });

  it("at once, where nothing can be written any more", () => {
    const run = both();
    run.said.length = 0;
    run.hooks.kill("broken");
    expect(run.said).toEqual(stop("broken"));
    expect(run.ends(INIT, ok())).toEqual([]);
  });
});

describe("a hook whose secrets cannot be read", () => {
  const env = { KEY: { secret: "KEY" } };
  const none = Object.assign(new Error("EMFILE"), { code: "EMFILE" });

  it("waits a second for a descriptor, and begins", async () => {
    const run = new Hooks({ env });
    run.secrets = () => {
      throw none;
    };
    expect(run.start("init")).toEqual([]);
    await run.clock.advance(999);
    run.secrets = () => "key";
    expect(run.turn()).toEqual([]);
    await run.clock.advance(1);
    expect(run.turn()).toEqual(["durable", `start ${INIT}`]);
    expect(run.tasks.get(INIT)).toMatchObject({ secrets: ["key"], env: { KEY: "key" } });
  });

  it.each<[string, (hooks: HookRuns) => void]>([
    ["the daemon ends", (hooks) => hooks.abandon()],
    ["nothing can be written any more", (hooks) => hooks.kill("it cannot be written")],
  ])("begins no more once %s, whatever can be read then", async (_, end) => {
    const run = new Hooks({ env });
    run.secrets = () => {
      throw none;
    };
    run.start("init");
    run.turn(() => end(run.hooks));
    run.secrets = () => "key";
    await run.clock.advance(1_000);
    expect(run.turn()).toEqual([]);
  });

  it("fails under a forced stop, and where the secret is not there", () => {
    for (const [mode, error] of [
      ["force", none],
      ["graceful", new Error("there is none")],
    ] as const) {
      const run = new Hooks({ env });
      run.stopped(mode);
      run.secrets = () => {
        throw error;
      };
      const said = run.start("cleanup");
      expect(said).toEqual([expect.stringContaining("hook.failed")]);
    }
  });
});

describe("an orchestrator that asks for a hook", () => {
  it("has it run now, once, and is answered with its state once that is durable", async () => {
    const run = new Hooks();
    const answers = [run.hooks.ask("init"), run.hooks.ask("init")];
    expect(run.turn()).toEqual(["durable", `start ${INIT}`]);
    run.ends(INIT, ok({ db: 1 }));
    expect(await now(answers[0]!)).toBe("open");
    run.hooks.settle("init");
    expect(await Promise.all(answers)).toEqual([{ state: { db: 1 } }, { state: { db: 1 } }]);
    const third = run.hooks.ask("init");
    expect(run.turn()).toEqual([]);
    expect(await third).toEqual({ state: { db: 1 } });
  });

  it("is answered with a reference where the state is in a file", async () => {
    const run = new Hooks();
    const state = { $artifact: "a".repeat(64), bytes: 9 };
    run.happen({ type: "hook.completed", hook: "init", state });
    const answer = run.hooks.ask("init");
    run.turn();
    expect(await answer).toBeInstanceOf(StoredOutputs);
  });

  it("gets the hook's own error", async () => {
    const run = new Hooks();
    const error = { name: "DbError", message: "no db", code: "DB" };
    run.happen({ type: "hook.failed", hook: "init", error });
    const answer = run.hooks.ask("init");
    run.turn();
    await expect(answer).rejects.toMatchObject(error);
  });

  it("gets nothing for a cleanup whose init has not run, or that has run", async () => {
    const run = new Hooks();
    const early = run.hooks.ask("cleanup");
    expect(run.turn()).toEqual([]);
    expect(await early).toEqual({});
    run.happen({ type: "hook.completed", hook: "init", state: 1 });
    const [asked, ended] = [run.hooks.ask("cleanup"), run.hooks.ended("cleanup")];
    expect(run.turn()).toEqual(["durable", "start r#hook-1-cleanup"]);
    run.ends("r#hook-1-cleanup", ok());
    run.hooks.settle("cleanup");
    expect(await Promise.all([asked, ended])).toEqual([{}, undefined]);
    const again = run.hooks.ask("cleanup");
    expect(run.turn()).toEqual([]);
    expect(await again).toEqual({});
  });

  it("starts no init in a run that ends, and its cleanup all the same", async () => {
    const run = new Hooks();
    run.stopped("graceful");
    const init = now(run.hooks.ask("init"));
    run.turn();
    expect(await init).toBe("rejected: the run is ending: its init hook does not run");
    const cleaning = new Hooks();
    cleaning.happen({ type: "hook.completed", hook: "init" });
    cleaning.stopped("graceful");
    void cleaning.hooks.ask("cleanup");
    expect(cleaning.turn()).toEqual(["durable", "start r#hook-1-cleanup"]);
  });

  it("hears of an init that runs already, though the run ends", async () => {
    const run = new Hooks();
    run.start("init");
    run.stopped("graceful");
    const answer = run.hooks.ask("init");
    expect(run.turn()).toEqual([]);
    run.ends(INIT, ok(1));
    run.hooks.settle("init");
    expect(await answer).toEqual({ state: 1 });
  });
});

describe("a hook of the orchestrator's class", () => {
  const classes = (hooks: Snapshot["hooks"] = ALL): Hooks =>
    new Hooks({ hooks }, { orchestratorHooks: ["init", "cleanup"] }, {
      ref: { code: fakeCode("Its"), config: {} },
    } as unknown as Partial<Flavor>);
  const METHOD = "r#runInitHook-1";
  const call = (run: Hooks, method = "runInitHook"): Promise<unknown> =>
    run.handlers.get(METHOD)!.call!(method, null);

  it("is its method, given the pipeline, and its answer is the state", () => {
    const run = classes();
    expect(run.start("init")).toEqual(["durable", `start ${METHOD}`]);
    const { method, argument } = run.tasks.get(METHOD) as unknown as Record<string, unknown>;
    expect([method, argument]).toEqual(["runInitHook", run.state.snapshot]);
    expect(run.ends(METHOD, ok({ state: 5 }))).toEqual(['hook.completed hook="init" state=5']);
  });

  it("runs the pipeline's hook once, where the method asks for it", async () => {
    const run = classes();
    run.start("init");
    run.said.length = 0;
    const [first, second] = [call(run), call(run)];
    expect(run.said).toEqual(["start r#hook-1-init/own"]);
    run.ends("r#hook-1-init/own", ok({ db: 1 }));
    expect(await Promise.all([first, second])).toEqual([
      { state: { db: 1 } },
      { state: { db: 1 } },
    ]);
    // The method says nothing: what the pipeline's hook gave counts.
    expect(run.ends(METHOD, ok({}))).toEqual(['hook.completed hook="init" state={"db":1}']);
  });

  it("counts before what the pipeline's hook gave", async () => {
    const run = classes();
    run.start("init");
    const own = call(run);
    run.ends("r#hook-1-init/own", ok(1));
    await own;
    expect(run.ends(METHOD, ok({ state: 2 }))).toEqual(['hook.completed hook="init" state=2']);
  });

  it("hears of the pipeline's hook that failed, and of one that started again alone", async () => {
    const run = classes();
    run.start("init");
    const own = now(call(run));
    expect(run.dies("r#hook-1-init/own", false)).toEqual(["start r#hook-2-init/own alone"]);
    run.ends("r#hook-2-init/own", bad("no db"));
    expect(await own).toBe("rejected: no db");
    await expect(call(run)).rejects.toThrow("no db");
  });

  it("that ends before the pipeline's hook ends that one too", () => {
    const run = classes();
    run.start("init");
    void call(run);
    expect(run.ends(METHOD, ok({}))).toEqual([
      "stop r#hook-1-init/own force (the orchestrator's hook has ended)",
      'hook.completed hook="init"',
    ]);
  });

  it("by the run's time limit ends with the pipeline's hook", () => {
    const run = classes();
    run.start("init");
    void call(run);
    expect(run.turn(() => run.hooks.timeIsUp("1 h"))).toEqual([
      "durable",
      `stop ${METHOD} force (1 h)`,
      "stop r#hook-1-init/own force (1 h)",
    ]);
  });

  it("gets nothing where the pipeline has none, and calls no other method", async () => {
    const run = classes({});
    run.start("init");
    expect(await call(run)).toEqual({});
    await expect(call(run, "runStep")).rejects.toThrow(
      'a hook of an orchestrator cannot call "runStep"',
    );
  });

  it("that another task ended is called again, alone, and asks anew", () => {
    const run = classes();
    run.start("init");
    void call(run);
    expect(run.dies(METHOD, false)).toEqual(["durable", "start r#runInitHook-2 alone"]);
    run.said.length = 0;
    void run.handlers.get("r#runInitHook-2")!.call!("runInitHook", null);
    expect(run.said).toEqual(["start r#hook-2-init/own"]);
  });

  it("fails where the class is not there", () => {
    const run = new Hooks({}, { orchestratorHooks: ["init"] });
    expect(run.start("init")).toEqual([
      'hook.failed "the orchestrator Its, whose hook it is, is not there" hook="init"',
    ]);
  });
});
