/** Runs that are made together: when each of them goes on. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Burst } from "../../src/engine/burst.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** A burst of so many runs, each of which takes a while; says how many have come how far. */
function burstOf(count: number, tookMs = 1) {
  let now = 0;
  const clock = Object.assign(new VirtualClock(), { monotonic: () => now });
  const burst = new Burst(clock);
  const seen = { made: 0, gone: 0 };
  const durable: (() => void)[] = [];
  const run = async (): Promise<void> => {
    burst.join();
    await burst.decided();
    // What a run does takes some microtasks.
    await Promise.resolve().then(() => Promise.resolve());
    now += tookMs;
    seen.made += 1;
    await new Promise<void>((resolve) => durable.push(resolve));
    burst.leave();
    await burst.over();
    await Promise.resolve().then(() => Promise.resolve());
    now += tookMs;
    seen.gone += 1;
  };
  const all = Promise.all(Array.from({ length: count }, run));
  return { burst, seen, durable, all };
}

/** What is seen after each turn of the event loop, until it no longer changes. */
async function turns(look: () => number): Promise<number[]> {
  const seen: number[] = [];
  for (;;) {
    await nextTurn();
    const now = look();
    if (now === seen.at(-1)) return seen;
    seen.push(now);
  }
}

describe("a burst", () => {
  it.each([
    [1, [28, 56, 84, 100]],
    [5, [8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 100]],
    [0.1, [100]],
  ])("where a run takes %i ms makes no ledger before all is decided", async (tookMs, made) => {
    const { burst, seen } = burstOf(100, tookMs);
    await nextTurn();
    expect(seen.made).toBe(0);
    burst.allJoined();
    expect(await turns(() => seen.made)).toEqual(made);
  });

  it("lets no run go on before the last header is durable, then a few in each turn", async () => {
    const { burst, seen, durable, all } = burstOf(300);
    burst.allJoined();
    await turns(() => seen.made);
    for (const one of durable.splice(0, 299)) one();
    await nextTurn();
    expect(seen.gone).toBe(0);
    durable[0]!();
    const gone = await turns(() => seen.gone);
    expect(gone.at(-1)).toBe(300);
    expect(gone.length).toBeGreaterThan(2);
    await all;
  });

  it("holds up nobody where few are due", async () => {
    const { burst, seen, durable, all } = burstOf(16);
    burst.allJoined();
    await turns(() => seen.made);
    durable[0]!();
    await nextTurn();
    expect(seen.gone).toBe(1);
    for (const one of durable) one();
    await all;
  });

  it("waits for a header that could not be written no longer than for one that was", async () => {
    const burst = new Burst(new VirtualClock());
    for (let index = 0; index < 20; index += 1) burst.join();
    burst.allJoined();
    const over = burst.over()!.then(() => "over");
    for (let index = 0; index < 19; index += 1) burst.leave();
    expect(await Promise.race([over, nextTurn("waits")])).toBe("waits");
    burst.leave();
    expect(await over).toBe("over");
  });
});
