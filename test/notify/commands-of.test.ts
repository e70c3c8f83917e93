/** The commands that say more about an alert of each kind, with and without a run or pipeline. */
import { expect, it } from "vitest";
import type { AlertKind } from "../../src/core/alert.ts";
import { commandsOf } from "../../src/notify/message-text.ts";

const RUN = "etl@20261128T040500Z";

it.each<[AlertKind, readonly string[], readonly string[], readonly string[]]>([
  ["failed", [`status ${RUN}`, `logs ${RUN}`], ["status etl"], ["status"]],
  ["overdue", [`status ${RUN}`, `logs ${RUN}`], ["status etl"], ["status"]],
  [
    "missed",
    ["why etl", "backfill etl --missing --dry-run"],
    ["why etl", "backfill etl --missing --dry-run"],
    ["status"],
  ],
  ["late", ["why etl"], ["why etl"], ["status"]],
  ["invalid", ["validate"], ["validate"], ["validate"]],
  ["disk_full", ["prune --dry-run"], ["prune --dry-run"], ["prune --dry-run"]],
  ["damaged", ["verify"], ["verify"], ["verify"]],
  ["channel_broken", ["alerts"], ["alerts"], ["alerts"]],
  ["recovered", [`status ${RUN}`], ["status etl"], ["status"]],
  ["queued", [`status ${RUN}`], ["status etl"], ["status"]],
  ["restarted", [`status ${RUN}`], ["status etl"], ["status"]],
])("%s", (kind, ofRun, ofPipeline, ofNone) => {
  const item = { kind, because: "x", at: "2026-11-28T04:05:09.000Z", count: 1 };
  const told = (more: object): string[] =>
    commandsOf({ ...item, ...more }).map((text) => text.replace(/^orchd /, ""));
  expect(told({ pipeline: "etl", run: RUN })).toEqual(ofRun);
  expect(told({ pipeline: "etl" })).toEqual(ofPipeline);
  expect(told({})).toEqual(ofNone);
  if (kind === "recovered") expect(told({ of: "channel_broken" })).toEqual(["alerts"]);
});
