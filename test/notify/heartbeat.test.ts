import { describe, expect, it } from "vitest";
import { silentLog, type Log } from "../../src/log.ts";
import { Heartbeat, whySilent, type DaemonSigns } from "../../src/notify/heartbeat.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const NOW = Date.UTC(2026, 10, 23, 2);
const WELL: DaemonSigns = { isHeld: true, seenAt: NOW, undecided: undefined };

describe("the heartbeat", () => {
  it("is sent only while nothing speaks against the daemon", () => {
    expect(whySilent(WELL, NOW)).toBeUndefined();
    expect(whySilent({ ...WELL, isHeld: false }, NOW)).toBe("no daemon runs");
    expect(whySilent({ ...WELL, seenAt: NOW - 60_000 }, NOW)).toBeUndefined();
    expect(whySilent({ ...WELL, seenAt: NOW - 61_000 }, NOW)).toContain("1m 1s ago");
    const undecided = { pipeline: "etl", due: NOW - 60_000 };
    expect(whySilent({ ...WELL, undecided }, NOW)).toBeUndefined();
    expect(whySilent({ ...WELL, undecided: { ...undecided, due: NOW - 61_000 } }, NOW)).toBe(
      "a slot of etl has been due for 1m 1s and is not decided",
    );
  });

  it("comes each minute, stops in time, goes on, and never waits for a slow receiver", async () => {
    const clock = new VirtualClock({ start: NOW });
    const beats: number[] = [];
    let stoppedAt: number | undefined;
    let isSlow = false;
    const heartbeat = new Heartbeat({
      clock,
      log: silentLog,
      everyMs: 60_000,
      timeoutMs: 10_000,
      signs: async (now) => ({ isHeld: true, seenAt: stoppedAt ?? now, undecided: undefined }),
      async ask(signal) {
        beats.push((clock.now() - NOW) / 1_000);
        if (isSlow)
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        return isSlow ? { ok: false, because: "no answer" } : { ok: true };
      },
    });
    await clock.advance(125_000);
    expect(beats).toEqual([0, 60, 120]);
    stoppedAt = clock.now();
    await clock.advance(600_000);
    expect(beats).toEqual([0, 60, 120, 180]);
    stoppedAt = undefined;
    isSlow = true;
    await clock.advance(120_000);
    expect(beats.length).toBe(6);
    heartbeat.close();
    await clock.settle();
    expect(clock.timers).toBe(0);
  });

  it("tells once why it is not sent, whatever the figures, and that it is again", async () => {
    const clock = new VirtualClock({ start: NOW });
    const told: string[] = [];
    const say = (_fields: object, sentence: string): void => void told.push(sentence);
    let answer: { ok: true } | { ok: false; because: string } = { ok: true };
    let seenAt: number | undefined;
    const heartbeat = new Heartbeat({
      clock,
      log: { debug: say, info: say, warn: say, error: say } satisfies Log,
      everyMs: 60_000,
      timeoutMs: 10_000,
      signs: async (now) => {
        if (seenAt === -1) throw new Error("EACCES: 1");
        return { isHeld: true, seenAt: seenAt ?? now, undecided: undefined };
      },
      ask: async () => answer,
    });
    await clock.advance(60_000);
    expect(told.splice(0)).toEqual([]);
    seenAt = clock.now();
    await clock.advance(600_000);
    expect(told.splice(0)).toEqual([
      "the heartbeat is not sent: the daemon gave its last sign of life 2m ago",
    ]);
    seenAt = undefined;
    answer = { ok: false, because: "it answers 500" };
    await clock.advance(180_000);
    expect(told.splice(0)).toEqual(["the heartbeat was not taken: it answers 500"]);
    answer = { ok: true };
    await clock.advance(120_000);
    expect(told.splice(0)).toEqual(["the heartbeat is sent"]);
    seenAt = -1;
    await clock.advance(120_000);
    expect(told.splice(0)).toEqual(["the heartbeat is not sent: EACCES: 1"]);
    heartbeat.close();
  });
});
