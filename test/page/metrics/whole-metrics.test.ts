/** What is told of roots of every kind, to the letter, and in which of two formats. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { RunStore } from "../../../src/ledger/run-store.ts";
import { contentTypeFor } from "../../../src/page/metrics/content-type.ts";
import { Metrics } from "../../../src/page/metrics/metrics.ts";
import { VERSION } from "../../../src/version.ts";
import { expectKept, placeless } from "../../support/kept-text.ts";
import { rootWithAlerts } from "../../support/made-up-alerts.ts";
import { PLACES_NOW, rootWithPlaces } from "../../support/made-up-places.ts";
import { NOW } from "../../support/made-up-root.ts";
import { projectRoot } from "../../support/project-root.ts";
import { tempRoot, type TempRoot } from "../../support/temp-root.ts";

/** Ledgers as an earlier release left them. */
function olderRoot(name: string): TempRoot {
  const made = tempRoot();
  cpSync(join(projectRoot, "test/fixtures/ledgers", name, "runs"), made.runs, { recursive: true });
  return made;
}

const OLDER = Date.UTC(2026, 10, 29);

it.each<[string, () => TempRoot | Promise<TempRoot>, number]>([
  ["alerts", rootWithAlerts, NOW],
  ["places", rootWithPlaces, PLACES_NOW],
  ["v1", () => olderRoot("v1"), OLDER],
  ["v1-elsewhere", () => olderRoot("v1-elsewhere"), OLDER],
  ["v1-silence", () => olderRoot("v1-silence"), OLDER],
  ["v1-upkeep", () => olderRoot("v1-upkeep"), OLDER],
])("of the root %s", async (name, make, now) => {
  const root = await make();
  const { requests } = new RunStore(root.runs);
  mkdirSync(requests, { recursive: true });
  // Two that wait, and what is none.
  for (const file of ["a.json", "b.json", ".c.json", "d.txt"])
    writeFileSync(join(requests, file), "{}");
  const metrics = new Metrics(root.runs);
  const { body } = await metrics.text(now);
  // The second scrape finds the same; it is read anew then, or kept.
  expect((await metrics.text(now)).body).toBe(body);
  // How long a ledger is depends on the name of this machine.
  const lasting = body
    .replaceAll(`"${VERSION}"`, '"VERSION"')
    .replaceAll(/^(\w+_bytes(?:\{.*\})?) [1-9]\d*$/gm, "$1 BYTES");
  expectKept(`metrics/${name}.txt`, placeless(lasting, root));
});

const PLAIN = "text/plain; version=0.0.4; charset=utf-8";
const OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8";

it.each([
  [undefined, PLAIN],
  ["", PLAIN],
  ["*/*", PLAIN],
  ["application/openmetrics-text", OPEN],
  ["APPLICATION/OpenMetrics-Text ;version=1.0.0", OPEN],
  ["Application/OpenMetrics-Text", OPEN],
  ["application/openmetrics-text;q=0", PLAIN],
  ["application/openmetrics-text;Q=0", PLAIN],
  ["application/openmetrics-text;q=nothing", PLAIN],
  ["application/openmetrics-text, text/plain", PLAIN],
  ["application/openmetrics-text;q=0.5,text/plain;q=0.4", OPEN],
  ["application/openmetrics-text;q=0.4,text/plain;q=0.5", PLAIN],
  ["text/plain;q=0.2,*/*;q=0.9,application/openmetrics-text;version=1;q=0.3", OPEN],
  ["*/*;q=0.2,text/*;q=0.5,application/openmetrics-text;q=0.4", PLAIN],
  ["text/plain;q=0.1,text/plain;q=0.6,application/openmetrics-text;q=0.5", PLAIN],
  ["text/html, */*;q=0.1 , application/openmetrics-text; q=0.2", OPEN],
])("who accepts %j gets %s", (accept, type) => {
  expect(contentTypeFor(accept)).toBe(type);
});
