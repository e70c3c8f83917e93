import { describe, expect, it, onTestFinished } from "vitest";
import { Drain } from "../../src/engine/drain.ts";
import { HeldWrites } from "../../src/engine/held-writes.ts";
import { silentLog } from "../../src/log.ts";
import { loadSettings } from "../../src/schedules/load-settings.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** A drain of 30 s with a grace period of 10 s, whose engine stops when the test says so. */
async function drainUnderTest(gracePeriodMs = 10_000) {
  const { root, runs } = tempRoot();
  const read = await loadSettings(root, runs);
  if (!read.ok) throw new Error("the defaults are bad");
  const clock = new VirtualClock();
  const happened: string[] = [];
  const say = (_: object, text: string): void => void happened.push(text);
  const log = { ...silentLog, error: say, info: say };
  const held = new HeldWrites(silentLog);
  const ends: (() => void)[] = [];
  const drain = new Drain({
    clock,
    log,
    held,
    settings: () => ({ ...read.settings, drainPeriodMs: 30_000, gracePeriodMs }),
    onBegin: () => void happened.push("begins"),
    stop: (periodMs) => {
      happened.push(`stop ${periodMs}`);
      return new Promise((resolve) => void ends.push(resolve));
    },
    waitsFor: () => "a test",
    giveUp: () => void happened.push("gives up"),
  });
  onTestFinished(() => drain.close());
  // As the kernel would, and to this process's listeners alone.
  const signal = (name: NodeJS.Signals): void => void process.emit(name, name);
  return { clock, drain, happened, held, ends, signal };
}

const DRAINING = "draining: nothing new starts; a second signal ends it at once";
const OVER = "the drain and grace periods are over: the daemon ends, whatever still waits";

describe("a drain", () => {
  it("is done when the engine has stopped, and does nothing more once it is closed", async () => {
    const { clock, drain, happened, ends, signal } = await drainUnderTest();
    await clock.advance(1_000_000);
    expect(happened).toEqual([]);
    signal("SIGTERM");
    expect(happened).toEqual([DRAINING, "begins", "stop 30000"]);
    ends[0]!();
    await drain.done;
    drain.close();
    expect(clock.timers).toBe(0);
    await clock.advance(1_000_000);
    expect(happened).toHaveLength(3);
  });

  it("is cut short by a second signal of either kind", async () => {
    const { drain, happened, ends, signal } = await drainUnderTest();
    signal("SIGINT");
    signal("SIGTERM");
    expect(happened).toEqual([DRAINING, "begins", "stop 30000", "ending at once", "stop 0"]);
    ends[1]!();
    await drain.done;
  });

  it("gives up two seconds after both periods, whatever still waits", async () => {
    const { clock, happened, signal } = await drainUnderTest();
    signal("SIGTERM");
    await clock.advance(41_999);
    expect(happened).toHaveLength(3);
    await clock.advance(1);
    expect(happened.slice(3)).toEqual([OVER, "gives up"]);
  });

  it("leaves runners a second to end their processes, however short the grace period", async () => {
    const { clock, happened, signal } = await drainUnderTest(0);
    signal("SIGTERM");
    await clock.advance(32_999);
    expect(happened).toHaveLength(3);
    await clock.advance(1);
    expect(happened.slice(3)).toEqual([OVER, "gives up"]);
  });

  it("gives up writes that wait for room when both periods are over", async () => {
    const { clock, happened, held, signal } = await drainUnderTest();
    held.onHeld(true, Object.assign(new Error("full"), { code: "ENOSPC" }));
    signal("SIGTERM");
    await clock.advance(39_999);
    expect(happened).toHaveLength(3);
    await clock.advance(1);
    expect(happened.slice(3)).toEqual([
      `${held.ranOut}: the daemon gives up the writes that wait, and ends`,
      "gives up",
    ]);
    // Once.
    await clock.advance(60_000);
    expect(happened).toHaveLength(5);
  });

  it("gives the grace period, and no drain period, after a second signal", async () => {
    const { clock, happened, signal } = await drainUnderTest();
    signal("SIGTERM");
    await clock.advance(1_000);
    signal("SIGTERM");
    await clock.advance(11_999);
    expect(happened).toHaveLength(5);
    await clock.advance(1);
    expect(happened.slice(5)).toEqual([OVER, "gives up"]);
  });
});
