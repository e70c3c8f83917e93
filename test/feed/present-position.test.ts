/** The position after what stands in the ledgers, parts of one, and the newest lines before it. */
import { crc32 } from "node:zlib";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { narrowed } from "../../src/feed/narrowed-position.ts";
import { presentPosition } from "../../src/feed/present-position.ts";
import { recentLines } from "../../src/feed/recent-lines.ts";
import { FeedPosition, type Mark } from "../../src/feed/feed-position.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { writePipeline, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const ENDED = "p@20261128T010000Z";
const ACTIVE = "p@20261128T020000Z";
const QUEUED = "p@20261128T030000Z";
const OTHER = "q@20261128T020000Z";
const begun = (run: string, at?: string): HandEvent => ({
  type: "run.submitted",
  run,
  ...(at === undefined ? {} : { at }),
});
const FINISHED = { type: "run.finished", status: "completed" };
const second = (n: number): string => `2026-11-28T02:00:${String(n).padStart(2, "0")}.000Z`;

/** Two pipelines: one with an ended, an active and a queued run, one with an active run. */
function world(): RunStore {
  const { runs } = tempRoot();
  writePipeline(runs, "p", [
    { type: "pipeline.loaded", at: second(1) },
    { type: "pipeline.checkpoint", active: [ENDED], at: second(2) },
    { type: "run.finished", run: ENDED, at: second(3) },
    { type: "slot.fired", run: ACTIVE, at: second(4) },
    { type: "run.queued", run: QUEUED, at: second(9) },
  ]);
  writePipeline(runs, "q", [
    { type: "pipeline.loaded", at: second(1) },
    { type: "pipeline.checkpoint", active: [OTHER], at: second(2) },
  ]);
  writeRun(runs, ENDED, [begun(ENDED, second(1)), { ...FINISHED, at: second(2) }]);
  writeRun(runs, ACTIVE, [begun(ACTIVE, second(5)), { type: "run.started", at: second(7) }]);
  writeRun(runs, OTHER, [begun(OTHER, second(6))]);
  return new RunStore(runs);
}

const marksOf = (position: FeedPosition): Record<string, number> =>
  Object.fromEntries(
    [...position.marks()].map(({ run, pipeline, seq }) => [run ?? pipeline ?? "?", seq]),
  );

describe("the present position", () => {
  it("is after the last line of pipelines, and of the runs that go on", () => {
    const position = presentPosition(world(), {});
    expect(marksOf(position)).toEqual({ p: 5, q: 2, [ACTIVE]: 2, [QUEUED]: 0, [OTHER]: 1 });
    expect(position.at).toBe(second(9));
  });

  it("is that of one pipeline, or of one run that may have ended", () => {
    const store = world();
    expect(marksOf(presentPosition(store, { pipeline: "q" }))).toEqual({ q: 2, [OTHER]: 1 });
    expect(marksOf(presentPosition(store, { run: ENDED }))).toEqual({ [ENDED]: 2 });
    expect(marksOf(presentPosition(store, { run: ENDED, pipeline: "p" }))).toEqual({ [ENDED]: 2 });
    expect(marksOf(presentPosition(store, { pipeline: "none" }))).toEqual({});
  });

  it("reads back to the last checkpoint, and takes no run from before it", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [
      { type: "slot.fired", run: "p@20261128T000000Z" },
      { type: "pipeline.checkpoint", active: [ACTIVE] },
    ]);
    expect(marksOf(presentPosition(new RunStore(runs), {}))).toEqual({ p: 2, [ACTIVE]: 0 });
  });

  it("knows the checksums of the last line and of fifteen before it", () => {
    const { runs } = tempRoot();
    const events = Array.from({ length: 20 }, () => ({ type: "slot.skipped" }));
    writePipeline(runs, "p", events);
    const [mark] = [...presentPosition(new RunStore(runs), {}).marks()];
    expect(mark).toMatchObject({ seq: 20 });
    expect(mark!.back).toHaveLength(15);
  });

  it("bears names that are no run's, and a ledger that is no file", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [{ type: "slot.fired", run: "../../etc/passwd" }]);
    mkdirSync(join(runs, "q", "pipeline.jsonl"), { recursive: true });
    mkdirSync(join(runs, "r"), { recursive: true });
    writeFileSync(join(runs, "r", "pipeline.jsonl"), "");
    expect(marksOf(presentPosition(new RunStore(runs), {}))).toEqual({ p: 1 });
  });
});

describe("a part of a position", () => {
  it("has the marks of one pipeline and its runs, or of one run, and the same time", () => {
    const store = world();
    const whole = presentPosition(store, {});
    const one = narrowed(whole, store, { pipeline: "p" });
    expect(marksOf(one)).toEqual({ p: 5, [ACTIVE]: 2, [QUEUED]: 0 });
    expect(one.at).toBe(whole.at);
    expect(marksOf(narrowed(whole, store, { run: OTHER }))).toEqual({ [OTHER]: 1 });
    expect(narrowed(whole, store, {})).toBe(whole);
  });

  it("has marks without a name where they are of the pipeline's files, or it has none", () => {
    const store = world();
    const named = [...presentPosition(store, { pipeline: "q" }).marks()].find(
      ({ run }) => run === undefined,
    );
    const nameless = (mark: Mark): Mark => ({ ...mark, pipeline: undefined });
    const stranger = { ...nameless(named!), key: named!.key ^ 1 };
    const position = FeedPosition.start.with(nameless(named!)).with(stranger);
    const keysIn = (pipeline: string): number[] =>
      [...narrowed(position, store, { pipeline }).marks()].map(({ key }) => key);
    expect(keysIn("q")).toEqual([named!.key]);
    expect(keysIn("p")).toEqual([]);
    expect(keysIn("gone")).toHaveLength(2);
  });
});

describe("the newest lines", () => {
  const told = (store: RunStore, count: number, scope = {}): string[] =>
    recentLines(store, scope, count).lines.map(
      ({ pipeline, run, line }) => `${run ?? pipeline} ${String(line["type"])}`,
    );

  it("come by their time, of all ledgers, as many as are asked for", () => {
    expect(told(world(), 4)).toEqual([
      `${ACTIVE} run.submitted`,
      `${OTHER} run.submitted`,
      `${ACTIVE} run.started`,
      "p run.queued",
    ]);
    expect(told(world(), 0)).toEqual([]);
  });

  it("have those of a run that ended, where the pipeline's line about it is among them", () => {
    expect(told(world(), 20)).toContain(`${ENDED} run.finished`);
    expect(told(world(), 4)).not.toContain(`${ENDED} run.finished`);
  });

  it("are those of one pipeline or run, and never of a run of another pipeline", () => {
    expect(told(world(), 20, { pipeline: "q" })).toEqual([
      "q pipeline.loaded",
      "q pipeline.checkpoint",
      `${OTHER} run.submitted`,
    ]);
    expect(told(world(), 20, { run: ENDED })).toEqual([
      `${ENDED} run.submitted`,
      `${ENDED} run.finished`,
    ]);
    const { runs } = tempRoot();
    writePipeline(runs, "p", [{ type: "run.finished", run: OTHER }]);
    writeRun(runs, OTHER, [begun(OTHER)]);
    expect(told(new RunStore(runs), 20, { pipeline: "p" })).toEqual(["p run.finished"]);
  });

  it("have the pipeline's line last, of one moment, and stay in a ledger's order", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [
      { type: "slot.fired", run: ACTIVE, at: second(5) },
      { type: "run.started", run: ACTIVE, at: second(3) },
    ]);
    writeRun(runs, ACTIVE, [begun(ACTIVE, second(5))]);
    expect(told(new RunStore(runs), 20)).toEqual([
      `${ACTIVE} run.submitted`,
      "p slot.fired",
      "p run.started",
    ]);
  });
});

it("a mark of a run has the run's own key", () => {
  const [mark] = [...presentPosition(world(), { run: ENDED }).marks()];
  expect(mark!.key).toBe(crc32(ENDED));
});
