/** When no daemon was up, by what each of them wrote of itself. */
import { describe, expect, it } from "vitest";
import { downtimesOf } from "../../src/views/downtimes.ts";

type Past = Parameters<typeof downtimesOf>[0];
const at = (second: number, ms = 0): string =>
  new Date(Date.UTC(2026, 10, 23, 2, 0, second, ms)).toISOString();
const line = (type: string, second: number, ms = 0) => ({
  type: `daemon.${type}`,
  at: at(second, ms),
});
const past = (lines: readonly object[], seenMs?: number): Past =>
  ({ lines, seenMs }) as unknown as Past;

const ENDED = "the daemon ended";
const LOST = "the daemon was last seen then, and ended without a word";

describe("a downtime", () => {
  it("is from an end to the next beginning, and none where these are one moment", () => {
    const lines = [line("began", 0), line("ended", 1), line("began", 1), line("ended", 2)];
    expect(downtimesOf(past([...lines, line("began", 5)]), true)).toEqual([
      { from: at(2), to: at(5), because: ENDED },
    ]);
  });

  it("goes on where no daemon is up, from its end", () => {
    expect(
      downtimesOf(past([line("began", 0), line("ended", 4)], Date.parse(at(9))), false),
    ).toEqual([{ from: at(4), to: null, because: ENDED }]);
    expect(downtimesOf(past([]), false)).toEqual([]);
  });

  it.each([
    [undefined, 3],
    [1, 3],
    [7, 7],
  ])("without an end begins when it was seen (%s), at the earliest as it began", (seen, from) => {
    const seenMs = seen === undefined ? undefined : Date.parse(at(seen, 0)) + 0.5;
    expect(downtimesOf(past([line("began", 3)], seenMs), false)).toEqual([
      { from: at(from), to: null, because: LOST },
    ]);
  });

  it("that a later daemon wrote down has its words", () => {
    const lines = [line("began", 0), line("lost", 4), line("began", 9)];
    expect(downtimesOf(past(lines), true)).toEqual([{ from: at(4), to: at(9), because: LOST }]);
  });
});
