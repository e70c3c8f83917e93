/** The event stream: every line once, whoever reads it and however slowly. */
import { appendFileSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import {
  completedRun,
  ledgerText,
  loaded,
  writePipeline,
  writeRun,
} from "../support/hand-ledger.ts";
import { collectGarbage } from "../support/held-memory.ts";
import { writeAlerts } from "../support/made-up-alerts.ts";
import { idOf, madeUpRoot } from "../support/made-up-root.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { openEvents, type EventClient } from "./event-client.ts";
import { pageRig, type PageRig } from "./page-rig.ts";

const EVENTS = "/api/v1/events";
const open = (
  rig: PageRig,
  query = "",
  headers: Readonly<Record<string, string>> = {},
): Promise<EventClient> =>
  openEvents({ port: rig.port }, `${EVENTS}${query}`, {
    authorization: `Bearer ${rig.page.token}`,
    ...headers,
  });

/** What the process holds, in bytes, without what the collector has yet to take. */
function held(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const AT = "2026-11-23T02:00:00.000Z";
const fired = (n: number): { type: string; at: string } & Record<string, unknown> => ({
  type: "slot.skipped",
  at: AT,
  slot: new Date(Date.parse(AT) + n * 1_000).toISOString(),
  because: `number ${n}`,
});

/** A root of one pipeline with `count` lines, and what its ledger is with `more`. */
function longRoot(count: number): { root: TempRoot; path: string; text: (all: number) => string } {
  const root = tempRoot();
  const events = (all: number) => [
    loaded("* * * * *"),
    ...Array.from({ length: all - 1 }, (_, n) => fired(n)),
  ];
  writePipeline(root.runs, "long", events(count));
  const path = `${root.runs}/long/pipeline.jsonl`;
  const text = (all: number): string => ledgerText(events(all));
  return { root, path, text };
}

it("gives each line of a ledger as it stands there, from the start and as it comes", async () => {
  const { root, path, text } = longRoot(3);
  // The same header of time and chain: what is appended goes on where the file ends.
  const whole = text(5);
  const before = readFileSync(path, "utf8");
  expect(whole.startsWith(before)).toBe(true);
  const rig = await pageRig({}, root);
  const stream = await open(rig, "?from=start");
  expect(stream.response.headers["content-type"]).toBe("text/event-stream");
  await stream.until(3);
  appendFileSync(path, whole.slice(before.length, -9));
  await stream.until(4);
  await pause(100);
  // Half a line is none.
  expect(stream.events).toHaveLength(4);
  appendFileSync(path, whole.slice(-9));
  await stream.until(5);
  expect(stream.events.map(({ data }) => data)).toEqual(whole.trimEnd().split("\n"));
  expect(stream.events.map(({ id }) => id.split(";")[0])).toEqual(
    [1, 2, 3, 4, 5].map((seq) => `long/pipeline.jsonl:${seq}`),
  );
  stream.close();
});

it("goes on after the last id, with another page, and after the id of no event", async () => {
  const { root, path, text } = longRoot(3);
  const first = await pageRig({}, root);
  const stream = await open(first, "?from=start");
  await stream.until(3);
  const third = stream.lastId;
  const idle = await open(first);
  await pause(50);
  const { lastId: quiet } = idle;
  expect([idle.events.length, quiet !== ""]).toEqual([0, true]);
  await first.page.close();
  await Promise.all([stream.ended, idle.ended]);
  appendFileSync(path, text(6).slice(text(3).length));
  const second = await pageRig({}, root);
  for (const id of [third, quiet]) {
    const resumed = await open(second, "", { "last-event-id": id });
    await resumed.until(3);
    await pause(50);
    expect(resumed.events.map(({ data }) => data)).toEqual(text(6).trimEnd().split("\n").slice(3));
    resumed.close();
  }
});

it("gives one pipeline's lines, or one run's, and short ids, where that is asked for", async () => {
  const root = madeUpRoot();
  writePipeline(root.runs, "other", [loaded("* * * * *")]);
  writeRun(root.runs, "other@20261123T020000Z", completedRun("other@20261123T020000Z"), AT);
  const rig = await pageRig({}, root);
  const run = idOf("etl", 2);
  const stream = await open(rig, `?from=start&ids=short&run=${encodeURIComponent(run)}`);
  const lines = readFileSync(`${root.runs}/etl/2026-11/${run}.jsonl`, "utf8").trimEnd().split("\n");
  await stream.until(lines.length);
  expect(stream.events.map(({ data }) => data)).toEqual(lines);
  expect(stream.events[0]!.id).toBe(`etl/2026-11/${run}.jsonl:1`);
  stream.close();
  const own = await open(rig, "?from=start&pipeline=other");
  await own.until(1);
  await pause(50);
  expect(own.events.every(({ id }) => id.startsWith("other/"))).toBe(true);
  own.close();
});

it("tells streams with short ids, and no others, that notify.jsonl has changed", async () => {
  const root = madeUpRoot();
  const rig = await pageRig({}, root);
  const [short, full] = [await open(rig, "?ids=short"), await open(rig, "")];
  await writeAlerts(root);
  await short.until(1, 5_000);
  expect(short.events).toEqual([{ id: "", data: "notify.jsonl" }]);
  expect(full.events).toEqual([]);
  for (const stream of [short, full]) stream.close();
});

it("refuses a position that is none, and names that are none", async () => {
  const rig = await pageRig();
  const bad = await rig.ask(EVENTS, { headers: { "last-event-id": "etl/pipeline.jsonl:1;x" } });
  expect([bad.status, bad.json()["exitCode"]]).toEqual([400, 2]);
  expect((await rig.ask(`${EVENTS}?pipeline=nobody`)).status).toBe(404);
  const near = await rig.ask(`${EVENTS}?run=${idOf("etl", 2).replace("etl", "etk")}`);
  expect([near.status, near.text]).toEqual([404, expect.stringContaining("did you mean")]);
});

it("has a most, and says so", async () => {
  const rig = await pageRig({ mostStreams: 2 });
  const streams = [await open(rig), await open(rig)];
  const third = await rig.ask(EVENTS);
  expect([third.status, third.headers["retry-after"]]).toEqual([503, "5"]);
  expect(third.json()["detail"]).toContain("2 event streams are open");
  streams[0]!.close();
  await expect.poll(async () => (await open(rig)).status).toBe(200);
  streams[1]!.close();
});

it("holds 500 idle streams, and answers others meanwhile", async () => {
  const { root, path, text } = longRoot(2);
  const rig = await pageRig({}, root);
  const streams = await Promise.all(Array.from({ length: 500 }, () => open(rig, "?ids=short")));
  let ended = 0;
  for (const stream of streams) void stream.ended.then(() => (ended += 1));
  for (let n = 0; n < 20; n += 1) expect((await rig.ask("/api/v1/status")).status).toBe(200);
  expect(ended).toBe(0);
  appendFileSync(path, text(3).slice(text(2).length));
  await Promise.all(streams.map((stream) => stream.until(1)));
  for (const stream of streams) stream.close();
}, 60_000);

it("keeps no more for a slow client than a socket holds, and loses it no line", async () => {
  const count = 40_000;
  const { root, text } = longRoot(count);
  const rig = await pageRig({}, root);
  const slow = await open(rig, "?from=start&ids=short");
  slow.response.pause();
  await pause(500);
  const before = held();
  await pause(1_000);
  // The ledger has 8 MB, and a stream that pushed would hold them by now.
  expect(held() - before).toBeLessThan(8_000_000);
  slow.response.resume();
  await slow.until(count, 30_000);
  expect(slow.events.map(({ data }) => data).join("\n")).toBe(text(count).trimEnd());
  slow.close();
}, 60_000);
