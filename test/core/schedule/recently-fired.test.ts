import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecentlyFired } from "../../../src/core/schedule/recently-fired.ts";
import { packSlots, unpackSlots } from "../../../src/core/schedule/slot-list.ts";
import { iso } from "../../../src/core/time.ts";

const T0 = Date.UTC(2026, 10, 23);
const key = (second: number, track = ""): string =>
  track === "" ? iso(T0 + second * 1_000) : `${iso(T0 + second * 1_000)}.${track}`;

function fired(keys: readonly string[], most = 2_048): RecentlyFired {
  const all = new RecentlyFired(most);
  for (const one of keys) all.add(one);
  return all;
}

const keys = fc.array(
  fc.tuple(fc.nat(400), fc.constantFrom("", "x", "y")).map(([at, track]) => key(at, track)),
  { maxLength: 600 },
);

describe("the slots that fired lately", () => {
  it("are what a set of their keys packs to, restored at any place", () => {
    fc.assert(
      fc.property(keys, keys, fc.boolean(), (before, after, through) => {
        let all = fired(before);
        if (through) {
          const list: unknown = JSON.parse(JSON.stringify(all.pack()));
          all = new RecentlyFired(2_048);
          all.restore(list);
        }
        for (const one of after) all.add(one);
        const set = new Set([...(through ? unpackSlots(packSlots(before)) : before), ...after]);
        expect(all.pack()).toEqual(packSlots(set));
        expect([...all]).toEqual(unpackSlots(packSlots(set)));
      }),
      { numRuns: 200 },
    );
  });

  it("keep the newest of all tracks, however they were added", () => {
    const many = Array.from({ length: 50 }, (_, at) => [key(at), key(at, "x")]).flat();
    const kept = (all: RecentlyFired): string[] => [...all].sort();
    expect(kept(fired(many, 20))).toEqual(many.slice(-20).sort());
    const restored = new RecentlyFired(20);
    restored.restore(packSlots(many.slice(0, 60)));
    for (const one of many.slice(60)) restored.add(one);
    expect(kept(restored)).toEqual(many.slice(-20).sort());
    expect(kept(fired([key(1, "x"), key(2), key(3)], 2))).toEqual([key(2), key(3)]);
  });

  it("say from which time on they hold all", () => {
    const few = fired([key(10), key(20)], 3);
    expect(few.holdsAllAfter(0)).toBe(true);
    const many = fired([key(10), key(20), key(30), key(40)], 3);
    expect(many.holdsAllAfter(T0 + 19_999)).toBe(false);
    expect(many.holdsAllAfter(T0 + 20_000)).toBe(true);
  });

  it("stay in the order in which they fired, each once", () => {
    const all = fired([key(50), key(20), key(50), key(30), key(20)]);
    expect([...all]).toEqual([key(50), key(20), key(30)]);
  });

  it("take nothing from what is no packed list, and from no time", () => {
    for (const list of [null, 7, "1", [["a"]], { x: 7, y: "", z: "A,1", w: "1 2" }, {}]) {
      const all = fired([key(1)]);
      all.restore(list);
      expect([...all]).toEqual([]);
    }
    expect([...fired(["soon", key(1)])]).toEqual([key(1)]);
  });

  it("are read up to what is no time, which somebody wrote into a ledger", () => {
    const first = packSlots([key(1)])[""]!;
    for (const rest of ["zzzzzzzzzzzz", "!", ""])
      expect(unpackSlots({ "": `${first},${rest},1` })).toEqual([key(1)]);
    expect(unpackSlots({ x: "zzzzzzzzzzzz", y: "-zzzzzzzzzzzz", z: "?" })).toEqual([]);
  });

  it("show to a comparison what they hold", () => {
    expect(fired([key(1), key(2)])).toEqual(fired([key(1), key(2)]));
    expect({ of: fired([key(1)]) }).not.toEqual({ of: fired([key(2)]) });
    expect({ of: fired([key(1)]) }).not.toEqual({ of: fired([key(1), key(2)]) });
  });
});
