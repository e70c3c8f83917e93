/**
 * What a step that may start comes to, beside a played cache: its condition, the result that is
 * used in its place and why, its key, and the task that it is started with.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ArtifactRef } from "../../src/core/artifact-ref.ts";
import { cacheKeyParts, contentHash, type CacheKeyParts } from "../../src/core/cache-key.ts";
import type { RunHeader } from "../../src/core/event.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { sha256 } from "../../src/core/sha256.ts";
import type { Json, Snapshot, SnapshotStep } from "../../src/core/snapshot.ts";
import { wholeTask } from "../../src/core/task-frame.ts";
import type { CacheFunctionTask, Task, TaskResult } from "../../src/core/task.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import type { ValueJob } from "../../src/ledger/value-job.ts";
import { RunEnvironment } from "../../src/run/environment.ts";
import {
  isCacheEnabled,
  prepareStep,
  taskOf,
  type Preparation,
  type PreparationContext,
} from "../../src/run/step-preparation.ts";
import { fakeCode } from "../support/fake-pool.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { moduleStep } from "../support/run-bench.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const SLOT = "2026-11-23T02:00:00.000Z";
const CACHE = {
  fileDependencies: [],
  ignoredInputs: [],
  includeStepCode: true,
  acrossSlots: false,
} as const;
const HIT = { source: { run: "p@before", step: "there" }, outputs: {}, values: {} } as never;

/** A run of these steps, and what its preparations ask. */
class Prepared {
  readonly run: GivenRun;
  readonly asked: unknown[][] = [];
  readonly clock = new VirtualClock();
  readonly abort = new AbortController();
  /** What the cache answers. */
  reused: unknown;
  changed: string | undefined;
  explained: string | undefined;
  answer: unknown = {};
  startedWith: unknown;
  /** What the cache function's call comes to. */
  called: TaskResult | Error = { ok: true, value: "salt" };
  parts!: CacheKeyParts;
  readonly context: PreparationContext;
  readonly artifacts = new Artifacts(join(tempRoot().runs, "artifacts"));

  constructor(
    steps: readonly SnapshotStep[],
    more: Partial<RunHeader> = {},
    snapshot: Partial<Snapshot> = {},
  ) {
    this.run = new GivenRun(snapshotOf(steps, snapshot));
    this.run.happen({ type: "run.started", because: "x" });
    Object.assign(this.run.state, { params: {}, ...more });
    const { state } = this.run;
    const secrets = { get: (name: string) => `the ${name}` };
    const ask = (word: string, ...given: unknown[]): void => void this.asked.push([word, ...given]);
    const results = {
      outputHash: (outputs: object, name?: string) => `${JSON.stringify(outputs)} ${name}`,
      startedWith: (_state: object, id: string) => (ask("startedWith", id), this.startedWith),
      reuse: (...given: unknown[]) => (ask("reuse", ...given), this.reused),
      changedSince: (before: string, id: string) => (ask("changed", before, id), this.changed),
      explain: (_state: object, id: string) => (ask("explain", id), this.explained),
      lookup: (...given: unknown[]) => (ask("lookup", ...given), this.answer),
    };
    this.context = {
      results,
      keys: { of: (parts: CacheKeyParts) => ((this.parts = parts), "key") },
      environment: new RunEnvironment(state, secrets, { PATH: "/bin", HOME: "/me", LANG: "C" }),
      frames: { of: () => undefined },
      enableCache: true,
      signal: this.abort.signal,
      secrets,
      output: () => undefined,
      deps: {
        clock: this.clock,
        artifacts: this.artifacts,
        settings: { ...DEFAULT_SETTINGS, project: "mine" },
        place: { imageId: () => Promise.resolve("1".repeat(64)) },
      },
      callCacheFunction: (task: CacheFunctionTask) => {
        ask("cacheFunction", task);
        return this.called instanceof Error
          ? Promise.reject(this.called)
          : Promise.resolve(this.called);
      },
    } as unknown as PreparationContext;
  }

  started(step: string): this {
    this.run.happen({ type: "step.started", step, attempt: 1, because: "x" });
    return this;
  }

  /** These outputs of a step that has completed. */
  done(step: string, outputs: { readonly [name: string]: Json } | ArtifactRef): this {
    this.started(step).run.happen({
      type: "step.completed",
      step,
      attempt: 1,
      outputs: { ...outputs },
      durationMs: 1,
    });
    return this;
  }

  prepare(step: string, attempt = 1): Preparation | Promise<Preparation> {
    const { state } = this.run;
    return prepareStep(state, state.steps.get(step)!, attempt, this.context);
  }

  /** What a step starts with. */
  async task(step: string): Promise<Task> {
    const preparation = await this.prepare(step);
    if (preparation.kind !== "start") throw new Error(JSON.stringify(preparation));
    return wholeTask(preparation.task);
  }
}

const said = (preparation: Preparation): unknown[] =>
  preparation.kind === "start"
    ? ["start", preparation.cacheKey, preparation.note]
    : preparation.kind === "cached"
      ? ["cached", preparation.cacheKey, preparation.because]
      : Object.values(preparation);

describe("whether earlier results are used", () => {
  const shell = stepSpec("a");
  const module = moduleStep("a");
  it.each<[SnapshotStep, boolean | undefined, boolean, boolean]>([
    [module, undefined, true, true],
    [module, undefined, false, false],
    [module, false, true, false],
    [module, true, false, true],
    [{ ...module, enableCache: false }, true, true, false],
    [{ ...module, enableCache: true }, false, false, true],
    [shell, true, true, false],
    [{ ...shell, cache: CACHE }, false, false, true],
    [{ ...shell, cache: CACHE, enableCache: false }, true, true, false],
    [{ ...shell, code: fakeCode("a") }, undefined, true, true],
  ])("of %j, its pipeline %s, its orchestrator %s: %s", (spec, pipeline, orchestrator, is) => {
    const { state } = new GivenRun(snapshotOf([spec]));
    Object.assign(state.snapshot, { enableCache: pipeline });
    expect(isCacheEnabled(state, spec, orchestrator)).toBe(is);
  });
});

describe("a condition", () => {
  const of = (when: string, more: Partial<SnapshotStep> = {}) =>
    new Prepared([stepSpec("a"), stepSpec("b", { when, ...more })], { params: { env: "test" } });

  it("that does not hold skips the step, and one that cannot be asked fails it", async () => {
    const no = of('params.env == "prod"');
    expect(await no.prepare("b")).toEqual({
      kind: "skip",
      because: 'its condition does not hold: params.env == "prod"',
    });
    const bad = await of("params.env ==").prepare("b");
    expect(bad).toMatchObject({
      kind: "fail",
      error: { name: "ConditionError", code: "ORCHD_BAD_INPUT" },
    });
    expect((bad as { error: Error }).error.message).toMatch(/^the condition of step "b" /);
    expect((bad as { error: Error }).error).not.toHaveProperty("stack");
    expect(await of('params.env == "test"').prepare("b")).toMatchObject({ kind: "start" });
  });

  it("reads an input that is in a file, and no file that it does not read", async () => {
    for (const [when, kind, files] of [
      ["inputs.x == 7", "start", ["x"]],
      ["inputs.x == 8", "skip", ["x"]],
      ["inputs.z == 1", "start", []],
      ["inputs.x == 7 && inputs.y == 8", "start", ["x", "y"]],
    ] as const) {
      const prepared = of(when, {
        inputs: {
          x: { step: "a", output: "one" },
          y: { step: "a", output: "two" },
          z: { step: "a", output: "three" },
        },
      });
      const [one, two] = [await prepared.artifacts.put(7), await prepared.artifacts.put(8)];
      prepared.done("a", { one: { ...one }, two: { ...two }, three: 1 });
      expect(await prepared.prepare("b")).toMatchObject({ kind });
      // So large that it is asked beside the daemon's thread.
      const large = { ...one, bytes: 262_145 };
      const other = of(when, prepared.run.state.steps.get("b")!.spec);
      other.done("a", { one: large, two: large, three: 1 });
      const jobs: ValueJob[] = [];
      const ask = (job: ValueJob) => {
        jobs.push(job);
        return Promise.resolve({ ok: true, holds: kind === "start" });
      };
      Object.assign(other.context.deps, { values: { ask } });
      expect(await other.prepare("b")).toMatchObject({ kind });
      expect(jobs.flatMap((job) => (job.kind === "holds" ? job.stored : []))).toMatchObject(
        files.length === 0 ? [] : [{ step: "a", inputs: named(files) }],
      );
    }
  });
  const named = (files: readonly string[]): object =>
    Object.fromEntries(files.map((name) => [name, name === "x" ? "one" : "two"]));
});

describe("a step that its cache may answer", () => {
  const none: Partial<SnapshotStep> = {};
  type Plays = Partial<Pick<Prepared, "reused" | "changed" | "explained" | "answer">>;
  const reuse = { a: "p@before" };
  const trigger = (more: object) => ({ trigger: { kind: "manual", ...more } }) as never;
  const off = { enableCache: false };

  it.each<[string, Partial<SnapshotStep>, object, Plays, unknown[], string[]]>([
    [
      "has no earlier result",
      none,
      {},
      {},
      ["start", "key", "no earlier result"],
      ["startedWith", "explain", "lookup"],
    ],
    [
      "is told what changed",
      none,
      {},
      { explained: "its params changed" },
      ["start", "key", "its params changed"],
      ["startedWith", "explain", "lookup"],
    ],
    [
      "is told why a result cannot be used, before what changed",
      none,
      {},
      { explained: "its params changed", answer: { miss: "it is too old" } },
      ["start", "key", "it is too old"],
      ["startedWith", "explain", "lookup"],
    ],
    [
      "is answered",
      none,
      {},
      { answer: { hit: HIT } },
      ["cached", "key", 'nothing changed since step "there" of p@before'],
      ["startedWith", "explain", "lookup"],
    ],
    [
      "has caching off for the run",
      none,
      trigger({ noCache: true }),
      { answer: { hit: HIT } },
      ["start", "key", "caching is off for this run"],
      ["startedWith", "explain"],
    ],
    ["has caching off", off, {}, { answer: { hit: HIT } }, ["start", "key", undefined], []],
    [
      "is taken over in a re-run, whether or not it has caching",
      off,
      { reuse },
      { reused: HIT },
      ["cached", "key", "taken over from p@before"],
      ["reuse"],
    ],
    [
      "changed since the run that is run again",
      off,
      { reuse },
      { changed: "its code changed" },
      ["start", "key", "its code changed"],
      ["reuse", "changed"],
    ],
    [
      "changed since then, and is in the cache",
      none,
      { reuse },
      { changed: "its code changed", explained: "another" },
      ["start", "key", "its code changed"],
      ["startedWith", "reuse", "changed", "lookup"],
    ],
    [
      "is to run again",
      none,
      trigger({ from: "x" }),
      { answer: { hit: HIT } },
      ["start", "key", 'the re-run is from step "x" on'],
      ["startedWith"],
    ],
    [
      "stands before the step from which it is run again",
      off,
      { reuse, ...(trigger({ from: "x" }) as object) },
      {},
      ["start", "key", undefined],
      ["reuse", "changed"],
    ],
  ])("%s", async (_, more, header, plays, expected, asked) => {
    const prepared = new Prepared([moduleStep("a", more)], header);
    Object.assign(prepared, plays);
    expect(said(await prepared.prepare("a"))).toEqual(expected);
    expect(prepared.asked.map(([word]) => word)).toEqual(asked);
  });

  it("is asked about under its key, with its expiry and the time of now", async () => {
    const prepared = new Prepared([moduleStep("a", { cache: { ...CACHE, expiresAfterMs: 5 } })]);
    await prepared.prepare("a");
    expect(prepared.asked.at(-1)).toEqual(["lookup", "key", 5, prepared.clock.now()]);
    // What an earlier daemon started it with is its key.
    prepared.startedWith = { key: "before", parts: {} };
    expect(said(await prepared.prepare("a"))).toEqual(["start", "before", "no earlier result"]);
  });

  it("and was tried before is not answered", async () => {
    const prepared = new Prepared([moduleStep("a")]);
    prepared.answer = { hit: HIT };
    expect(said(await prepared.prepare("a", 2))).toEqual(["start", "key", undefined]);
    prepared.started("a").run.fail("a");
    expect(prepared.run.state.steps.get("a")!.attempts).toHaveLength(1);
    expect(said(await prepared.prepare("a", 1))).toEqual(["start", "key", undefined]);
  });
});

describe("a key", () => {
  it("is made of all that decides the result", async () => {
    const spec = moduleStep("b", {
      params: { of: "${run.id}", n: 1 },
      env: { OWN: "${run.scheduledFor}" },
      inputs: { x: { step: "a" }, y: { step: "a", output: "named" } },
    });
    const prepared = new Prepared(
      [moduleStep("a"), spec],
      { trigger: { kind: "schedule", scheduledFor: SLOT } } as never,
      { env: { SET: "1" }, baseEnv: { BASE: "2" } },
    );
    prepared.done("a", { result: 1 });
    Object.assign(prepared.run.state.steps.get("b")!, { values: { direct: [1] } });
    await prepared.prepare("b");
    const { run } = prepared.run.state;
    expect(prepared.parts).toEqual(
      cacheKeyParts(spec, {
        project: "mine",
        params: { of: run, n: 1 },
        inputs: {
          x: '{"result":1} result',
          y: '{"result":1} named',
          direct: contentHash([1]),
        },
        env: { BASE: "2", SET: "1", OWN: SLOT },
        files: [],
        scheduledFor: SLOT,
      }),
    );
  });

  it("needs outputs of what it reads", async () => {
    const step = moduleStep("b", { inputs: { x: { step: "a" } } });
    const preparation = await new Prepared([moduleStep("a"), step]).prepare("b");
    expect(preparation).toMatchObject({
      kind: "fail",
      error: {
        name: "InputError",
        code: "ORCHD_BAD_INPUT",
        message: 'input "x" of step "b" comes from step "a", which has no output',
      },
    });
  });

  it("has the hash of each file, from the pipeline's folder or by its whole path", async () => {
    const { root } = tempRoot();
    mkdirSync(join(root, "data"));
    for (const name of ["a", "b"]) writeFileSync(join(root, "data", name), name);
    const fileDependencies = ["data/a", join(root, "data/b")];
    const step = moduleStep("a", { cache: { ...CACHE, fileDependencies } });
    const prepared = new Prepared([step], {}, { file: join(root, "p.yaml") });
    await prepared.prepare("a");
    const hashOf = (text: string): string => sha256(Buffer.from(text));
    expect(prepared.parts.files).toEqual([
      ["data/a", hashOf("a")],
      [join(root, "data/b"), hashOf("b")],
    ]);
  });

  it("cannot be known where a large file goes as it is about to be read", async () => {
    const path = join(tempRoot().root, "large");
    writeFileSync(path, "x".repeat(262_145));
    const cache = { ...CACHE, fileDependencies: [path] };
    const it = new Prepared([moduleStep("a", { cache })]);
    const preparation = it.prepare("a");
    rmSync(path);
    expect(await preparation).toEqual({
      kind: "fail",
      error: expect.objectContaining({
        name: "FileDependencyError",
        code: "ORCHD_FILE_DEPENDENCY",
        message: `the file dependency ${path} is not there (${path})`,
      }) as unknown,
    });
  });
});

describe("a cache function", () => {
  const code = fakeCode("salt");
  const cached = (more: Partial<SnapshotStep> = {}, header: Partial<RunHeader> = {}) =>
    new Prepared(
      [
        stepSpec("a"),
        moduleStep("b", {
          cache: { ...CACHE, cacheFunction: code },
          params: { n: 1 },
          inputs: { x: { step: "a" } },
          env: { KEY: { secret: "KEY" } },
          ...more,
        }),
      ],
      header,
    ).done("a", { result: 3 });

  it("is given what its step is given, and its answer is part of the key", async () => {
    const prepared = cached();
    await prepared.prepare("b");
    const { run } = prepared.run.state;
    expect(prepared.asked[0]).toMatchObject([
      "cacheFunction",
      {
        kind: "cacheFunction",
        code,
        params: { n: 1 },
        inputs: { x: 3 },
        env: { KEY: "the KEY", ORCHD_STEP: "b", ORCHD_ATTEMPT: "1" },
        secrets: ["the KEY"],
        artifacts: prepared.artifacts.directory,
        run: { id: run, pipeline: "p", attempt: 1 },
        step: "b",
        gracePeriodMs: 10_000,
      },
    ]);
    expect(prepared.parts.cacheFunction).toBe("salt");
  });

  const error = { name: "TypeError", message: "no", code: "MINE" };
  it.each<[string, TaskResult | Error, object]>([
    [
      "threw",
      { ok: false, outcome: "failed", error },
      { name: "TypeError", code: "MINE", message: "the cache function failed: no" },
    ],
    [
      "gave no text",
      { ok: true, value: 7 },
      {
        name: "CacheFunctionError",
        code: "ORCHD_BAD_INPUT",
        message: "the cache function ./salt.ts gave 7; it has to give a string",
      },
    ],
    ["was cut short", new Error("cut"), { name: "Error", message: "cut" }],
  ])("that %s fails a step with caching, and no other", async (_, result, fault) => {
    const prepared = cached();
    prepared.called = result;
    expect(await prepared.prepare("b")).toMatchObject({ kind: "fail", error: fault });
    const off = cached({ enableCache: false });
    off.called = result;
    expect(said(await off.prepare("b"))).toEqual(["start", undefined, undefined]);
  });

  it.each([{}, { enableCache: false }])("is dropped with its run: %j", async (more) => {
    const prepared = cached(more);
    prepared.called = new Error("the run starts no more steps");
    const preparation = prepared.prepare("b");
    prepared.abort.abort();
    expect(await preparation).toEqual({ kind: "dropped" });
    // And one that has not begun is not begun.
    expect(prepared.prepare("b")).toEqual({ kind: "dropped" });
    expect(prepared.asked.filter(([word]) => word === "cacheFunction")).toHaveLength(1);
  });
});

describe("the task of a step", () => {
  const env = (step: string, run: string, more: object = {}) => ({
    ORCHD_STEP: step,
    ORCHD_ATTEMPT: "1",
    ORCHD_RUN_ID: run,
    ORCHD_ORCHESTRATOR_RUN_ID: "o",
    ORCHD_PIPELINE: "p",
    ORCHD_SCHEDULED_FOR: "",
    PATH: "/bin",
    HOME: "/me",
    LANG: "C",
    ...more,
  });

  it.each<[string, Partial<SnapshotStep>, object]>([
    ["plain", {}, {}],
    [
      "of its own shell and folder",
      { shell: ["/bin/bash"], cwd: "/x" },
      { shell: ["/bin/bash"], cwd: "/x" },
    ],
    ["with limits", { timeoutMs: 5, memoryMb: 6 }, { timeoutMs: 5, memoryMb: 6 }],
    ["with named outputs", { outputs: ["one"] }, { outputs: ["one"] }],
  ])("in a shell, %s", async (_, more, expected) => {
    const spec = stepSpec("a", { run: "date", ...more });
    const prepared = new Prepared([spec]);
    const task = await prepared.task("a");
    const { run } = prepared.run.state;
    expect(task).toEqual({
      kind: "shell",
      text: "date",
      shell: ["/bin/sh", "-eu"],
      cwd: "/nowhere",
      params: {},
      inputs: {},
      env: env("a", run),
      run: { id: run, pipeline: "p", attempt: 1 },
      step: "a",
      gracePeriodMs: 10_000,
      artifacts: prepared.artifacts.directory,
      trace: prepared.context.environment.trace,
      ...expected,
    });
  });

  it("of a module has the init hook's value, and its secrets as values", async () => {
    const step = moduleStep("a", { params: { key: { secret: "KEY" } }, isolated: true });
    const prepared = new Prepared([step]);
    Object.assign(prepared.run.state, { hookState: { db: 1 } });
    expect(await prepared.task("a")).toMatchObject({
      kind: "module",
      code: step.code,
      isolated: true,
      state: { db: 1 },
      params: { key: "the KEY" },
      secrets: ["the KEY"],
    });
    // Each attempt of an earlier daemon is made again as it was.
    const { state } = prepared.run;
    prepared.started("a");
    const again = taskOf(state, state.steps.get("a")!, prepared.context);
    expect(again).toMatchObject({ params: { key: "the KEY" }, run: { attempt: 1 } });
  });

  it("elsewhere has no PATH, HOME and folder of this machine, unless they are set", async () => {
    const far = { on: ["gpu"] };
    const container = { container: { image: "i:1", pull: "missing" } as never };
    const set = { env: { PATH: "/there" } };
    for (const make of [stepSpec, moduleStep])
      for (const [where, more] of [
        [far, {}],
        [far, set],
        [container, {}],
      ] as const) {
        const prepared = new Prepared([make("a", { ...where, ...more, enableCache: false })]);
        const task = (await prepared.task("a")) as Task & { cwd?: string };
        expect(task).toMatchObject(where);
        expect([task.env["HOME"], task.env["PATH"]]).toEqual([
          undefined,
          more === set ? "/there" : undefined,
        ]);
        const folder = where === far ? "" : "/nowhere";
        expect(task.cwd).toBe(make === stepSpec ? folder : undefined);
      }
  });

  it("is a frame of its kind but for what no other step has", async () => {
    const frame = {
      code: fakeCode("a"),
      isolated: false,
      run: { id: "r", pipeline: "p" },
      env: {},
    };
    const plain = {};
    for (const [more, isFramed] of [
      [plain, true],
      [{ timeoutMs: 5 }, false],
      [{ memoryMb: 5 }, false],
      [{ env: { A: "1" } }, false],
      [{ params: { key: { secret: "KEY" } } }, false],
      [{ container: { image: "i:1", pull: "missing" }, enableCache: false }, false],
    ] as const) {
      const prepared = new Prepared([moduleStep("a", more as never)]);
      Object.assign(prepared.context, { frames: { of: () => frame } });
      const preparation = await prepared.prepare("a");
      const { task } = preparation as { task: object };
      expect("frame" in task, JSON.stringify(more)).toBe(isFramed);
    }
  });

  it("has inputs from files by their names, each file once", async () => {
    const inputs = {
      whole: { step: "a" },
      one: { step: "a", output: "one" },
      plain: { step: "a", output: "plain" },
      two: { step: "b", output: "two" },
      other: { step: "b", output: "other" },
    };
    const first = moduleStep("a", { outputs: ["one", "plain"] });
    const second = moduleStep("b", { outputs: ["two", "other"] });
    const prepared = new Prepared([first, second, moduleStep("c", { inputs, memoryMb: 1 })]);
    const ref = { $artifact: "a".repeat(64), bytes: 9 };
    const whole = { $artifact: "b".repeat(64), bytes: 8 };
    prepared.done("a", { one: ref, plain: 1 }).done("b", whole);
    Object.assign(prepared.run.state.steps.get("c")!, { values: { direct: 2 } });
    expect(await prepared.task("c")).toMatchObject({
      inputs: { whole: null, one: null, plain: 1, two: null, other: null, direct: 2 },
      stored: [
        { step: "a", outputs: { one: ref, plain: 1 }, inputs: { whole: null, one: "one" } },
        { step: "b", outputs: whole, inputs: { two: "two", other: "other" } },
      ],
    });
    // Of a step whose outputs are apart, the files that are read alone.
    const apart = new Prepared([
      moduleStep("a", { outputs: ["one", "two", "three"] }),
      moduleStep("c", {
        inputs: { x: { step: "a", output: "one" }, y: { step: "a", output: "two" } },
      }),
    ]).done("a", { one: ref, two: whole, three: ref });
    expect(await apart.task("c")).toMatchObject({
      stored: [{ step: "a", outputs: { one: ref, two: whole }, inputs: { x: "one", y: "two" } }],
    });
  });
});
