/** Runs that are made together: when each of them goes on. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Burst } from "../../src/engine/burst.ts";

/** A burst of so many runs; says how many have come how far. */
function burstOf(count: number) {
  const burst = new Burst();
  const seen = { made: 0, gone: 0 };
  const durable: (() => void)[] = [];
  const run = async (): Promise<void> => {
    burst.join();
    await burst.decided();
    seen.made += 1;
    await new Promise<void>((resolve) => durable.push(resolve));
    burst.leave();
    await burst.over();
    seen.gone += 1;
  };
  const all = Promise.all(Array.from({ length: count }, run));
  return { burst, seen, durable, all };
}

/** What is seen after each turn of the event loop, until it no longer changes. */
async function turns(look: () => number): Promise<number[]> {
  const seen: number[] = [];
  for (;;) {
    await Promise.resolve();
    const now = look();
    if (now === seen.at(-1)) return seen;
    seen.push(now);
    await nextTurn();
  }
}

describe("a burst", () => {
  it("makes no ledger before all is decided, and then a few in each turn", async () => {
    const { burst, seen } = burstOf(100);
    await nextTurn();
    expect(seen.made).toBe(0);
    burst.allJoined();
    expect(await turns(() => seen.made)).toEqual([32, 64, 96, 100]);
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
    const burst = new Burst();
    for (let index = 0; index < 20; index += 1) burst.join();
    burst.allJoined();
    const over = burst.over()!.then(() => "over");
    for (let index = 0; index < 19; index += 1) burst.leave();
    expect(await Promise.race([over, nextTurn("waits")])).toBe("waits");
    burst.leave();
    expect(await over).toBe("over");
  });
});
