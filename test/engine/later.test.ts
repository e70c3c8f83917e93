/** A value that comes later, for those who wait before it and after it. */
import { expect, it } from "vitest";
import { Later } from "../../src/engine/later.ts";

it("is given to who waited before it was there, and to who asks after that", async () => {
  const later = new Later<string>();
  const before = later.promise;
  later.set("here");
  expect(await before).toBe("here");
  expect(await later.promise).toBe("here");
  const asked = new Later<number>();
  asked.set(7);
  expect(await asked.promise).toBe(7);
});

it("keeps the first value", async () => {
  const later = new Later<number | undefined>();
  later.set(undefined);
  later.set(2);
  expect(await later.promise).toBe(undefined);
});
