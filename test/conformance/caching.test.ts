/** Conformance 1 to 17: caching (docs/zenml.md "Cache"). */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cacheKey, cacheKeyParts, type CacheKeyFacts } from "../../src/core/cache-key.ts";
import type { CacheSettings, Json, SnapshotStep } from "../../src/core/snapshot.ts";
import type { Trigger } from "../../src/core/event.ts";
import { fakeCode, held } from "../support/fake-pool.ts";
import { moduleStep, type Ended } from "../support/run-bench.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FLAVORS, submissions, World, MinimalOrchestrator } from "./world.ts";
import type { FakeClass } from "../support/fake-pool.ts";

const cache = (more: Partial<CacheSettings> = {}): CacheSettings => ({
  acrossSlots: false,
  fileDependencies: [],
  ignoredInputs: [],
  includeStepCode: true,
  ...more,
});
const scheduled: Trigger = { kind: "schedule", scheduledFor: "2026-11-23T02:00:00.000Z" };

/** The init hooks of a run; a class may have a cleanup hook besides. */
const initsOf = (ended: Ended) => ended.of("hook.completed").filter(({ hook }) => hook === "init");

describe.each(FLAVORS)("caching with $name", (flavor) => {
  const count = (): { calls: number; functions: { [name: string]: () => Json } } => {
    const counted = { calls: 0, functions: { work: (): Json => (counted.calls += 1) } };
    return counted;
  };

  it("1. is on by default", async () => {
    const world = new World(flavor, count().functions);
    expect((await world.run([moduleStep("a", { does: "work" })])).statuses()).toEqual({
      a: "completed",
    });
    const second = await world.run([moduleStep("a", { does: "work" })]);
    expect(second.statuses()).toEqual({ a: "cached" });
    expect(second.status).toBe("completed");
  });

  it("2. the step's setting counts, else the pipeline's, else the orchestrator's", async () => {
    const Off = class extends MinimalOrchestrator {
      override get capabilities() {
        return { enableCache: false };
      }
    } as unknown as FakeClass;
    const off =
      flavor.ref.code === undefined
        ? flavor
        : { ...flavor, classes: { [flavor.ref.code.pick]: Off } };
    const world = new World(
      off,
      count().functions,
      flavor.ref.code === undefined ? { settings: { enableCache: false } } : {},
    );
    const statuses = async (step?: boolean, pipeline?: boolean): Promise<string | undefined> => {
      const steps = [
        moduleStep("a", { does: "work", ...(step === undefined ? {} : { enableCache: step }) }),
      ];
      return (
        await world.run(steps, {}, pipeline === undefined ? {} : { enableCache: pipeline })
      ).statuses()["a"];
    };
    expect(await statuses()).toBe("completed");
    expect(await statuses()).toBe("completed");
    expect(await statuses(undefined, true)).toBe("cached");
    expect(await statuses(false, true)).toBe("completed");
    expect(await statuses(true, false)).toBe("cached");
  });

  it("5. the key is the same when an ignored input changes", async () => {
    let given = 0;
    const world = new World(flavor, { up: () => (given += 1), work: ({ inputs }) => inputs["x"] });
    const steps = (ignored: string[]): SnapshotStep[] => [
      moduleStep("up", { enableCache: false }),
      moduleStep("a", {
        does: "work",
        inputs: { x: { step: "up" } },
        cache: cache({ ignoredInputs: ignored }),
      }),
    ];
    await world.run(steps(["x"]));
    expect((await world.run(steps(["x"]))).statuses()["a"]).toBe("cached");
    const taken = await world.run(steps([]));
    expect(taken.statuses()["a"]).toBe("completed");
    const again = await world.run(steps([]));
    expect(again.of("step.started", "a")[0]).toMatchObject({
      because: expect.stringContaining('input "x" changed'),
    });
  });

  it("4. the same content from another run has the same key", async () => {
    const world = new World(flavor, {
      first: () => ({ b: 1, a: 2 }),
      second: () => ({ a: 2, b: 1 }),
      work: () => "done",
    });
    const steps = (from: string): SnapshotStep[] => [
      moduleStep(from),
      moduleStep("a", { does: "work", inputs: { x: { step: from } } }),
    ];
    await world.run(steps("first"));
    expect((await world.run(steps("second"))).statuses()).toEqual({
      second: "completed",
      a: "cached",
    });
  });

  it("6. changed code keeps the key under includeStepCode: false; else it is named", async () => {
    const world = new World(flavor, count().functions);
    const step = (bundle: string, withCode: boolean): SnapshotStep =>
      moduleStep("a", { does: "work", bundle, cache: cache({ includeStepCode: withCode }) });
    await world.run([step("one", false)]);
    expect((await world.run([step("two", false)])).statuses()["a"]).toBe("cached");
    await world.run([step("one", true)]);
    const changed = await world.run([step("two", true)]);
    expect(changed.of("step.started")[0]).toMatchObject({
      because: expect.stringContaining("code changed"),
    });
  });

  it("7. a missing file dependency fails the step; a changed one changes the key", async () => {
    const { root } = tempRoot();
    const world = new World(flavor, count().functions);
    const run = () =>
      world.run(
        [moduleStep("a", { does: "work", cache: cache({ fileDependencies: ["./words.txt"] }) })],
        {},
        { file: join(root, "p.yaml") },
      );
    const missing = await run();
    expect(missing.status).toBe("failed");
    expect(missing.of("step.failed")[0]).toMatchObject({
      error: { code: "ORCHD_FILE_DEPENDENCY", message: expect.stringContaining("words.txt") },
    });
    expect(world.ran()).toEqual([]);
    writeFileSync(join(root, "words.txt"), "one");
    expect((await run()).statuses()["a"]).toBe("completed");
    expect((await run()).statuses()["a"]).toBe("cached");
    writeFileSync(join(root, "words.txt"), "two");
    expect((await run()).of("step.started")[0]).toMatchObject({
      because: expect.stringContaining('file "./words.txt" changed'),
    });
  });

  it("8. takes the newest of two candidates", async () => {
    const world = new World(flavor, count().functions);
    await world.run([moduleStep("a", { does: "work", enableCache: false })]);
    const newer = await world.run([moduleStep("a", { does: "work", enableCache: false })]);
    const hit = await world.run([moduleStep("a", { does: "work" })]);
    expect(hit.of("step.cached")[0]).toMatchObject({
      source: { run: newer.run, step: "a" },
      outputs: { result: 2 },
    });
  });

  it("9. neither a cached nor a failed step is a candidate", async () => {
    let broken = true;
    const world = new World(flavor, {
      work: () => {
        if (broken) throw new Error("no");
        return 1;
      },
    });
    const steps = [moduleStep("a", { does: "work" })];
    expect((await world.run(steps)).status).toBe("failed");
    broken = false;
    const first = await world.run(steps);
    expect(first.statuses()["a"]).toBe("completed");
    const cached = await world.run(steps);
    // The index may name the cached step: it is not believed.
    const { cacheKey, at } = cached.of("step.cached")[0]!;
    world.deps.cacheIndex.recordAll([[String(cacheKey), { run: cached.run, step: "a", at }]]);
    expect((await world.run(steps)).of("step.cached")[0]).toMatchObject({
      source: { run: first.run },
    });
    rmSync(world.store.runLedger(first.run));
    await world.deps.cacheIndex.flush();
    const later = new World(flavor, { work: () => 2 }, { runsDir: world.store.runsDir });
    const miss = await later.run(steps);
    expect(miss.statuses()["a"]).toBe("completed");
    expect(miss.of("step.started")[0]).toMatchObject({
      because: expect.stringContaining("output missing"),
    });
  });

  it("10. expires, counted from the producer's start", async () => {
    const clock = new VirtualClock();
    const slow = held();
    const world = new World(flavor, { work: slow }, { clock });
    const steps = [moduleStep("a", { does: "work", cache: cache({ expiresAfterMs: 60_000 }) })];
    const loop = await world.begin(steps);
    await slow.began;
    await clock.advance(50_000);
    slow.release(1);
    await loop.finished;
    await clock.advance(9_000);
    expect((await world.run(steps)).statuses()["a"]).toBe("cached");
    await clock.advance(2_000);
    const expired = await world.run(steps);
    expect(expired.of("step.started")[0]).toMatchObject({
      because: expect.stringContaining("expired"),
    });
  });

  it("10b. expires, of a step with retries, counted from the attempt that gave it", async () => {
    const clock = new VirtualClock();
    let calls = 0;
    const work = (): number => {
      calls += 1;
      if (calls === 1) throw new Error("not yet");
      return calls;
    };
    const world = new World(flavor, { work }, { clock });
    const steps = [
      moduleStep("a", {
        does: "work",
        cache: cache({ expiresAfterMs: 60_000 }),
        retry: { maxRetries: 1, delayMs: 50_000, backoff: 1, jitter: 0 },
      }),
    ];
    const loop = await world.begin(steps);
    await clock.until(() => loop.state.finished !== undefined);
    expect(loop.state.steps.get("a")).toMatchObject({ attempt: 2, status: "completed" });
    await clock.advance(59_000);
    expect((await world.run(steps)).statuses()["a"]).toBe("cached");
    await clock.advance(1_000);
    expect((await world.run(steps)).statuses()["a"]).toBe("completed");
  });

  it("11. 1 -> {2, 3 uncached}, 3 -> 4: a second run submits exactly {3, 4}", async () => {
    const world = new World(flavor, { work: () => 1, fresh: () => Math.random() });
    const steps = [
      moduleStep("s1", { does: "work" }),
      moduleStep("s2", { does: "work", params: { n: 2 }, inputs: { x: { step: "s1" } } }),
      moduleStep("s3", { does: "fresh", enableCache: false, inputs: { x: { step: "s1" } } }),
      moduleStep("s4", { does: "work", params: { n: 4 }, inputs: { x: { step: "s3" } } }),
    ];
    await world.run(steps);
    world.ran();
    const second = await world.run(steps);
    expect(second.statuses()).toEqual({
      s1: "cached",
      s2: "cached",
      s3: "completed",
      s4: "completed",
    });
    expect(world.ran()).toEqual(["s3", "s4"]);
    if (flavor.ref.code !== undefined)
      expect(submissions.at(-1)).toEqual({
        run: second.run,
        steps: ["s3", "s4"],
        status: "initializing",
      });
  });

  it("12. all cached: completed; neither the orchestrator nor the init hook runs", async () => {
    const world = new World(flavor, { ...count().functions, open: () => "state" });
    const steps = [
      moduleStep("a", { does: "work" }),
      moduleStep("b", { does: "work", params: { n: 2 }, needs: ["a"] }),
    ];
    const hooks = { hooks: { init: fakeCode("open"), cleanup: fakeCode("open") } };
    await world.run(steps, {}, hooks);
    const before = world.pool.started.length;
    const calls = submissions.length;
    const second = await world.run(steps, {}, hooks);
    expect(second.status).toBe("completed");
    expect(world.pool.started.length).toBe(before);
    expect(submissions.length).toBe(calls);
    expect(second.of("submit.started")).toEqual([]);
  });

  it("13. the kill switch turns off the pre-pass; starting steps are still cached", async () => {
    const world = new World(
      flavor,
      { ...count().functions, open: () => 1 },
      { deps: { environment: { ORCHD_PREVENT_CLIENT_SIDE_CACHING: "1" } } },
    );
    const steps = [moduleStep("a", { does: "work" })];
    await world.run(steps);
    const second = await world.run(steps, {}, { hooks: { init: fakeCode("open") } });
    expect(second.statuses()).toEqual({ a: "cached" });
    // With the pre-pass there is nothing left to set up, and the hook does not run.
    expect(initsOf(second)).toHaveLength(1);
    if (flavor.ref.code !== undefined) expect(second.of("submit.started")).toHaveLength(1);
  });

  it("14. a scheduled run has no pre-pass; its steps are cached within its slot", async () => {
    const world = new World(flavor, { ...count().functions, open: () => 1 });
    const steps = [moduleStep("a", { does: "work" })];
    const hooks = { hooks: { init: fakeCode("open") } };
    const first = await world.runIf(
      flavor.capabilities.isSchedulable,
      /cannot be scheduled/,
      steps,
      { trigger: scheduled, run: "p@20261123T020000Z" },
      hooks,
    );
    if (first === undefined) return;
    const backfill = await world.run(
      steps,
      { trigger: { ...scheduled, kind: "backfill" }, run: "p@20261123T020000Z-b1" },
      hooks,
    );
    expect(backfill.statuses()).toEqual({ a: "cached" });
    expect(initsOf(backfill)).toHaveLength(1);
    const night = await world.run(
      steps,
      {
        trigger: { kind: "schedule", scheduledFor: "2026-11-24T02:00:00.000Z" },
        run: "p@20261124T020000Z",
      },
      hooks,
    );
    expect(night.statuses()).toEqual({ a: "completed" });
    expect(night.of("step.started")[0]).toMatchObject({
      because: expect.stringContaining("slot changed"),
    });
  });

  it("14b. acrossSlots: the next night hits", async () => {
    if (!flavor.capabilities.isSchedulable) return;
    const world = new World(flavor, count().functions);
    const steps = [moduleStep("a", { does: "work", cache: cache({ acrossSlots: true }) })];
    await world.run(steps, { trigger: scheduled, run: "p@20261123T020000Z" });
    expect(
      (
        await world.run(steps, {
          trigger: { kind: "schedule", scheduledFor: "2026-11-24T02:00:00.000Z" },
          run: "p@20261124T020000Z",
        })
      ).statuses(),
    ).toEqual({ a: "cached" });
  });

  it("15. a run with caching off feeds the hits of a later one", async () => {
    const world = new World(flavor, count().functions);
    await world.run([moduleStep("a", { does: "work" })], {}, { enableCache: false });
    expect((await world.run([moduleStep("a", { does: "work" })])).statuses()).toEqual({
      a: "cached",
    });
  });

  it("16. a hit runs no code and no hook, starts as it ends, and names its source", async () => {
    const world = new World(flavor, { ...count().functions, hook: () => null });
    const steps = [moduleStep("a", { does: "work", hooks: { onSuccess: fakeCode("hook") } })];
    const first = await world.run(steps);
    expect(first.of("hook.completed", "a")).toHaveLength(1);
    const tasks = world.pool.started.length;
    const second = await world.run(steps);
    expect(world.pool.started.length).toBe(tasks);
    expect(second.of("step.cached")[0]).toMatchObject({
      source: { run: first.run, step: "a" },
      outputs: { result: 1 },
    });
    const step = second.state.steps.get("a")!;
    expect(step.startedAt).toBe(step.finishedAt);
    expect(second.of("step.started")).toEqual([]);
  });

  it("17. an output that is gone, or was changed, is a miss, with the reason", async () => {
    const world = new World(flavor, { work: () => "x".repeat(100_000) });
    const steps = [moduleStep("a", { does: "work" })];
    const first = await world.run(steps);
    const ref = first.output("a") as unknown as { $artifact: string };
    expect(ref.$artifact).toMatch(/^[0-9a-f]{64}$/);
    expect((await world.run(steps)).statuses()).toEqual({ a: "cached" });
    writeFileSync(join(world.store.artifacts, ref.$artifact), `"${"y".repeat(100_000)}"`);
    const second = await world.run(steps);
    expect(second.statuses()).toEqual({ a: "completed" });
    expect(second.of("step.started")[0]).toMatchObject({
      because: expect.stringContaining("output missing"),
    });
    expect((await world.run(steps)).statuses()).toEqual({ a: "cached" });
  });

  it("15b. a shell step is cached only where it asks", async () => {
    const world = new World(flavor, { "echo 1": () => 1 });
    const step = (more: Partial<SnapshotStep> = {}): SnapshotStep => ({
      ...moduleStep("a", more),
      code: undefined,
      run: "echo 1",
    });
    await world.run([step()]);
    expect((await world.run([step()], {}, { enableCache: true })).statuses()).toEqual({
      a: "completed",
    });
    expect((await world.run([step({ enableCache: true })])).statuses()).toEqual({ a: "cached" });
    expect((await world.run([step({ cache: cache() })])).statuses()).toEqual({ a: "cached" });
  });

  it("--no-cache runs everything, and says why", async () => {
    const world = new World(flavor, count().functions);
    await world.run([moduleStep("a", { does: "work" })]);
    const ended = await world.run([moduleStep("a", { does: "work" })], {
      trigger: { kind: "manual", noCache: true },
    });
    expect(ended.of("step.started")[0]).toMatchObject({
      because: expect.stringContaining("caching is off for this run"),
    });
  });

  it("a re-run takes over what is the same; what changed runs, and says why", async () => {
    const world = new World(flavor, { ...count().functions, other: () => "other" });
    const steps = (params = {}): SnapshotStep[] => [
      moduleStep("a", { does: "work", enableCache: false, params }),
      moduleStep("b", { does: "other", enableCache: false, needs: ["a"] }),
    ];
    const first = await world.run(steps());
    world.ran();
    const rerun = {
      trigger: { kind: "rerun" as const, of: first.run },
      reuse: { a: first.run, b: first.run },
    };
    const same = await world.run(steps(), rerun);
    expect(same.statuses()).toEqual({ a: "cached", b: "cached" });
    expect(same.of("step.cached", "a")[0]).toMatchObject({
      source: { run: first.run, step: "a" },
      because: `taken over from ${first.run}`,
    });
    expect(world.ran()).toEqual([]);
    const edited = await world.run(steps({ n: 1 }), rerun);
    expect(edited.statuses()).toEqual({ a: "completed", b: "cached" });
    expect(edited.of("step.started", "a")[0]).toMatchObject({
      because: expect.stringContaining('param "n" added'),
    });
    // A result that was taken over can be taken over again, from the run that made it.
    const again = await world.run(steps(), { ...rerun, reuse: { a: same.run, b: same.run } });
    expect(again.of("step.cached", "a")[0]).toMatchObject({
      source: { run: first.run, step: "a" },
    });
  });

  it("a re-run from a step on runs it and all after it, even if the cache has them", async () => {
    const world = new World(flavor, count().functions);
    const steps = [
      moduleStep("a", { does: "work" }),
      moduleStep("b", { does: "work", params: { n: 2 }, needs: ["a"] }),
    ];
    const first = await world.run(steps);
    world.ran();
    const ended = await world.run(steps, {
      trigger: { kind: "rerun", of: first.run, from: "b" },
      reuse: { a: first.run },
    });
    expect(ended.statuses()).toEqual({ a: "cached", b: "completed" });
    expect(world.ran()).toEqual(["b"]);
    expect(ended.of("step.started", "b")[0]).toMatchObject({
      because: expect.stringContaining('from step "b" on'),
    });
  });

  it("a cache function's text is part of the key", async () => {
    let said = "one";
    const world = new World(flavor, { ...count().functions, key: () => said });
    const steps = [
      moduleStep("a", { does: "work", cache: cache({ cacheFunction: fakeCode("key") }) }),
    ];
    await world.run(steps);
    expect((await world.run(steps)).statuses()).toEqual({ a: "cached" });
    said = "two";
    expect((await world.run(steps)).of("step.started")[0]).toMatchObject({
      because: expect.stringContaining("cache function's answer changed"),
    });
  });
});

describe("3. the key", () => {
  const step: SnapshotStep = moduleStep("a", {
    outputs: ["x"],
    env: { E: "1", S: { secret: "TOKEN" } },
    cache: cache(),
  });
  const facts: CacheKeyFacts = {
    project: "p",
    params: { path: "/a", n: 1 },
    inputs: { lines: "hash" },
    files: [["w.txt", "f"]],
    cacheFunction: "c",
    scheduledFor: "2026-11-23T02:00:00.000Z",
  };
  const keyOf = (spec: Partial<SnapshotStep> = {}, more: Partial<CacheKeyFacts> = {}): string =>
    cacheKey(cacheKeyParts({ ...step, ...spec }, { ...facts, ...more }));

  it("is the same for the same", () => {
    expect(keyOf({}, { params: { n: 1, path: "/a" } })).toBe(keyOf());
    expect(keyOf()).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each<[string, Partial<SnapshotStep>, Partial<CacheKeyFacts>]>([
    ["project", {}, { project: "q" }],
    ["code", { code: { ...step.code!, bundle: "other" } }, {}],
    ["export", { code: { ...step.code!, pick: "export:b" } }, {}],
    ["a param", {}, { params: { path: "/b", n: 1 } }],
    ["a param's type", {}, { params: { path: "/a", n: "1" } }],
    ["an input's content", {}, { inputs: { lines: "other" } }],
    ["an input's name", {}, { inputs: { rows: "hash" } }],
    ["declared outputs", { outputs: ["x", "y"] }, {}],
    ["an env value", { env: { E: "2", S: { secret: "TOKEN" } } }, {}],
    ["a secret's name", { env: { E: "1", S: { secret: "OTHER" } } }, {}],
    ["a file's content", {}, { files: [["w.txt", "g"]] }],
    ["the cache function's text", {}, { cacheFunction: "d" }],
    ["the slot", {}, { scheduledFor: "2026-11-24T02:00:00.000Z" }],
    ["a shell step's text", { code: undefined, run: "echo" }, {}],
  ])("is another when %s changes alone", (_what, spec, more) => {
    expect(keyOf(spec, more)).not.toBe(keyOf());
  });

  it.each<[string, Partial<SnapshotStep>]>([
    ["its name", { id: "b" }],
    ["retries", { retry: { maxRetries: 3, delayMs: 1, backoff: 1, jitter: 0 } }],
    ["timeout", { timeoutMs: 5 }],
    ["memory", { memoryMb: 64 }],
    ["expiry", { cache: cache({ expiresAfterMs: 1 }) }],
    ["isolation", { isolated: true }],
    ["after", { after: ["z"] }],
  ])("is the same when %s changes", (_what, spec) => {
    expect(keyOf(spec)).toBe(keyOf());
  });
});
