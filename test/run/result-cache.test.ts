/** Which earlier result answers a key, which does not and why, and what is recorded again. */
import { existsSync, unlinkSync } from "node:fs";
import { beforeEach, expect, it } from "vitest";
import { cacheKeyParts, type CacheKeyParts } from "../../src/core/cache-key.ts";
import type { RunEvent } from "../../src/core/event.ts";
import type { RunState } from "../../src/core/run-state.ts";
import type { Json } from "../../src/core/snapshot.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import type { CacheCandidate } from "../../src/ledger/cache-index.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { ResultCache } from "../../src/run/result-cache.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";
import { tempRoot } from "../support/temp-root.ts";

const KEY = "a".repeat(64);
const OTHER = "b".repeat(64);
const START = Date.UTC(2026, 10, 23, 2);

let store: RunStore;
let artifacts: Artifacts;
let candidates: Omit<CacheCandidate, "at">[];
let recorded: string[];
let flushes: number;
let cache: ResultCache;

beforeEach(() => {
  store = new RunStore(tempRoot().runs);
  artifacts = new Artifacts(store.artifacts);
  candidates = [];
  recorded = [];
  flushes = 0;
  cache = new ResultCache({
    index: {
      lookup: () => candidates as CacheCandidate[],
      recordAll: (all) => {
        for (const [key, { run, step }] of all) {
          if (key.length !== 64) throw new RangeError("no key");
          recorded.push(`${run} ${step}`);
        }
      },
      flush: () => Promise.resolve(void (flushes += 1)),
    },
    store,
    artifacts,
    previousRun: () => undefined,
  });
});

/** A run that has this step, after these events; each event is a second after the one before. */
function runOf(id: string, events: readonly RunEvent[], more: object = {}): RunState {
  const run = new GivenRun(snapshotOf([stepSpec("s", more), stepSpec("t")]));
  run.happen({ type: "run.started", because: "now" });
  for (const event of events) {
    run.now += 1_000;
    run.happen(event);
  }
  return { ...run.state, run: id };
}

const started = (cacheKey?: string, step = "s"): RunEvent => ({
  type: "step.started",
  step,
  attempt: 1,
  because: "the run began",
  ...(cacheKey === undefined ? {} : { cacheKey }),
});
const completed = (outputs: Record<string, Json> = { result: 1 }, step = "s"): RunEvent => ({
  type: "step.completed",
  step,
  attempt: 1,
  outputs,
  durationMs: 1,
});
const failed: RunEvent = {
  type: "step.failed",
  step: "s",
  attempt: 1,
  error: { name: "Error", message: "no" },
};
const cached: RunEvent = {
  type: "step.cached",
  step: "s",
  source: { run: "p@first", step: "s" },
  outputs: { result: 1 },
  cacheKey: KEY,
  because: "nothing changed",
};

/** The answer where these runs are the candidates, the newest first. */
function answerOf(
  runs: { [id: string]: RunState | undefined },
  expiresAfterMs?: number,
  at = START,
) {
  for (const [run, state] of Object.entries(runs)) {
    candidates.push({ run, step: "s" });
    if (state !== undefined) cache.begin(state);
  }
  return cache.lookup(KEY, expiresAfterMs, at);
}

it("the newest step that completed with the key answers it", () => {
  const good = [started(KEY), completed({ result: 7 })];
  const hit = (run: string) => ({ hit: { source: { run, step: "s" }, outputs: { result: 7 } } });
  expect(answerOf({ b: runOf("b", good), a: runOf("a", good) })).toEqual(hit("b"));
});

it.each<[string, readonly RunEvent[]]>([
  ["has another key", [started(OTHER), completed()]],
  ["has no key", [started(), completed()]],
  ["runs", [started(KEY)]],
  ["failed", [started(KEY), failed]],
  ["was answered itself", [cached]],
  ["has not begun", []],
])("a step that %s answers nothing, and an older one does", (_, events) => {
  const good = [started(KEY), completed()];
  expect(answerOf({ b: runOf("b", events) })).toEqual({ miss: undefined });
  candidates.length = 0;
  expect(answerOf({ b: runOf("b", events), a: runOf("a", good) })).toMatchObject({
    hit: { source: { run: "a" } },
  });
});

it("a result expires when it is as old as the limit, counted from its attempt's start", () => {
  const run = { a: runOf("a", [started(KEY), completed()]) };
  const begun = START + 1_000;
  expect(answerOf(run, 5_000, begun + 4_999)).toHaveProperty("hit");
  expect(answerOf(run, 5_000, begun + 5_000)).toEqual({ miss: "expired" });
  expect(answerOf(run, undefined, begun + 1e12)).toHaveProperty("hit");
});

it("a run that is gone lacks its output, and the newest candidate's reason stands", () => {
  const old = runOf("a", [started(KEY), completed()]);
  expect(answerOf({ gone: undefined })).toEqual({ miss: "output missing" });
  expect(answerOf({ a: old }, 1, START + 9_000)).toEqual({ miss: "output missing" });
  candidates.length = 0;
  expect(answerOf({ a: old, gone: undefined }, 1, START + 9_000)).toEqual({ miss: "expired" });
});

it("an output whose file is gone is missing, and one whose file is whole answers", async () => {
  const ref = await artifacts.put([1, 2, 3]);
  const run = { a: runOf("a", [started(KEY), completed({ result: { ...ref } as Json })]) };
  expect(answerOf(run)).toHaveProperty("hit");
  unlinkSync(artifacts.path(ref));
  expect(existsSync(artifacts.path(ref))).toBe(false);
  expect(answerOf(run)).toEqual({ miss: "output missing" });
  expect(cache.reuse("a", "s", KEY)).toBeUndefined();
});

it.each<[string, readonly RunEvent[], object | undefined]>([
  ["completed with the key", [started(KEY), completed()], { run: "a", step: "s" }],
  ["completed elsewhere, without a key", [started(), completed()], { run: "a", step: "s" }],
  ["completed with another key", [started(OTHER), completed()], undefined],
  ["was answered itself", [cached], { run: "p@first", step: "s" }],
  ["failed", [started(KEY), failed], undefined],
  ["runs", [started(KEY)], undefined],
])("a re-run of a step that %s takes over from %j", (_, events, source) => {
  cache.begin(runOf("a", events));
  expect(cache.reuse("a", "s", KEY)).toEqual(
    source === undefined ? undefined : { source, outputs: { result: 1 } },
  );
  expect(cache.reuse("gone", "s", KEY)).toBeUndefined();
});

it("what completed in the last second of a run that is taken over is recorded again", () => {
  const run = new GivenRun(snapshotOf(["a", "b", "c", "d"].map((id) => stepSpec(id))));
  run.happen({ type: "run.started", because: "now" });
  for (const id of ["a", "b", "c"]) run.happen(started(KEY, id));
  run.happen(started(undefined, "d"));
  const end = run.now + 10_000;
  for (const [id, before] of [
    ["a", 1_001],
    ["b", 1_000],
    ["d", 0],
  ] as const) {
    run.now = end - before;
    run.happen(completed({ result: 1 }, id));
  }
  cache.begin(run.state);
  expect(recorded).toEqual([`${run.state.run} b`]);
});

it("a run whose ledger has what is no key is taken over all the same", () => {
  const state = runOf("a", [started("no key"), completed()]);
  expect(() => cache.begin(state)).not.toThrow();
  expect(recorded).toEqual([]);
});

it("a run that has ended is known still, and the index is written", () => {
  const state = runOf("a", [started(KEY), completed()]);
  cache.begin(state);
  cache.end(state);
  expect(flushes).toBe(1);
  expect(cache.stateOf("a")).toBe(state);
  for (const id of ["b", "c", "d", "e"]) cache.end(runOf(id, []));
  expect(cache.stateOf("b")).toBeDefined();
  expect(cache.stateOf("a")).toBeUndefined();
});

const partsOf = (more: Partial<CacheKeyParts> = {}): CacheKeyParts => ({
  ...cacheKeyParts(stepSpec("s"), {
    project: "default",
    params: {},
    inputs: {},
    env: {},
    files: [],
  }),
  ...more,
});

it("the reason for a miss compares with the step's start before, and is one within a run", () => {
  const [first, second, third] = [runOf("a", []), runOf("b", []), runOf("c", [])];
  expect(cache.explain(first, "s", partsOf({ params: { day: 0 } }), KEY)).toBe("first run");
  expect(cache.explain(second, "t", partsOf(), KEY)).toBe("first run");
  const changed = partsOf({ params: { day: 1 } });
  expect(cache.explain(second, "s", changed, KEY)).toBe('param "day" changed');
  // It is asked again as the step starts.
  expect(cache.explain(second, "s", changed, KEY)).toBe('param "day" changed');
  expect(cache.explain(third, "s", changed, KEY)).toBeUndefined();
});

it("the key of a start is known where the parts of the step's newest one were equal", () => {
  const [first, second] = [runOf("a", []), runOf("b", [])];
  const day = (day: number): CacheKeyParts => partsOf({ params: { day } });
  expect(cache.startedWith(first, "s", day(0))).toBeUndefined();
  cache.explain(first, "s", day(0), KEY);
  expect(cache.startedWith(second, "s", day(0))).toMatchObject({ parts: day(0), key: KEY });
  expect(cache.startedWith(second, "s", day(1))).toBeUndefined();
  expect(cache.startedWith(second, "t", day(0))).toBeUndefined();
  expect(cache.startedWith({ pipeline: "another" }, "s", day(0))).toBeUndefined();
});

it("after a start of the daemon the reason comes from the run before", () => {
  const before = runOf("before", [started(KEY), completed()], { params: { day: 1 } });
  cache.end(before);
  const now = partsOf({ params: { day: 2 } });
  expect(cache.explain(runOf("now", []), "s", now, KEY)).toBe('param "day" changed');
  expect(cache.changedSince("before", "s", now)).toBe('param "day" changed');
  expect(cache.changedSince("before", "s", partsOf({ params: { day: 1 } }))).toBeUndefined();
  expect(cache.changedSince("gone", "s", now)).toBeUndefined();
  expect(cache.changedSince("before", "other", now)).toBeUndefined();
});
