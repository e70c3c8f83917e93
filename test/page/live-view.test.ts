/** When a page asks again: which lines it listens to, how often, and what a lost stream does. */
import { atAddress, pageHappens, type PlainElement } from "./plain-document.ts";
import fc from "fast-check";
import { h, render, type FunctionComponent } from "preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { now, setServerTime } from "../../src/page/app/clock.ts";
import { here } from "../../src/page/app/here.ts";
import { listen, live, parser, type FeedLine, type Scope } from "../../src/page/app/live.ts";
import { address } from "../../src/page/app/location.ts";
import { Alerts } from "../../src/page/app/pages/alerts.tsx";
import { Backfill } from "../../src/page/app/pages/backfill.tsx";
import { Diff } from "../../src/page/app/pages/diff.tsx";
import { Overview } from "../../src/page/app/pages/overview.tsx";
import { Pipeline } from "../../src/page/app/pages/pipeline.tsx";
import { Places } from "../../src/page/app/pages/places.tsx";
import { Requests } from "../../src/page/app/pages/requests.tsx";
import { Run } from "../../src/page/app/pages/run.tsx";
import { Runs } from "../../src/page/app/pages/runs.tsx";
import { Page } from "../../src/page/app/routes.tsx";
import { Log } from "../../src/page/app/run/log.tsx";
import { useView } from "../../src/page/app/view.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { readRunPage } from "../../src/views/run-page-reading.ts";
import { idOf, madeUpRoot } from "../support/made-up-root.ts";

const RUN = "etl@20261128T020000Z";
const AT = "2026-11-28T12:00:00.000Z";

/** What the server was asked, in its order, without the API's path. */
let asked: string[] = [];
/** What it answers: a status, or nothing at all. */
let status: number | undefined = 503;
const BUSY = { title: "Busy", detail: "Busy now." };
let body: unknown = BUSY;
/** What it answers to some routes, without their queries, in place of that. */
const bodies = new Map<string, unknown>();
/** The open stream, as the server has it. */
let stream: ReadableStreamDefaultController<Uint8Array> | undefined;
let isStreamServed = true;

const server = ((url: string, { signal }: { signal?: AbortSignal } = {}) => {
  const route = url.slice("http://page.test/api/v1/".length);
  asked.push(route);
  const own = bodies.get(route.split("?")[0]!);
  if (own !== undefined)
    return Promise.resolve(typeof own === "string" ? new Response(own) : Response.json(own));
  if (!route.startsWith("events"))
    return status === undefined
      ? Promise.reject(new TypeError("fetch failed"))
      : Promise.resolve(Response.json(body, { status }));
  if (!isStreamServed) return Promise.resolve(Response.json({}, { status: 503 }));
  const lines = new ReadableStream<Uint8Array>({
    start: (controller) => {
      stream = controller;
      signal?.addEventListener("abort", () => {
        if (stream === controller) stream = undefined;
        controller.error(new DOMException("aborted", "AbortError"));
      });
    },
  });
  return Promise.resolve(new Response(lines));
}) as typeof fetch;

/** Time passes, and what it makes happen is over. */
async function pass(ms: number): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  await vi.advanceTimersByTimeAsync(ms);
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const told = (text: string): void => stream!.enqueue(new TextEncoder().encode(text));
const line = (file: string, seq = 5): string => `id: ${file}:${seq};x\ndata: {"seq":${seq}}\n\n`;
const NOTIFY = "event: notify\ndata: x\n\n";

let root: PlainElement;
const plainFetch = globalThis.fetch;

function show<P extends object>(component: FunctionComponent<P>, props: NoInfer<P>): void {
  render(h(component, props), root as unknown as Element);
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] });
  globalThis.fetch = server;
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  [asked, status, body, stream, isStreamServed] = [[], 503, BUSY, undefined, true];
  bodies.clear();
  now.value = Date.parse("2026-11-28T12:00:00.000Z");
  here.value = { may: "operate", daemon: { pid: 1 } } as never;
  root = document.createElement("body") as unknown as PlainElement;
});

afterEach(async () => {
  render(null, root as unknown as Element);
  await pass(100);
  globalThis.fetch = plainFetch;
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function go(path: string): void {
  atAddress(path);
  const [name, query] = path.split("?");
  address.value = { path: name!, query: new URLSearchParams(query) };
}

const LINES = {
  own: line("etl/pipeline.jsonl"),
  run: line(`etl/2026-11/${RUN}.jsonl`),
  sibling: line("etl/2026-11/etl@20261128T030000Z.jsonl"),
  other: line("other/pipeline.jsonl"),
  daemon: line(".orchd/daemon.jsonl"),
  alerts: NOTIFY,
};
const PAGES = {
  Alerts: [Alerts, ""],
  Diff: [Diff, "diff"],
  Overview: [Overview, ""],
  Places: [Places, ""],
  Requests: [Requests, ""],
  Runs: [Runs, ""],
  "Runs of a pipeline": [Runs, "runs?pipeline=etl"],
  Pipeline: [Pipeline, "pipelines/etl", "etl"],
  Run: [Run, `runs/${RUN}`, RUN],
} as const;
const COMPONENTS = { Runs, Diff, Backfill };
const ALL = ["own", "run", "sibling", "other", "daemon"] as const;

it.each<[keyof typeof PAGES, string, string, readonly (keyof typeof LINES)[]]>([
  ["Alerts", "alerts", "ids=short", [...ALL, "alerts"]],
  ["Diff", "runs?limit=100", "ids=short", ALL],
  ["Overview", "overview?strips=60", "ids=short", [...ALL, "alerts"]],
  ["Places", "places", "ids=short", [...ALL, "alerts"]],
  ["Requests", "requests", "ids=short", ALL],
  ["Runs", "runs?limit=50", "ids=short", ALL],
  [
    "Runs of a pipeline",
    "runs?limit=50&pipeline=etl",
    "ids=short&pipeline=etl",
    ["own", "run", "sibling", "daemon"],
  ],
  ["Pipeline", "pipelines/etl", "ids=short&pipeline=etl", ["own", "run", "sibling", "daemon"]],
  [
    "Run",
    `runs/${encodeURIComponent(RUN)}`,
    `ids=short&run=${encodeURIComponent(RUN)}`,
    ["own", "run", "other", "daemon"],
  ],
])("%s asks %s again at lines of %s", async (name, route, query, heard) => {
  const [component, path, target = ""] = PAGES[name];
  go(path);
  show(component as FunctionComponent<{ target: string }>, { target });
  await pass(50);
  await pass(1_000);
  expect(asked).toContain(route);
  expect(asked.filter((one) => one.startsWith("events"))).toEqual([`events?${query}`]);
  const again: string[] = [];
  for (const [kind, text] of Object.entries(LINES)) {
    asked = [];
    told(text);
    await pass(700);
    if (asked.includes(route)) again.push(kind);
  }
  expect(again).toEqual(heard);
});

it.each<[keyof typeof COMPONENTS, string]>([
  ["Runs", "runs?pipeline=nope"],
  ["Diff", "diff?a=nope@1&b=nope@2"],
  ["Backfill", "backfill?pipeline=nope"],
  ["Backfill", "backfill?pipeline=nope&from=1h&to=now"],
])("%s at %s follows all where there is no such pipeline: it may come", async (name, path) => {
  [status, body] = [404, { title: "Not Found", detail: "There is no pipeline nope." }];
  go(path);
  show(COMPONENTS[name], {});
  await pass(50);
  await pass(1_000);
  const streams = asked.filter((one) => one.startsWith("events"));
  expect(streams).toEqual(["events?ids=short&pipeline=nope", "events?ids=short"]);
});

describe("a view", () => {
  function Bare({ route, scope }: { readonly route: string | null; readonly scope?: Scope }) {
    const { problem, stale } = useView(route, scope);
    return h("p", {}, `${problem?.detail ?? "none"}${stale ? " stale" : ""}`);
  }
  const times = (route = "x"): number => asked.filter((one) => one === route).length;

  it("that asks nothing opens no stream", async () => {
    show(Bare, { route: null });
    await pass(20_000);
    expect(asked).toEqual([]);
    show(Bare, { route: "x", scope: { none: true } });
    await pass(100);
    expect(asked).toEqual(["x"]);
  });

  it("is asked for at most twice a second, however many lines come", async () => {
    show(Bare, { route: "x" });
    await pass(50);
    await pass(1_000);
    asked = [];
    for (let nth = 0; nth < 20; nth += 1) {
      told(line("a/pipeline.jsonl", nth));
      await pass(100);
    }
    expect(times()).toBeGreaterThanOrEqual(4);
    expect(times()).toBeLessThanOrEqual(5);
    expect(live.value).toMatchObject({ state: "live" });
  });

  it("is asked for each 15 s where nothing comes", async () => {
    show(Bare, { route: "x", scope: { none: true } });
    await pass(50);
    asked = [];
    await pass(14_900);
    expect(times()).toBe(0);
    await pass(200);
    expect(times()).toBe(1);
  });

  it("that nobody answers is asked for after 1, 2, 4, 8 and 15 s", async () => {
    status = undefined;
    show(Bare, { route: "x", scope: { none: true } });
    await pass(50);
    const gaps: number[] = [];
    for (let ms = 0, seen = times(); gaps.length < 6; ms += 500) {
      await pass(500);
      if (times() === seen) continue;
      [gaps[gaps.length], seen, ms] = [Math.round(ms / 500) / 2, times(), -500];
    }
    expect(gaps).toEqual([0.5, 1.5, 3.5, 7.5, 14.5, 14.5]);
    expect(root.text).toContain("does not answer. It is asked again until it does.");
    status = 503;
    await pass(15_000);
    expect(root.text).toContain("Busy now.");
    // It was answered: the next time begins with a second again.
    status = undefined;
    await pass(15_000);
    asked = [];
    await pass(1_100);
    expect(times()).toBe(1);
  });

  it("whose answer breaks off is asked for again soon", async () => {
    const text = (): ReadableStream =>
      new ReadableStream({
        pull(controller) {
          controller.enqueue(new TextEncoder().encode('{"runs":'));
          controller.error(new TypeError("network error"));
        },
      });
    const { fetch } = globalThis;
    globalThis.fetch = async (...given: Parameters<typeof fetch>) => {
      await fetch(...given);
      return new Response(text());
    };
    show(Bare, { route: "x", scope: { none: true } });
    await pass(50);
    expect(root.text).toContain("does not answer. It is asked again until it does.");
    asked = [];
    await pass(1_100);
    expect(times()).toBe(1);
    // What is no JSON is an answer, though none of this server.
    bodies.set("x", "<html>");
    globalThis.fetch = fetch;
    await pass(2_100);
    expect(root.text).toContain("answered with status 200");
  });

  it("asks nothing while the tab is hidden", async () => {
    show(Bare, { route: "x", scope: { none: true } });
    await pass(50);
    Object.assign(document, { hidden: true });
    asked = [];
    await pass(40_000);
    expect(asked).toEqual([]);
    Object.assign(document, { hidden: false });
  });

  it("is asked for again once its tab is seen, where no stream says so", async () => {
    isStreamServed = false;
    for (const scope of [{ none: true }, {}] as const) {
      show(Bare, { route: "x", scope });
      await pass(50);
      Object.assign(document, { hidden: true });
      pageHappens("visibilitychange");
      await pass(40_000);
      Object.assign(document, { hidden: false });
      asked = [];
      pageHappens("visibilitychange");
      await pass(1_100);
      expect(times()).toBe(1);
      await pass(15_000);
      expect(times()).toBe(2);
    }
  });

  it("of another route is stale until it is answered, and asks the old one no more", async () => {
    show(Bare, { route: "x?a=1", scope: { none: true } });
    await pass(50);
    expect(root.text).toContain("Busy now.");
    show(Bare, { route: "x?a=2", scope: { none: true } });
    expect(root.text).toContain("none stale");
    await pass(50);
    expect(root.text).toContain("Busy now.");
    asked = [];
    await pass(15_100);
    expect(asked).toEqual(["x?a=2"]);
  });
});

describe("what is drawn", () => {
  it("of another plan, priced or refused, holds no price of the plan before it", async () => {
    const plan = (from: string): string =>
      `backfill?pipeline=etl&from=${from}&to=now&which=missing&maxActive=1`;
    [status, body] = [200, { slots: 0, runs: 0, executes: 0, cached: 0, steps: {}, backfills: [] }];
    Object.assign(body as object, { from: AT, to: AT, which: "missing", pricedBy: null });
    Object.assign(body as object, { steps: { total: 0, cached: 0 }, first: null, last: null });
    go(plan("8h"));
    show(Backfill, {});
    await pass(50);
    expect(root.every("section.price")).toHaveLength(1);
    go(plan("9h"));
    await pass(0);
    expect(root.every("section.price")).toEqual([]);
    expect(root.text).toContain("Reading the price");
    await pass(50);
    expect(root.every("section.price")).toHaveLength(1);
    [status, body] = [400, { title: "No such time", detail: "from: 8x is no time." }];
    go(plan("8x"));
    await pass(50);
    expect(root.text).toContain("from: 8x is no time.");
    expect(root.every("section.price")).toEqual([]);
  });

  it("of a run that is gone says so, above what there was of it", async () => {
    const store = new RunStore(madeUpRoot().runs);
    const made = readRunPage(store, idOf("etl", 2));
    if (!made.ok) throw new Error(made.sentence);
    const at = `runs/${encodeURIComponent(made.page.run)}`;
    bodies.set(at, made.page);
    bodies.set(`${at}/log`, { lines: [], from: 1, next: 1, more: false });
    bodies.set(`${at}/ledger`, "");
    go(`runs/${made.page.run}`);
    show(Run, { target: made.page.run });
    await pass(50);
    expect(root.one("h1").text).toContain("etl");
    expect(root.every("div.problem")).toEqual([]);
    bodies.delete(at);
    [status, body] = [404, { title: "Not Found", detail: "There is no such run." }];
    await pass(16_000);
    expect(root.one("div.problem").text).toContain("There is no such run.");
    expect(root.one("h1").text).toContain("etl");
    // Nobody answers: the frame says so.
    status = undefined;
    await pass(16_000);
    expect(root.every("div.problem")).toEqual([]);
  });

  it("of a log that is searched is not what the next page is searched for", async () => {
    bodies.set(`runs/${encodeURIComponent(RUN)}/log`, { lines: [], from: 1, next: 1, more: false });
    go(`runs/${RUN}`);
    show(Log, { run: RUN, steps: [], inProgress: false });
    await pass(50);
    await root.one("input").happens("input", { currentTarget: { value: "oops" } });
    render(null, root as unknown as Element);
    go("runs");
    await pass(1_000);
    expect(address.value.query.get("q")).toBeNull();
    go(`runs/${RUN}`);
    show(Log, { run: RUN, steps: [], inProgress: false });
    await pass(50);
    await root.one("input").happens("input", { currentTarget: { value: "oops" } });
    await pass(1_000);
    expect(address.value.query.get("q")).toBe("oops");
  });

  it("of a run that could not be shown is not what the next run is met with", async () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    [status, body] = [200, {}];
    go(`runs/${RUN}`);
    show(Page, {});
    await vi.waitFor(async () => {
      await pass(50);
      expect(root.text).toContain("This page cannot be shown");
    });
    [status, body] = [503, BUSY];
    go("runs/etl@20261128T030000Z");
    await pass(50);
    expect(root.text).toContain("Busy now.");
    expect(root.text).not.toContain("cannot be shown");
  });
});

describe("the stream", () => {
  const opened = (): string[] => asked.filter((one) => one.startsWith("events"));

  it("is shared, and has the lines that all listeners care for", async () => {
    const ends = [listen({ pipeline: "etl" }, () => {}), listen({ none: true }, () => {})];
    await pass(10);
    expect(opened()).toEqual(["events?ids=short&pipeline=etl"]);
    ends.push(listen({ pipeline: "etl" }, () => {}));
    await pass(10);
    expect(opened()).toHaveLength(1);
    ends.push(listen({ pipeline: "other" }, () => {}));
    await pass(10);
    expect(opened().slice(1)).toEqual(["events?ids=short"]);
    for (const end of ends) end();
    await pass(10);
    expect([live.value.state, stream]).toEqual(["off", undefined]);
  });

  it("gives each line to those that it concerns, and counts no alerts as lines", async () => {
    const heard: (FeedLine | undefined)[] = [];
    const end = listen({ alerts: true }, (one) => heard.push(one));
    await pass(10);
    expect(heard).toEqual([undefined]);
    const before = live.value.lines;
    told(`: still here\n\n${line("etl/pipeline.jsonl", 7)}${NOTIFY}`);
    await pass(10);
    expect(heard.slice(1)).toEqual([
      { file: "etl/pipeline.jsonl", seq: 7, text: '{"seq":7}' },
      { file: ".orchd/notify.jsonl", seq: 0, text: "" },
    ]);
    expect(live.value.lines - before).toBe(1);
    end();
  });

  it("that is lost is tried again, later each time, and then all may be new", async () => {
    let called = 0;
    const end = listen({}, () => (called += 1));
    await pass(10);
    expect([live.value.state, called]).toEqual(["live", 1]);
    isStreamServed = false;
    stream!.close();
    await pass(0);
    const at = Date.now();
    expect(live.value).toMatchObject({ state: "lost", retryAt: at + 1_000 });
    await pass(990);
    expect(opened()).toHaveLength(1);
    const waits: number[] = [];
    await pass(20);
    for (let nth = 0; nth < 6; nth += 1) {
      const { retryAt } = live.value;
      waits.push(Math.round((retryAt! - Date.now()) / 1_000));
      await pass(retryAt! - Date.now() + 10);
    }
    expect(waits).toEqual([2, 4, 8, 16, 30, 30]);
    isStreamServed = true;
    await pass(30_100);
    expect([live.value.state, called]).toEqual(["live", 2]);
    // It was live: the next loss begins with the first wait. The page counts by the server's clock.
    setServerTime(new Date(Date.now() - 3_600_000).toISOString());
    stream!.close();
    await pass(0);
    expect(live.value.retryAt).toBe(Date.now() - 3_600_000 + 1_000);
    setServerTime(new Date().toISOString());
    end();
  });

  it("that is silent for 40 s is lost", async () => {
    const end = listen({}, () => {});
    await pass(10);
    await pass(39_000);
    told(": still here\n\n");
    await pass(39_900);
    expect([live.value.state, opened().length]).toEqual(["live", 1]);
    await pass(200);
    await pass(1_100);
    expect(opened()).toHaveLength(2);
    end();
  });
});

describe("the stream's text", () => {
  const TEXT =
    `: hello\n\nretry: 1000\n\n${line("a/pipeline.jsonl", 1)}event: notify\ndata: x\n\n` +
    `id:b/2026-11/b@1.jsonl:12;p;q\ndata:{"one":\ndata: 2}\n\n${line("a:b/pipeline.jsonl", 3)}` +
    "id: z:9\ndata: cut";

  it("gives the same lines in whatever pieces it comes", () => {
    const lines = [
      { file: "a/pipeline.jsonl", seq: 1, text: '{"seq":1}' },
      { file: ".orchd/notify.jsonl", seq: 0, text: "" },
      { file: "b/2026-11/b@1.jsonl", seq: 12, text: '{"one":\n2}' },
      { file: "a:b/pipeline.jsonl", seq: 3, text: '{"seq":3}' },
    ];
    expect(parser()(TEXT)).toEqual(lines);
    fc.assert(
      fc.property(fc.array(fc.nat(TEXT.length), { maxLength: 9 }), (cuts) => {
        const at = [...cuts, 0, TEXT.length].toSorted((a, b) => a - b);
        const feed = parser();
        const found = at.slice(1).flatMap((to, nth) => feed(TEXT.slice(at[nth], to)));
        expect(found).toEqual(lines);
      }),
    );
  });
});
