/** The text of a position: whose it is, what of it is told, and who may go on from it. */
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { FeedPosition, fileKey } from "../../src/feed/feed-position.ts";
import type { FeedScope } from "../../src/feed/feed-line.ts";
import { narrowed } from "../../src/feed/narrowed-position.ts";
import { pipelineFiles } from "../../src/feed/pipeline-files.ts";
import { parsePosition, positionText } from "../../src/feed/position-text.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { loaded, writePipeline } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const OTHER = "q@20261123T020000Z";
const LEDGER = { key: fileKey("p", 7), pipeline: "p" };
const ALL: FeedScope = {};

const at = (n: number): string => `2026-11-28T02:00:${String(n).padStart(2, "0")}.000Z`;
const afterLines = (count: number, from = FeedPosition.start): FeedPosition => {
  let position = from;
  for (let seq = 1; seq <= count; seq += 1)
    position = position.after(LEDGER, { seq, crc: seq, at: at(seq) });
  return position;
};

describe("a text", () => {
  const texts: readonly [string, FeedScope][] = [
    ["all", ALL],
    ["pipeline p", { pipeline: "p" }],
    ["run of p", { run: RUN }],
  ];
  const scopes: readonly [string, FeedScope, readonly string[]][] = [
    ["all ledgers", ALL, ["all"]],
    ["p", { pipeline: "p" }, ["all", "pipeline p"]],
    ["q", { pipeline: "q" }, ["all"]],
    ["a pipeline that begins so", { pipeline: "p2" }, ["all"]],
    ["a run of p", { run: RUN }, ["all", "pipeline p", "run of p"]],
    ["another run of p", { run: `${RUN}-r1` }, ["all", "pipeline p"]],
    ["a run of q", { run: OTHER }, ["all"]],
    ["the pipeline of the run's name", { pipeline: RUN }, ["all"]],
  ];
  it.each(scopes)("of %s goes on from these: %j", (_, scope, good) => {
    const taken = texts.filter(([, own]) => {
      const text = positionText(afterLines(2), own, undefined);
      try {
        return parsePosition(text, scope) instanceof FeedPosition;
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        expect((error as Error).message).toContain("is one of other ledgers");
        return false;
      }
    });
    expect(taken.map(([name]) => name)).toEqual(good);
  });

  it("of the start, of an older release and of none", () => {
    expect([...parsePosition("start", ALL).marks()]).toEqual([]);
    const old = JSON.stringify([{ p: ["7", 3, at(3)] }, { [RUN]: 2 }]);
    const seqs = [...parsePosition(old, ALL).marks()].map(({ seq }) => seq);
    expect(seqs.toSorted((a, b) => a - b)).toEqual([2, 3]);
    for (const text of [
      "",
      ":0",
      "x;",
      ":0;AAAA",
      positionText(afterLines(1), ALL, undefined) + "A",
    ])
      expect(() => parsePosition(text, ALL), text).toThrow("is no position in the ledgers");
  });

  it("names the line that it stands after", () => {
    expect(positionText(afterLines(1), ALL, { file: "p/pipeline.jsonl", seq: 1 })).toMatch(
      /^p\/pipeline\.jsonl:1;/,
    );
    expect(positionText(FeedPosition.start, ALL, undefined)).toMatch(/^:0;/);
  });

  it("tells the last line, its time, and seven checksums before it", () => {
    const read = parsePosition(positionText(afterLines(12), ALL, undefined), ALL);
    const mark = read.file(LEDGER.key)!;
    expect(mark).toMatchObject({ seq: 12, crc: 12, at: at(12), back: [11, 10, 9, 8, 7, 6, 5] });
  });

  it("tells time and checksums of the sixteen ledgers that changed last", () => {
    let position = FeedPosition.start;
    for (let n = 1; n <= 20; n += 1)
      for (const seq of [1, 2])
        position = position.after(
          { key: fileKey(`p${n}`, n), pipeline: `p${n}` },
          { seq, crc: n * 100 + seq, at: at(n) },
        );
    const read = parsePosition(positionText(position, ALL, undefined), ALL);
    const known = Array.from({ length: 20 }, (_, index) => index + 1).filter((n) => {
      const mark = read.file(fileKey(`p${n}`, n))!;
      expect([mark.seq, mark.crc]).toEqual([2, n * 100 + 2]);
      return mark.back.length > 0 && mark.at === at(n);
    });
    expect(known).toEqual(Array.from({ length: 16 }, (_, index) => index + 5));
  });
});

describe("a position of all ledgers, narrowed to a pipeline", () => {
  /** As a text gives it: the ledgers of pipelines have no names. */
  const read = (): FeedPosition => parsePosition(positionText(afterLines(2), ALL, undefined), ALL);

  it("keeps what may be the pipeline's where none of its files is there", () => {
    const narrow = narrowed(read(), new RunStore(tempRoot().runs), { pipeline: "p" });
    expect([...narrow.marks()].map(({ key }) => key)).toEqual([LEDGER.key]);
  });

  it("keeps its own files' marks alone where there are some", () => {
    const { runs } = tempRoot();
    writePipeline(runs, "p", [loaded("* * * * *")]);
    const store = new RunStore(runs);
    const [file] = pipelineFiles(store, "p");
    const both = read().after({ key: file!.key, pipeline: "p" }, { seq: 1, crc: 1, at: at(3) });
    expect([...narrowed(both, store, { pipeline: "p" }).marks()].map(({ key }) => key)).toEqual([
      file!.key,
    ]);
  });

  it("is itself for all, and has nothing but the run's own for a run", () => {
    const position = read();
    const store = new RunStore(tempRoot().runs);
    expect(narrowed(position, store, ALL)).toBe(position);
    expect([...narrowed(position, store, { run: RUN }).marks()]).toEqual([]);
  });
});

it.each([1.5, -1, "3", null, 2 ** 53])(
  "a text of an earlier release with the number %j is no position",
  (seq) => {
    for (const old of [
      [{ p: ["7", seq, at(3)] }, {}],
      [{}, { [RUN]: seq }],
    ])
      expect(() => parsePosition(JSON.stringify(old), ALL)).toThrow(TypeError);
  },
);

it("a text of an earlier release knows no checksum, and no ledger of it changed last", () => {
  const [late, early] = [at(9), at(3)];
  const old = [
    { p: ["7", 3, late], q: ["9", 4, early] },
    { [RUN]: 2, [OTHER]: 0 },
  ];
  const read = parsePosition(JSON.stringify(old), ALL);
  expect([read.at, read.turn]).toEqual([late, 0]);
  const none = { back: [], turn: 0 };
  expect(read.file(fileKey("p", 7))).toEqual({
    ...none,
    key: fileKey("p", 7),
    pipeline: "p",
    seq: 3,
    crc: undefined,
    at: late,
  });
  expect(read.file(fileKey("q", 9))).toMatchObject({ ...none, seq: 4, at: early });
  // A run's own time is not told: the latest one stands for it.
  const run = { ...none, pipeline: "p", run: RUN, seq: 2, crc: undefined, at: late };
  expect(read.run(RUN)).toEqual({ ...run, key: crc32(RUN) });
  // Before the first line there is nothing to check.
  const other = { ...none, pipeline: "q", run: OTHER, seq: 0, crc: 0, at: late };
  expect(read.run(OTHER)).toEqual({ ...other, key: crc32(OTHER) });
});

it("a text tells a run's last line, and that it changed last only where it did", () => {
  const source = { key: crc32(RUN), pipeline: "p", run: RUN };
  let position = afterLines(1);
  for (const seq of [1, 2, 3]) position = position.after(source, { seq, crc: 70 + seq, at: at(9) });
  position = position.after(LEDGER, { seq: 2, crc: 2, at: at(10) });
  const read = parsePosition(positionText(position, ALL, undefined), ALL);
  const known = { seq: 3, crc: 73, back: [72, 71], at: at(9), turn: 1, pipeline: "p" };
  expect(read.run(RUN)).toMatchObject(known);
  expect(read.file(LEDGER.key)).toMatchObject({ seq: 2, crc: 2, back: [1], at: at(10), turn: 2 });
  expect([read.at, read.turn]).toEqual([at(10), 2]);
});
