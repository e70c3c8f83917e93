import { describe, expect, it, onTestFinished, vi } from "vitest";
import { SharedAnswers } from "../../src/page/server/shared-answers.ts";

const busy = (milliseconds: number): void => {
  for (const to = performance.now() + milliseconds; performance.now() < to;);
};

/** Counts readings, each of which takes some time. */
function counted(milliseconds = 0) {
  const shared = new SharedAnswers();
  let readings = 0;
  const ask = async (address = "/overview"): Promise<number> => {
    const [number] = await shared.give(address, async () => {
      busy(milliseconds);
      readings += 1;
      return Uint8Array.of(readings);
    });
    return number!;
  };
  return { ask, readings: () => readings };
}

describe("answers that are shared", () => {
  it("are one for all that ask at the same time, and one an address", async () => {
    const { ask, readings } = counted();
    expect(await Promise.all(Array.from({ length: 50 }, () => ask()))).toEqual(Array(50).fill(1));
    expect(await Promise.all([ask("/a"), ask("/b"), ask("/a")])).toEqual([2, 3, 2]);
    expect(readings()).toBe(3);
  });

  it("never hold less than was there when they were asked for", async () => {
    const { ask } = counted(2);
    for (let written = 0; written < 100;) {
      const answers = Array.from({ length: 3 }, () => ask());
      for (const seen of await Promise.all(answers)) expect(seen).toBeGreaterThan(written);
      written = await ask();
    }
  });

  it("rest between where one reader asks again and again", async () => {
    const { ask, readings } = counted(20);
    const from = performance.now();
    while (performance.now() - from < 600) await ask();
    expect(readings()).toBeGreaterThan(2);
    expect(readings() * 20).toBeLessThan(0.6 * (performance.now() - from));
  });

  it("take a third of the time at most, however many ask", async () => {
    const { ask, readings } = counted(20);
    const from = performance.now();
    const asking = Array.from({ length: 10 }, async () => {
      while (performance.now() - from < 600) await ask();
    });
    await Promise.all(asking);
    expect(readings()).toBeGreaterThan(2);
    expect(readings() * 20).toBeLessThan(0.45 * (performance.now() - from));
  });

  it("rest after one that two waited for, and not after one of a page that is alone", async () => {
    const waited = async (first: number): Promise<number> => {
      const { ask } = counted(50);
      await Promise.all(Array.from({ length: first }, () => ask()));
      const from = performance.now();
      await ask();
      return performance.now() - from;
    };
    // The rest of twice the reading, and the reading itself.
    const shared = await waited(2);
    expect(shared).toBeGreaterThan(145);
    expect(await waited(1)).toBeLessThan(shared);
  });

  it("do not rest for a page that is alone, however often it has asked", async () => {
    let at = 0;
    const spies = [
      vi.spyOn(performance, "now").mockImplementation(() => at),
      vi.spyOn(globalThis, "setTimeout"),
    ];
    onTestFinished(() => spies.forEach((spy) => spy.mockRestore()));
    const shared = new SharedAnswers();
    const ask = (): Promise<Uint8Array> =>
      shared.give("/a", async () => {
        at += 50;
        return Uint8Array.of(1);
      });
    await ask();
    at += 5_000;
    await ask();
    await ask();
    expect(spies[1]).not.toHaveBeenCalled();
  });

  it("are asked for again after a fault, by each that asks", async () => {
    const shared = new SharedAnswers();
    let tries = 0;
    const ask = (): Promise<Uint8Array> =>
      shared.give("/a", async () => {
        tries += 1;
        if (tries === 1) throw new Error("no such disk");
        return Uint8Array.of(tries);
      });
    const both = await Promise.allSettled([ask(), ask()]);
    expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(await ask()).toEqual(Uint8Array.of(2));
  });
});
