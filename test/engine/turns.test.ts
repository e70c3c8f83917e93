/** Turns of several, one after the other. */
import { expect, it } from "vitest";
import { Turns } from "../../src/engine/turns.ts";

it("are given in the order in which they were wanted, also after one that failed", async () => {
  const turns = new Turns();
  const seen: string[] = [];
  turns.begin();
  const first = turns.take(async () => {
    seen.push("first");
    await Promise.resolve();
    seen.push("first ends");
    throw new Error("no");
  });
  const second = turns.take(async () => void seen.push("second"));
  expect([turns.isTaken, seen]).toEqual([true, []]);
  turns.end();
  await expect(first).rejects.toThrow("no");
  await second;
  expect(seen).toEqual(["first", "first ends", "second"]);
  expect(turns.isTaken).toBe(false);
});
