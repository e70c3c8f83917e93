/** The messages of one channel: the bound, a repeat, and the order of what is about one thing. */
import { describe, expect, it } from "vitest";
import type { Alert } from "../../src/core/alert.ts";
import type { NotifyMessage } from "../../src/core/notify-fold.ts";
import { ChannelQueue, MOST_WAITING } from "../../src/notify/channel-queue.ts";

const NOW = Date.UTC(2026, 10, 23, 2);

function message(key: string, more: Partial<Alert> = {}): NotifyMessage {
  const at = new Date(NOW).toISOString();
  const alert = { key, kind: "failed", channel: "ops", because: "x", at, count: 1, telling: 1 };
  return {
    alert: { ...alert, pipeline: `p-${key}`, ...more },
    dueAt: at,
    attempts: 0,
  } as NotifyMessage;
}

describe("a queue", () => {
  it("leaves the oldest out beyond 10,000, but not one that is under way", () => {
    const queue = new ChannelQueue();
    for (let n = 0; n < MOST_WAITING; n += 1)
      expect(queue.add(message(String(n)), NOW, 0)).toBeUndefined();
    expect(queue.begin(0)!.message.alert.key).toBe("0");
    expect(queue.add(message("more"), NOW, 0)!.message.alert.key).toBe("1");
    expect([queue.size, queue.underWay]).toEqual([MOST_WAITING, 1]);
  });

  it("takes a message once: a repeat does not begin its tries again", () => {
    const queue = new ChannelQueue();
    queue.add(message("a"), NOW, 0);
    const first = queue.begin(0)!;
    expect(queue.failed(first, NOW, 0, undefined).retryInMs).toBe(10_000);
    expect(queue.add(message("a"), NOW, 0)).toBeUndefined();
    const second = queue.begin(10_000)!;
    expect(second).toBe(first);
    expect(second.failures).toBe(1);
    expect(queue.failed(second, NOW, 10_000, undefined).retryInMs).toBe(20_000);
  });

  it("begins what is about one pipeline in its order, and four others beside it", () => {
    const queue = new ChannelQueue();
    for (const key of ["a", "b"]) queue.add(message(key, { pipeline: "p" }), NOW, 0);
    for (const key of ["c", "d", "e", "f"]) queue.add(message(key), NOW, 0);
    const begun = [0, 1, 2, 3, 4].map(() => queue.begin(0)?.message.alert.key);
    expect(begun).toEqual(["a", "c", "d", "e", undefined]);
  });
});

describe("a channel that is gone", () => {
  it("drops what waits, once, and leaves what is under way to its end", () => {
    const queue = new ChannelQueue();
    for (const key of ["a", "b", "c"]) queue.add(message(key), NOW, 0);
    const first = queue.begin(0)!;
    expect(queue.drop().map(({ message: { alert } }) => alert.key)).toEqual(["b", "c"]);
    expect([queue.drop(), queue.size, queue.wakeAt()]).toEqual([[], 1, undefined]);
    queue.refused(first);
    expect([queue.size, queue.underWay, queue.failures]).toEqual([0, 0, 0]);
  });

  it("keeps apart what the daemon's own messages are about", () => {
    const queue = new ChannelQueue();
    const none = { pipeline: undefined as never };
    queue.add(message("full", { ...none, kind: "disk_full" }), NOW, 0);
    queue.add(message("broken", { ...none, kind: "channel_broken" }), NOW, 0);
    queue.add(message("room", { ...none, kind: "recovered", of: "disk_full" }), NOW, 0);
    const begun = [0, 1, 2].map(() => queue.begin(0)?.message.alert.key);
    expect(begun).toEqual(["full", "broken", undefined]);
  });
});

describe("a message of an earlier process", () => {
  const HOUR = 3_600_000;
  it.each([
    [undefined, 0],
    [-1, 0],
    [0, 0],
    [1_000, 1_000],
    [HOUR, HOUR],
    [HOUR + 1, HOUR],
    [30 * 24 * HOUR, HOUR],
  ])("that is to be tried again in %s ms waits %i ms: an hour at most", (left, wait) => {
    const queue = new ChannelQueue();
    const retryAt = left === undefined ? {} : { retryAt: new Date(NOW + left).toISOString() };
    queue.add({ ...message("a"), attempts: 1, ...retryAt }, NOW, 500);
    if (wait > 0) expect(queue.begin(500 + wait - 1)).toBeUndefined();
    expect(queue.begin(500 + wait)!.failures).toBe(1);
  });
});

describe("a channel in doubt", () => {
  const DAY = 24 * 3_600_000;
  const keyOf = (waiting: { message: NotifyMessage } | undefined): string | undefined =>
    waiting?.message.alert.key;

  const waitOf = (failures: number): number => 10_000 * 2 ** (failures - 1);

  /** A queue of these messages, of which all that may be are under way. */
  function begun(keys: readonly string[]) {
    const queue = new ChannelQueue();
    for (const key of keys) queue.add(message(key), NOW, 0);
    const tries = keys.slice(0, 4).map(() => queue.begin(0)!);
    return { queue, tries };
  }

  it("is tried with one message at a time, each time another, after waits that double", () => {
    const { queue, tries } = begun(["a", "b", "c"]);
    // They were under way together, so this is one failure of the channel.
    for (const one of tries) queue.failed(one, NOW, 0, undefined);
    expect([queue.failures, queue.wakeAt()]).toEqual([1, 10_000]);
    const order: (string | undefined)[] = [];
    let at = 10_000;
    for (const [nth, waitMs] of [20_000, 40_000, 80_000].entries()) {
      expect(queue.begin(at - 1)).toBeUndefined();
      const one = queue.begin(at)!;
      order.push(keyOf(one));
      expect(queue.begin(at)).toBeUndefined();
      queue.failed(one, NOW, at, undefined);
      expect([queue.failures, queue.wakeAt()]).toEqual([nth + 2, at + waitMs]);
      at += waitMs;
    }
    expect(order).toEqual(["a", "b", "c"]);
  });

  it("that fails again with a message that was under way meanwhile has failed once", () => {
    const { queue, tries } = begun(["a", "b", "c"]);
    const [a, b, c] = tries;
    queue.failed(a!, NOW, 0, undefined);
    queue.failed(b!, NOW, 5_000, undefined);
    expect([queue.failures, queue.begin(60_000)]).toEqual([1, undefined]);
    queue.failed(c!, NOW, 6_000, undefined);
    expect([queue.failures, keyOf(queue.begin(16_000))]).toEqual([1, "a"]);
  });

  it.each([
    // Each keeps its own wait after some failures, and none does of a channel that was down.
    [2, undefined],
    [3, "a"],
  ])("that takes a message after %i failures is sent %s too, at once", (failures, next) => {
    const { queue, tries } = begun(["a"]);
    let at = 0;
    let one = tries[0]!;
    for (let count = 1; count < failures; count += 1) {
      at += queue.failed(one, NOW, at, undefined).retryInMs!;
      one = queue.begin(at)!;
    }
    queue.add(message("b"), NOW, at);
    queue.failed(one, NOW, at, undefined);
    expect(queue.failures).toBe(failures);
    at += waitOf(failures) - 1;
    expect(queue.begin(at)).toBeUndefined();
    // `a` asks for more time of its own than the channel does.
    one.notBefore = at + 3_600_000;
    queue.sent(queue.begin(at + 1)!, at + 1);
    expect(queue.failures).toBe(0);
    expect(keyOf(queue.begin(at + 1))).toBe(next);
  });

  it("gives up what has waited for a day, but for what is under way", () => {
    const { queue, tries } = begun(["a", "b", "c"]);
    queue.add({ ...message("young"), dueAt: new Date(NOW + 1).toISOString() }, NOW, 0);
    const [a, b] = tries;
    queue.failed(a!, NOW, 0, undefined);
    const { retryInMs, givenUp } = queue.failed(b!, NOW + DAY, DAY, undefined);
    expect([retryInMs, givenUp.map(keyOf)]).toEqual([undefined, ["a"]]);
    expect([queue.size, queue.underWay]).toEqual([2, 1]);
  });

  it("is tried at a message's last moment, though it asked for more time", () => {
    const { queue, tries } = begun(["a"]);
    const soon = NOW + DAY - 60_000;
    expect(queue.failed(tries[0]!, soon, 0, 3_600_000).retryInMs).toBe(60_000);
    expect(queue.wakeAt()).toBe(60_000);
    expect(keyOf(queue.begin(60_000))).toBe("a");
  });

  it("whose settings changed is well: all that waits is tried at once", () => {
    const { queue, tries } = begun(["a", "b"]);
    for (const one of tries) queue.failed(one, NOW, 0, 3_600_000);
    expect(queue.wakeAt()).toBe(3_600_000);
    queue.retryNow(5);
    expect([queue.failures, queue.wakeAt()]).toEqual([0, 5]);
    expect([keyOf(queue.begin(5)), keyOf(queue.begin(5))]).toEqual(["a", "b"]);
    expect(queue.drop()).toEqual([]);
  });
});
