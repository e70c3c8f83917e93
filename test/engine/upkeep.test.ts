import { expect, test } from "vitest";
import { Upkeep } from "../../src/engine/upkeep.ts";
import { CacheIndex } from "../../src/ledger/cache-index.ts";
import { silentLog } from "../../src/log.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const MIB = 1_048_576;
const MINUTE = 60_000;

/** A daemon that has written as many bytes as the test says, and when it swept. */
async function daemon(retention: { keepMb?: number; totalMb?: number }): Promise<{
  readonly there: EngineRig;
  readonly disk: { written: number };
  readonly sweeps: number[];
}> {
  const { runs } = tempRoot();
  const clock = new VirtualClock({ turns: 4 });
  const disk = { written: 0 };
  const sweeps: number[] = [];
  const began = clock.monotonic();
  const there = new EngineRig({
    runs,
    clock,
    settings: { retention: { keepDays: 30, keepRuns: 10_000, ...retention } },
    hourly: {
      act: async (engine) => {
        sweeps.push(Math.round((clock.monotonic() - began) / MINUTE));
        await upkeep.retain(engine);
      },
      isWanted: (engine) => upkeep.filling(engine),
    },
  });
  const upkeep = new Upkeep({
    clock,
    log: silentLog,
    store: there.store,
    cacheIndex: new CacheIndex(there.store.cache),
    onFatal: () => undefined,
    signal: new AbortController().signal,
    written: () => disk.written,
  });
  await there.up();
  const { keepMb } = retention;
  await there.drop(
    pipelineOf("p", [scheduleOf({ cron: "0 0 1 1 *" })], {
      retention: { keepDays: 30, keepRuns: 100, ...(keepMb === undefined ? {} : { keepMb }) },
    }),
  );
  return { there, disk, sweeps };
}

/**
 * Lets minutes pass. A sweep reads and syncs real files, and sets the timer for the next one when
 * it is done.
 */
async function pass(there: EngineRig, minutes: number): Promise<void> {
  const timers = there.clock.timers;
  const swept = async (): Promise<void> => {
    while (there.clock.timers < timers) await new Promise((resolve) => void setImmediate(resolve));
  };
  for (let minute = 0; minute < minutes; minute += 1) {
    await there.clock.advance(MINUTE);
    await there.settling(swept());
  }
}

test("retention runs a minute after the start, then hourly, if no limit is in bytes", async () => {
  const { there, disk, sweeps } = await daemon({});
  for (let minute = 0; minute < 62; minute += 1) {
    disk.written += 1_000 * MIB;
    await pass(there, 1);
  }
  expect(sweeps).toEqual([1, 61]);
  await there.down();
});

test.each([{ totalMb: 100 }, { keepMb: 100 }])(
  "with a limit in bytes it runs within a minute after a tenth of it was written: %o",
  async (retention) => {
    const { there, disk, sweeps } = await daemon(retention);
    await pass(there, 3);
    disk.written += 9 * MIB;
    await pass(there, 2);
    expect(sweeps).toEqual([1]);
    disk.written += MIB;
    await pass(there, 2);
    expect(sweeps).toEqual([1, 6]);
    await pass(there, 60);
    expect(sweeps).toEqual([1, 6, 66]);
    await there.down();
  },
);

test("the hour's work hears that the daemon ends, and not before", async () => {
  const heard: AbortSignal[] = [];
  const there = new EngineRig({
    runs: tempRoot().runs,
    hourly: {
      act: (engine) => Promise.resolve(void heard.push(engine.ending)),
      isWanted: () => false,
    },
  });
  await there.up();
  await pass(there, 1);
  expect(heard.map(({ aborted }) => aborted)).toEqual([false]);
  await there.down();
  expect(heard.map(({ aborted }) => aborted)).toEqual([true]);
});
