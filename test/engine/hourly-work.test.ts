/** When the hourly work is done: each hour, sooner where it is wanted, again after a failure. */
import { expect, test } from "vitest";
import { HourlyWork, type HourlyWorkPorts } from "../../src/engine/hourly-work.ts";
import { silentLog } from "../../src/log.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const MINUTE_MS = 60_000;

function given(more: Partial<HourlyWorkPorts> = {}) {
  const clock = new VirtualClock({ start: "2026-11-23T02:00:00Z" });
  const done: string[] = [];
  const note = (what: string): void =>
    void done.push(`${what} ${new Date(clock.now()).toISOString().slice(11, 16)}`);
  const work = new HourlyWork({
    clock,
    log: { ...silentLog, error: () => note("error") },
    makeFolders: (at) => {
      done.push(`folders of ${new Date(at).toISOString().slice(0, 10)}`);
      return Promise.resolve();
    },
    act: () => Promise.resolve(note("act")),
    ...more,
  });
  return { clock, done, work, note };
}

test("it is done after a minute, then each hour, the folders a day ahead", async () => {
  const { clock, done, work } = given();
  work.start();
  await clock.advance(MINUTE_MS - 1);
  expect(done).toEqual([]);
  await clock.advance(61 * MINUTE_MS);
  expect(done).toEqual([
    "folders of 2026-11-24",
    "act 02:01",
    "folders of 2026-11-24",
    "act 03:01",
  ]);
});

test("it is done in the next minute where that is wanted", async () => {
  let wanted = false;
  const { clock, done, work } = given({ isWanted: () => wanted });
  work.start();
  await clock.advance(10 * MINUTE_MS);
  wanted = true;
  await clock.advance(MINUTE_MS);
  wanted = false;
  await clock.advance(59 * MINUTE_MS);
  expect(done.filter((what) => what.startsWith("act"))).toEqual(["act 02:01", "act 02:11"]);
  await clock.advance(MINUTE_MS);
  expect(done.at(-1)).toBe("act 03:11");
});

test("a failure is told, and it is tried again in an hour", async () => {
  const { clock, done, work } = given({ act: () => Promise.reject(new Error("no")) });
  work.start();
  await clock.advance(62 * MINUTE_MS);
  expect(done.filter((what) => what.startsWith("error"))).toEqual(["error 02:01", "error 03:01"]);
});

test("without anything but folders it wakes each hour, and never once closed", async () => {
  const { clock, done, work } = given({ act: undefined, isWanted: undefined });
  work.start();
  await clock.advance(61 * MINUTE_MS);
  expect(done).toHaveLength(2);
  work.close();
  await clock.advance(200 * MINUTE_MS);
  expect(done).toHaveLength(2);
});

test("closed while it is under way, it does not begin again", async () => {
  let end = (): void => undefined;
  const { clock, done, work } = given({
    act: () => new Promise<void>((resolve) => (end = resolve)),
  });
  work.start();
  await clock.advance(MINUTE_MS);
  work.close();
  end();
  await clock.advance(200 * MINUTE_MS);
  expect(done).toEqual(["folders of 2026-11-24"]);
});
