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
    await new Promise<void>((goOn) => burst.join(1, goOn));
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

/** Lets headers become durable until so many are. */
async function allDurable(
  durable: (() => void)[],
  seen: { readonly made: number },
  count: number,
): Promise<void> {
  for (let left = count - (seen.made - durable.length); left > 0; left -= 1) {
    await turns(() => seen.made);
    durable.shift()!();
  }
}

describe("a burst", () => {
  it("makes no ledger before all is decided, and then a few at a time", async () => {
    const { burst, seen, durable, all } = burstOf(100);
    await nextTurn();
    expect(seen.made).toBe(0);
    burst.allJoined();
    const few = (await turns(() => seen.made)).at(-1)!;
    expect(few).toBeGreaterThanOrEqual(16);
    expect(few).toBeLessThan(50);
    for (const one of durable.splice(0, 5)) one();
    await turns(() => seen.made);
    expect(seen.made).toBe(few + 5);
    await allDurable(durable, seen, 100);
    await all;
  });

  it("counts each run of a pipeline that has several", () => {
    const burst = new Burst(new VirtualClock());
    const turn: string[] = [];
    burst.join(40, () => turn.push("forty"));
    burst.join(1, () => turn.push("one"));
    burst.allJoined();
    for (let left = 0; left < 16; left += 1) burst.leave();
    expect(turn).toEqual(["forty"]);
    burst.leave();
    expect(turn).toEqual(["forty", "one"]);
  });

  it("lets no run go on before the last header is durable, then a few in each turn", async () => {
    const { burst, seen, durable, all } = burstOf(300);
    burst.allJoined();
    await allDurable(durable, seen, 299);
    await turns(() => seen.made);
    expect([seen.made, seen.gone]).toEqual([300, 0]);
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
    for (let index = 0; index < 20; index += 1) burst.join(1, () => undefined);
    burst.allJoined();
    const over = burst.over()!.then(() => "over");
    for (let index = 0; index < 19; index += 1) burst.leave();
    expect(await Promise.race([over, nextTurn("waits")])).toBe("waits");
    burst.leave();
    expect(await over).toBe("over");
  });
});
