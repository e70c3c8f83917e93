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
  #error: Error | undefined;
  #nth = 0;

  put(clock: VirtualClock, pipeline: string, line: object, run?: string): void {
    const seq = (this.#nth += 1);
    const at = new Date(clock.now()).toISOString();
    const file = `${pipeline}/pipeline.jsonl`;
    const position = `p${seq}`;
    const of = run === undefined ? {} : { run };
    this.#lines.push({ pipeline, file, seq, raw: "", line: { at, seq, ...line }, position, ...of });
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#error = error;
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
          if (this.#error !== undefined) throw this.#error;
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

  it("tells of room and of a disk that is full again in their order", async () => {
    const { clock, held, sent, full, close } = rig();
    await clock.settle();
    full(true);
    await clock.settle();
    held.full = true;
    full(false);
    full(true);
    const kinds = (): string[] => sent.map(({ alert: { kind } }) => kind);
    expect(kinds()).toEqual(["disk_full", "recovered", "disk_full"]);
    held.full = false;
    for (const wake of held.wake.splice(0)) wake();
    await clock.settle();
    expect(kinds()).toHaveLength(3);
    full(false);
    await clock.settle();
    await clock.settle();
    expect(kinds().slice(3)).toEqual(["recovered"]);
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

/** A notifier whose fold is played: it says what a test wants, and what it was given. */
function played(more: { checkpoint?: NotifyCheckpoint; waiting?: NotifyMessage[] } = {}) {
  const clock = new VirtualClock({ start: START });
  const feed = new HandFeed();
  const given: string[] = [];
  const writes: string[] = [];
  const sent: string[] = [];
  const fold = {
    wakeAt: undefined as number | undefined,
    due: (_input: { type: string }): string[] => [],
    state: { firing: 0 } as Record<string, number>,
    writes: (): Promise<void> => Promise.resolve(),
  };
  const seconds = (): number => (clock.now() - START) / 1_000;
  const checkpoint = "checkpoint" in more ? more.checkpoint : { position: "p0", state: fold.state };
  const notifier = new Notifier({
    clock,
    log: silentLog,
    feed,
    store: {
      checkpoint,
      waiting: more.waiting ?? [],
      decided: async (alerts: readonly Alert[], { position }: NotifyCheckpoint) => {
        writes.push([`${seconds()} s`, position, ...alerts.map(({ key }) => key)].join(" "));
        await fold.writes();
        return "then";
      },
      tried: async () => undefined,
    },
    fold: {
      take: (input) => {
        given.push(`${seconds()} s ${input.type}`);
        const due = fold.due(input).map((key) => ({ key, kind: "failed" }) as Alert);
        const { wakeAt } = fold;
        return { due, ...(wakeAt === undefined ? {} : { wakeAt }) };
      },
      packed: () => structuredClone(fold.state),
    },
    deliveries: { add: ({ alert, dueAt }) => void sent.push(`${alert.key} ${dueAt}`) },
  });
  const running = notifier.run();
  const line = (age = 0, run?: string): void => {
    const at = new Date(clock.now() - age).toISOString();
    feed.put(clock, "a", { type: "x", at }, run);
  };
  const close = async (): Promise<void> => {
    notifier.close();
    await running;
  };
  return { clock, feed, given, writes, sent, fold, notifier, running, line, close };
}

describe("a tick", () => {
  it("comes first when all is read, then when the fold asks for it", async () => {
    const { clock, given, fold, close } = played();
    fold.wakeAt = START + 5_000;
    await clock.advance(4_999);
    expect(given).toEqual(["1 s tick"]);
    fold.wakeAt = START + 90_000;
    await clock.advance(84_999);
    expect(given.slice(1)).toEqual(["5 s tick"]);
    fold.wakeAt = undefined;
    await clock.advance(3_600_000);
    expect(given.slice(2)).toEqual(["90 s tick"]);
    await close();
  });

  it("comes once a second to a fold that would be woken at once", async () => {
    const { clock, given, fold, close } = played();
    fold.wakeAt = 0;
    await clock.advance(3_500);
    expect(given).toEqual(["1 s tick", "2 s tick", "3 s tick"]);
    await close();
  });

  it.each([
    ["that was just written", 0, "10 s tick"],
    ["2,999 ms old", 2_999, "10 s tick"],
    ["3 s old", 3_000, "10.5 s tick"],
    ["of last year", 365 * 86_400_000, "10.5 s tick"],
    ["2,999 ms ahead", -2_999, "10 s tick"],
    ["3 s ahead", -3_000, "10.5 s tick"],
  ])("waits for a second without a line after one %s", async (_, age, tick) => {
    const { clock, given, fold, line, close } = played();
    fold.wakeAt = START + 10_000;
    await clock.advance(9_500);
    // The line's age is that when the tick is due.
    line(age - 500);
    await clock.advance(2_000);
    fold.wakeAt = undefined;
    expect(given.slice(1, 3)).toEqual(["9.5 s line", tick]);
    await close();
  });

  it("comes at once after new rules", async () => {
    const { clock, given, notifier, close } = played();
    await clock.advance(30_000);
    notifier.refresh();
    await clock.settle();
    expect(given).toEqual(["1 s tick", "30 s tick"]);
    await close();
  });
});

describe("what is made durable without anything due", () => {
  it("is what holds, ten seconds after the last look, where it changed", async () => {
    const { clock, writes, fold, line, close } = played();
    await clock.advance(20_000);
    fold.state = { firing: 1 };
    line();
    await clock.advance(4_000);
    expect(writes).toEqual(["20 s p1"]);
    fold.state = { firing: 2 };
    line();
    await clock.advance(5_999);
    expect(writes).toHaveLength(1);
    await clock.advance(1);
    expect(writes.slice(1)).toEqual(["30 s p2"]);
    await close();
  });

  it("is not a run that waits, nor when the fold is to be woken", async () => {
    const { clock, writes, fold, line, close } = played();
    fold.state = { firing: 0, waits: 3, wakeAt: 7 };
    line();
    await clock.advance(299_999);
    expect(writes).toEqual([]);
    await clock.advance(1);
    expect(writes).toEqual(["300 s p1"]);
    await clock.advance(3_600_000);
    expect(writes).toHaveLength(1);
    await close();
    expect(writes).toHaveLength(1);
  });

  it("is the beginning, where there was none", async () => {
    const { clock, writes, close } = played({ checkpoint: undefined as never });
    await clock.settle();
    expect(writes[0]).toBe("0 s start");
    await close();
  });
});

describe("what is due", () => {
  it("is made durable after 1,000 lines, though more are there", async () => {
    const { clock, feed, writes, sent, fold, line, close } = played();
    await clock.advance(2_000);
    fold.due = () => (feed.position === "p7" ? ["k7"] : []);
    for (let nth = 0; nth < 1_500; nth += 1) line();
    while (writes.length < 1) await nextTurn();
    expect(writes).toEqual(["2 s p1000 k7"]);
    while (sent.length < 1) await nextTurn();
    expect(sent).toEqual(["k7 then"]);
    await close();
  });

  it("is told by pipelines' lines and facts alone, and facts come first", async () => {
    const { clock, given, notifier, line, close, writes, sent, fold } = played();
    await clock.advance(2_000);
    given.length = 0;
    fold.due = ({ type }) => [type];
    line();
    line(0, "a@1");
    const at = "2026-11-23T02:00:02.000Z";
    const fact = { now: clock.now(), at, because: "b" };
    notifier.tell({ type: "disk", full: false, ...fact });
    notifier.tell({ type: "restarted", epoch: 2, ...fact });
    await clock.settle();
    expect(given).toEqual(["2 s disk", "2 s restarted", "2 s line"]);
    expect([writes, sent]).toEqual([
      ["2 s p2 disk restarted line"],
      ["disk then", "restarted then", "line then"],
    ]);
    await close();
  });

  it("is made durable at the end, and no end comes before that", async () => {
    const { clock, writes, sent, notifier, running, fold } = played();
    await clock.advance(2_000);
    let wrote = (): void => undefined;
    fold.writes = () => new Promise((resolve) => (wrote = resolve));
    fold.due = () => {
      notifier.close();
      return ["k"];
    };
    const at = "2026-11-23T02:00:02.000Z";
    notifier.tell({ type: "restarted", epoch: 2, now: clock.now(), at, because: "b" });
    let isOver = false;
    void running.then(() => (isOver = true));
    await clock.settle();
    expect([isOver, sent]).toEqual([false, []]);
    wrote();
    await running;
    expect([writes, sent]).toEqual([["2 s start k"], ["k then"]]);
    expect(clock.timers).toBe(0);
  });

  it("of an earlier process is handed over before anything else", async () => {
    const message = { alert: { key: "left" }, dueAt: "before", attempts: 2 } as NotifyMessage;
    const { sent, close } = played({ waiting: [message] });
    expect(sent).toEqual(["left before"]);
    await close();
  });
});

it.each([
  ["while it sleeps", true],
  ["before it sleeps", false],
])("ends with the feed, and fails as it does, %s", async (_, sleeps) => {
  const ended = played();
  if (sleeps) await ended.clock.settle();
  ended.feed.close();
  await ended.running;
  expect(ended.clock.timers).toBe(0);
  const failing = played();
  if (sleeps) await failing.clock.settle();
  failing.feed.fail(new Error("the runs folder is gone"));
  await expect(failing.running).rejects.toThrow("the runs folder is gone");
});
