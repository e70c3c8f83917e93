/** A few act at a time, and the others in the order in which they came. */
import { expect, it } from "vitest";
import { FewAtOnce } from "../../src/engine/few-at-once.ts";

it("lets the next one act as one ends, also where that fails", async () => {
  const few = new FewAtOnce(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const all = [0, 1, 2, 3, 4].map((n) =>
    few.take(async () => {
      begun.push(n);
      await new Promise<void>((resolve) => (ends[n] = resolve));
      if (n === 1) throw new Error("one");
      return n;
    }),
  );
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  };
  await turns();
  expect(begun).toEqual([0, 1]);
  ends[1]!();
  await expect(all[1]).rejects.toThrow("one");
  await turns();
  expect(begun).toEqual([0, 1, 2]);
  for (const n of [0, 2]) ends[n]!();
  await turns();
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  for (const n of [3, 4]) ends[n]!();
  expect(await Promise.all([all[0], all[2], all[3], all[4]])).toEqual([0, 2, 3, 4]);
  // Nobody acts now: two may again.
  const again = [few.take(async () => "a"), few.take(async () => "b")];
  expect(await Promise.all(again)).toEqual(["a", "b"]);
});
