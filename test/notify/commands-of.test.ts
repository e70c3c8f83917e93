/** The commands that say more about an alert of each kind, with and without a run or pipeline. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ALERT_KINDS, type AlertKind } from "../../src/core/alert.ts";
import { makeFolder } from "../../src/disk/make-folder.ts";
import { commandsOf } from "../../src/notify/message-text.ts";
import { ask } from "../support/asked-command.ts";
import { completedRun, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "etl@20261128T040500Z";

it.each<[AlertKind, readonly string[], readonly string[], readonly string[]]>([
  ["failed", [`status ${RUN}`, `logs ${RUN}`], ["status etl"], ["status"]],
  ["overdue", [`status ${RUN}`, `logs ${RUN}`], ["status etl"], ["status"]],
  [
    "missed",
    ["why etl", "backfill etl --from 7d --to now --missing --dry-run"],
    ["why etl", "backfill etl --from 7d --to now --missing --dry-run"],
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

it("each is a command that is taken as it stands", async () => {
  const made = tempRoot();
  makeFolder(made.schedules, 0o755);
  const file = "schedule: { cron: '* * * * *' }\nsteps: { only: { run: 'true' } }\n";
  writeFileSync(join(made.schedules, "etl.yaml"), file);
  writePipeline(made.runs, "etl", [loaded("* * * * *")]);
  writeRun(made.runs, RUN, completedRun(RUN));
  const told = ALERT_KINDS.flatMap((kind) =>
    [{}, { pipeline: "etl" }, { pipeline: "etl", run: RUN }].flatMap((more) =>
      commandsOf({ kind, because: "x", at: "", count: 1, ...more }),
    ),
  );
  for (const command of new Set(told)) {
    const { status, stderr } = await ask(made.root, ...command.split(" ").slice(1));
    expect(status, `${command}: ${stderr}`).toBe(0);
  }
});
