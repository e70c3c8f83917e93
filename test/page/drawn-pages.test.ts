/** What the pages of alerts, runs, requests, a diff, a backfill and a pipeline say. */
import { drawn, type PlainElement } from "./plain-document.ts";
import { at, atNoon, go } from "./page-moment.ts";
import { h } from "preact";
import { beforeEach, describe, expect, it } from "vitest";
import type { AlertsView, ChannelView, FiringAlert, MessageView } from "../../src/views/alerts.ts";
import type { LedgerPrice } from "../../src/views/ledger-price.ts";
import type { PipelinePage } from "../../src/views/pipeline-page.ts";
import type { RequestRow } from "../../src/views/request-list.ts";
import type { RunDiff } from "../../src/views/run-diff.ts";
import { here } from "../../src/page/app/here.ts";
import { hrefOf, withQuery } from "../../src/page/app/location.ts";
import { Alerts } from "../../src/page/app/pages/alerts.tsx";
import { Backfill } from "../../src/page/app/pages/backfill.tsx";
import { Diff } from "../../src/page/app/pages/diff.tsx";
import { Requests } from "../../src/page/app/pages/requests.tsx";
import { Runs } from "../../src/page/app/pages/runs.tsx";
import { NextSlots } from "../../src/page/app/pipeline/next-slots.tsx";
import { Outlook } from "../../src/page/app/pipeline/outlook.tsx";
import { timeLabels } from "../../src/page/app/pipeline/trend.tsx";
import { Versions } from "../../src/page/app/pipeline/versions.tsx";
import { titleOf } from "../../src/page/app/routes.tsx";

beforeEach(() => atNoon(""));

/** Draws a page at an address, once all that it asked for was answered. */
function page(
  component: () => unknown,
  path: string,
  answers: Readonly<Record<string, unknown>>,
): Promise<PlainElement> {
  go(path);
  return drawn(h(component as never, {}), answers);
}

/** The texts of the cells of each row of a table's body. */
const rowsOf = (root: PlainElement): string[][] =>
  root
    .every("tbody")
    .flatMap((body) =>
      body.every("tr").map((row) => row.every("td").map(({ text }) => text.trim())),
    );

describe("alerts", () => {
  const FIRING: FiringAlert = {
    kind: "failed",
    pipeline: "etl",
    run: "etl@1",
    since: at("11:00:00"),
    count: 2,
    told: true,
    untold: null,
    because: "status 3",
  };
  const MESSAGE: MessageView = {
    key: "k",
    channel: "ops",
    kind: "failed",
    of: null,
    pipeline: "etl",
    run: null,
    because: "it failed",
    count: 1,
    dueAt: at("11:59:00"),
    endedAt: null,
    attempts: 0,
    retryAt: null,
    fault: "answered 500",
  };
  const CHANNEL = {
    name: "ops",
    kind: "slack",
    broken: false,
    fault: null,
    sent: 1_200,
    failed: 1,
    gaveUp: 0,
    lastSentAt: at("11:59:00"),
  } as ChannelView;
  const alerts = (more: Partial<AlertsView> = {}): Promise<PlainElement> =>
    page(Alerts, "alerts", {
      alerts: {
        configured: true,
        running: true,
        fault: null,
        asOf: at("11:30:00"),
        firing: [],
        waiting: [],
        sent: [],
        gaveUp: [],
        silences: [],
        channels: [],
        counts: { firing: 0, waiting: 0 },
        ...more,
      },
    });
  const cards = async (more: Partial<AlertsView>): Promise<Record<string, PlainElement>> =>
    Object.fromEntries(
      (await alerts(more))
        .every("section.card")
        .map((card) => [card.one("h2").text.trim().replace(/\s.*/, ""), card]),
    );

  it("whether anybody is told", async () => {
    const lead = async (more: Partial<AlertsView>): Promise<string> =>
      (await alerts(more)).one("p.lead").text.trim();
    expect(await lead({})).toBe("Nothing fires. orchd notify runs.");
    expect(await lead({ counts: { firing: 1, waiting: 0 } })).toBe(
      "1 alert fires. orchd notify runs.",
    );
    expect(await lead({ running: false })).toContain("as of 2026-11-28 11:30:00Z.");
    expect(await lead({ running: false, asOf: null })).not.toContain("as of");
    expect((await alerts({ configured: false })).text).toContain("Nobody is told:");
    expect((await alerts({ fault: "it is damaged" })).text).toContain("it is damaged.");
  });

  it("what fires: whether it was told, and why not", async () => {
    const firing = [FIRING, { ...FIRING, pipeline: null, run: null, told: false, untold: "after" }];
    const { Firing: card } = await cards({
      firing: firing as never,
      counts: { firing: 2, waiting: 0 },
    });
    const [told, untold] = rowsOf(card!);
    expect(told).toEqual(["✗failed", "etl@1", "1h ago", "2 times", "yes", "status 3", "Silence…"]);
    expect([untold![1], untold![4]!.slice(0, 4), untold![6]]).toEqual(["the daemon", "no: ", ""]);
    expect(card!.text).not.toContain("The newest");
    const more = await cards({ firing: [FIRING], counts: { firing: 2, waiting: 0 } });
    expect(more["Firing"]!.text).toContain("The newest 1 are shown.");
    here.value = { may: "read", daemon: null } as never;
    const read = await cards({ firing: [FIRING], counts: { firing: 1, waiting: 0 } });
    expect(rowsOf(read["Firing"]!)[0]).toHaveLength(6);
  });

  it("what waits, was given up, and was sent: the last time of each, and its fault", async () => {
    const all = await cards({
      waiting: [MESSAGE, { ...MESSAGE, key: "l", attempts: 1, retryAt: at("12:01:00"), count: 3 }],
      counts: { firing: 0, waiting: 2 },
      gaveUp: [{ ...MESSAGE, attempts: 2, endedAt: at("11:00:00") }],
      sent: [{ ...MESSAGE, kind: "recovered", of: "failed", endedAt: at("11:30:00") } as never],
    });
    expect(rowsOf(all["Waiting"]!)).toEqual([
      ["ops", "✗failed", "etl", "1m ago", "", "now", "answered 500"],
      ["ops", "✗failed × 3", "etl", "1m ago", "1 try", "in 1m", "answered 500"],
    ]);
    expect(rowsOf(all["Given"]!)[0]!.slice(4)).toEqual(["2 tries", "1h ago", "answered 500"]);
    expect(all["Given"]!.text).toContain("they are not tried again.");
    expect(rowsOf(all["Sent"]!)[0]!.slice(5)).toEqual(["30m ago", "it failed"]);
    expect(rowsOf(all["Sent"]!)[0]![1]).toMatch(/ from failed$/);
  });

  it("how each channel fares, and who is silent until when", async () => {
    const states = [
      [{}, "✓works"],
      [{ broken: true, fault: "x" }, "✗broken"],
      [{ fault: "x" }, "↻last try failed"],
      [{ lastSentAt: null }, "○not used yet"],
    ] as const;
    const all = await cards({
      channels: states.map(([more], n) => ({ ...CHANNEL, name: `c${n}`, ...more })),
      silences: [{ pipeline: "etl", until: at("14:00:00"), by: null, because: "move" }] as never,
    });
    const rows = rowsOf(all["Channels"]!);
    expect(rows.map((row) => row[2])).toEqual(states.map(([, text]) => text));
    expect(rows[0]!.slice(3)).toEqual(["1,200 sent", "1 failed try", "", "1m ago", ""]);
    expect(rows[3]![6]).toBe("never");
    expect(rowsOf(all["Silent"]!)).toEqual([
      ["etl", "2026-11-28 14:00:00Z, in 2h", "not known", "move", "End…"],
    ]);
  });
});

describe("runs", () => {
  const RUN = {
    run: "etl@20261128T100000Z",
    pipeline: "etl",
    status: "completed",
    trigger: { kind: "catch_up" },
    startedAt: at("11:00:00"),
    submittedAt: at("10:00:00"),
    durationMs: 1_500,
    steps: 1,
    because: "all steps ended well",
  };
  const list = (path: string, query: string, runs: readonly object[], cursor: string | null) =>
    page(Runs, path, { [`runs?${query}`]: { runs, cursor } });

  it("in rows: when each began, or was asked for", async () => {
    const rows = rowsOf(
      await list(
        "runs",
        "limit=50",
        [RUN, { ...RUN, run: "etl@2", startedAt: null, durationMs: null, steps: 2 }],
        null,
      ),
    );
    expect(rows).toEqual([
      [
        "✓completed",
        "etl@20261128T100000Z 1 step",
        "catch up",
        "11:00:00 1h ago",
        "1.5s",
        "all steps ended well",
      ],
      ["✓completed", "etl@2 2 steps", "catch up", "10:00:00 2h ago", "–", "all steps ended well"],
    ]);
  });

  it("page by page, with the filters of the address", async () => {
    const path = "runs?pipeline=etl&status=failed&since=2026-11-28T09%3A00%3A00Z&cursor=c1";
    const query = "limit=50&pipeline=etl&status=failed&since=2026-11-28T09%3A00%3A00Z&cursor=c1";
    const runs = await list(path, query, [RUN], "c2");
    const links = runs.one("div.pages").every("a");
    expect(links.map((link) => [link.text.trim(), cursorOf(link)])).toEqual([
      ["Newest", null],
      ["Older", "c2"],
    ]);
    const times = runs.all.find((one) => one.getAttribute("aria-label") === "Since")!;
    expect(times.every("a").at(-1)!.text).toBe("since 09:00:00");
    const end = await list("runs", "limit=50", [], null);
    expect(end.one("div.pages").every("a")).toEqual([]);
    expect(end.text).toContain("No run is in this choice.");
  });
});

const cursorOf = (link: PlainElement): string | null =>
  new URL(link.getAttribute("href")!).searchParams.get("cursor");

describe("requests", () => {
  const ROW = {
    id: "r1",
    state: "open",
    type: "cancel_backfill",
    pipeline: "etl",
    run: null,
    by: null,
    at: at("11:00:00"),
    reason: null,
  } as unknown as RequestRow;

  it("in rows: their states, and who asked", async () => {
    const requests = [
      ROW,
      { ...ROW, id: "x".repeat(14), state: "accepted", run: "etl@1", by: "cli:root (uid 0)" },
      { ...ROW, id: "y".repeat(15), state: "refused", type: null, pipeline: null, reason: "no" },
    ];
    const root = await page(Requests, "requests", { requests: { requests, cursor: "c2" } });
    expect(rowsOf(root)).toEqual([
      ["○waits for the daemon", "cancel backfill etl", "not known", "1h ago", "", "r1"],
      ["✓accepted", "cancel backfill etl@1", "cli:root (uid 0)", "1h ago", "", "x".repeat(14)],
      ["✗refused", "a request", "not known", "1h ago", "no", `${"y".repeat(12)}…`],
    ]);
    expect(root.one("p.pager").every("a").map(cursorOf)).toEqual(["c2"]);
    const none = await page(Requests, "requests", { requests: { requests: [], cursor: null } });
    expect(none.text).toContain("Nobody has asked for anything of late.");
    expect(none.one("p.pager").every("a")).toEqual([]);
  });

  it("one of them, with its reason", async () => {
    const root = await page(Requests, "requests?id=r1&cursor=c1", {
      "requests?cursor=c1": { requests: [ROW], cursor: null },
      "requests/r1": { ...ROW, state: "refused", reason: "it is taken" },
    });
    expect(root.all.find((one) => one.getAttribute("role") === "status")!.text.trim()).toBe(
      "✗refused cancel backfill etl: it is taken",
    );
    expect(root.one("tr.selected").every("td")).toHaveLength(6);
    expect(root.one("p.pager").every("a").map(cursorOf)).toEqual([null]);
  });
});

it("a diff has what was before on the left, and what is after on the right", async () => {
  const diff = {
    before: "etl@1",
    after: "etl@2",
    pipelineChanged: false,
    params: ["day", "more"],
    steps: [
      {
        step: "a",
        before: "completed",
        after: "failed",
        ranAnew: true,
        changes: ["code"],
        because: "code changed",
      },
      { step: "b", before: null, after: "cached", ranAnew: false, changes: [], because: null },
    ],
  } as unknown as RunDiff;
  const run = (more: object) => ({
    status: "completed",
    durationMs: 1_000,
    startedAt: null,
    ...more,
  });
  const root = await page(Diff, "diff?a=etl%401&b=etl%402", {
    "diff?a=etl%401&b=etl%402": diff,
    "runs/etl%401": run({ params: { day: 1 }, because: "well" }),
    "runs/etl%402": run({ params: { day: 2, more: "x" }, status: "failed" }),
    "runs?limit=100&pipeline=etl": { runs: [] },
  });
  expect(root.text).toContain("The pipeline is the same. 1 of 2 steps differ, 1 step ran");
  const [params, steps] = root.every("tbody");
  const cells = (body: PlainElement) =>
    body.every("tr").map((row) => row.every("td").map(({ text }) => text.trim()));
  expect(cells(params!)).toEqual([
    ["1", "2"],
    ["–", '"x"'],
  ]);
  expect(cells(steps!).map((row) => row.slice(0, 2))).toEqual([
    ["✓completed", "✗failed"],
    [expect.not.stringContaining("cached") as string, "≡cached"],
  ]);
  const sides = root.one("div.two").every("section");
  expect(sides.map(({ text }) => text.trim())).toEqual([
    "Before etl@1 ✓completed in 1s · well",
    "After etl@2 ✗failed in 1s ·",
  ]);
});

describe("a backfill's price", () => {
  const PRICE = {
    pipeline: "etl",
    from: at("08:00:00"),
    to: at("10:00:00"),
    which: "failed",
    slots: 1_200,
    runs: 3,
    executes: 2,
    cached: 1,
    steps: { total: 9, cached: 4 },
    estimatedMs: 61_400,
    first: at("08:00:00"),
    last: at("10:00:00"),
    pricedBy: { run: "etl@1", older: true },
  } as unknown as LedgerPrice;
  const query = "pipeline=etl&from=8h&to=now&which=failed&maxActive=2";
  const priced = (more: Partial<LedgerPrice>) =>
    page(Backfill, `backfill?${query}`, {
      [`backfill/price?${query}`]: { ...PRICE, ...more },
      status: { pipelines: [] },
      "pipelines/etl": { backfills: [] },
    });

  it("is told part by part", async () => {
    const root = await priced({});
    expect(
      root
        .one("section.price")
        .every("dd")
        .map(({ text }) => text.trim()),
    ).toEqual([
      "1,200 2026-11-28 08:00:00Z to 2026-11-28 10:00:00Z",
      "3 of 1,200 slots: failed",
      "2 the cache answers 1 run whole",
      "5 of 9; the cache answers the rest",
      "about 1m 1s 2 at once, by what its runs took so far",
    ]);
    expect(root.text).toContain(
      "Priced by the steps of etl@1; the file was changed since, so it may have other steps now.",
    );
    expect(root.text).toContain("orchd backfill etl --from");
    expect(root.text).toContain("--failed --max-active 2");
  });

  it("is not known of what never ran, and there is nothing to ask for without runs", async () => {
    const root = await priced({ estimatedMs: null, pricedBy: null });
    expect(root.text).toContain("It has never run");
    expect(root.text).toContain("not known");
    expect((await priced({ runs: 0 })).text).not.toContain("Priced by");
    expect((await priced({ estimatedMs: 400 })).text).toContain("about 1s");
    const nothing = async (more: Partial<LedgerPrice>): Promise<string | undefined> => {
      const { text } = await priced({ runs: 0, executes: 0, estimatedMs: 0, ...more });
      expect(text).toContain("no time 2 at once");
      expect(text).not.toContain("about");
      return /There is nothing to run: ([^.]*)\./.exec(text)?.[1];
    };
    expect(await nothing({ slots: 0 })).toBe("no slot lies between the two times");
    expect(await nothing({})).toBe("no slot's newest run failed or was stopped");
    expect(await nothing({ which: "missing" })).toBe("each slot has a run");
    expect((await priced({ first: null, last: null })).text).not.toContain("The first slot");
  });
});

describe("a pipeline's card", () => {
  const PAGE = {
    name: "etl",
    schedule: "0 2 * * *",
    next: [],
    versions: [],
    rehearsal: {
      from: at("12:00:00"),
      to: "2026-11-29T12:00:00.000Z",
      slots: 1,
      overlaps: [],
      pileUps: [],
      moved: [],
    },
  } as unknown as PipelinePage;

  it("of the coming days", async () => {
    const outlook = async (more: object) =>
      (
        await drawn(h(Outlook, { page: { ...PAGE, rehearsal: { ...PAGE.rehearsal, ...more } } }))
      ).text.trim();
    expect(await outlook({})).toBe(
      "The next day 1 slot No overlap, no pile-up, no slot that daylight saving moves.",
    );
    const pileUp = { second: at("13:00:00"), count: 2, pipelines: ["a", "b"] };
    const six = Array.from({ length: 6 }, (_, n) => ({ ...pileUp, second: at(`13:0${n}:00`) }));
    expect(await outlook({ to: "2026-12-05T12:00:00.000Z", pileUps: six })).toMatch(
      /^The next 7 days 1 slot pile-up at 2026-11-28 13:00:00Z: 2 slots in one second, of a and b/,
    );
    expect(await outlook({ to: at("17:00:00") })).toMatch(/^The next 5 hours 1 slot/);
    expect(await outlook({ to: at("13:00:00") })).toMatch(/^The next hour 1 slot/);
    const overlap = {
      pipeline: "etl",
      slot: at("13:00:00"),
      medianMs: 60_000,
      longMs: 120_000,
      everyMs: 30_000,
      slots: 4,
    };
    expect(await outlook({ overlaps: [overlap] })).toContain(
      "overdue from 2026-11-28 13:00:00Z on: its runs take 1m, one in ten 2m, and the next slot " +
        "comes after 30s; 4 slots in all",
    );
  });

  it("of its durations: no two labels of the time axis are alike", () => {
    const noon = Date.parse(at("12:00:00")) / 1_000;
    const labels = (step: number) => timeLabels([noon, noon + step, noon + 2 * step], 3 * step);
    expect(labels(10)).toEqual(["12:00:00", "12:00:10", "12:00:20"]);
    expect(labels(60)).toEqual(["12:00", "12:01", "12:02"]);
    expect(labels(86_400)).toEqual(["Sat 28 Nov", "Sun 29 Nov", "Mon 30 Nov"]);
    expect(timeLabels([noon], 1)).toEqual(["12:00"]);
  });

  it("of its next slots: by when they are due", async () => {
    const cards = async (more: Partial<PipelinePage>) =>
      (await drawn(h(NextSlots, { page: { ...PAGE, ...more } }))).text.trim();
    const slot = { slot: at("13:00:00"), due: at("13:05:00"), local: "x", note: "gap: moved" };
    expect(await cards({ next: [slot] as never })).toContain("13:00:00Z in 1h 5mgap: moved");
    const passed = { slot: at("11:59:00"), local: "x" };
    expect(await cards({ next: [passed] as never })).toContain("11:59:00Z now");
    expect(await cards({ schedule: null, valid: true })).toContain("It has no schedule");
    const unread = { schedule: null, valid: false, versions: [] };
    expect(await cards(unread)).toContain("None while no version of its file is in force.");
    const version = { at: at("10:00:00"), digest: "a", valid: true, errors: [] };
    expect(await cards({ ...unread, versions: [version] })).toContain("It has no schedule");
    expect(await cards({ removed: true })).toContain("None: its file was removed.");
    expect(await cards({})).toContain("None.");
  });

  it("of its versions: six, and the older ones apart", async () => {
    const versions = Array.from({ length: 8 }, (_, n) => ({
      at: at("10:00:00"),
      digest: n === 0 ? null : `${n}`.repeat(64),
      valid: n > 0,
      errors: n === 0 ? ["1:1: wrong"] : [],
    }));
    const card = await drawn(h(Versions, { page: { ...PAGE, versions } as never }));
    expect(card.every("li")).toHaveLength(8);
    expect(card.one("summary").text.trim()).toBe("2 older");
    expect(
      card
        .every("li")
        .map(({ text }) => text.trim())
        .slice(0, 2),
    ).toEqual([
      "✗not valid 2026-11-28 10:00:00Z 1:1: wrong",
      `✓valid 2026-11-28 10:00:00Z ${"1".repeat(12)}`,
    ]);
  });
});

it("a link keeps the zone that is chosen, and leaves out what is empty", () => {
  go("slots?zone=mine&until=x");
  expect(hrefOf(["runs", "etl@1/x"])).toBe("http://page.test/runs/etl@1%2Fx?zone=mine");
  expect(hrefOf(["runs"], { zone: "UTC", a: null, b: "", c: 0 }, "h")).toBe(
    "http://page.test/runs?zone=UTC&c=0#h",
  );
  expect(withQuery({ until: null, span: "24h", zone: "" })).toBe("http://page.test/slots?span=24h");
});

it.each([
  ["", "Overview · orchd"],
  ["runs", "Runs · orchd"],
  ["runs/etl@20261128T020000Z", "etl@20261128T020000Z · orchd"],
  ["pipelines/etl", "etl · orchd"],
  ["pipelines/etl/file", "etl, its file · orchd"],
  ["nowhere", "orchd"],
])("the tab of /%s is called %s", (path, title) => {
  expect(titleOf(path)).toBe(title);
});
