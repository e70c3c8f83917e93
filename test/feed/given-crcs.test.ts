/** Which checksums of given lines are known. */
import { describe, expect, it } from "vitest";
import { GivenCrcs } from "../../src/feed/given-crcs.ts";
import type { Mark } from "../../src/feed/feed-position.ts";

const mark = (seq: number, crc: number | undefined, back: readonly number[]): Mark => ({
  key: 1,
  seq,
  crc,
  back,
  at: "2026-11-28T02:00:00.000Z",
  turn: 0,
});
/** The checksums that are known, by seq. */
const known = (given: GivenCrcs, to = 20): Record<number, number> =>
  Object.fromEntries(
    Array.from({ length: to }, (_, seq) => [seq, given.of(seq)] as const).filter(
      (pair): pair is [number, number] => pair[1] !== undefined,
    ),
  );

describe("the checksums of given lines", () => {
  it("begin with nothing, and take lines in their order", () => {
    const given = new GivenCrcs(4);
    expect(known(given)).toEqual({});
    given.add(1, 0x11);
    given.add(2, 0x22);
    expect(known(given)).toEqual({ 1: 0x11, 2: 0x22 });
  });

  it("hold 24 bits, and compare by them", () => {
    const given = new GivenCrcs(4);
    given.add(1, 0xab_00_11_22);
    expect(given.of(1)).toBe(0x00_11_22);
    expect(given.has(1, 0xcd_00_11_22)).toBe(true);
    expect(given.has(1, 0xab_00_11_23)).toBe(false);
    expect(given.has(2, 0)).toBe(false);
  });

  it("begin with what a mark knows, the last line and those before it", () => {
    expect(known(GivenCrcs.of(mark(7, 70, [60, 50]), 4))).toEqual({ 5: 50, 6: 60, 7: 70 });
    expect(known(GivenCrcs.of(mark(7, undefined, []), 4))).toEqual({});
    expect(known(GivenCrcs.of(mark(0, 0, []), 4))).toEqual({});
  });

  it("forget what was given in a line's place, and after it", () => {
    const given = GivenCrcs.of(mark(7, 70, [60, 50]), 8);
    given.add(6, 61);
    expect(known(given)).toEqual({ 5: 50, 6: 61 });
    given.add(7, 71);
    expect(known(given)).toEqual({ 5: 50, 6: 61, 7: 71 });
  });

  it.each([9, 4])("begin again with line %d, to which they do not reach", (seq) => {
    const given = GivenCrcs.of(mark(7, 70, [60, 50]), 8);
    given.add(seq, 1);
    expect(known(given)).toEqual({ [seq]: 1 });
  });

  it("keep the newest, between as many as asked for and twice as many", () => {
    const given = new GivenCrcs(3);
    for (let seq = 1; seq <= 5; seq += 1) given.add(seq, seq);
    expect(known(given)).toEqual({ 1: 1, 2: 2, 3: 3, 4: 4, 5: 5 });
    given.add(6, 6);
    expect(known(given)).toEqual({ 4: 4, 5: 5, 6: 6 });
    given.add(7, 7);
    expect(known(given)).toEqual({ 4: 4, 5: 5, 6: 6, 7: 7 });
  });
});
