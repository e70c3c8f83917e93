/** A position takes lines, and forgets what it need not know. */
import { describe, expect, it } from "vitest";
import { BACK, FeedPosition, fileKey } from "../../src/feed/feed-position.ts";

const LEDGER = { key: fileKey("p", 7), pipeline: "p" };
const second = (n: number): string => `2026-11-28T02:00:${String(n).padStart(2, "0")}.000Z`;
const afterLines = (...seqs: readonly number[]): FeedPosition =>
  seqs.reduce(
    (position, seq) => position.after(LEDGER, { seq, crc: seq * 0x01_00_00_01, at: second(seq) }),
    FeedPosition.start,
  );
const markOf = (position: FeedPosition) => position.file(LEDGER.key)!;

describe("a position after lines of a ledger", () => {
  it("knows 24 bits of the last line's checksum and of those before it, backwards", () => {
    expect(markOf(afterLines(1, 2, 3))).toMatchObject({ seq: 3, crc: 3, back: [2, 1] });
  });

  it("knows fifteen before it at most", () => {
    const lines = Array.from({ length: BACK + 10 }, (_, n) => n + 1);
    const { back } = markOf(afterLines(...lines));
    expect(back).toHaveLength(BACK);
    expect(back[0]).toBe(BACK + 9);
  });

  it("forgets what was before a line that does not follow", () => {
    expect(markOf(afterLines(1, 2, 5)).back).toEqual([]);
    expect(markOf(afterLines(1, 2, 2)).back).toEqual([]);
  });

  it("has the latest time of its lines, and of all, and counts them", () => {
    const position = afterLines(1, 3).after(LEDGER, { seq: 4, crc: 4, at: second(2) });
    expect(markOf(position).at).toBe(second(3));
    expect([position.at, position.turn]).toEqual([second(3), 3]);
    const other = position.after({ key: 9, pipeline: "q" }, { seq: 1, crc: 1, at: second(9) });
    expect([other.at, other.turn, markOf(other).at]).toEqual([second(9), 4, second(3)]);
  });

  it("does not change with what comes after it", () => {
    const before = afterLines(1);
    before.after(LEDGER, { seq: 2, crc: 2, at: second(2) });
    before.without(LEDGER);
    expect(markOf(before).seq).toBe(1);
    expect([...before.without(LEDGER).marks()]).toEqual([]);
  });

  it("is unlike another where a mark is at another line, or has another checksum", () => {
    const own = afterLines(1, 2);
    expect([...own.unlike(afterLines(1, 2))]).toEqual([]);
    expect([...own.unlike(afterLines(1))]).toHaveLength(1);
    expect([...own.unlike(FeedPosition.start)]).toHaveLength(1);
    expect([...FeedPosition.start.unlike(own)]).toEqual([]);
    const edited = afterLines(1).after(LEDGER, { seq: 2, crc: 99, at: second(2) });
    expect([...own.unlike(edited)]).toHaveLength(1);
  });
});
