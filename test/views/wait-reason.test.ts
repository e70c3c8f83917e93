import { describe, expect, it } from "vitest";
import { reasonNow } from "../../src/views/wait-reason.ts";

it.each<[said: string, active: string[], ahead: string[], now: string]>([
  [
    `run ${id(1)} still goes on; overlap is queue`,
    [id(1)],
    [],
    `run ${id(1)} still goes on; overlap is queue`,
  ],
  [
    `run ${id(1)} still goes on; overlap is queue`,
    [`${id(2)}-b1`, id(3)],
    [],
    `run ${id(3)} goes on`,
  ],
  [
    `run ${id(1)} still goes on; overlap is queue_all`,
    [id(2), id(3)],
    [],
    `2 runs go on, the oldest is ${id(2)}`,
  ],
  [
    `run ${id(1)} still goes on; overlap is queue_all`,
    [],
    [id(2), id(3)],
    `run ${id(2)} waits before it`,
  ],
  [
    `run ${id(1)} still goes on; overlap is queue`,
    [],
    [],
    "its turn, which comes when the daemon is up and a place is free; " +
      `it was queued because run ${id(1)} still goes on; overlap is queue`,
  ],
  [
    'the concurrency group "db" is full: 1 of 1',
    [],
    [id(2)],
    'the concurrency group "db" is full: 1 of 1',
  ],
])(
  "a run that was queued because %s, while %j go on and %j wait, waits for what holds it now",
  (said, active, ahead, now) => {
    expect(
      reasonNow({ run: id(9), said }, { active, queued: [...ahead, id(9)] }, () => ({
        groups: new Map(),
        total: 0,
      })),
    ).toBe(now);
  },
);

describe("a run that waits tells the limit that holds it now", () => {
  const waits = (
    more: object,
    active: string[],
    groups: Record<string, number>,
    total: number,
  ): string =>
    reasonNow(
      {
        run: id(9),
        said: `run ${id(1)} still goes on; overlap is queue`,
        group: "db",
        limits: { lane: 2, group: 2, total: 5 },
        ...more,
      },
      { active, queued: [id(9)] },
      () => ({ groups: new Map(Object.entries(groups)), total }),
    );

  it("its own pipeline's, then its group's, then that of all", () => {
    expect(waits({}, [id(1), id(2)], { db: 2 }, 5)).toBe(
      `run ${id(1)} still goes on; overlap is queue`,
    );
    expect(waits({}, [id(2), id(3)], { db: 2 }, 5)).toBe(`2 runs go on, the oldest is ${id(2)}`);
    expect(waits({}, [id(2)], { db: 2, other: 1 }, 5)).toBe(
      'the concurrency group "db" is full: 2 of 2',
    );
    expect(waits({}, [], { db: 1, other: 4 }, 5)).toBe(
      "5 runs go on, the most that orchd.yaml allows",
    );
    expect(waits({ said: 'the concurrency group "db" is full: 2 of 2' }, [], { db: 1 }, 5)).toBe(
      "5 runs go on, the most that orchd.yaml allows",
    );
    expect(waits({}, [], { db: 1 }, 4)).toMatch(/^its turn, /);
  });

  it("and none of its own pipeline's where that has none", () => {
    const own = { limits: { group: 2, total: 5 } };
    expect(waits(own, [id(2), id(3)], { db: 2 }, 4)).toBe(
      'the concurrency group "db" is full: 2 of 2',
    );
    expect(waits(own, [id(2), id(3)], { db: 1 }, 4)).toMatch(/^its turn, /);
    // An older ledger tells no limits: one run at a time was the rule.
    expect(waits({ limits: undefined }, [id(2)], {}, 0)).toBe(`run ${id(2)} goes on`);
    expect(waits({ limits: undefined }, [], {}, 9)).toMatch(/^its turn, /);
  });

  it("or the runs before it, where they take the places that are left", () => {
    const behind = (active: string[], ahead: string[]): string =>
      reasonNow(
        { run: id(9), said: `run ${id(1)} still goes on; overlap is queue`, limits: { lane: 2 } },
        { active, queued: [...ahead, id(9), id(10)] },
        () => ({ groups: new Map(), total: 0 }),
      );
    expect(behind([id(2)], [id(3)])).toBe(`run ${id(3)} waits before it`);
    expect(behind([], [id(3), id(4)])).toBe(`run ${id(3)} waits before it`);
    expect(behind([], [id(3)])).toMatch(/^its turn, /);
    expect(behind([id(2)], [`${id(3)}-b1`])).toMatch(/^its turn, /);
  });
});

function id(minute: number): string {
  return `p@20261123T02${String(minute).padStart(2, "0")}00Z`;
}
