/** Where the marks of Slots lie, and what each says, without a browser. */
import { drawn, type PlainElement } from "./plain-document.ts";
import { at, atNoon } from "./page-moment.ts";
import { h } from "preact";
import { beforeEach, expect, it } from "vitest";
import type { StripMark } from "../../src/views/overview.ts";
import type { SlotGrid, SlotGridRow } from "../../src/views/slot-grid.ts";
import { cellsOf, GridMarks } from "../../src/page/app/slots/grid-marks.tsx";

beforeEach(() => atNoon("slots"));

/** Ten pixels an hour, from midnight to noon. */
const AXIS = {
  from: Date.parse(at("00:00:00")),
  to: Date.parse(at("12:00:00")),
  width: 120,
};
const GRID = { at: at("12:00:00"), from: at("00:00:00"), to: at("12:00:00") } as SlotGrid;

const mark = (hour: string, more: Partial<StripMark> = {}): StripMark =>
  ({
    slot: at(`${hour}:00:00`),
    schedule: 0,
    run: `p@20261128T${hour}0000Z`,
    decision: "fired",
    status: "completed",
    lateMs: 0,
    durationMs: 3_600_000,
    because: "it was due",
    ...more,
  }) as StripMark;

/** A row as it is drawn. */
async function row(more: Partial<SlotGridRow>): Promise<PlainElement> {
  const given = { pipeline: "p", coming: [], ...more } as unknown as SlotGridRow;
  return drawn(h(GridMarks, { row: given, axis: AXIS, grid: GRID }));
}

/** Each link: where its group stands, and what it leads to. */
const links = (root: PlainElement): unknown[] =>
  root.every("a.mark").map((link) => {
    const group = link.all.find(({ localName }) => localName === "g")!;
    return [group.getAttribute("transform"), link.getAttribute("tabindex")];
  });

/** The bars of runs: left edge, width, colour. */
const bars = (root: PlainElement): unknown[] =>
  root.all
    .filter((each) => each.localName === "rect" && each.getAttribute("opacity") === "0.55")
    .map((bar) => ["x", "width", "fill"].map((name) => bar.getAttribute(name)));

it("a mark's link lies at its slot, and the last one is where the keys stop", async () => {
  const root = await row({ marks: [mark("00"), mark("03"), mark("10", { slot: null })] });
  expect(links(root)).toEqual([
    ["translate(-4.5 0)", "-1"],
    ["translate(25.5 0)", "-1"],
    [expect.stringContaining("translate("), "0"],
  ]);
});

it("a cell's link lies in its middle, with the number that it stands for", async () => {
  const cells = [1, 2, 999, 1_000, 1_999, 99_999, 500_000].map((count, cell) => ({
    cell,
    count,
    worst: mark("01"),
  }));
  const root = await row({ cells });
  expect(cellsOf(AXIS)).toBe(12);
  expect(links(root).map((link) => (link as string[])[0])).toEqual(
    cells.map(({ cell }) => `translate(${(cell * 10 + 5 - 4.5).toFixed(1)} 0)`),
  );
  expect(links(root).map((link) => (link as string[])[1])).toEqual(
    [..."------", ""].map((one) => (one === "-" ? "-1" : "0")),
  );
  const texts = root.all.filter(({ localName }) => localName === "text");
  expect(texts.map(({ text }) => text)).toEqual(["2", "999", "1k", "1k", "99k", "99k"]);
  const said = root.every("a.mark").map((link) => link.getAttribute("aria-label")!);
  expect(said.map((one) => /^The worst of (\d+) slots: /.exec(one)?.[1])).toEqual([
    undefined,
    ...[2, 999, 1_000, 1_999, 99_999, 500_000].map(String),
  ]);
});

it("an axis has a cell for each 18 pixels, and 12 at least", () => {
  expect([0, 216, 233, 234, 1_000].map((width) => cellsOf({ width }))).toEqual([
    12, 12, 12, 13, 55,
  ]);
});

it("a bar begins when the run did, is as long as it took, and two pixels at least", async () => {
  const root = await row({
    marks: [
      mark("01"),
      mark("03", { lateMs: 1_800_000, durationMs: 1_000, status: "failed" }),
      mark("11", { durationMs: null, lateMs: null, status: "running" }),
      mark("05", { run: null }),
      mark("06", { status: null }),
    ],
  });
  expect(bars(root)).toEqual([
    ["10", "10", "var(--completed)"],
    ["35", "2", "var(--failed)"],
    ["110", "10", "var(--running)"],
  ]);
});

it("a dashed line leads from a slot to the run that caught up, if that lies far off", async () => {
  const [hour, twelvePixels] = [3_600_000, 4_320_000];
  for (const [decision, lateMs, leaps] of [
    ["caught_up", 2 * hour, ["M14 6Q20 1 30 26"]],
    ["caught_up", twelvePixels, []],
    ["caught_up", twelvePixels + 1_000, [expect.any(String)]],
    ["fired", 2 * hour, []],
  ] as const) {
    const root = await row({ marks: [mark("01", { decision, lateMs })] });
    const lines = root.all.filter((each) => each.getAttribute("stroke-dasharray") === "2 2");
    expect(
      lines.map((line) => line.getAttribute("d")),
      `${decision} ${lateMs}`,
    ).toEqual(leaps);
  }
});

it("what comes is an outline at its time, dashed where something is noted", async () => {
  const coming = [
    { slot: at("06:00:00"), schedule: 0 },
    { slot: at("09:00:00"), schedule: 1, note: "paused" },
  ];
  const root = await row({ coming: coming as never });
  const groups = root.all.filter(({ localName }) => localName === "title");
  expect(
    groups.map(({ parentNode, text }) => [
      parentNode!.getAttribute("transform"),
      text,
      parentNode!.all
        .find(({ localName }) => localName === "rect")!
        .getAttribute("stroke-dasharray"),
    ]),
  ).toEqual([
    ["translate(55.5 0)", expect.stringMatching(/^comes at .*06:00:00[^:]*$/), null],
    ["translate(85.5 0)", expect.stringMatching(/^comes at .*09:00:00.*: paused$/), "2 1.5"],
  ]);
});
