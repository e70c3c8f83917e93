/**
 * What the cache would answer in a run that does not exist yet: one result stands in the ledgers,
 * and each thing that decides whether it is the answer is changed alone.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cacheKey, cacheKeyParts, contentHash } from "../../src/core/cache-key.ts";
import { DEFAULT_SETTINGS, type OrchdSettings } from "../../src/core/settings.ts";
import type { Json, Snapshot, SnapshotStep } from "../../src/core/snapshot.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { CacheIndex } from "../../src/ledger/cache-index.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { CacheForecast } from "../../src/views/cache-forecast.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { header, runPath, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const SLOT = "2026-11-23T02:00:00.000Z";
const BEGAN = Date.UTC(2026, 10, 23, 2, 0, 2);
const PRODUCER = "q@20261122T020000Z";
const ASKER = "p@20261123T020000Z-b1";
const A_MINUTE = 60_000;

type Facts = Partial<Parameters<typeof cacheKeyParts>[1]>;

const keyOf = (step: SnapshotStep, facts: Facts = {}): string =>
  cacheKey(
    cacheKeyParts(step, {
      project: DEFAULT_SETTINGS.project,
      params: step.params,
      inputs: {},
      files: [],
      env: { ...step.env },
      scheduledFor: SLOT,
      ...facts,
    }),
  );
const step = (id: string, more: Partial<SnapshotStep> = {}): SnapshotStep =>
  stepSpec(id, { run: `echo ${id}`, cache: {}, ...more } as never);
const moduleStep = (more: Partial<SnapshotStep> = {}): SnapshotStep =>
  step("a", {
    run: undefined,
    cache: undefined,
    code: { bundle: "b", pick: "default", source: "./a.ts" },
    ...more,
  });

/** What this process has open in a folder. */
const openFilesIn = (folder: string): string[] =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) ? [path] : [];
    } catch {
      return [];
    }
  });

class World {
  readonly made = tempRoot();
  readonly store = new RunStore(this.made.runs);
  readonly #lines: HandEvent[] = [];
  readonly #steps: string[] = [];
  readonly #index = new CacheIndex(this.store.cache);

  /** Records that a step came to these outputs under this key. */
  result(id: string, key: string, outputs: Json = { result: 1 }, ended = "step.completed"): this {
    this.#steps.push(id);
    this.#lines.push(
      { type: "step.started", step: id, attempt: 1, cacheKey: key, because: "ready" },
      { type: ended, step: id, attempt: 1, outputs, durationMs: 900, error: { name: "E" } },
    );
    const steps = Object.fromEntries(this.#steps.map((one) => [one, []]));
    const begun = [header(PRODUCER, steps), { type: "run.started", because: "scheduled" }];
    writeRun(this.made.runs, PRODUCER, [...begun, ...this.#lines]);
    return this.indexed(key, id);
  }

  /** Notes in the index alone that a step came to a result under this key. */
  indexed(key: string, id: string): this {
    this.#index.record(key, { run: PRODUCER, step: id, at: SLOT });
    return this;
  }

  /** The steps that would be answered. */
  async cached(
    steps: readonly SnapshotStep[],
    more: Partial<Snapshot> = {},
    { settings = {}, now = BEGAN }: { settings?: Partial<OrchdSettings>; now?: number } = {},
  ): Promise<string[]> {
    await this.#index.flush();
    const before = openFilesIn(this.store.cache);
    const forecast = new CacheForecast(this.store, { ...DEFAULT_SETTINGS, ...settings });
    const snapshot = snapshotOf(steps, { file: join(this.made.schedules, "p.yaml"), ...more });
    try {
      return forecast.cachedSteps(snapshot, ASKER, SLOT, now);
    } finally {
      forecast.close();
      expect(openFilesIn(this.store.cache)).toEqual(before);
    }
  }
}

describe("a step whose result is there is answered", () => {
  const answered = async (
    given: SnapshotStep,
    more: Partial<Snapshot> = {},
    settings: Partial<OrchdSettings> = {},
  ): Promise<boolean> => {
    const world = new World().result(given.id, keyOf(given));
    return (await world.cached([given], more, { settings })).length > 0;
  };
  const off = { enableCache: false };
  const on = { enableCache: true };

  // Of a shell step its own `cache` counts; of a module's the pipeline's word, then the settings'.
  it.each<[string, SnapshotStep, Partial<Snapshot>, Partial<OrchdSettings>, boolean]>([
    ["a shell step with a cache", step("a"), {}, {}, true],
    ["whatever the pipeline says", step("a"), off, off, true],
    ["a shell step without one", step("a", { cache: undefined }), on, on, false],
    ["but by its own word", step("a", { cache: undefined, ...on }), {}, off, true],
    ["a shell step that says no", step("a", off), on, on, false],
    ["a module's step, by the settings", moduleStep(), {}, on, true],
    ["a module's step, by the settings", moduleStep(), {}, off, false],
    ["by the pipeline before the settings", moduleStep(), on, off, true],
    ["by the pipeline before the settings", moduleStep(), off, on, false],
    ["by the step before the pipeline", moduleStep(on), off, off, true],
    ["by the step before the pipeline", moduleStep(off), on, on, false],
  ])("%s: %#", async (_, given, more, settings, expected) => {
    expect(await answered(given, more, settings)).toBe(expected);
  });

  it("unless only the run can tell: a condition, or a user's function", async () => {
    expect(await answered(step("a", { when: "${params.x} == 1" }))).toBe(false);
    expect(await answered(step("a", { cache: { cacheFunction: { pick: "key" } } } as never))).toBe(
      false,
    );
  });
});

it("one thing that differs gives no answer", async () => {
  const given = step("a", { params: { n: 1 }, env: { A: "1" } });
  const world = new World().result("a", keyOf(given));
  expect(await world.cached([given])).toEqual(["a"]);
  const others: Partial<SnapshotStep>[] = [
    { run: "echo b" },
    { params: { n: 2 } },
    { env: { A: "2" } },
    { outputs: ["x"] },
    { cwd: "/" },
  ];
  for (const other of others) expect(await world.cached([{ ...given, ...other }])).toEqual([]);
  expect(await world.cached([given], { env: { B: "1" } })).toEqual([]);
  expect(await world.cached([given], {}, { settings: { project: "another" } })).toEqual([]);
});

it("params and environment are those of the run that is thought of", async () => {
  const given = step("a", { params: { id: "${run.id}" }, env: { S: "x" } });
  const world = new World().result("a", keyOf(given, { params: { id: ASKER } }));
  expect(await world.cached([given])).toEqual(["a"]);
});

describe("how old a result may be", () => {
  const given = step("a", { cache: { expiresAfterMs: A_MINUTE } } as never);
  it.each([
    [0, ["a"]],
    [A_MINUTE - 1, ["a"]],
    [A_MINUTE, []],
    [A_MINUTE + 1, []],
  ])("%i ms after it began", async (age, steps) => {
    const world = new World().result("a", keyOf(given));
    expect(await world.cached([given], {}, { now: BEGAN + age })).toEqual(steps);
  });
});

it("a result counts if its step completed under this very key, and has a ledger", async () => {
  const given = step("a");
  const key = keyOf(given);
  expect(await new World().result("a", key, { result: 1 }, "step.failed").cached([given])).toEqual(
    [],
  );
  const other = new World().result("a", "f".repeat(64));
  other.indexed(key, "a");
  expect(await other.cached([given])).toEqual([]);
  const unknown = new World().result("a", "f".repeat(64));
  unknown.indexed(key, "no");
  expect(await unknown.cached([given])).toEqual([]);
  const gone = new World().result("a", key);
  rmSync(runPath(gone.made.runs, PRODUCER));
  expect(await gone.cached([given])).toEqual([]);
});

describe("a file that the step depends on", () => {
  const given = step("a", { cache: { fileDependencies: ["data.txt"] } } as never);
  const hash = createHash("sha256").update("one").digest("hex");
  const world = (): World => new World().result("a", keyOf(given, { files: [["data.txt", hash]] }));
  it("is read beside the pipeline's file, and counts by what it holds", async () => {
    const it = world();
    expect(await it.cached([given])).toEqual([]);
    it.made.write("schedules/data.txt", "one");
    expect(await it.cached([given])).toEqual(["a"]);
    it.made.write("schedules/data.txt", "two");
    expect(await it.cached([given])).toEqual([]);
  });

  it("gives no answer where it cannot be read, whatever was recorded", async () => {
    const it = new World().result("a", keyOf(given));
    mkdirSync(join(it.made.schedules, "data.txt"));
    expect(await it.cached([given])).toEqual([]);
  });
});

describe("a step that needs others", () => {
  const up = step("up");
  const reads = (output?: string): SnapshotStep =>
    step("a", {
      inputs: { i: { step: "up", ...(output === undefined ? {} : { output }) } },
    });
  const world = (value: Json, given = reads(), from = up): World =>
    new World()
      .result("up", keyOf(from), value)
      .result("a", keyOf(given, { inputs: { i: contentHash(1) } }));

  it("is answered where they are, and what they gave is what it was given", async () => {
    expect(await world({ result: 1 }).cached([up, reads()])).toEqual(["up", "a"]);
    expect(await world({ result: 2 }).cached([up, reads()])).toEqual(["up"]);
    expect(await world({ result: 1 }).cached([{ ...up, enableCache: false }, reads()])).toEqual([]);
    const after = step("a", { after: ["up"] });
    const later = new World().result("a", keyOf(after));
    expect(await later.cached([up, after])).toEqual([]);
    expect(await later.result("up", keyOf(up)).cached([up, after])).toEqual(["up", "a"]);
  });

  it("gets one output by its name, all of a step that declares some, else its result", async () => {
    const some = step("up", { outputs: ["n"] });
    expect(await world({ n: 1 }, reads("n"), some).cached([some, reads("n")])).toEqual(["up", "a"]);
    expect(await world({ n: 2 }, reads("n"), some).cached([some, reads("n")])).toEqual(["up"]);
    expect(await world({ m: 1 }, reads("n"), some).cached([some, reads("n")])).toEqual(["up"]);
    const all = new World()
      .result("up", keyOf(some), { n: 1 })
      .result("a", keyOf(reads(), { inputs: { i: contentHash({ n: 1 }) } }));
    expect(await all.cached([some, reads()])).toEqual(["up", "a"]);
    const missing = new World()
      .result("up", keyOf(up), { other: 1 })
      .result("a", keyOf(reads("x"), { inputs: { i: contentHash(null) } }));
    expect(await missing.cached([up, reads("x")])).toEqual(["up", "a"]);
  });

  it("gets what lies in an artifact, if that is whole", async () => {
    for (const spilled of ["a value", "all outputs"] as const) {
      const it = new World();
      const artifacts = new Artifacts(it.store.artifacts);
      const ref = await artifacts.put(spilled === "a value" ? 1 : { result: 1 });
      const outputs = spilled === "a value" ? { result: ref } : ref;
      const input = spilled === "a value" ? ref.$artifact : contentHash(1);
      it.result("up", keyOf(up), outputs as unknown as Json).result(
        "a",
        keyOf(reads(), { inputs: { i: input } }),
      );
      expect(await it.cached([up, reads()])).toEqual(["up", "a"]);
      writeFileSync(artifacts.path(ref), "torn");
      expect(await it.cached([up, reads()])).toEqual([]);
    }
  });
});
