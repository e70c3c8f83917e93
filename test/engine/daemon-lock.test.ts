/** Whom a daemon waits for as it starts, what it says of it, and whom it does not wait for. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { takeDaemonLock } from "../../src/engine/daemon-lock.ts";
import { acquireDaemonLock, type LockOptions } from "../../src/ledger/lock.ts";
import { readHolder } from "../../src/ledger/daemon-info.ts";
import type { Log } from "../../src/log.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { VERSION } from "../../src/version.ts";

function rig() {
  const folder = join(tempRoot().runs, ".orchd");
  const clock = new VirtualClock();
  const told: unknown[] = [];
  const log = { info: (of: unknown, text: string) => told.push([of, text]) } as unknown as Log;
  const hold = (options: Omit<LockOptions, "clock">) =>
    acquireDaemonLock(folder, { clock, ...options });
  return { folder, clock, told, hold, take: () => takeDaemonLock(folder, { clock, log }) };
}

it.each<[Omit<LockOptions, "clock">, string]>([
  [{ role: "foreground" }, "a run in the foreground (not yet begun)"],
  [{ role: "foreground", run: "p@1" }, "a run in the foreground (p@1)"],
  [{ role: "program" }, "a program that opened the root"],
  [{ role: "command" }, "another process"],
])("waits for %j, says so once, and has the lock once it is free", async (holder, whom) => {
  const { folder, clock, told, hold, take } = rig();
  const held = await hold(holder);
  const taking = take();
  await clock.advance(2_000);
  expect(told).toEqual([[{ holder: process.pid }, `waiting for ${whom} to end`]]);
  await held.release();
  await clock.advance(250);
  const taken = await taking;
  if (!taken.ok) expect.fail(taken.reason);
  expect(readHolder(folder)).toMatchObject({ role: "daemon", version: VERSION, ready: false });
  expect(told).toHaveLength(1);
  await taken.lock.release();
});

it("has the lock at once where nobody has it, and says nothing", async () => {
  const { told, take } = rig();
  const taken = await take();
  if (!taken.ok) expect.fail(taken.reason);
  expect(told).toEqual([]);
  await taken.lock.release();
});

it("gives up beside another daemon, with a sentence that names it", async () => {
  const { folder, clock, told, hold, take } = rig();
  const held = await hold({ role: "daemon" });
  const since = clock.now();
  expect(await take()).toEqual({
    ok: false,
    reason:
      `${folder} is held by a daemon, process ${process.pid}, since ` +
      `${new Date(since).toISOString()}. Stop it first, or use another runs folder.`,
  });
  expect(told).toEqual([]);
  await held.release();
});

it("says in the holder's file what was said last, and nothing once the lock is free", async () => {
  const { folder, hold } = rig();
  const held = await hold({ role: "daemon" });
  await held.setReady();
  expect(readHolder(folder)).toMatchObject({ ready: true });
  const runs = held.setRuns(["p@1"]);
  await held.setRuns(["p@2"]);
  await runs;
  expect(readHolder(folder)).toMatchObject({ ready: true, runs: ["p@2"] });
  await held.release();
  expect(readHolder(folder)).toBeNull();
});
