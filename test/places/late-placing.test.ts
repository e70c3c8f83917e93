/** Where a task begins is told a moment late, and before all else of it. */
import { describe, expect, it } from "vitest";
import { LatePlacings, type LatePlacing } from "../../src/places/late-placing.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const AT = { place: "farm", host: "gpu1", ref: "r" };
const DEATH = { inFlight: ["a@1#2"], alone: true, because: "it died", code: "x" };

function placing(): { clock: VirtualClock; late: LatePlacing; heard: string[] } {
  const clock = new VirtualClock();
  const heard: string[] = [];
  const late = new LatePlacings(clock).of({
    placed: ({ host }) => heard.push(`placed ${host}`),
    output: () => heard.push("output"),
    done: () => heard.push("done"),
    died: () => heard.push("died"),
  });
  return { clock, late, heard };
}

describe("where a task begins", () => {
  it("is told after 20 ms, once", async () => {
    const { clock, late, heard } = placing();
    late.placed(AT);
    await clock.advance(19);
    expect(heard).toEqual([]);
    await clock.advance(1);
    expect(heard).toEqual(["placed gpu1"]);
    late.done({ ok: true, value: 1 }, 21, 0);
    expect(heard).toEqual(["placed gpu1", "done"]);
  });

  it.each([
    ["output", (late: LatePlacing) => late.output([])],
    ["done", (late: LatePlacing) => late.done({ ok: true, value: 1 }, 1, 0)],
    ["died", (late: LatePlacing) => late.died(DEATH)],
  ])("is told before its %s", async (what, happens) => {
    const { clock, late, heard } = placing();
    late.placed(AT);
    happens(late);
    await clock.advance(100);
    expect(heard).toEqual(["placed gpu1", what]);
  });

  it("is not told where it is not said, or nobody hears any more", async () => {
    const { clock, late, heard } = placing();
    late.died(DEATH);
    expect(heard).toEqual(["died"]);
    late.placed(AT);
    late.drop();
    late.placed(AT);
    await clock.advance(100);
    expect(heard).toEqual(["died"]);
  });

  it("is told by one timer for all tasks of a place, each 20 ms after it was said", async () => {
    const clock = new VirtualClock();
    const placings = new LatePlacings(clock);
    const heard: string[] = [];
    const says = (name: string): LatePlacing => {
      const late = placings.of({
        placed: () => heard.push(`${name} placed`),
        output: () => undefined,
        done: () => heard.push(`${name} done`),
        died: () => undefined,
      });
      late.placed(AT);
      return late;
    };
    says("a");
    await clock.advance(12);
    says("b").done({ ok: true, value: 1 }, 1, 0);
    says("c");
    expect(clock.timers).toBe(1);
    await clock.advance(8);
    expect(heard).toEqual(["b placed", "b done", "a placed"]);
    await clock.advance(8);
    expect(heard).toHaveLength(3);
    await clock.advance(4);
    expect(heard.at(-1)).toBe("c placed");
    expect(clock.timers).toBe(0);
    says("d");
    await clock.advance(20);
    expect(heard.at(-1)).toBe("d placed");
  });

  it("is told once its end was noted, and never once nobody hears at the place", async () => {
    const clock = new VirtualClock();
    const placings = new LatePlacings(clock);
    const heard: string[] = [];
    const handlers = {
      placed: () => heard.push("placed"),
      output: () => undefined,
      done: () => heard.push("done"),
      died: () => heard.push("died"),
    };
    const ends = [
      (late: LatePlacing) => late.done({ ok: true, value: 1 }, 1, 0),
      (late: LatePlacing) => late.died(DEATH),
    ];
    for (const end of ends) {
      const late = placings.of(handlers, () => heard.push("over"));
      late.placed(AT);
      end(late);
    }
    expect(heard).toEqual(["over", "placed", "done", "over", "placed", "died"]);
    const waiting = [placings.of(handlers), placings.of(handlers)];
    for (const late of waiting) late.placed(AT);
    placings.end();
    await clock.advance(100);
    expect(heard).toHaveLength(6);
    // What is heard of them yet says nothing of where they began.
    waiting[0]!.done({ ok: true, value: 1 }, 1, 0);
    waiting[1]!.died(DEATH);
    expect(heard.slice(6)).toEqual(["done", "died"]);
  });
});
