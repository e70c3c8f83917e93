/** Marks and statuses, without a browser: the sign, the colour, the shape, the sentence of each. */
import { drawn, type PlainElement } from "./plain-document.ts";
import { h } from "preact";
import { beforeEach, describe, expect, it } from "vitest";
import type { PipelineRow } from "../../src/views/overview.ts";
import type { StripMark } from "../../src/views/overview.ts";
import { now } from "../../src/page/app/clock.ts";
import {
  decisionText,
  Dot,
  MarkShape,
  markSentence,
  signOf,
  Status,
  STATUSES,
  StripLegend,
  toneOf,
} from "../../src/page/app/marks.tsx";
import { PipelineCells } from "../../src/page/app/overview/pipeline-cells.tsx";
import { Strip } from "../../src/page/app/strip.tsx";

const AT = "2026-11-28T12:00:00.000Z";
beforeEach(() => void (now.value = Date.parse(AT)));

/** What is drawn: each element with its own attributes. */
const markup = (root: PlainElement): string[] =>
  root.all.map(({ localName, attributes }) =>
    [localName, ...[...attributes].map(([name, value]) => `${name}=${value}`)].join(" "),
  );

it("each status has its sign and its colour, and one of tomorrow those of a beginning", () => {
  const all =
    "initializing provisioning queued running completed failed cached retrying retried stopping " +
    "stopped skipped missed of_tomorrow";
  expect(all.split(" ").map((status) => `${signOf(status)} ${toneOf(status)}`)).toEqual([
    "○ initializing",
    "○ initializing",
    "○ initializing",
    "▸ running",
    "✓ completed",
    "✗ failed",
    "≡ cached",
    "↻ retrying",
    "↻ retried",
    "◧ stopping",
    "■ stopped",
    "– skipped",
    "┆ missed",
    "○ initializing",
  ]);
});

it("the legend of a grid has each status that a run or a step can end in or stand at", () => {
  expect(STATUSES).toEqual([
    "running",
    "completed",
    "failed",
    "cached",
    "retrying",
    "retried",
    "stopping",
    "stopped",
    "initializing",
  ]);
});

it("a status is a sign and a word, a dot a sign and its label", async () => {
  const status = await drawn(h(Status, { status: "failed" }));
  expect([status.text, markup(status)]).toEqual([
    "✗failed",
    ["span class=status failed", "i aria-hidden=true"],
  ]);
  expect((await drawn(h(Status, { status: "failed", text: "takes no work" }))).text).toBe(
    "✗takes no work",
  );
  const dot = await drawn(h(Dot, { status: "skipped", sign: "‖", label: "paused" }));
  const { localName, attributes } = dot.all[0]!;
  expect([dot.text, localName]).toEqual(["‖", "span"]);
  expect(Object.fromEntries(attributes)).toEqual({
    class: "dot skipped",
    role: "img",
    "aria-label": "paused",
    title: "paused",
  });
  expect((await drawn(h(Dot, { status: "running", label: "runs" }))).text).toBe("▸");
});

const MARK = {
  slot: "2026-11-28T00:37:00.000Z",
  schedule: null,
  run: null,
  decision: "fired",
  status: null,
  lateMs: null,
  durationMs: null,
  because: null,
} as unknown as StripMark;

describe("a mark's sentence", () => {
  it.each<[Partial<StripMark>, string]>([
    [{}, "00:37:00Z, fired"],
    [{ lateMs: 1_000 }, "00:37:00Z, fired"],
    [{ lateMs: 1_001 }, "00:37:00Z, fired 1s late"],
    [{ decision: "pending" }, "00:37:00Z, due, not decided yet"],
    [{ decision: "by_hand", slot: null, status: "running" }, "by hand, running"],
    [{ decision: "missed", because: "no daemon was up" }, "00:37:00Z, missed: no daemon was up"],
    [
      { decision: "caught_up", lateMs: 166_000, status: "completed", durationMs: 7_700 },
      "00:37:00Z, caught up 2m 46s late, completed in 7.7s",
    ],
  ])("of %j", (more, text) => {
    expect(markSentence({ ...MARK, ...more })).toBe(text);
  });

  it("begins with the pipeline where that is not said beside it", () => {
    expect(markSentence(MARK, "etl")).toMatch(/^etl, 00:37:00Z, fired$/i);
  });

  it.each([
    [{ decision: "fired", lateMs: 1_001 }, "fired late"],
    [{ decision: "fired", lateMs: 1_000 }, "fired"],
    [{ decision: "caught_up", lateMs: 9_000 }, "caught up"],
    [{ decision: "backfilled", lateMs: null }, "backfilled"],
  ] as const)("%j is %s in a list", (kind, text) => {
    expect(decisionText({ status: null, ...kind })).toBe(text);
  });
});

describe("a mark's shape", () => {
  const shape = async (decision: string, status: string | null = null, lateMs = 0) =>
    markup(await drawn(h(MarkShape, { decision, status, lateMs, height: 24 } as never)));
  const rect = (y: number, height: number, tone: string): string =>
    `rect x=0 y=${y} width=9 height=${height} rx=2 fill=var(--${tone})`;

  it("is a bar where it fired, taller where it failed", async () => {
    expect(await shape("fired", "completed")).toEqual([rect(5, 19, "completed")]);
    expect(await shape("fired")).toEqual([rect(5, 19, "completed")]);
    expect((await shape("fired", "failed"))[0]).toBe(rect(0, 24, "failed"));
    expect(await shape("fired", "completed", 1_000)).toEqual([rect(5, 19, "completed")]);
    expect((await shape("fired", "completed", 1_001))[0]).toBe(
      "path d=M0 23V5L9 14V23Q9 24 8 24H1Q0 24 0 23z fill=var(--completed)",
    );
    expect((await shape("caught_up", "completed"))[0]).toBe(
      "path d=M0 23V12L4.5 4L9 12V23Q9 24 8 24H1Q0 24 0 23z fill=var(--completed)",
    );
  });

  it("is a diamond by hand, a low box of a skip, a dashed one of a miss", async () => {
    const diamond = "path d=M4.5 9L9.5 16.5L4.5 24L-.5 16.5z fill=var(--completed)";
    expect(await shape("by_hand", "completed")).toEqual([diamond]);
    expect(await shape("backfilled", "completed")).toEqual([diamond]);
    expect(await shape("skipped")).toEqual([
      "rect x=1 y=15 width=7 height=8 rx=1.5 fill=none stroke=var(--skipped) stroke-width=1.5",
    ]);
    expect(await shape("missed")).toEqual([
      "rect x=1 y=5 width=7 height=18 rx=1.5 fill=none stroke=var(--missed) stroke-width=1.5 " +
        "stroke-dasharray=2.5 2",
      "circle cx=4.5 cy=14 r=1.6 fill=var(--missed)",
    ]);
    for (const decision of ["coming", "pending", "none"])
      expect(await shape(decision)).toEqual([
        "rect x=2 y=9 width=5 height=14 rx=2 fill=none stroke=var(--ink3) stroke-width=1",
      ]);
  });

  it.each([
    ["completed", undefined],
    ["failed", "path d=M2.1 9.6l4.8 4.8m0-4.8l-4.8 4.8"],
    ["running", "path d=M2.5 11.5l4.4 3l-4.4 3z"],
    ["cached", "path d=M2 12.5h5m-5 2h5m-5 2h5"],
    ["stopped", "rect x=2.7 y=12.7 width=3.6 height=3.6"],
    ["stopping", "path d=M4.5 12h-2.5v5h2.5z"],
    ["retrying", "path d=M2 14.5a2.5 2.5 0 1 1 2.5 2.5"],
    ["retried", "path d=M2 14.5a2.5 2.5 0 1 1 2.5 2.5"],
    ["queued", "circle cx=4.5 cy=14.5 r=1.7"],
  ])("of a run that is %s has its sign", async (status, sign) => {
    const [, own, more] = await shape("fired", status);
    expect([own?.replace(/ (fill|stroke).*/, ""), more]).toEqual([sign, undefined]);
  });
});

it("the legend names what a strip shows", async () => {
  expect(
    (await drawn(h(StripLegend, {}))).every("span.legend-entry").map(({ text }) => text),
  ).toEqual(["ran", "failed", "running", "caught up", "skipped", "missed"]);
});

it("a strip is one group of links, and the newest is the stop of the Tab key", async () => {
  const marks = ["00:37", "00:38", "00:39"].map((time) => ({
    ...MARK,
    slot: `2026-11-28T${time}:00.000Z`,
  }));
  const root = await drawn(h(Strip, { pipeline: "etl", marks }));
  const svg = root.one("svg");
  expect(
    ["width", "height", "viewBox", "aria-label"].map((name) => svg.getAttribute(name)),
  ).toEqual(["33", "26", "-1 -1 33 26", "Last slots of etl, oldest first"]);
  expect(root.every("a").map((link) => link.getAttribute("tabindex"))).toEqual(["-1", "-1", "0"]);
  expect(root.every("g").map((group) => group.getAttribute("transform"))).toEqual([
    "translate(0 0)",
    "translate(11 0)",
    "translate(22 0)",
  ]);
  expect((await drawn(h(Strip, { pipeline: "etl", marks: [] }))).text).toBe("has not fired yet");
});

describe("a pipeline's row", () => {
  const ROW = {
    name: "etl",
    description: null,
    schedule: "0 * * * *",
    timezones: ["UTC"],
    valid: true,
    paused: false,
    active: [],
    lastRun: null,
    lastMs: null,
    nextFire: null,
    because: null,
    strip: null,
    needsYou: false,
    tags: [],
  } as unknown as PipelineRow;
  const RUN = {
    run: "etl@1",
    status: "failed",
    startedAt: "2026-11-28T11:00:00.000Z",
    finishedAt: "2026-11-28T11:50:00.000Z",
  };
  const row = (more: object): Promise<PlainElement> =>
    drawn(h(PipelineCells, { row: { ...ROW, ...more }, strip: undefined }));

  it.each<[object, string]>([
    [{}, "has not run yet"],
    [{ lastRun: RUN }, "last run failed"],
    [{ lastRun: RUN, paused: true }, "paused"],
    [{ lastRun: RUN, paused: true, active: ["etl@2"] }, "running"],
    [{ lastRun: RUN, active: ["etl@2"], valid: false }, "its file is not valid"],
  ])("its state by %j", async (more, label) => {
    const root = await row(more);
    expect(root.one("span.c-state").one("span.dot").getAttribute("aria-label")).toBe(label);
  });

  it.each<[object, string]>([
    [{}, "–"],
    [{ paused: true, nextFire: "2026-11-28T12:10:00.000Z" }, "paused"],
    [{ nextFire: "2026-11-28T12:10:00.000Z" }, "in 10m 12:10:00"],
    [{ nextFire: "2026-11-29T12:10:00.000Z" }, "in 1d 29 Nov 12:10"],
  ])("when it is next, by %j", async (more, text) => {
    expect((await row(more)).one("span.c-next").text.trim()).toBe(text);
  });

  it.each<[object, string]>([
    [{}, "–"],
    [{ lastRun: RUN }, "✗failed 10m ago"],
    [{ lastRun: RUN, lastMs: 3_000_000 }, "✗failed 50m · 10m ago"],
    [{ lastRun: { ...RUN, finishedAt: null, status: "running" } }, "▸running since 11:00:00"],
    [{ lastRun: RUN, active: ["etl@1"] }, "✗failed since 11:00:00"],
    [{ lastRun: { ...RUN, startedAt: null, finishedAt: null, status: "queued" } }, "○queued waits"],
  ])("its last run, by %j", async (more, text) => {
    expect((await row(more)).one("span.c-last").text.trim()).toBe(text);
  });

  it("says what it is for, its schedule and its zones, and why it needs somebody", async () => {
    const root = await row({ description: "loads", because: "it failed: no" });
    expect(root.one("span.c-name").text.trim()).toBe("etl loads");
    expect(root.one("span.c-schedule").text.trim()).toMatch(/^0 \* \* \* \* UTC$/);
    expect(root.one("span.c-because").text.trim()).toBe("it failed: no");
    expect(root.one("a.name").getAttribute("href")).toMatch(/pipelines\/etl$/);
  });
});
