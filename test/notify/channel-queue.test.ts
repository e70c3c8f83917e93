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
