/** When those that look every so often look: in the same moments. What a timer of days does. */
import { expect, it, vi } from "vitest";
import { systemClock, untilLook, type Clock } from "../src/clock.ts";
import { RequestInbox } from "../src/engine/request-inbox.ts";
import { acquireDaemonLock } from "../src/ledger/lock.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { silentLog } from "../src/log.ts";
import { tempRoot } from "./support/temp-root.ts";
import { VirtualClock } from "./support/virtual-clock.ts";

function at(monotonic: number): Clock {
  const clock = new VirtualClock();
  return Object.assign(clock, { monotonic: () => monotonic });
}

it("is the next moment that is a multiple of the time between two looks", () => {
  expect(untilLook(at(0), 1_000)).toBe(1_000);
  expect(untilLook(at(5_250), 1_000)).toBe(750);
  expect(untilLook(at(5_500), 1_000)).toBe(500);
});

it("is the one after that, where a timer fired early or the next one is soon", () => {
  expect(untilLook(at(5_999.5), 1_000)).toBe(1_000.5);
  expect(untilLook(at(5_501), 1_000)).toBe(1_499);
});

it("is the same for the lock and the requests, whenever each began", async () => {
  const { root, runs } = tempRoot();
  const clock = new VirtualClock();
  const wakes = new Set<number>();
  const seen: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    random: () => clock.random(),
    after: (milliseconds, callback) =>
      clock.after(milliseconds, () => {
        wakes.add(clock.monotonic());
        callback();
      }),
  };
  const store = new RunStore(runs);
  await clock.advance(130);
  const lock = await acquireDaemonLock(store.orchdDir, { clock: seen });
  await clock.advance(450);
  const inbox = new RequestInbox({
    clock: seen,
    log: silentLog,
    store,
    accepts: () => false,
    carryOut: () => Promise.reject(new Error(`nothing is asked of ${root}`)),
  });
  inbox.start();
  for (let second = 0; second < 5; second += 1) await clock.advance(1_000);
  await inbox.close();
  await lock.release();
  expect([...wakes]).toEqual([1_000, 2_000, 3_000, 4_000, 5_000]);
});

it("a timer of days fires once, at its time, and can be cancelled on any day", async () => {
  const DAY_MS = 86_400_000;
  vi.useFakeTimers();
  try {
    const fired: string[] = [];
    const soon = systemClock.after(2.5 * DAY_MS, () => fired.push("cancelled"));
    systemClock.after(2.5 * DAY_MS, () => fired.push("kept"));
    await vi.advanceTimersByTimeAsync(1.5 * DAY_MS);
    soon.cancel();
    await vi.advanceTimersByTimeAsync(DAY_MS - 1);
    expect(fired).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(fired).toEqual(["kept"]);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
