/** What the hub finds where the kernel tells it of nothing: by its slow look, soon enough. */
import type * as nodeFs from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { FeedHub } from "../../src/feed/feed-hub.ts";
import type { FeedLine } from "../../src/feed/feed-line.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { WrittenWorld } from "./written-world.ts";

/** The files that were opened. */
const opened = vi.hoisted((): string[] => []);

/** Watches as the kernel gives them, of which no event comes. */
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof nodeFs>();
  const watch = ((path: string, options: object) =>
    fs.watch(path, options, () => undefined)) as typeof fs.watch;
  const openSync = ((...args: Parameters<typeof fs.openSync>) => {
    opened.push(String(args[0]));
    return fs.openSync(...args);
  }) as typeof fs.openSync;
  return { ...fs, default: { ...fs, watch, openSync }, watch, openSync };
});

/** Each pipeline has its look once in 30 s; a look is taken each second. */
const LOOK_SECONDS = 30;
const NAMES = Array.from({ length: LOOK_SECONDS + 5 }, (_, nth) => `p-${nth}`);

let world: WrittenWorld;
let clock: VirtualClock;
let lines: FeedLine[];
beforeEach(async () => {
  world = new WrittenWorld(join(tempRoot().root, "runs"));
  for (const name of NAMES) world.fire(name);
  clock = new VirtualClock();
  const hub = new FeedHub(world.store, { clock });
  const feed = hub.subscribe();
  lines = [];
  void (async () => {
    for await (const line of feed) lines.push(line);
  })();
  onTestFinished(() => hub.close());
  await clock.settle();
});

/** Lets so many seconds pass, and what was read be given. */
async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    await clock.advance(1_000);
    await new Promise((resolve) => setImmediate(resolve));
    await clock.settle();
  }
}

it("a line of a run, of every pipeline, within half a minute", async () => {
  for (const name of NAMES) world.step(name);
  await pass(LOOK_SECONDS + 1);
  expect(lines.map(({ pipeline }) => pipeline).toSorted()).toEqual([...NAMES].toSorted());
  // The second time of it.
  for (const name of NAMES) world.end(name);
  const before = lines.length;
  await pass(LOOK_SECONDS + 1);
  expect(new Set(lines.slice(before).map(({ pipeline }) => pipeline)).size).toBe(NAMES.length);
});

it("one of them each second, and not all at the end", async () => {
  for (const name of NAMES) world.step(name);
  await pass(LOOK_SECONDS / 2);
  expect(lines.length).toBeGreaterThan(NAMES.length / 3);
  expect(lines.length).toBeLessThan((2 * NAMES.length) / 3);
});

it("a pipeline that is new", async () => {
  world.fire("new");
  await pass(LOOK_SECONDS + 1);
  expect(lines.some(({ pipeline }) => pipeline === "new")).toBe(true);
});

it("nothing, without opening the ledgers of pipelines that are as they were", async () => {
  opened.length = 0;
  await pass(2 * LOOK_SECONDS);
  expect(opened.filter((path) => path.endsWith("pipeline.jsonl"))).toEqual([]);
  expect(lines).toEqual([]);
});

it.each([
  [64, 250],
  [65, 1_000],
])("of %i pipelines without a watch what is new is found each %i ms", async (count, everyMs) => {
  const own = new WrittenWorld(join(tempRoot().root, "runs"));
  for (let nth = 0; nth < count; nth += 1) own.fire(`p-${nth}`);
  const time = new VirtualClock();
  const hub = new FeedHub(own.store, { clock: time, mostWatches: 0 });
  onTestFinished(() => hub.close());
  const found: string[] = [];
  const feed = hub.subscribe();
  void (async () => {
    for await (const { pipeline } of feed) found.push(pipeline);
  })();
  await time.settle();
  for (const name of ["p-0", "p-7", "p-0"]) {
    found.length = 0;
    own.step(name);
    await time.advance(everyMs - 1);
    expect(found).toEqual([]);
    await time.advance(1);
    expect(found).toEqual([name]);
  }
  hub.close();
  expect(time.timers).toBe(0);
});
