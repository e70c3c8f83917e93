/** One feed of a hub that a test plays: what it queues, when it reads by itself, and its ends. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { FeedItem, NOTHING_CHANGED, positionAfter } from "../../src/feed/feed-item.ts";
import type { FeedLine, FeedScope } from "../../src/feed/feed-line.ts";
import { fileKey, FeedPosition } from "../../src/feed/feed-position.ts";
import { FeedSubscription, type SubscriptionHub } from "../../src/feed/feed-subscription.ts";
import { presentPosition } from "../../src/feed/present-position.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { loaded, writePipeline, type HandEvent } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const KEY = fileKey("p", 1);
const at = "2026-11-28T02:00:00.000Z";

/** The line of a number of a made-up ledger of `p`, as the hub's reader gives it. */
function item(seq: number, more: { isCut?: boolean; pipeline?: string; text?: string } = {}) {
  const { isCut = false, pipeline = "p", text = "" } = more;
  const origin = { key: KEY, pipeline, run: undefined, file: `${pipeline}/pipeline.jsonl`, isCut };
  const raw = JSON.stringify({ seq, text });
  const whole = { offset: seq, seq, crc: seq, at, type: "x", raw };
  const after = positionAfter(FeedPosition.start, origin, whole, NOTHING_CHANGED);
  return new FeedItem(origin, whole, NOTHING_CHANGED, after);
}

let store: RunStore;
let drained = 0;
let left: unknown[] = [];
let unlike: ReadonlySet<string> = new Set();
let hubPosition = FeedPosition.start;

beforeEach(() => {
  store = new RunStore(tempRoot().runs);
  [drained, left, unlike, hubPosition] = [0, [], new Set(), FeedPosition.start];
});

function feedOf(
  scope: FeedScope = {},
  {
    isNow = true,
    mostQueued = 3,
    position = FeedPosition.start,
    signal,
  }: {
    isNow?: boolean;
    mostQueued?: number;
    position?: FeedPosition;
    signal?: AbortSignal;
  } = {},
): FeedSubscription {
  const hub: SubscriptionHub = {
    store,
    mostQueued,
    get position() {
      return hubPosition;
    },
    drain: () => {
      drained += 1;
      return true;
    },
    unlike: () => unlike,
    left: (feed) => void left.push(feed),
  };
  return new FeedSubscription(hub, scope, { position, isNow }, signal);
}

const waiting = new WeakMap<FeedSubscription, Promise<IteratorResult<FeedLine, undefined>>>();

/** Takes lines until none comes within some turns of the event loop. */
async function taken(feed: FeedSubscription): Promise<number[]> {
  const lines: number[] = [];
  for (;;) {
    const next = waiting.get(feed) ?? feed[Symbol.asyncIterator]().next();
    waiting.set(feed, next);
    const result = await Promise.race([next, someTurns()]);
    if (result === undefined) return lines;
    waiting.delete(feed);
    if (result.done === true) return lines;
    lines.push(result.value.seq);
  }
}

async function someTurns(): Promise<undefined> {
  for (let turn = 0; turn < 10; turn += 1) await nextTurn();
}

describe("a feed that is where its hub is", () => {
  it("gives what comes, in order, and wakes who waits", async () => {
    const feed = feedOf();
    const waits = feed[Symbol.asyncIterator]().next();
    feed.offer(item(1));
    expect((await waits).value?.seq).toBe(1);
    feed.offer(item(2));
    feed.offer(item(3));
    expect(await taken(feed)).toEqual([2, 3]);
    expect(drained).toBe(0);
  });

  it("falls behind with one line more than it may queue, and reads by itself", async () => {
    writePipeline(store.runsDir, "p", [loaded("0 * * * *"), { type: "a" }, { type: "b" }]);
    const feed = feedOf();
    for (const seq of [1, 2, 3]) feed.offer(item(seq));
    expect([await taken(feed), drained]).toEqual([[1, 2, 3], 0]);
    unlike = new Set(["p"]);
    for (const seq of [4, 5, 6, 7]) feed.offer(item(seq));
    expect(await taken(feed)).toEqual([1, 2, 3]);
    expect(drained).toBe(2);
  });

  it("falls behind with a mebibyte of text, and counts what was taken no more", async () => {
    const half = "x".repeat(524_288 - 100);
    const feed = feedOf({}, { mostQueued: 1_000 });
    for (let seq = 1; seq <= 10; seq += 2) {
      feed.offer(item(seq, { text: half }));
      feed.offer(item(seq + 1, { text: half }));
      expect(await taken(feed)).toEqual([seq, seq + 1]);
    }
    expect(drained).toBe(0);
    for (const seq of [11, 12, 13]) feed.offer(item(seq, { text: half }));
    expect(await taken(feed)).toEqual([]);
    expect(drained).toBe(1);
  });

  it("gives nothing once it is closed, left or aborted, and tells its hub once", async () => {
    const abort = new AbortController();
    const feeds = [feedOf(), feedOf({}, { signal: abort.signal }), feedOf()];
    for (const feed of feeds) feed.offer(item(1));
    const iterator = feeds[2]![Symbol.asyncIterator]();
    feeds[0]!.close();
    feeds[0]!.close();
    abort.abort();
    expect(await iterator.return!()).toEqual({ done: true, value: undefined });
    expect(left).toEqual(feeds);
    for (const feed of feeds) {
      feed.offer(item(2));
      expect(await feed[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
    }
    const late = feedOf({}, { signal: AbortSignal.abort() });
    expect((await late[Symbol.asyncIterator]().next()).done).toBe(true);
  });
});

describe("a feed of one pipeline", () => {
  it("leaves out others, and what it was given", async () => {
    const feed = feedOf({ pipeline: "p" });
    feed.offer(item(1, { pipeline: "q" }));
    feed.offer(item(1));
    feed.offer(item(1));
    feed.offer(item(2));
    expect(await taken(feed)).toEqual([1, 2]);
    expect(drained).toBe(0);
  });

  it.each([
    ["a line is missing between", item(3)],
    ["lines before it were cut", item(2, { isCut: true })],
  ])("falls behind where %s", async (_what, next) => {
    const feed = feedOf({ pipeline: "p" });
    feed.offer(item(1));
    expect(await taken(feed)).toEqual([1]);
    feed.offer(next);
    expect(await taken(feed)).toEqual([]);
    expect(drained).toBe(1);
  });

  it("reads again as a pipeline comes back that was away, and not for another", async () => {
    unlike = new Set(["p", "q"]);
    const feed = feedOf({ pipeline: "p" }, { isNow: false });
    expect(await taken(feed)).toEqual([]);
    expect(drained).toBe(1);
    feed.came(new Set(["q"]));
    expect(await taken(feed)).toEqual([]);
    expect(drained).toBe(1);
    feed.came(new Set(["p"]));
    expect(await taken(feed)).toEqual([]);
    expect(drained).toBe(2);
    // Any may have come.
    feed.came(undefined);
    expect(await taken(feed)).toEqual([]);
    expect(drained).toBe(3);
    unlike = new Set();
    feed.came(undefined);
    await taken(feed);
    feed.came(undefined);
    await taken(feed);
    expect(drained).toBe(4);
  });
});

describe("a feed that begins behind its hub", () => {
  const EVENTS: readonly HandEvent[] = [loaded("0 * * * *"), { type: "a" }, { type: "b" }];

  it("reads what there is, and then takes from the hub, without a line twice", async () => {
    writePipeline(store.runsDir, "p", EVENTS);
    unlike = new Set(["p"]);
    const feed = feedOf({}, { isNow: false });
    expect(await taken(feed)).toEqual([1, 2, 3]);
    hubPosition = presentPosition(store, {});
    const { key } = [...hubPosition.marks()][0]!;
    const again = (seq: number): FeedItem => {
      const made = item(seq);
      return new FeedItem({ ...made.origin, key }, made.whole, NOTHING_CHANGED, made.after);
    };
    feed.offer(again(3));
    feed.offer(again(4));
    expect(await taken(feed)).toEqual([4]);
    expect(drained).toBe(2);
  });

  it("is where its hub is once both have the same marks", async () => {
    writePipeline(store.runsDir, "p", EVENTS);
    hubPosition = presentPosition(store, {});
    unlike = new Set(["p"]);
    const feed = feedOf({}, { isNow: false });
    expect(await taken(feed)).toEqual([1, 2, 3]);
    // What a shared feed is offered it does not check: it is the hub's next line.
    feed.offer(item(9));
    expect(await taken(feed)).toEqual([9]);
  });

  it("reads on from where it was after a rest", async () => {
    writePipeline(store.runsDir, "p", EVENTS);
    unlike = new Set(["p"]);
    const feed = feedOf({}, { isNow: false });
    const iterator = feed[Symbol.asyncIterator]();
    expect((await iterator.next()).value?.seq).toBe(1);
    // Used since the last look: it keeps what is read ahead. Not used: it lets go of it.
    feed.rest();
    feed.rest();
    expect((await iterator.next()).value?.seq).toBe(2);
    expect((await iterator.next()).value?.seq).toBe(3);
    feed.close();
  });
});
