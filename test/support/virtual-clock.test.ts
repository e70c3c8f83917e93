import { describe, expect, it } from "vitest";
import { VirtualClock } from "./virtual-clock.ts";

describe("the virtual clock", () => {
  it("fires timers in order of their due time, then in the order they were set", async () => {
    const clock = new VirtualClock({ start: 0 });
    const fired: string[] = [];
    clock.after(20, () => fired.push(`b@${clock.now()}`));
    clock.after(10, () => fired.push(`a@${clock.now()}`));
    clock.after(20, () => fired.push(`c@${clock.now()}`));
    await clock.advance(19);
    expect(fired).toEqual(["a@10"]);
    await clock.advance(1);
    expect(fired).toEqual(["a@10", "b@20", "c@20"]);
    expect(clock.timers).toBe(0);
  });

  it("hears promises out before it fires the next timer, and fires what they set", async () => {
    const clock = new VirtualClock({ start: 0 });
    const fired: number[] = [];
    const chain = async (): Promise<void> => {
      for (let turn = 0; turn < 3; turn += 1) {
        await new Promise<void>((resolve) => void clock.after(5, resolve));
        fired.push(clock.monotonic());
      }
    };
    const ended = chain();
    await clock.advance(100);
    await ended;
    expect(fired).toEqual([5, 10, 15]);
    expect(clock.monotonic()).toBe(100);
  });

  it("steps wall time without the timers noticing", async () => {
    const clock = new VirtualClock({ start: 1_000_000 });
    let fired = false;
    clock.after(50, () => (fired = true));
    clock.step(-999_000);
    expect(clock.now()).toBe(1_000);
    await clock.advance(49);
    expect(fired).toBe(false);
    await clock.advance(1);
    expect(fired).toBe(true);
    expect(clock.now()).toBe(1_050);
  });

  it("does not fire what was called off", async () => {
    const clock = new VirtualClock();
    let fired = false;
    clock.after(5, () => (fired = true)).cancel();
    await clock.advance(10);
    expect(fired).toBe(false);
  });

  it("gives equal chance for equal seeds", () => {
    const draw = (seed: number): number[] => {
      const clock = new VirtualClock({ seed });
      return [clock.random(), clock.random(), clock.random()];
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(draw(7).every((value) => value >= 0 && value < 1)).toBe(true);
  });

  it("runs on until something holds, and gives up with a sentence", async () => {
    const clock = new VirtualClock({ start: 0 });
    let count = 0;
    const beat = (): void => {
      count += 1;
      clock.after(1_000, beat);
    };
    beat();
    await clock.until(() => count === 5);
    expect(clock.monotonic()).toBe(4_000);
    await expect(clock.until(() => false, { limitMilliseconds: 3_000 })).rejects.toThrow(
      /Not reached within 3000 ms/,
    );
  });
});
