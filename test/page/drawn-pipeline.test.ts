/** What a pipeline's page and its file's say, and what its form asks for, without a browser. */
import { drawn, type PlainElement } from "./plain-document.ts";
import { at, atNoon, go } from "./page-moment.ts";
import { h } from "preact";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { PipelineFilePage, PipelinePage } from "../../src/views/pipeline-page.ts";
import { File } from "../../src/page/app/pages/file.tsx";
import { Pipeline } from "../../src/page/app/pages/pipeline.tsx";
import { ParamsForm } from "../../src/page/app/pipeline/params-form.tsx";

// What draws the curve needs a canvas.
vi.mock("../../src/page/app/pipeline/trend.tsx", () => ({ Trend: () => null }));

beforeEach(() => atNoon("pipelines/etl"));

const PAGE = {
  name: "etl",
  description: null,
  because: null,
  removed: false,
  valid: true,
  paused: false,
  active: [],
  queued: [],
  waiting: [],
  errors: [],
  schedule: "0 * * * *",
  timezone: "UTC",
  timezones: ["UTC"],
  nextFire: null,
  lastRun: null,
  lastMs: null,
  usualMs: null,
  counts: {},
  tags: [],
  params: {},
  schedules: [],
  next: [],
  rehearsal: {
    from: at("12:00:00"),
    to: at("12:00:00"),
    overlaps: [],
    pileUps: [],
    moved: [],
    slots: 0,
  },
  trend: [],
  versions: [],
  backfills: [],
  graph: null,
  strip: [],
} as unknown as PipelinePage;
const RUN = { run: "etl@20261128T110000Z", status: "failed", startedAt: at("11:00:00") };

const page = (more: object = {}, runs: readonly object[] = []): Promise<PlainElement> =>
  drawn(h(Pipeline, { target: "etl" } as never), {
    "pipelines/etl": { ...PAGE, ...more },
    "runs?pipeline=etl&limit=15": { runs },
  });
/** The facts by their names. */
const factsOf = (root: PlainElement): Record<string, string> =>
  Object.fromEntries(
    root
      .one("dl.facts")
      .every("div")
      .map((fact) => [fact.one("dt").text.trim(), fact.one("dd").text.trim()]),
  );

describe("a pipeline's page", () => {
  it.each<[object, string]>([
    [{}, "○has not run etl"],
    [{ lastRun: RUN }, "✗failed etl"],
    [{ lastRun: RUN, active: ["etl@1"] }, "▸running etl"],
    [{ lastRun: RUN, active: ["etl@1"], paused: true }, "–paused etl"],
    [{ paused: true, valid: false }, "✗not valid etl"],
    [{ valid: false, removed: true }, "–removed etl"],
  ])("says how it stands (%#)", async (more, text) => {
    expect((await page(more)).one("h1").text.trim()).toBe(text);
  });

  it("says what it is for, and besides why it needs somebody", async () => {
    const texts = async (more: object): Promise<string[]> =>
      (await page(more))
        .one("div.run-head")
        .every("p")
        .map(({ text }) => text.trim());
    expect(await texts({ because: "it failed" })).toEqual(["it failed"]);
    expect(await texts({ because: "it failed", description: "loads" })).toEqual([
      "loads",
      "it failed",
    ]);
    expect(await texts({ description: "loads" })).toEqual(["loads"]);
  });

  it("has its facts, of nothing and of much", async () => {
    expect(factsOf(await page({ schedule: null, timezones: [] }))).toEqual({
      Schedule: "none",
      Next: "–",
      "Last run": "–",
      "Runs now": "nothing",
      "So far": "nothing yet",
    });
    expect(factsOf(await page({ paused: true }))["Next"]).toBe("paused");
    const much = {
      timezones: ["Europe/Berlin", "UTC"],
      nextFire: at("13:00:00"),
      lastRun: RUN,
      lastMs: 90_000,
      usualMs: 60_000,
      active: ["etl@20261128T110000Z"],
      queued: ["etl@20261128T113000Z", "etl@20261128T114000Z"],
      counts: { fired: 1_200, caughtUp: 2, failed: 0 },
    };
    expect(factsOf(await page(much))).toEqual({
      Schedule: "0 * * * * Europe/Berlin, UTC",
      Next: "in 1h 13:00:00Z",
      "Last run": "✗failed 1m 30s, usually 1m",
      "Runs now": "20261128T110000Z 2 runs wait",
      "So far": "1,200 fired, 2 caught up",
    });
    expect(factsOf(await page({ usualMs: 60_000 }))["Last run"]).toBe("– usually 1m");
  });

  it("may be paused, or let go on; its faults lead to its file", async () => {
    const acts = async (more: object): Promise<string> =>
      (await page(more)).one("div.run-head").one("div.acts").text.replaceAll(/\s+/g, " ").trim();
    expect(await acts({})).toMatch(/^Run… Pause Silence… no messages for 2h ?Backfill… /);
    expect(await acts({ paused: true })).toContain("Resume");
    const root = await page({ errors: ["etl.yaml:3:5: no", "and no"] });
    expect(
      root
        .one("div.fault")
        .every("p")
        .map(({ text }) => text.trim()),
    ).toEqual(["etl.yaml:3:5: no", "and no", "The file, with its faults"]);
    expect((await page()).every("div.fault")).toEqual([]);
  });

  it("has its newest runs, with what is not known yet", async () => {
    const run = {
      ...RUN,
      durationMs: 90_000,
      because: "step a failed",
    };
    const waits = {
      run: "etl@20261128T113000Z",
      status: "queued",
      startedAt: null,
      durationMs: null,
    };
    const root = await page({}, [run, { ...waits, because: "it waits" }]);
    const [body] = root.every("tbody").slice(-1);
    expect(body!.every("tr").map((row) => row.every("td").map(({ text }) => text.trim()))).toEqual([
      ["✗failed", "20261128T110000Z", "2026-11-28 11:00:00Z", "1m 30s", "step a failed"],
      ["○queued", "20261128T113000Z", "not yet", "–", "it waits"],
    ]);
    expect((await page()).text).toContain("It has not run yet.");
    expect(root.text).not.toContain("It has not run yet.");
  });

  it("has its steps as in its newest run, and of very many their number", async () => {
    const graph = (many: number, name: string) => ({
      name,
      dynamic: false,
      steps: Array.from({ length: many }, (_, nth) => ({ step: `s${nth}`, inputs: [], after: [] })),
    });
    const steps = async (many: number, name = "etl@1"): Promise<string | undefined> =>
      (await page({ graph: graph(many, name) })).text.match(/Steps as in.*?\.|Steps and what/)?.[0];
    expect(await steps(201)).toBe(
      "Steps as in its newest run 201 steps: the newest run lists them.",
    );
    expect(await steps(200)).not.toContain("200 steps");
    expect(await steps(1, "etl")).toBe("Steps and what");
    expect(await steps(0)).toBeUndefined();
  });
});

describe("a run by hand", () => {
  const params = { day: 1, on: true, name: "x", list: [1], key: { secret: "KEY" } };
  const form = (query = "", more: object = { params }): Promise<PlainElement> => {
    go(`pipelines/etl${query}`);
    return drawn(h(ParamsForm, { page: { ...PAGE, ...more } }));
  };
  const buttons = (root: PlainElement): string[] =>
    root
      .one("div.acts")
      .every("button")
      .map(({ text }) => text.trim());
  const commandOf = (root: PlainElement): string => root.every("code").at(-1)!.textContent;

  it("is asked for as the file declares it", async () => {
    const none = await form("", {});
    expect([none.one("p.none").text.trim(), buttons(none)]).toEqual([
      "It declares no params.",
      ["Run etl now"],
    ]);
    const root = await form();
    expect(buttons(root)).toEqual(["Run etl with the defaults"]);
    expect(root.every("div.param.changed")).toEqual([]);
    expect(root.one("output").text.trim()).toBe("secret KEY");
    expect(commandOf(root)).toBe("orchd run etl");
    expect(root.one("textarea").getAttribute("rows") ?? "").toMatch(/^\d*$/);
  });

  it("is asked for with what was changed, and may be as it was", async () => {
    const root = await form("?p.day=2&p.on=true&p.name==&p.key=z&noCache=1");
    expect(buttons(root)).toEqual(["Run etl 2 params changed", "The defaults again"]);
    expect(root.every("div.param.changed").map((one) => one.one("label").text.trim())).toEqual([
      "day",
      "name",
    ]);
    expect(commandOf(root)).toBe("orchd run etl -p day=2 -p name= --no-cache");
    expect(buttons(await form("?p.day=2"))[0]).toBe("Run etl 1 param changed");
  });

  it("is not asked for where a field cannot be read", async () => {
    const root = await form("?p.list=[1&p.name=y");
    expect(root.text).toContain("This is no JSON:");
    expect(root.text).not.toContain("orchd run etl");
    // A number may be half typed.
    expect((await form("?p.day=-")).text).not.toContain("is no number");
  });
});

describe("a pipeline's file", () => {
  const file = (more: Partial<PipelineFilePage>, query = ""): Promise<PlainElement> => {
    go(`pipelines/etl/file${query}`);
    return drawn(h(File, { target: "etl" } as never), {
      "pipelines/etl/file": { file: "/s/etl.yaml", text: null, because: null, faults: [], ...more },
    });
  };

  it("stands with what is wrong with it", async () => {
    const faults = [
      { line: 2, text: "no" },
      { line: null, text: "it is bad" },
    ];
    const root = await file({ faults, because: "it is gone" });
    expect(root.one("h1").text.trim()).toBe("etl.yaml");
    expect(root.one("h2").text.trim()).toBe("It is not valid: 2 faults");
    expect(root.every("li").map(({ text }) => text.trim())).toEqual(["line 2: no", "it is bad"]);
    expect(root.one("p.fault").text.trim()).toBe("it is gone");
    expect((await file({})).one("p.fault").text.trim()).toBe("It cannot be read.");
    expect((await file({ text: "a\nb\n" })).every("p.fault")).toEqual([]);
    expect((await file({ text: "a\nb\n" })).one("p.source-head").text).toContain("2 lines");
  });
});

it("a pipeline's page has the backfills that are under way, if there are any", async () => {
  const backfill = { id: "b1", from: at("08:00:00"), to: at("10:00:00"), which: "missing" };
  const card = (await page({ backfills: [backfill] })).one(".backfill-row");
  expect(card.text).toContain("b1 · 2026-11-28 08:00:00Z to 2026-11-28 10:00:00Z, missing");
  const link = new URL(card.one("a").getAttribute("href")!, "http://page.test");
  expect([link.pathname, link.search]).toEqual(["/requests", "?id=b1"]);
  expect((await page()).every(".backfill-row")).toEqual([]);
});
