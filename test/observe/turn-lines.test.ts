/** How the lines of a log reach its destination. */
import { setImmediate as nextTurn } from "node:timers/promises";
import pino from "pino";
import { expect, it } from "vitest";
import { inTurns } from "../../src/observe/turn-lines.ts";

/** A log, and the lines of each write that its destination had. */
function logged(): { log: pino.Logger; writes: string[][] } {
  const writes: string[][] = [];
  const destination = {
    write: (text: string) => void writes.push(text.trimEnd().split("\n").map(messageOf)),
  };
  return { log: pino({ base: null }, inTurns(destination)), writes };
}

const messageOf = (line: string): string => (JSON.parse(line) as { msg: string }).msg;

it("writes the lines of a turn together at its end", async () => {
  const { log, writes } = logged();
  log.info("a");
  log.warn("b");
  expect(writes).toEqual([]);
  await nextTurn();
  log.info("c");
  await nextTurn();
  expect(writes).toEqual([["a", "b"], ["c"]]);
});

it.each(["error", "fatal"] as const)("writes a line of %s at once, after those before", (level) => {
  const { log, writes } = logged();
  log.info("a");
  log[level]("b");
  expect(writes).toEqual([["a", "b"]]);
});

it("writes no more at once than the kernel keeps together", async () => {
  const { log, writes } = logged();
  for (let line = 0; line < 7; line += 1) log.info("ü".repeat(600));
  log.info("x".repeat(5_000));
  log.info("c");
  await nextTurn();
  expect(writes.map((lines) => lines.length)).toEqual([3, 3, 1, 1, 1]);
});

it("writes what is left of a turn as the process exits, and nothing where nothing is", async () => {
  const { log, writes } = logged();
  const atExit = process.listeners("exit").at(-1) as () => void;
  log.info("a");
  atExit();
  expect(writes).toEqual([["a"]]);
  atExit();
  await nextTurn();
  expect(writes).toEqual([["a"]]);
});

it("fills a write up to what the kernel keeps together, in bytes as they are shown", async () => {
  const writes: number[] = [];
  const shown = inTurns(
    { write: (text) => void writes.push(Buffer.byteLength(text)) },
    (line) => `ü${line}`,
  );
  for (const length of [2_046, 2_046, 1]) shown.write("x".repeat(length));
  await nextTurn();
  expect(writes).toEqual([4_096, 3]);
});
