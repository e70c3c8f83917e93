/** What the curve of a pipeline's durations gives to what draws it, and the table beside it. */
import { atAddress, drawn, type PlainElement } from "./plain-document.ts";
import { h } from "preact";
import { beforeEach, expect, it, vi } from "vitest";
import type uPlot from "uplot";
import { Trend } from "../../src/page/app/pipeline/trend.tsx";
import type { PipelinePage } from "../../src/views/pipeline-page.ts";

const made: { options: uPlot.Options; data: uPlot.AlignedData }[] = [];
vi.mock("uplot", () => ({
  default: class {
    constructor(options: uPlot.Options, data: uPlot.AlignedData) {
      made.push({ options, data });
    }
    setData = (): void => undefined;
    destroy = (): void => undefined;
  },
}));

Object.assign(globalThis, {
  devicePixelRatio: 2,
  getComputedStyle: () => ({ getPropertyValue: (name: string) => `of ${name}` }),
});
beforeEach(() => atAddress("pipelines/etl"));

const point = (nth: number, status: string, durationMs: number) => ({
  run: `etl@20261128T0${nth}0000Z`,
  at: `2026-11-28T0${nth}:00:00.000Z`,
  status,
  durationMs,
});
const TREND = [point(1, "completed", 1_500), point(2, "failed", 60_000), point(3, "stopped", 0)];

async function shown(trend: readonly object[], usualMs: number | null): Promise<PlainElement> {
  made.length = 0;
  const root = await drawn(h(Trend, { page: { trend, usualMs } as unknown as PipelinePage }), {
    none: null,
  });
  await vi.waitFor(() => expect(made).toHaveLength(trend.length === 0 ? 0 : 1));
  return root;
}

it("says how many runs it is of, and how long one takes", async () => {
  const said = async (...given: Parameters<typeof shown>): Promise<string> =>
    (await shown(...given)).one("h2").text.trim();
  expect(await said([], 3_000)).toBe("How long its runs took");
  expect(await said(TREND, null)).toBe("How long its runs took the last 3 runs");
  expect(await said(TREND.slice(2), 3_000)).toBe(
    "How long its runs took the last 1 run, median 3s",
  );
  expect((await shown([], null)).one("p.none").text.trim()).toBe("No run of it has ended yet.");
});

it("is a table, the newest first", async () => {
  const root = await shown(TREND, null);
  expect(
    root
      .one("tbody")
      .every("tr")
      .map((row) => row.every("td").map(({ text }) => text.trim())),
  ).toEqual([
    ["etl@20261128T030000Z", "2026-11-28 03:00:00Z", "■stopped", "0s"],
    ["etl@20261128T020000Z", "2026-11-28 02:00:00Z", "✗failed", "1m"],
    ["etl@20261128T010000Z", "2026-11-28 01:00:00Z", "✓completed", "1.5s"],
  ]);
  expect(root.every("a").map((link) => link.getAttribute("href"))).toEqual(
    TREND.toReversed().map(({ run }) => `http://page.test/runs/${run}`),
  );
});

it("is a curve over seconds, whose scales have room", async () => {
  await shown(TREND, null);
  const [{ options, data }] = made as [(typeof made)[number]];
  expect(data).toEqual([TREND.map(({ at }) => Date.parse(at) / 1_000), [1.5, 60, 0]]);
  expect([options.width, options.height]).toEqual([1_000, 170]);
  const { x, y } = options.scales as Record<string, { range: (...given: unknown[]) => number[] }>;
  expect(x!.range({}, 5, 5)).toEqual([-55, 65]);
  expect(x!.range({}, 5, 6)).toEqual([5, 6]);
  expect(y!.range({}, 3, 100)).toEqual([0, 108]);
  expect(y!.range({}, 0, 0)).toEqual([0, 0.001]);
  const [across, up] = options.axes as unknown as {
    incrs: number[];
    space: (plot: unknown, axis: number, min: number, max: number) => number;
    values: (plot: unknown, at: number[]) => string[];
  }[];
  const over = (max: number): object => ({ scales: { x: { min: 0, max } } });
  // `Wed 28 May` is 67.7 pixels wide, and `00:00:00` 49.4: whole ones at the end, none on another.
  expect((options.padding as number[])[1]).toBeGreaterThanOrEqual(34);
  expect([across!.space({}, 0, 0, 2 * 86_400), across!.space({}, 0, 0, 2 * 86_400 + 1)]).toEqual([
    58, 76,
  ]);
  const noon = Date.UTC(2026, 10, 28, 12) / 1_000;
  expect(across!.values(over(2 * 86_400), [noon])).toEqual(["12:00"]);
  expect(across!.values(over(2 * 86_400 + 1), [noon])).toEqual(["Sat 28 Nov"]);
  expect(up!.values({}, [0.5, 90])).toEqual(["500ms", "1m 30s"]);
  // Each label of a duration is a round one.
  expect(up!.values({}, up!.incrs)).toEqual(
    "1ms 2ms 5ms 10ms 20ms 50ms 100ms 200ms 500ms 1s 2s 5s 10s 15s 30s 1m 2m 5m 10m 15m 30m"
      .split(" ")
      .concat("1h 2h 4h 6h 12h 1d 2d 4d 7d 14d".split(" ")),
  );
  expect((options.series[1] as { stroke: string }).stroke).toBe("of --line2");
});

it("marks what completed by a dot, what failed by a cross, what was stopped by a box", async () => {
  await shown(TREND, null);
  const drawnMarks: string[] = [];
  const note =
    (name: string) =>
    (...given: number[]) =>
      void drawnMarks.push([name, ...given.map((one) => Math.round(one * 100) / 100)].join(" "));
  const ctx = Object.fromEntries(
    "save restore beginPath moveTo lineTo stroke fillRect arc fill"
      .split(" ")
      .map((name) => [name, note(name)]),
  );
  const valToPos = (value: number, axis: string): number => (axis === "x" ? 100 : value);
  const { hooks } = made[0]!.options;
  hooks!.draw![0]!({ ctx, valToPos } as unknown as uPlot);
  expect(drawnMarks).toEqual([
    "save",
    "beginPath",
    "arc 100 1.5 6 0 6.28",
    "fill",
    "beginPath",
    "moveTo 94 54",
    "lineTo 106 66",
    "moveTo 106 54",
    "lineTo 94 66",
    "stroke",
    "beginPath",
    "fillRect 94 -6 12 12",
    "restore",
  ]);
  expect((ctx as unknown as { fillStyle: string }).fillStyle).toBe("of --stopped");
});

it("names the run that the pointer is at, and opens it", async () => {
  await shown(TREND, null);
  const { hooks } = made[0]!.options;
  let click!: () => void;
  const over = { title: "", addEventListener: (_type: string, act: () => void) => (click = act) };
  const plot = { over, cursor: { idx: 1 as number | null } };
  hooks!.ready![0]!(plot as unknown as uPlot);
  hooks!.setCursor![0]!(plot as unknown as uPlot);
  expect(over.title).toBe("02:00:00 failed, 1m");
  click();
  expect(location.href).toBe("http://page.test/runs/etl@20261128T020000Z");
  plot.cursor.idx = null;
  hooks!.setCursor![0]!(plot as unknown as uPlot);
  expect(over.title).toBe("");
});
