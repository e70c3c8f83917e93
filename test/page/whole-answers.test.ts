/**
 * What each address of the page answers over roots of every kind, to the letter: the server, and
 * the view that it shows. A member, an order, a bound or a reason that changes is seen here.
 */
import { cpSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it, vi } from "vitest";
import { writeReply, writeRequest } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { expectKept, placeless } from "../support/kept-text.ts";
import { rootWithAlerts } from "../support/made-up-alerts.ts";
import { PLACES_NOW, PLACES_RUN, rootWithPlaces } from "../support/made-up-places.ts";
import { at, idOf, NOW } from "../support/made-up-root.ts";
import { projectRoot } from "../support/project-root.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { pageRig } from "./page-rig.ts";

/** Ledgers as an earlier release left them. */
function olderRoot(name: string): TempRoot {
  const made = tempRoot();
  cpSync(join(projectRoot, "test/fixtures/ledgers", name, "runs"), made.runs, { recursive: true });
  return made;
}

/** Something that was asked of a daemon: one waits, one was done, one was refused. */
async function askOf(root: TempRoot): Promise<void> {
  const store = new RunStore(root.runs);
  const stop = { type: "stop", run: idOf("etl", 9), by: "bob" } as const;
  await writeRequest(root.runs, stop, { id: "r-open" });
  utimesSync(join(store.requests, "r-open.json"), NOW / 1_000 - 60, NOW / 1_000 - 60);
  await writeReply(root.runs, "r-no", { accepted: false, reason: "it is paused", at: at(9, 50) });
  await writeReply(root.runs, "r-run", { accepted: true, run: idOf("etl", 9), at: at(9, 45) });
}

const [FIRST, SECOND] = [idOf("etl", 1), idOf("etl", 2)];
const OF_PIPELINE = (name: string, from: string, to: string): string[] => [
  `pipelines/${name}`,
  `pipelines/${name}/file`,
  `pipelines/${name}/slots?from=${from}&to=${to}`,
  `pipelines/${name}/slots?from=${from}&to=${to}&decision=missed`,
  `pipelines/${name}/why`,
  `strips?pipelines=${name}`,
  `next?pipeline=${name}&n=3`,
  `runs?pipeline=${name}&limit=3`,
  `backfill/price?pipeline=${name}&from=${from}&to=${to}`,
  `backfill/price?pipeline=${name}&from=${from}&to=${to}&which=all&maxActive=3`,
];
const OF_RUN = (run: string): string[] => [
  `runs/${encodeURIComponent(run)}`,
  `runs/${encodeURIComponent(run)}/graph`,
  `runs/${encodeURIComponent(run)}/log?limit=3`,
  `runs/${encodeURIComponent(run)}/ledger?from=2&limit=2`,
];
const OF_ALL = [
  ..."status overview?strips=2 next?n=5 requests requests?limit=1 alerts places".split(" "),
  ..."runs?status=failed runs?status=running&limit=2 search?q=load search?q=no".split(" "),
];

const ADDRESSES: Readonly<Record<string, readonly string[]>> = {
  alerts: [
    ...OF_ALL,
    `slots?from=${at(0)}&to=${at(11)}&cells=22`,
    `slots?from=${at(0)}&to=${at(11)}&cells=3&decision=not_run`,
    `slots?from=${at(0)}&to=${at(11)}&decision=late,missed&pipeline=etl`,
    ...OF_PIPELINE("etl", at(0), at(10)),
    ...[at(4), at(5), at(7), at(9, 30), at(11), at(3, 30)].map((t) => `pipelines/etl/why?at=${t}`),
    ...["bad", "gone", "held", "new", "none"].map((name) => `pipelines/${name}`),
    ...["bad", "gone", "held", "new"].map((name) => `pipelines/${name}/why`),
    ...[FIRST, SECOND, idOf("etl", 3), idOf("etl", 9), idOf("etl", 9, 30)].flatMap(OF_RUN),
    `diff?a=${FIRST}&b=${SECOND}`,
    `diff?a=${SECOND}&b=${idOf("etl", 3)}`,
    `diff?a=${idOf("etl", 9)}&b=${idOf("etl", 9, 30)}`,
    ...["r-open", "r-no", "r-run", "r-none"].map((id) => `requests/${id}`),
  ],
  places: [...OF_ALL, "pipelines/p", ...OF_RUN(PLACES_RUN), ...OF_RUN("p@20261123T020500Z")],
  v1: [
    ...OF_ALL,
    `slots?from=2026-11-26T01:20:00Z&to=2026-11-26T01:30:00Z&cells=10`,
    ...["night", "tick", "fan"].flatMap((name) =>
      OF_PIPELINE(name, "2026-11-26T01:23:15Z", "2026-11-26T01:23:25Z"),
    ),
    ...["night@20261126T012314.723Z-m", "night@20261126T012309.003Z-m"].flatMap(OF_RUN),
    ...["fan@20261126T012312.573Z-m", "tick@20261126T012321Z"].flatMap(OF_RUN),
    "diff?a=night@20261126T012314.723Z-m&b=night@20261126T012306.488Z-m",
    "diff?a=night@20261126T012310.731Z-m&b=night@20261126T012309.003Z-m",
  ],
  "v1-elsewhere": [...OF_ALL, ...OF_RUN("batch@20261128T090158.833Z-m")],
  "v1-silence": [...OF_ALL, "pipelines/hush", ...OF_RUN("hush@20261128T170918.467Z-m")],
  "v1-upkeep": [...OF_ALL, "pipelines/kept", ...OF_RUN("kept@20261128T075956.130Z-m")],
};

beforeAll(() => void vi.stubEnv("TZ", "UTC"));

it.each(Object.keys(ADDRESSES))("%s", async (name) => {
  const isMade = name === "alerts" || name === "places";
  const root =
    name === "alerts"
      ? await rootWithAlerts()
      : name === "places"
        ? rootWithPlaces()
        : olderRoot(name);
  if (name === "alerts") await askOf(root);
  const now = isMade ? (name === "alerts" ? NOW : PLACES_NOW) : Date.UTC(2026, 10, 29);
  const { ask: get } = await pageRig({ now: () => now }, root);
  const texts: string[] = [];
  for (const address of ADDRESSES[name]!) {
    const { status, text } = await get(`/api/v1/${address}`);
    expect(status).toBeLessThan(500);
    const shown = text.startsWith("{") || text.startsWith("[") ? compact(JSON.parse(text)) : text;
    texts.push(`${status} ${address}\n${shown}\n`);
  }
  expectKept(`answers/${name}.txt`, placeless(texts.join("\n"), root));
});

it("a slot is asked for by any moment of its second", async () => {
  const { ask: get } = await pageRig({ now: () => NOW });
  const [whole, within] = await Promise.all(
    ["00", "00.750"].map((seconds) =>
      get(`/api/v1/pipelines/etl/why?at=${at(4).replace(/:00\.000Z$/, `:${seconds}Z`)}`),
    ),
  );
  expect(whole?.text).toContain(at(4));
  expect(within?.text).toBe(whole?.text);
});

/** As JSON, a member or an element a line; what has neither objects nor lists in it is one line. */
function compact(value: unknown, space = ""): string {
  const flat = JSON.stringify(value);
  if (typeof value !== "object" || value === null || flat.length + space.length <= 98) return flat;
  const inner = `${space} `;
  const parts = Array.isArray(value)
    ? value.map((one) => inner + compact(one, inner))
    : Object.entries(value).map(
        ([name, one]) => `${inner}${JSON.stringify(name)}: ${compact(one, inner)}`,
      );
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return `${open}\n${parts.join(",\n")}\n${space}${close}`;
}
