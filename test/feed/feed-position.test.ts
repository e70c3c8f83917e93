/** A position takes lines, and forgets what it need not know. */
import { describe, expect, it } from "vitest";
import { BACK, beginningOf, FeedPosition, fileKey } from "../../src/feed/feed-position.ts";

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

describe("the marks of a position", () => {
  const mark = (key: number, run?: string) => ({
    ...beginningOf("p", run ?? "p@1", 0),
    key,
    run,
  });
  const keysOf = (position: FeedPosition): number[] => [...position.marks()].map(({ key }) => key);

  it("are in the order of their keys, whatever came first", () => {
    for (const keys of [
      [5, 7, 9],
      [9, 7, 5],
      [7, 9, 5],
    ]) {
      const position = keys.reduce((before, key) => before.with(mark(key)), FeedPosition.start);
      expect(keysOf(position)).toEqual([5, 7, 9]);
      // A ledger's next mark stands where its last one stood.
      expect(keysOf(position.with({ ...mark(7), seq: 3 }))).toEqual([5, 7, 9]);
      expect(position.with({ ...mark(7), seq: 3 }).file(7)!.seq).toBe(3);
    }
  });

  it("of a file and of a run with the same key stand beside each other", () => {
    const both = FeedPosition.start.with(mark(5)).with(mark(5, "p@1")).with(mark(5, "p@2"));
    expect([...both.marks()].map(({ run }) => run)).toEqual([undefined, "p@1", "p@2"]);
    expect([...both.without({ key: 5, run: "p@1" }).marks()].map(({ run }) => run)).toEqual([
      undefined,
      "p@2",
    ]);
    expect(both.without({ key: 5, run: "p@3" })).toBe(both);
  });

  it("begin with no line, at no time", () => {
    expect(beginningOf("p", "p@1", 4)).toMatchObject({
      pipeline: "p",
      run: "p@1",
      seq: 0,
      crc: 0,
      back: [],
      at: "",
      turn: 4,
    });
  });
});
