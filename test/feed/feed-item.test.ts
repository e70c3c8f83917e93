/** A reader's position after one more line: ledgers that are left, runs that begin and end. */
import { crc32 } from "node:zlib";
import { expect, it } from "vitest";
import { positionAfter } from "../../src/feed/feed-item.ts";
import { FeedPosition } from "../../src/feed/feed-position.ts";

const RUN = "p@20261128T020000Z";
const at = "2026-11-28T10:00:00.000Z";
const line = (seq: number): never => ({ seq, crc: seq * 97, at, raw: "{}" }) as never;
const ledger = (key: number) => ({ key, pipeline: "p", run: undefined, file: "f", isCut: false });
const seqOf = (position: FeedPosition, key: number): number | undefined =>
  [...position.marks()].find((mark) => mark.key === key)?.seq;
const nothing = { begun: [], ended: [] };

it("a file that was read to its end is left, and the next one is in its place", () => {
  const first = positionAfter(FeedPosition.start, ledger(1), line(7), nothing);
  const next = positionAfter(first, ledger(2), line(1), { ...nothing, left: 1 });
  expect([seqOf(first, 1), seqOf(next, 1), seqOf(next, 2)]).toEqual([7, undefined, 1]);
});

it("a run begins once, and is known until it ends", () => {
  const begun = positionAfter(FeedPosition.start, ledger(1), line(1), { begun: [RUN], ended: [] });
  expect(begun.run(RUN)).toBeDefined();
  const own = { ...ledger(crc32(RUN)), run: RUN };
  const read = positionAfter(begun, own, line(5), nothing);
  expect(read.run(RUN)?.seq).toBe(5);
  // A second line that begins it takes nothing back of what was read.
  const again = positionAfter(read, ledger(1), line(2), { begun: [RUN], ended: [] });
  expect(again.run(RUN)?.seq).toBe(5);
  const ended = positionAfter(again, ledger(1), line(3), { begun: [], ended: [RUN] });
  expect([ended.run(RUN), seqOf(ended, 1)]).toEqual([undefined, 3]);
});
