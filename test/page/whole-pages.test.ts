/**
 * Each page as it is drawn over made-up roots, to the letter: the server, its views and the page's
 * program together. An element, an attribute, a word or an order that changes is seen here.
 *
 * After a change that is meant, `UPDATE_PAGES=1 npx vitest run test/page/whole-pages.test.ts`
 * writes the texts again; the diff of test/fixtures/pages shows what became of them.
 */
import { atAddress, PlainElement } from "./plain-document.ts";
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { h, render } from "preact";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { now } from "../../src/page/app/clock.ts";
import { Frame } from "../../src/page/app/frame.tsx";
import { address } from "../../src/page/app/location.ts";
import { writeReply, writeRequest } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { rootWithAlerts } from "../support/made-up-alerts.ts";
import { PLACES_NOW, PLACES_RUN, rootWithPlaces } from "../support/made-up-places.ts";
import { at, idOf, madeUpRoot, NOW } from "../support/made-up-root.ts";
import { projectRoot } from "../support/project-root.ts";
import type { TempRoot } from "../support/temp-root.ts";
import { pageRig, type PageRig } from "./page-rig.ts";

// What draws the curve needs a canvas.
vi.mock("../../src/page/app/pipeline/trend.tsx", () => ({ Trend: () => null }));

Object.assign(globalThis, { innerWidth: 1_000, innerHeight: 600, scrollY: 0 });

const FOLDER = join(projectRoot, "test/fixtures/pages");
const UPDATES = process.env["UPDATE_PAGES"] === "1";

/** What is drawn, an element a line, each below the one that it is in. */
function drawnText(element: PlainElement, depth = 0): string[] {
  const { localName, attributes, style, hears } = element;
  const named = [...attributes].map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const styled = Object.entries(style)
    .filter(([, value]) => typeof value !== "function" && value !== "")
    .map(([name, value]) => `${name}:${String(value)}`);
  const words = [localName, ...named, ...styled, ...hears.map((type) => `on:${type}`)];
  return [
    `${" ".repeat(depth)}${words.join(" ")}`,
    ...element.childNodes.flatMap((child) =>
      child instanceof PlainElement
        ? drawnText(child, depth + 1)
        : child.textContent === ""
          ? []
          : [`${" ".repeat(depth + 1)}${JSON.stringify(child.textContent)}`],
    ),
  ];
}

let rig: PageRig;
let hidden: readonly (readonly [string, string])[] = [];
let underWay = 0;
/** What the page asked of the daemon, and what the first and second of it get for an answer. */
let posted: unknown[] = [];
const answers: readonly (object | undefined)[] = [
  undefined,
  { state: "accepted", run: idOf("etl", 9), reason: null },
  { state: "refused", reason: "it is paused" },
];

/** Serves a root, and lets the page ask it. */
async function served(root: TempRoot, at: number): Promise<void> {
  vi.useFakeTimers({ toFake: ["Date"], now: at });
  now.value = at;
  rig = await pageRig({ now: () => at, allowRequests: true }, root);
  hidden = [
    [root.root, "/root"],
    [hostname(), "HOST"],
  ];
  globalThis.fetch = (async (url: string, { headers, method, body }: RequestInit = {}) => {
    const path = url.slice("http://page.test".length);
    if (path.includes("/events")) return new Promise(() => undefined);
    if (method === "POST") {
      posted.push(JSON.parse(body as string));
      return Response.json({ id: `r${posted.length}` });
    }
    const answer = answers[Number(/\/requests\/r(\d)$/.exec(path)?.[1])];
    if (answer !== undefined) return Response.json(answer);
    underWay += 1;
    try {
      const { status, text } = await rig.ask(path, {
        headers: headers as Record<string, string>,
      });
      return new Response(text, { status });
    } finally {
      underWay -= 1;
    }
  }) as typeof fetch;
}

/** Waits until nothing more comes. */
async function settled(): Promise<void> {
  for (let quiet = 0; quiet < 12; quiet = underWay === 0 ? quiet + 1 : 0)
    await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Draws an address, until nothing more comes. */
async function page(path: string): Promise<PlainElement> {
  atAddress(path);
  const [name, query] = path.split("?");
  address.value = { path: name!, query: new URLSearchParams(query) };
  const body = document.createElement("body") as unknown as PlainElement;
  onTestFinished(() => render(null, body as unknown as Element));
  render(h(Frame, {}), body as unknown as Element);
  await settled();
  return body;
}

const shownText = (lines: readonly string[]): string =>
  `${hidden.reduce((before, [what, as]) => before.replaceAll(what, as), lines.join("\n"))}\n`;

async function whole(path: string): Promise<string> {
  const body = await page(path);
  // What stands around a page is the same everywhere.
  return shownText(drawnText(path === "" ? body : body.one("main")));
}

/** The dialog behind each button of a page, what it asks for, and what it says of the answer. */
async function dialogs(path: string): Promise<string> {
  posted = [];
  const body = await page(path);
  const found: string[] = [];
  for (const button of body.one("main").every("button")) {
    await button.happens("click");
    await settled();
    const [dialog] = body.every("dialog");
    if (dialog === undefined) continue;
    found.push(...drawnText(dialog));
    await dialog.one("button.primary").happens("click");
    await settled();
    found.push(
      JSON.stringify(posted.at(-1)),
      ...dialog.every("p.outcome").flatMap((p) => drawnText(p)),
    );
    await dialog.every("button").at(-1)!.happens("click");
    await settled();
    expect(body.every("dialog")).toEqual([]);
  }
  return shownText(found);
}

async function expectPage(name: string, path: string): Promise<void> {
  expectText(name, await whole(path));
}

function expectText(name: string, text: string): void {
  const file = join(FOLDER, `${name}.txt`);
  if (UPDATES) {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(file, text);
  }
  expect(text).toBe(existsSync(file) ? readFileSync(file, "utf8") : "");
}

const plainFetch = globalThis.fetch;
beforeAll(async () => {
  // A page is loaded as it is opened: here it is there at once.
  for (const name of ["alerts", "backfill", "diff", "file", "pipeline", "places", "requests"])
    await import(`../../src/page/app/pages/${name}.tsx`);
  for (const name of ["run", "runs", "slots"]) await import(`../../src/page/app/pages/${name}.tsx`);
  await import("@dagrejs/dagre");
});
afterAll(() => {
  globalThis.fetch = plainFetch;
  vi.useRealTimers();
});

const RUN = (hour: number, minute = 0): string => `runs/${idOf("etl", hour, minute)}`;

/** The made-up root, in which the run that failed has printed something. */
function rootWithLog(): TempRoot {
  const root = madeUpRoot();
  const lines = [
    ["pull", 1, "stdout", "one"],
    ["load", 1, "stdout", "two"],
    ["load", 2, "stderr", "Two \u001B[31mred\u001B[0m"],
    ["load", 2, "log", "three"],
  ].map(([step, attempt, stream, line], n) =>
    JSON.stringify({ at: at(2, 1, n), step, attempt, stream, line }),
  );
  const path = new RunStore(root.runs).runLog(idOf("etl", 2));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${lines.join("\n")}\n`);
  return root;
}

describe("over ledgers of every kind", () => {
  it.each([
    ["overview", ""],
    ["overview-in-berlin", "?zone=Europe/Berlin"],
    ["slots", `slots?from=${at(0)}&to=${at(12)}`],
    ["runs", "runs"],
    ["runs-failed", "runs?status=failed&pipeline=etl"],
    ["requests-none", "requests"],
    ["pipeline", "pipelines/etl"],
    ["pipeline-invalid", "pipelines/bad"],
    ["pipeline-paused", "pipelines/held"],
    ["pipeline-unread", "pipelines/new"],
    ["pipeline-missing", "pipelines/none"],
    ["file", "pipelines/new/file"],
    ["file-missing", "pipelines/etl/file"],
    ["run-completed", RUN(1)],
    ["run-failed", RUN(2)],
    ["run-stopped", RUN(3)],
    ["run-going-on", RUN(9)],
    ["run-waiting", RUN(9, 30)],
    ["run-of-a-step", `${RUN(2)}?step=load&q=two`],
    ["run-missing", "runs/etl@20200101T000000Z"],
    ["diff", `diff?a=${idOf("etl", 1)}&b=${idOf("etl", 3)}`],
    ["diff-empty", "diff"],
    ["backfill", `backfill?pipeline=etl&from=${at(5)}&to=${at(8)}`],
    ["backfill-empty", "backfill"],
    ["nowhere", "nowhere/at/all"],
  ])("%s", async (name, path) => {
    await served(rootWithLog(), NOW);
    await expectPage(name, path);
  });
});

describe("the dialogs of", () => {
  it.each([
    ["a run that failed", RUN(2)],
    ["a run that completed", RUN(1)],
    ["a run that goes on", RUN(9)],
    ["a pipeline", "pipelines/etl"],
    ["a paused pipeline", "pipelines/held"],
  ])("%s", async (name, path) => {
    await served(madeUpRoot(), NOW);
    expectText(`dialogs-of-${name.replaceAll(" ", "-")}`, await dialogs(path));
  });

  it("alerts", async () => {
    await served(await rootWithAlerts(), NOW);
    expectText("dialogs-of-alerts", await dialogs("alerts"));
  });
});

describe("over alerts and places", () => {
  it("alerts", async () => {
    await served(await rootWithAlerts(), NOW);
    await expectPage("alerts", "alerts");
    await expectPage("overview-with-alerts", "");
  });

  it("no alerts", async () => {
    await served(madeUpRoot(), NOW);
    await expectPage("alerts-empty", "alerts");
  });

  it("requests", async () => {
    const root = madeUpRoot([
      { type: "pipeline.resumed", at: at(9, 40), by: "alice", requestId: "r-known" },
    ]);
    const { runs } = root;
    const store = new RunStore(runs);
    await writeRequest(runs, { type: "stop", run: idOf("etl", 9), by: "bob" }, { id: "r-open" });
    utimesSync(join(store.requests, "r-open.json"), NOW / 1_000 - 60, NOW / 1_000 - 60);
    const refused = { accepted: false, reason: "it is paused", at: at(9, 50) };
    await writeReply(runs, "r-refused", refused);
    await writeReply(runs, "r-run", { accepted: true, run: idOf("etl", 9), at: at(9, 45) });
    await served(root, NOW);
    await expectPage("requests", "requests");
    await expectPage("requests-one", "requests?id=r-refused");
  });

  it("places", async () => {
    await served(rootWithPlaces(), PLACES_NOW);
    await expectPage("places", "places");
    await expectPage("run-in-places", `runs/${PLACES_RUN}`);
  });
});
