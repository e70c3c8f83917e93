/** What a reader of ledgers knows of each as it begins, and as ledgers are replaced. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { FeedItem } from "../../src/feed/feed-item.ts";
import { FeedPosition } from "../../src/feed/feed-position.ts";
import { FeedReader } from "../../src/feed/feed-reader.ts";
import { PipelineSource } from "../../src/feed/pipeline-source.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { loaded, writePipeline, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const SLOT = { slot: "2026-11-23T02:00:00.000Z", run: RUN, through: "2026-11-23T02:00:00.000Z" };
const FIRED: HandEvent = { type: "slot.fired", ...SLOT };
const STEPS: readonly HandEvent[] = ["run.submitted", "run.started", "a"].map((type) => ({ type }));

function everyLine(reader: FeedReader): FeedItem[] {
  const lines: FeedItem[] = [];
  for (let line = reader.next(); line !== undefined; line = reader.next()) lines.push(line);
  return lines;
}

const typesOf = (lines: readonly FeedItem[]): string[] =>
  lines.map(({ run, whole }) => `${run === undefined ? "" : "- "}${whole.type}`);

describe("a source that begins", () => {
  it("was not cut, and has not jumped", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [loaded("0 * * * *"), FIRED]);
    const source = new PipelineSource(new RunStore(runs), "p");
    expect([source.isCut, source.hasJumped, source.crc]).toEqual([false, false, undefined]);
    expect(source.fill(FeedPosition.start)).toBe(true);
    expect([source.isCut, source.hasJumped]).toEqual([false, false]);
    expect(source.file).toBe("p/pipeline.jsonl");
  });
});

describe("a reader", () => {
  const read = (position = FeedPosition.start) => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [loaded("0 * * * *"), FIRED]);
    writeRun(runs, RUN, STEPS);
    const store = new RunStore(runs);
    const reader = new FeedReader(store, position, {});
    reader.stir("p");
    return { runs, store, reader, lines: everyLine(reader) };
  };

  it("says of no line that lines before it were cut", () => {
    const { lines } = read();
    expect(typesOf(lines)).toEqual([
      "pipeline.loaded",
      "- run.submitted",
      "- run.started",
      "slot.fired",
      "- a",
    ]);
    expect(lines.map(({ origin }) => origin.isCut)).toEqual(lines.map(() => false));
  });

  it("gives each ledger of a position of an earlier release its checksum", () => {
    const { store, reader } = read();
    const old = [...reader.position.marks()].reduce<FeedPosition>(
      (position, mark) => position.with({ ...mark, crc: undefined, back: [] }),
      FeedPosition.start,
    );
    const again = new FeedReader(store, old, {});
    again.stir("p");
    expect(again.next()).toBeUndefined();
    const crcsOf = (position: FeedPosition) =>
      new Map([...position.marks()].map(({ key, crc }) => [key, crc]));
    expect(crcsOf(again.position)).toEqual(crcsOf(reader.position));
    expect(crcsOf(old)).not.toEqual(crcsOf(reader.position));
  });

  it.each(["p", "q"])(
    "of pipeline %s alone reads that one and its runs, whatever is named",
    (only) => {
      const { runs } = tempRoot();
      const other = RUN.replace("p@", "q@");
      for (const [pipeline, run, foreign] of [
        ["p", RUN, other],
        ["q", other, RUN],
      ] as const) {
        const fired = { ...FIRED, run };
        // A line of the one may name a run of the other, or what is no run at all.
        const named = [foreign, "nothing"].map((one) => ({ type: "run.started", run: one }));
        writePipeline(runs, pipeline, [loaded("0 * * * *"), fired, ...named]);
        writeRun(runs, run, STEPS);
      }
      const reader = new FeedReader(new RunStore(runs), FeedPosition.start, { pipeline: only });
      for (const pipeline of ["p", "q", "none"]) reader.stir(pipeline);
      const lines = everyLine(reader);
      expect(typesOf(lines).filter((type) => type.startsWith("-"))).toHaveLength(STEPS.length);
      expect(new Set(lines.map(({ pipeline }) => pipeline))).toEqual(new Set([only]));
      expect([...reader.runsOf(only === "p" ? "q" : "p")]).toEqual([]);
    },
  );

  const CHECKPOINT = (...active: string[]): HandEvent => ({ type: "pipeline.checkpoint", active });
  /** Puts another ledger in the place of the pipeline's, while the run goes on. */
  const replaced = (runs: string, ...events: HandEvent[]): void => {
    rmSync(join(runs, "p/pipeline.jsonl"));
    writePipeline(runs, "p", [loaded("5 * * * *"), ...events], "2026-11-23T03:00:00.000Z");
  };
  const END: HandEvent = { type: "run.finished", run: RUN, status: "completed" };

  it("follows a run past a ledger that was replaced, as long as its checkpoint names it", () => {
    const { runs, reader } = read();
    replaced(runs, CHECKPOINT(RUN));
    writeRun(runs, RUN, [...STEPS, { type: "b" }]);
    reader.stir("p");
    expect(typesOf(everyLine(reader))).toEqual(["- b", "pipeline.loaded", "pipeline.checkpoint"]);
    replaced(runs, CHECKPOINT(RUN), END);
    writeRun(runs, RUN, [...STEPS, { type: "b" }, { type: "c" }]);
    reader.stir("p");
    expect(typesOf(everyLine(reader))).toEqual(["- c", "run.finished"]);
    expect([...reader.runsOf("p")]).toEqual([]);
  });

  it("gives the last lines of a run whose end was in a ledger that is gone", () => {
    const { runs, reader } = read();
    const [at, later] = ["2026-11-23T04:00:00.000Z", "2026-11-23T05:00:00.000Z"];
    replaced(runs, CHECKPOINT(), { type: "pipeline.paused" }, { ...CHECKPOINT(), at: later });
    writeRun(runs, RUN, [...STEPS, { type: "b", at }, { type: "run.finished", at }]);
    reader.stir("p");
    const lines = everyLine(reader);
    expect(typesOf(lines).filter((type) => type.startsWith("-"))).toEqual([
      "- b",
      "- run.finished",
    ]);
    expect(typesOf(lines)).toContain("pipeline.paused");
    expect(lines.every(({ origin }) => !origin.isCut)).toBe(true);
    expect([...reader.runsOf("p")]).toEqual([]);
  });
});
