/** Feeds of one hub: watchers, positions, scopes, and readers that take nothing. */
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { FeedHub } from "../../src/feed/feed-hub.ts";
import type { Feed, FeedLine } from "../../src/feed/feed-line.ts";
import { fileKey, FeedPosition } from "../../src/feed/feed-position.ts";
import { parsePosition, positionText } from "../../src/feed/position-text.ts";
import { openFeed } from "../../src/feed/open-feed.ts";
import { tempRoot } from "../support/temp-root.ts";
import { WrittenWorld } from "./written-world.ts";

let world: WrittenWorld;
let hub: FeedHub;
beforeEach(() => {
  world = new WrittenWorld(join(tempRoot().root, "runs"));
  for (const name of ["a", "b"]) {
    world.fire(name);
    world.step(name);
    world.end(name);
    world.fire(name);
  }
  hub = new FeedHub(world.store);
});
afterEach(() => hub.close());

/** Takes so many lines, and leaves the feed open. */
async function take(feed: Feed, count: number): Promise<FeedLine[]> {
  const lines: FeedLine[] = [];
  const iterator = feed[Symbol.asyncIterator]();
  while (lines.length < count) {
    const { done, value } = await iterator.next();
    if (done === true) throw new Error("the feed ended");
    lines.push(value);
  }
  return lines;
}

/** Ends a feed once it has given no line for a while, and gives the lines. */
async function rest(feed: Feed): Promise<FeedLine[]> {
  const lines: FeedLine[] = [];
  let count = -1;
  const timer = setInterval(() => {
    if (count === lines.length) feed.close();
    count = lines.length;
  }, 400);
  for await (const line of feed) lines.push(line);
  clearInterval(timer);
  return lines;
}

const typesOf = (lines: readonly FeedLine[]): string[] =>
  lines.map(({ line, run }) => `${run === undefined ? "" : "- "}${String(line["type"])}`);

describe("a position", () => {
  it("of 1,000 pipelines and the lines that changed last has less than 12 kB", () => {
    let position = FeedPosition.start;
    const at = "2026-11-28T10:00:00.000Z";
    for (let nth = 0; nth < 1_000; nth += 1) {
      const key = fileKey(`pipeline-${nth}`, nth * 7_919);
      for (let seq = 3_000; seq < 3_020; seq += 1)
        position = position.after({ key, pipeline: `pipeline-${nth}` }, { seq, crc: seq * 97, at });
    }
    const text = positionText(position, {}, { file: "pipeline-1/pipeline.jsonl", seq: 3_019 });
    expect(text.length).toBeLessThan(12_000);
    const read = parsePosition(text, {});
    expect([...read.unlike(position), ...position.unlike(read)]).toEqual([]);
    expect(positionText(read, {}, { file: "pipeline-1/pipeline.jsonl", seq: 3_019 })).toBe(text);
    expect(positionText(position, { pipeline: "pipeline-1" }, undefined).length).toBeLessThan(120);
  });

  it("has the runs that go on, however many pipelines share the first bits of their keys", () => {
    let position = FeedPosition.start;
    const at = "2026-11-28T10:00:00.000Z";
    for (let nth = 0; nth < 40; nth += 1)
      position = position.after(
        { key: 0x05_00_00_00 + nth * 3 },
        { seq: nth * 500 + 1, crc: nth, at },
      );
    for (let nth = 0; nth < 300; nth += 1) {
      const run = `p${nth % 7}@20261128T${String(100_000 + nth)}Z`;
      position = position.after({ key: crc32(run), run }, { seq: 1 + nth, crc: nth * 3, at });
    }
    const read = parsePosition(positionText(position, {}, undefined), {});
    expect([...read.unlike(position), ...position.unlike(read)]).toEqual([]);
    expect([...read.marks()].length).toBe(340);
  });
});

describe("a feed", () => {
  it("gives what comes, soon: of pipelines, of runs, and of new pipelines", async () => {
    const feed = hub.subscribe();
    const waited: number[] = [];
    for (let nth = 0; nth < 21; nth += 1) {
      const before = performance.now();
      world.step(nth % 2 === 0 ? "a" : "b");
      const [line] = await take(feed, 1);
      waited.push(performance.now() - before);
      expect(line!.seq).toBe(2 + Math.floor(nth / 2));
      expect(line!.line["type"]).toBe("step.started");
    }
    expect(waited.toSorted((a, b) => a - b)[10]).toBeLessThan(20);
    world.fire("c");
    const lines = await take(feed, 4);
    expect(typesOf(lines)).toEqual([
      "pipeline.loaded",
      "pipeline.checkpoint",
      "- run.submitted",
      "slot.fired",
    ]);
    expect(lines[2]!.file).toMatch(/^c\/2026-11\/c@20261128T\d{6}Z\.jsonl$/);
    expect(lines[3]!.file).toBe("c/pipeline.jsonl");
    expect(lines[3]!.seq).toBe(3);
    expect(lines[3]!.raw).toBe(
      [...world.standing()].find(({ raw }) => raw.includes('"slot.fired"') && raw.includes("c@"))!
        .raw,
    );
  });

  it("begins with the first line, if that is asked for", async () => {
    const lines = await rest(hub.subscribe({ from: "start" }));
    expect(lines.length).toBe([...world.standing()].length);
    expect(typesOf(lines.filter(({ pipeline }) => pipeline === "a"))).toEqual([
      "pipeline.loaded",
      "pipeline.checkpoint",
      "- run.submitted",
      "slot.fired",
      "- step.started",
      "- run.finished",
      "run.finished",
      "- run.submitted",
      "slot.fired",
    ]);
  });

  it("goes on from each of its positions", async () => {
    const lines = await rest(hub.subscribe({ from: "start" }));
    for (const [index, { position, file, seq }] of lines.entries()) {
      expect(position).toMatch(/^[^;]+:\d+;[\w-]+$/);
      expect(position.startsWith(`${file}:${seq};`)).toBe(true);
      if (index % 3 !== 0) continue;
      const own = await rest(openFeed(world.store, { from: position }));
      const left = lines.slice(index + 1).map(({ raw }) => raw);
      expect(own.map(({ raw }) => raw).toSorted()).toEqual(left.toSorted());
    }
  });

  it("can be of one pipeline or one run, and keeps to that", async () => {
    const ends = [...world.standing()].filter(({ raw }) => raw.includes('"run.finished"'));
    const [run] = ends.flatMap(({ run: of }) => of ?? []);
    const ofRun = await rest(hub.subscribe({ run: run!, from: "start" }));
    expect(typesOf(ofRun)).toEqual(["- run.submitted", "- step.started", "- run.finished"]);
    const { position } = ofRun.at(-1)!;
    expect(position.length).toBeLessThan(200);
    expect(await rest(hub.subscribe({ run: run!, from: position }))).toEqual([]);
    const ofA = await rest(hub.subscribe({ pipeline: "a", from: "start" }));
    expect(new Set(ofA.map(({ pipeline }) => pipeline))).toEqual(new Set(["a"]));
    const fromA = ofA[3]!.position;
    expect(await rest(openFeed(world.store, { pipeline: "a", from: fromA }))).toHaveLength(5);
    const message = /^the position "a\/.*" is one of other ledgers: /;
    expect(() => hub.subscribe({ from: fromA })).toThrow(message);
    expect(() => openFeed(world.store, { pipeline: "b", from: fromA })).toThrow(TypeError);
    const all = await rest(hub.subscribe({ from: "start" }));
    const narrow = await rest(hub.subscribe({ pipeline: "b", from: all[0]!.position }));
    expect(new Set(narrow.map(({ pipeline }) => pipeline))).toEqual(new Set(["b"]));
  });

  it("refuses what is no position", () => {
    const [head = "", vector = ""] = hub.subscribe().position.split(";");
    const other = vector.startsWith("B") ? "A" : "B";
    for (const from of ["", "x", `${head};`, head, `${head};${other}${vector.slice(1)}`, "[1]"])
      expect(() => hub.subscribe({ from }), from).toThrow(/ is no position in the ledgers; /);
    expect(() => hub.subscribe({ pipeline: "../x" })).toThrow(RangeError);
    expect(() => hub.subscribe({ run: "x" })).toThrow(RangeError);
  });

  it("takes a position of an earlier release", async () => {
    const lines = await rest(hub.subscribe({ from: "start" }));
    const first = (name: string): string => {
      const own = lines.find(({ pipeline, run }) => pipeline === name && run === undefined)!;
      return String(own.line["crc"]);
    };
    const run = lines.find(({ line }) => line["type"] === "slot.fired")!.line["run"] as string;
    const at = "2026-11-28T00:00:00.004Z";
    const known = { a: [first("a"), 3, at], b: [first("b"), 5, at] };
    const from = JSON.stringify([known, { [run]: 1 }]);
    const own = await rest(hub.subscribe({ from }));
    expect(typesOf(own.filter(({ pipeline }) => pipeline === "a"))).toEqual([
      "- step.started",
      "- run.finished",
      "run.finished",
      "- run.submitted",
      "slot.fired",
    ]);
  });

  it("costs nothing while nobody takes its lines, and gives them all later", async () => {
    const slow = hub.subscribe();
    const other = hub.subscribe();
    const taking = take(other, 3_000);
    for (let nth = 0; nth < 3_000; nth += 10) world.step("a", 10);
    await taking;
    const lines = await take(slow, 3_000);
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index + 2));
    world.step("a");
    expect((await take(slow, 1))[0]!.seq).toBe(3_002);
  });

  it("needs no watches", async () => {
    const blind = new FeedHub(world.store, { mostWatches: 1 });
    const feed = blind.subscribe();
    world.step("a");
    world.fire("c");
    world.step("b");
    expect(typesOf(await take(feed, 6)).toSorted()).toEqual([
      "- run.submitted",
      "- step.started",
      "- step.started",
      "pipeline.checkpoint",
      "pipeline.loaded",
      "slot.fired",
    ]);
    blind.close();
  });

  it("ends when it is closed, aborted, left, or its hub is", async () => {
    const abort = new AbortController();
    const feeds = [hub.subscribe(), hub.subscribe({ signal: abort.signal }), hub.subscribe()];
    const ends = feeds.map((feed) => feed[Symbol.asyncIterator]().next());
    feeds[0]!.close();
    abort.abort();
    hub.close();
    for (const end of await Promise.all(ends)) expect(end.done).toBe(true);
    expect((await hub.subscribe()[Symbol.asyncIterator]().next()).done).toBe(true);
  });

  it("comes with the hint that a pipeline changed", async () => {
    const changed = new Set<string>();
    const end = hub.onChange((pipeline) => changed.add(pipeline));
    world.step("b");
    await vi.waitFor(() => expect([...changed]).toEqual(["b"]));
    end();
  });
});

describe("a feed that is ahead of its hub", () => {
  it("gives a run that it read to its end once", async () => {
    const from = hub.subscribe({}).position;
    world.end("a");
    const ahead = new FeedHub(world.store);
    onTestFinished(() => ahead.close());
    const feed = ahead.subscribe({ from });
    // All of it in one turn: no watcher has told the hub of it, and the feed reads it by itself.
    world.fire("a");
    world.step("a");
    world.end("a");
    const lines = await rest(feed);
    const texts = lines.map(({ raw }) => raw);
    expect(texts.length).toBeGreaterThan(5);
    expect(new Set(texts).size).toBe(texts.length);
  });
});
