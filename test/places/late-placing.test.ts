/** Where a task begins is told a moment late, and before all else of it. */
import { describe, expect, it } from "vitest";
import { placedLate, type LatePlacing } from "../../src/places/late-placing.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const AT = { place: "farm", host: "gpu1", ref: "r" };
const DEATH = { inFlight: ["a@1#2"], alone: true, because: "it died", code: "x" };

function placing(): { clock: VirtualClock; late: LatePlacing; heard: string[] } {
  const clock = new VirtualClock();
  const heard: string[] = [];
  const late = placedLate(clock, {
    placed: ({ host }) => heard.push(`placed ${host}`),
    output: () => heard.push("output"),
    done: () => heard.push("done"),
    died: () => heard.push("died"),
  });
  return { clock, late, heard };
}

describe("where a task begins", () => {
  it("is told after 5 ms, once", async () => {
    const { clock, late, heard } = placing();
    late.placed(AT);
    await clock.advance(4);
    expect(heard).toEqual([]);
    await clock.advance(1);
    expect(heard).toEqual(["placed gpu1"]);
    late.done({ ok: true, value: 1 }, 6, 0);
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
});
