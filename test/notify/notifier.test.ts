import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import { resolveNotify } from "../../src/core/notify-settings.ts";
import type { NotifyCheckpoint, NotifyMessage } from "../../src/core/notify-fold.ts";
import type { Feed, FeedLine } from "../../src/feed/feed-line.ts";
import { silentLog } from "../../src/log.ts";
import { AlertFold } from "../../src/notify/alert-fold.ts";
import { Notifier } from "../../src/notify/notifier.ts";
import type { NotifyStore } from "../../src/notify/notify-store.ts";
import { RuleBook } from "../../src/notify/rule-book.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const START = Date.UTC(2026, 10, 23, 2);

/** A feed that gives what a test puts into it. */
class HandFeed implements Feed {
  position = "start";
  readonly #lines: FeedLine[] = [];
  #wake: (() => void) | undefined;
  #isClosed = false;
  #nth = 0;

  put(clock: VirtualClock, pipeline: string, line: object): void {
    const seq = (this.#nth += 1);
    const at = new Date(clock.now()).toISOString();
    const file = `${pipeline}/pipeline.jsonl`;
    const position = `p${seq}`;
    this.#lines.push({ pipeline, file, seq, raw: "", line: { at, seq, ...line }, position });
    this.#wake?.();
  }

  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  [Symbol.asyncIterator](): AsyncIterator<FeedLine, undefined> {
    return {
      next: async () => {
        while (!this.#isClosed) {
          const line = this.#lines.shift();
          if (line !== undefined) {
            this.position = line.position;
            return { value: line };
          }
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
        return { done: true, value: undefined };
      },
    };
  }
}

/** A notifier over a store that remembers its writes, and may hold them. */
function rig(rules: object = {}, packed?: NotifyCheckpoint) {
  const clock = new VirtualClock({ start: START });
  const feed = new HandFeed();
  const writes: { readonly keys: string[]; readonly position: string }[] = [];
  const sent: NotifyMessage[] = [];
  const held: { full: boolean; wake: (() => void)[] } = { full: false, wake: [] };
  let checkpoint = packed;
  const store: NotifyStore = {
    get checkpoint() {
      return checkpoint;
    },
    waiting: [],
    async decided(alerts: readonly Alert[], next) {
      if (held.full) await new Promise<void>((resolve) => held.wake.push(resolve));
      else await nextTurn();
      checkpoint = structuredClone(next);
      writes.push({ keys: alerts.map(({ key }) => key), position: next.position });
      return new Date(clock.now()).toISOString();
    },
    tried: async () => undefined,
  };
  const all = ["failed", "recovered", "missed", "disk_full", "queued", "late"] as const;
  const settings = resolveNotify(
    {
      channels: { ops: { kind: "webhook", url: "http://127.0.0.1/" } },
      rules: [{ on: [...all], to: ["ops"], ...rules }],
    },
    "UTC",
  );
  const book = new RuleBook(settings, "UTC");
  const fold = new AlertFold({ packed: packed?.state, book });
  const deliveries = { add: (message: NotifyMessage) => void sent.push(message) };
  const notifier = new Notifier({ clock, log: silentLog, store, feed, fold, deliveries });
  const running = notifier.run();
  const fail = (pipeline: string, status = "failed"): void =>
    feed.put(clock, pipeline, {
      type: "run.finished",
      run: `${pipeline}@20261123T020000Z`,
      status,
      because: `it ${status}`,
      durationMs: 1,
    });
  const full = (isFull: boolean): void => {
    const at = new Date(clock.now()).toISOString();
    notifier.tell({ type: "disk", now: clock.now(), at, full: isFull, because: "it is full" });
  };
  const close = async (): Promise<void> => {
    notifier.close();
    for (const wake of held.wake.splice(0)) wake();
    held.full = false;
    await running;
  };
  return { clock, feed, writes, sent, held, fail, full, close, checkpoint: () => checkpoint };
}

describe("orchd notify at work", () => {
  it("makes durable in one write what a stretch of lines calls for, then sends it", async () => {
    const { clock, writes, sent, fail, close } = rig();
    await clock.settle();
    expect(writes).toEqual([{ keys: [], position: "start" }]);
    for (const pipeline of ["a", "b", "c"]) fail(pipeline);
    await clock.settle();
    await clock.settle();
    expect(writes.length).toBe(2);
    expect(writes[1]).toMatchObject({ position: "p3" });
    expect(sent.map(({ alert }) => alert.key)).toEqual(writes[1]!.keys);
    expect(sent.length).toBe(3);
    await close();
    expect(clock.timers).toBe(0);
  });

  it("decides the same under the same keys from the checkpoint before a crash", async () => {
    const first = rig();
    await first.clock.settle();
    const before = structuredClone(first.checkpoint())!;
    first.fail("a");
    first.fail("b");
    await first.clock.settle();
    const again = rig({}, before);
    again.fail("a");
    again.fail("b");
    await again.clock.settle();
    expect(again.sent.map(({ alert }) => alert)).toEqual(first.sent.map(({ alert }) => alert));
    await Promise.all([first.close(), again.close()]);
  });

  it("keeps 10,000 failures of 1,000 pipelines in a minute in one message, and small", async () => {
    const { clock, feed, writes, sent, fail, close } = rig({ group: "1m" });
    await clock.settle();
    const heap = (): number => {
      globalThis.gc?.();
      return process.memoryUsage().heapUsed / 1_048_576;
    };
    const before = heap();
    for (let nth = 0; nth < 10_000; nth += 1) {
      fail(`p${nth % 1_000}`);
      if (nth % 500 === 499) {
        await clock.advance(3_000);
        while (feed.position !== `p${nth + 1}`) await nextTurn();
      }
    }
    await clock.advance(120_000);
    await clock.settle();
    expect(sent.length).toBe(1);
    expect(sent[0]!.alert.count).toBeGreaterThanOrEqual(1_000);
    expect(sent[0]!.alert.others!.length).toBeLessThanOrEqual(50);
    expect(JSON.stringify(sent[0]).length).toBeLessThan(50_000);
    expect(writes.length).toBeLessThan(40);
    const grown = heap() - before;
    process.stdout.write(`promise 45: 10,000 failures: heap ${grown.toFixed(1)} MiB more\n`);
    await close();
  }, 60_000);

  it("tells that the disk is full before that is durable, and the rest after it", async () => {
    const { clock, held, sent, fail, full, close, writes } = rig();
    await clock.settle();
    held.full = true;
    fail("a");
    await clock.settle();
    expect(sent).toEqual([]);
    full(true);
    await clock.settle();
    expect(sent.map(({ alert }) => alert.kind)).toEqual(["disk_full"]);
    held.full = false;
    for (const wake of held.wake.splice(0)) wake();
    await clock.settle();
    expect(sent.map(({ alert }) => alert.kind)).toEqual(["disk_full", "failed"]);
    expect(writes.map(({ keys }) => keys.length)).toEqual([0, 1, 1]);
    full(false);
    await clock.settle();
    await clock.settle();
    expect(sent.at(-1)!.alert).toMatchObject({ kind: "recovered", of: "disk_full" });
    await close();
  });

  it("lets time pass only where all lines that are there were taken", async () => {
    const { clock, sent, feed, close } = rig({ queued: "10s" });
    await clock.settle();
    feed.put(clock, "a", {
      type: "slot.fired",
      run: "a@20261123T020000Z",
      slot: "2026-11-23T02:00:00.000Z",
    });
    feed.put(clock, "a", { type: "run.queued", run: "a@20261123T020000Z", because: "it waits" });
    await clock.advance(9_000);
    expect(sent).toEqual([]);
    await clock.advance(5_000);
    expect(sent.map(({ alert }) => alert.kind)).toEqual(["queued"]);
    await close();
  });

  it("writes where it is every five minutes where lines call for nothing", async () => {
    const { clock, writes, fail, close } = rig();
    await clock.settle();
    for (let minute = 0; minute < 30; minute += 1) {
      fail("a", "completed");
      await clock.advance(60_000);
    }
    expect(writes.length).toBeGreaterThanOrEqual(5);
    expect(writes.length).toBeLessThanOrEqual(9);
    await close();
    expect(writes.at(-1)!.position).toBe("p30");
  });
});

it("goes no further than the lines that were folded, where the feed is ahead", async () => {
  const { feed, writes, held, fail, full, close } = rig();
  while (writes.length === 0) await nextTurn();
  held.full = true;
  fail("etl");
  while (held.wake.length === 0) await nextTurn();
  fail("load");
  while (feed.position !== "p2") await nextTurn();
  full(true);
  held.full = false;
  for (const wake of held.wake.splice(0)) wake();
  while (writes.length < 4) await nextTurn();
  expect(writes.slice(1).map(({ position }) => position)).toEqual(["p1", "p1", "p2"]);
  await close();
});

it("sends in their order what waits for a full disk, whichever write ends first", async () => {
  const clock = new VirtualClock({ start: START });
  const sent: string[] = [];
  const writes: (() => void)[] = [];
  const alert = (kind: string, key: string): Alert => ({ kind, key }) as Alert;
  let nth = 0;
  const notifier = new Notifier({
    clock,
    log: silentLog,
    feed: new HandFeed(),
    store: {
      checkpoint: { position: "start", state: null },
      waiting: [],
      decided: (alerts: readonly Alert[]) =>
        new Promise((resolve) =>
          writes.push(() => resolve(`after ${alerts.map(({ key }) => key).join(" ")}`)),
        ),
      tried: async () => undefined,
    } as unknown as NotifyStore,
    // Each time it says of the disk what it says of something else too.
    fold: {
      take: () => {
        nth += 1;
        return { due: [alert("failed", `failed${nth}`), alert("disk_full", `full${nth}`)] };
      },
      packed: () => null,
    },
    deliveries: {
      add: (given) => void sent.push(`${given.alert.key} ${given.dueAt}`),
    },
  });
  const at = new Date(START).toISOString();
  for (const because of ["one", "two"])
    notifier.tell({ type: "disk", now: START, at, full: true, because });
  expect(sent).toEqual([`full1 ${at}`, `full2 ${at}`]);
  writes[1]!();
  await clock.settle();
  expect(sent).toHaveLength(2);
  writes[0]!();
  await clock.settle();
  expect(sent.slice(2)).toEqual(["failed1 after failed1 full1", "failed2 after failed2 full2"]);
});
