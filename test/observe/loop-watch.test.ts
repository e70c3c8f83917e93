/** The warning of a long turn: once a minute at most, and with the longest since the last one. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { silentLog } from "../../src/log.ts";
import { LoopWatch } from "../../src/observe/loop-watch.ts";

const TICK_MS = 50;
let now = 0;
let usedMs = 0;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  vi.spyOn(performance, "now").mockImplementation(() => now);
  vi.spyOn(process, "cpuUsage").mockImplementation(() => ({ user: usedMs * 1_000, system: 0 }));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** The next look comes so late, and the process used so much time meanwhile. */
function turn(lateMs: number, ownMs = lateMs): void {
  now += TICK_MS + lateMs;
  usedMs += ownMs;
  vi.advanceTimersByTime(TICK_MS);
}

function watch(): { readonly turns: LoopWatch; readonly warned: [number, number][] } {
  const warned: [number, number][] = [];
  const turns = new LoopWatch({
    log: {
      ...silentLog,
      warn: (fields: object, text?: string) => {
        const { longestTurnMs, longTurns } = fields as Record<string, number>;
        expect(text).toContain(`for ${longestTurnMs} ms`);
        warned.push([longestTurnMs!, longTurns!]);
      },
    },
    underWay: () => ["p@1"],
  });
  turns.stir();
  return { turns, warned };
}

it("tells the longest turn since the last warning, and how many there were in all", () => {
  const { turns, warned } = watch();
  turn(900);
  expect(warned).toEqual([[900, 1]]);
  turn(300);
  turn(400);
  turn(200);
  expect(warned).toHaveLength(1);
  now += 60_000;
  turn(0);
  turn(150);
  expect(warned).toEqual([
    [900, 1],
    [400, 5],
  ]);
  now += 60_000;
  turn(0);
  turn(120);
  expect(warned.at(-1)).toEqual([120, 6]);
  expect(turns.figures).toMatchObject({ longestTurnMs: 900, longTurns: 6 });
  turns.close();
});

it("takes 100 ms for no long turn, nor a wait for the processor", () => {
  const { turns, warned } = watch();
  turn(100);
  turn(5_000, 20);
  expect(warned).toEqual([]);
  turn(101);
  expect(warned).toEqual([[101, 1]]);
  turns.close();
});
