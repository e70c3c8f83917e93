import { expect, it } from "vitest";
import { suspectsAmong } from "../../src/places/pool/suspects.ts";

interface Lost {
  readonly id: string;
  readonly ahead?: number;
  readonly begun?: boolean;
}

const names = (lost: readonly Lost[], threads: number): string =>
  [...suspectsAmong(lost, threads)].map(({ id }) => id).join(" ");

const ahead = (id: string, begun = false): Lost => ({ id, ahead: 0, begun });

it("all tasks that were not begun ahead are suspects", () => {
  expect(names([{ id: "a" }, { id: "b" }, { id: "c" }], 2)).toBe("a b c");
});

it("of those that were, the ones that their threads had come to", () => {
  const lost = [ahead("a"), ahead("b", true), ahead("c"), ahead("d", true)];
  expect(names(lost, 2)).toBe("b d");
  expect(names([{ id: "x" }, ...lost], 2)).toBe("x b d");
});

it("where that is known of fewer than there are threads, the oldest too", () => {
  expect(names([ahead("a"), ahead("b"), ahead("c")], 2)).toBe("a b");
  expect(names([ahead("a"), ahead("b"), ahead("c", true)], 2)).toBe("c a");
  expect(names([ahead("a")], 2)).toBe("a");
});
