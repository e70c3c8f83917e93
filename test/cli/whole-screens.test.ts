/**
 * What each command that reads ledgers says of one made-up root to a person, to the letter. A word,
 * a column or an order that changes is seen here.
 */
import { rmSync } from "node:fs";
import { afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import type { CommandHandler } from "../../src/cli/command.ts";
import { run as runDiff } from "../../src/cli/commands/diff.ts";
import { run as runRuns } from "../../src/cli/commands/runs.ts";
import { run as runStatus } from "../../src/cli/commands/status.ts";
import { run as runTail } from "../../src/cli/commands/tail.ts";
import { run as runWhy } from "../../src/cli/commands/why.ts";
import { header, runPath, writeRun } from "../support/hand-ledger.ts";
import { at, idOf, madeUpRoot, NOW } from "../support/made-up-root.ts";
import type { TempRoot } from "../support/temp-root.ts";
import { command, type Told } from "../support/told-terminal.ts";

let shared: TempRoot;
beforeAll(() => void (shared = madeUpRoot()));
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"], now: NOW }));
afterEach(() => void vi.useRealTimers());

const asked = (run: CommandHandler, values: object, made: TempRoot): Promise<Told> =>
  command(run, made, values as Record<string, unknown>);

/** The lines, then the notes with a mark before them; the root's own path is left out. */
async function text(run: CommandHandler, values: object): Promise<string[]> {
  const { terminal } = await asked(run, values, shared);
  return [...terminal.lines, ...terminal.notes.map((note) => `note: ${note}`)].map((line) =>
    line.trimEnd().replaceAll(shared.root, "/root"),
  );
}

it.each<[string, CommandHandler, object, readonly string[]]>([
  [
    "runs",
    runRuns,
    { pipeline: "etl" },
    [
      "   RUN                   STATUS        TRIGGER   STARTED               TOOK     " +
        "BECAUSE",
      "·  etl@20261123T093000Z  initializing  manual    -                     -        " +
        "run etl@20261123T090000Z goes on",
      "▸  etl@20261123T090000Z  running       schedule  2026-11-23 09:00:01Z  59m 59s  " +
        "the slot is due",
      "✓  etl@20261123T040000Z  completed     schedule  2026-11-23 04:00:01Z  2m       " +
        "every step completed",
      "■  etl@20261123T030000Z  stopped       schedule  2026-11-23 03:00:01Z  4s       " +
        "asked by hand",
      "✗  etl@20261123T020000Z  failed        schedule  2026-11-23 02:00:01Z  2m       " +
        'step "load" failed',
      "✓  etl@20261123T010000Z  completed     schedule  2026-11-23 01:00:01Z  2m       " +
        "every step completed",
      "note: 1 slot of etl skipped, 1 missed; `orchd why etl TIME` says why.",
    ],
  ],
  [
    "the status of all",
    runStatus,
    {},
    [
      "daemon down: nothing fires; what is shown is what the ledgers last said. `orchd " +
        "start` starts it.",
      "",
      "PIPELINE  STATE         NEXT FIRE                     LAST RUN               SCHEDULE",
      "bad       invalid       -                             -                      -",
      "etl       1 run active  2026-11-23 11:00:00Z (in 1h)  ▸ running for 59m 59s  0 " +
        "* * * * Europe/Berlin",
      "held      paused        -                             -                      30 " +
        "12 * * *",
      "new       not read      -                             -                      -",
      "",
      "✗ bad: bad.yaml:1: no",
      "▸ etl@20261123T090000Z",
      "· etl@20261123T093000Z waits: run etl@20261123T090000Z goes on",
      "  etl: 1 slot skipped, 1 missed; `orchd why etl TIME` says why",
      "· new: new.yaml has not been read yet; `orchd start` reads it, `orchd validate " +
        "new.yaml` checks it",
    ],
  ],
  [
    "the status of one",
    runStatus,
    { target: "etl" },
    [
      "daemon down: nothing fires; what is shown is what the ledgers last said. `orchd " +
        "start` starts it.",
      "",
      "PIPELINE  STATE         NEXT FIRE                     LAST RUN               SCHEDULE",
      "etl       1 run active  2026-11-23 11:00:00Z (in 1h)  ▸ running for 59m 59s  0 " +
        "* * * * Europe/Berlin",
      "",
      "▸ etl@20261123T090000Z",
      "· etl@20261123T093000Z waits: run etl@20261123T090000Z goes on",
      "  etl: 1 slot skipped, 1 missed; `orchd why etl TIME` says why",
      "  file      /s/etl.yaml",
      "  last run  etl@20261123T090000Z",
      "  so far    fired 4, completed 2, failed 1, stopped 1, caughtUp 1, skipped 1, missed 1",
      "  failed    `orchd runs etl --status failed` lists them",
    ],
  ],
  [
    "the status at a moment",
    runStatus,
    { at: at(9, 45) },
    [
      "as the ledgers had it at 2026-11-23 09:45:00Z",
      "",
      "PIPELINE  STATE         NEXT FIRE                      LAST RUN               SCHEDULE",
      "bad       invalid       -                              -                      -",
      "etl       1 run active  2026-11-23 10:00:00Z (in 15m)  ▸ running for 44m 59s  0 " +
        "* * * * Europe/Berlin",
      "held      paused        -                              -                      " +
        "30 12 * * *",
      "",
      "✗ bad: bad.yaml:1: no",
      "▸ etl@20261123T090000Z",
      "· 1 more run of etl wait",
      "  etl: 1 slot skipped, 1 missed; `orchd why etl TIME` says why",
    ],
  ],
  [
    "a run that failed",
    runStatus,
    { target: idOf("etl", 2) },
    [
      '✗ etl@20261123T020000Z failed: step "load" failed',
      "schedule for 2026-11-23 02:00:00Z, submitted 2026-11-23 02:00:00Z, started " +
        "2026-11-23 02:00:01Z, took 2m",
      "",
      "   STEP  STATUS     ATTEMPTS  TOOK  BECAUSE",
      "✓  pull  completed  1         58s   ready",
      "✗  load  failed     1         1m    Error: no room (ENOSPC)",
    ],
  ],
  [
    "a run that was stopped",
    runStatus,
    { target: idOf("etl", 3) },
    [
      "■ etl@20261123T030000Z stopped: asked by hand",
      "schedule for 2026-11-23 03:00:00Z, submitted 2026-11-23 03:00:00Z, started " +
        "2026-11-23 03:00:01Z, took 4s",
      "",
      "   STEP  STATUS   ATTEMPTS  TOOK  BECAUSE",
      "■  pull  stopped  1         2s    stopped",
      "-  load  skipped  0         -     the run was stopped",
    ],
  ],
  [
    "a run that goes on",
    runStatus,
    { target: idOf("etl", 9) },
    [
      "▸ etl@20261123T090000Z running: the slot is due",
      "schedule for 2026-11-23 09:00:00Z, submitted 2026-11-23 09:00:00Z, started " +
        "2026-11-23 09:00:01Z, for 59m 59s",
      "",
      "   STEP  STATUS     ATTEMPTS  TOOK  BECAUSE",
      "✓  pull  completed  1         58s   ready",
      "▸  load  running    1         59m   all it needs is there",
    ],
  ],
  [
    "two runs compared",
    runDiff,
    { run: idOf("etl", 1), other: idOf("etl", 3) },
    [
      'param "day": 1 became 3',
      "STEP  BEFORE     AFTER    RAN ANEW  WHAT CHANGED",
      "pull  completed  stopped  yes       stopped",
      "load  completed  skipped  no        skipped: the run was stopped",
    ],
  ],
  [
    "the newest lines",
    runTail,
    { lines: "40" },
    [
      "2026-11-23 01:02:01.000 etl run.finished etl@20261123T010000Z completed in 2m 1s: x",
      "2026-11-23 02:00:00.000 etl@20261123T020000Z run.submitted",
      "2026-11-23 02:00:00.000 etl slot.fired etl@20261123T020000Z 2026-11-23T02:00:00.000Z",
      "2026-11-23 02:00:01.000 etl@20261123T020000Z run.started: the slot is due",
      "2026-11-23 02:00:02.000 etl@20261123T020000Z step.started pull: ready",
      "2026-11-23 02:01:00.000 etl@20261123T020000Z step.completed pull in 58s",
      "2026-11-23 02:01:00.000 etl@20261123T020000Z step.started load: all it needs is there",
      "2026-11-23 02:02:00.000 etl@20261123T020000Z step.failed load Error: no room",
      "2026-11-23 02:02:01.000 etl@20261123T020000Z run.finished failed in 2m 1s: step " +
        '"load" failed',
      "2026-11-23 02:02:01.000 etl run.finished etl@20261123T020000Z failed in 2m 1s: x",
      "2026-11-23 03:00:00.000 etl@20261123T030000Z run.submitted",
      "2026-11-23 03:00:00.000 etl slot.fired etl@20261123T030000Z 2026-11-23T03:00:00.000Z",
      "2026-11-23 03:00:01.000 etl@20261123T030000Z run.started: the slot is due",
      "2026-11-23 03:00:02.000 etl@20261123T030000Z step.started pull: ready",
      "2026-11-23 03:00:03.000 etl@20261123T030000Z run.stop_requested graceful: asked " +
        "by hand",
      "2026-11-23 03:00:04.000 etl@20261123T030000Z step.stopped pull: stopped",
      "2026-11-23 03:00:04.000 etl@20261123T030000Z step.skipped load: the run was stopped",
      "2026-11-23 03:00:05.000 etl@20261123T030000Z run.finished stopped in 4s: asked by hand",
      "2026-11-23 03:00:05.000 etl run.finished etl@20261123T030000Z stopped in 2m 1s: x",
      "2026-11-23 04:00:00.000 etl@20261123T040000Z run.submitted",
      "2026-11-23 04:00:01.000 etl@20261123T040000Z run.started: the slot is due",
      "2026-11-23 04:00:02.000 etl@20261123T040000Z step.started pull: ready",
      "2026-11-23 04:01:00.000 etl@20261123T040000Z step.completed pull in 58s",
      "2026-11-23 04:01:00.000 etl@20261123T040000Z step.started load: all it needs is there",
      "2026-11-23 04:02:00.000 etl@20261123T040000Z step.completed load in 1m",
      "2026-11-23 04:02:01.000 etl@20261123T040000Z run.finished completed in 2m 1s: " +
        "every step completed",
      "2026-11-23 04:30:00.000 etl slot.caught_up etl@20261123T040000Z " +
        "2026-11-23T04:00:00.000Z: no daemon was up until 2026-11-23T04:29:00.000Z",
      "2026-11-23 04:32:00.000 etl run.finished etl@20261123T040000Z completed in 2m 1s: x",
      "2026-11-23 05:00:00.000 etl slot.skipped 2026-11-23T05:00:00.000Z: it is paused",
      "2026-11-23 08:30:00.000 etl slot.missed 2026-11-23T06:00:00.000Z to " +
        "2026-11-23T08:00:00.000Z: it is too old",
      "2026-11-23 09:00:00.000 etl@20261123T090000Z run.submitted",
      "2026-11-23 09:00:00.000 etl slot.fired etl@20261123T090000Z 2026-11-23T09:00:00.000Z",
      "2026-11-23 09:00:01.000 etl@20261123T090000Z run.started: the slot is due",
      "2026-11-23 09:00:01.000 etl run.started etl@20261123T090000Z",
      "2026-11-23 09:00:02.000 etl@20261123T090000Z step.started pull: ready",
      "2026-11-23 09:01:00.000 etl@20261123T090000Z step.completed pull in 58s",
      "2026-11-23 09:01:00.000 etl@20261123T090000Z step.started load: all it needs is there",
      "2026-11-23 09:30:00.000 etl@20261123T093000Z run.submitted",
      "2026-11-23 09:30:00.000 etl@20261123T093000Z run.queued: run " +
        "etl@20261123T090000Z goes on",
      "2026-11-23 09:30:00.000 etl run.queued etl@20261123T093000Z: run " +
        "etl@20261123T090000Z goes on",
    ],
  ],
])("%s", async (_, run, values, expected) => {
  expect(await text(run, values)).toEqual(expected);
});

it("a run of the past whose ledger is gone is named as missing", async () => {
  const made = madeUpRoot();
  rmSync(runPath(made.runs, idOf("etl", 1)));
  const past = await asked(runStatus, { at: at(2, 1) }, made);
  expect(past.terminal.notes).toEqual([
    "the ledgers of 1 run of that time are missing: retention has removed them.",
  ]);
  const why = await asked(runWhy, { pipeline: "etl", time: at(1) }, made);
  expect(why.terminal.lines).toEqual([
    `the slot ${at(1)} of etl fired at ${at(1)} and made the run ${idOf("etl", 1)}, ` +
      "whose ledger retention has removed.",
  ]);
  const later = await asked(runStatus, { at: at(10, 0, 1) }, made);
  expect(later).toMatchObject({
    status: 2,
    sentence: "--at: 2026-11-23 10:00:01Z is to come; `orchd next` shows the coming slots.",
  });
  expect((await asked(runStatus, { at: at(10) }, made)).status).toBe(0);
  expect(await asked(runStatus, { at: at(0, 30), target: "bad" }, made)).toMatchObject({
    status: 3,
    sentence: 'the pipeline "bad" was not there yet at 2026-11-23 00:30:00Z.',
  });
});

it("diff says that two runs are of two pipelines", async () => {
  const made = madeUpRoot();
  writeRun(made.runs, idOf("held", 1), [header(idOf("held", 1), { pull: [] })]);
  const told = await asked(runDiff, { run: idOf("etl", 1), other: idOf("held", 1) }, made);
  expect(told.terminal.notes).toEqual([
    "these are runs of two pipelines, etl and held: steps are compared by name.",
  ]);
  expect(told.terminal.cells.slice(-2)).toEqual([
    ["pull", "completed", "initializing", "no", "nothing"],
    ["load", "completed", "-", "no", "step is gone"],
  ]);
});
