import { expect, it } from "vitest";
import { TurnBudget } from "../../src/engine/turn-budget.ts";

it("a turn is over after 50 files, 256 KiB or 1,000 names; the next one begins anew", async () => {
  const files = new TurnBudget();
  for (let n = 0; n < 49; n += 1) files.count(1);
  expect(files.isOver).toBe(false);
  files.count(0);
  expect(files.isOver).toBe(true);
  await files.next();
  expect(files.isOver).toBe(false);

  const bytes = new TurnBudget();
  bytes.count(200_000);
  bytes.count(62_143);
  expect(bytes.isOver).toBe(false);
  bytes.count(1);
  expect(bytes.isOver).toBe(true);
  await bytes.next();
  bytes.count(262_143);
  expect(bytes.isOver).toBe(false);

  const names = new TurnBudget();
  names.names = 999;
  expect(names.isOver).toBe(false);
  names.names += 1;
  expect(names.isOver).toBe(true);
  let isNext = false;
  const next = names.next().then(() => (isNext = true));
  await Promise.resolve();
  expect(isNext).toBe(false);
  await next;
  expect(names.names).toBe(0);
});
