/** What a runner says while nobody takes it: printers wait, and all is said once somebody does. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import type { FromRunner } from "../../src/places/pool/protocol.ts";
import { RunnerOutbox } from "../../src/places/runner/runner-outbox.ts";

it("holds printers and shells back while the daemon takes no more, then lets them go", async () => {
  const said: FromRunner[][] = [];
  const read: boolean[] = [];
  let isTaken = true;
  let heard = 0;
  const thread = { heard: () => void (heard += 1) };
  const outbox = new RunnerOutbox({
    send: (batch) => said.push(batch) > 0 && isTaken,
    firsts: () => [],
    readShells: (isRead) => void read.push(isRead),
  });
  const print = async (): Promise<void> => {
    outbox.output("a@1#2", "", "stdout", ["line"]);
    outbox.printed(thread);
    await nextTurn();
  };
  await print();
  expect([heard, read]).toEqual([1, []]);
  isTaken = false;
  await print();
  expect([heard, read]).toEqual([2, [false]]);
  await print();
  await print();
  expect([heard, read]).toEqual([2, [false]]);
  isTaken = true;
  outbox.release();
  expect([heard, read]).toEqual([4, [false, true]]);
  outbox.release();
  expect(read).toEqual([false, true]);
  expect(said).toHaveLength(4);
});
