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

interface Watched {
  readonly turns: LoopWatch;
  readonly warned: [number, number][];
  /** What each line names as under way, with its level. */
  readonly named: [string, unknown, unknown][];
  readonly ticks: () => number;
}

function watch(underWay: () => readonly string[] = () => ["p@1"]): Watched {
  const warned: [number, number][] = [];
  const named: [string, unknown, unknown][] = [];
  let ticks = 0;
  const turns = new LoopWatch({
    log: {
      ...silentLog,
      warn: (fields: object, text?: string) => {
        const { longestTurnMs, longTurns } = fields as Record<string, number>;
        expect(text).toBe(
          `the daemon was busy with one thing for ${longestTurnMs} ms: slots and answers waited`,
        );
        warned.push([longestTurnMs!, longTurns!]);
        named.push(["warn", longestTurnMs, (fields as { underWay: unknown }).underWay]);
      },
      debug: (fields: object, text?: string) => {
        expect(text).toBe("a long turn");
        const { turnMs, underWay: runs } = fields as Record<string, unknown>;
        named.push(["debug", turnMs, runs]);
      },
    },
    underWay,
    onTick: () => void (ticks += 1),
  });
  turns.stir();
  return { turns, warned, named, ticks: () => ticks };
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

it("names five of the runs that go on, in each line", () => {
  const { turns, named } = watch(() => ["a", "b", "c", "d", "e", "f"]);
  turn(200.4);
  turn(300);
  const five = ["a", "b", "c", "d", "e"];
  expect(named).toEqual([
    ["debug", 200, five],
    ["warn", 200, five],
    ["debug", 300, five],
  ]);
  turns.close();
});

it("ticks until it was quiet for a second, and as long as something goes on", () => {
  let runs: string[] = [];
  const { turns, ticks } = watch(() => runs);
  for (let times = 0; times < 30; times += 1) turn(0);
  expect(ticks()).toBe(20);
  turns.stir();
  for (let times = 0; times < 19; times += 1) turn(0);
  turns.stir();
  for (let times = 0; times < 19; times += 1) turn(0);
  expect(ticks()).toBe(58);
  runs = ["p@1"];
  for (let times = 0; times < 100; times += 1) turn(0);
  expect(ticks()).toBe(158);
  turns.close();
  turn(0);
  expect(ticks()).toBe(158);
});

it("counts a rest for no turn, and used time since the last tick alone", () => {
  const { turns, warned } = watch(() => []);
  for (let times = 0; times < 20; times += 1) turn(0);
  for (const [lateMs, ownMs] of [
    [150, 20],
    [20, 150],
  ] as const) {
    // It is at rest, and time passes.
    now += 60_000;
    usedMs += 60_000;
    turns.stir();
    turn(lateMs, ownMs);
    expect([warned, turns.figures.longestTurnMs]).toEqual([[], 20]);
    for (let times = 0; times < 20; times += 1) turn(0);
  }
  turns.stir();
  turn(5_000, 100);
  expect([warned, turns.figures.longTurns]).toEqual([[], 0]);
  turns.close();
});

it("the figures have the turn that one of a hundred is longer than", () => {
  const { turns } = watch();
  expect(turns.figures).toEqual({ longestTurnMs: 0, longTurns: 0, turnP99Ms: 0 });
  for (let times = 0; times < 199; times += 1) turn(0);
  turn(60);
  expect(turns.figures).toEqual({ longestTurnMs: 60, longTurns: 0, turnP99Ms: 1 });
  for (let times = 0; times < 9; times += 1) turn(60);
  expect(turns.figures.turnP99Ms).toBe(60);
  turns.close();
});
