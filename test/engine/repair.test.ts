/**
 * What repairing a run's ledger keeps, cuts, writes and refuses, beside an engine that the test
 * plays. The ledgers are real; what is made durable is noted with what the disk held then.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { repairRun } from "../../src/engine/repair.ts";
import { readLedger } from "../../src/ledger/ledger-reader.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import {
  completedRun,
  header,
  ledgerText,
  loaded,
  runPath,
  writePipeline,
  writeRun,
  type HandEvent,
} from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const synced: string[] = [];
vi.mock("../../src/disk/sync-path.ts", () => ({
  syncPath: (path: string) => {
    const stats = statSync(path);
    synced.push(stats.isDirectory() ? basename(path) : `${basename(path)} ${stats.size}`);
  },
}));
beforeEach(() => void synced.splice(0));

const RUN = "p@20261123T020000Z";
const BY_HAND = "p@20261123T020000.000Z-m";
const HEADER = header(RUN, { only: [] });
const STARTED = { type: "run.started", because: "the slot is due" };
const RUNS_ON = [HEADER, STARTED];
const fired = (run: string): HandEvent => ({ type: "slot.fired", run, because: "x" });
const finished = (run: string, status = "failed"): HandEvent => ({
  type: "run.finished",
  run,
  status,
  durationMs: 7,
  workedMs: 5,
  because: "no",
});

function rig(pipeline: readonly HandEvent[] = []) {
  const { runs } = tempRoot();
  writePipeline(runs, "p", [loaded("* * * * *"), ...pipeline]);
  const told: unknown[] = [];
  const going = new Set<string>();
  const engine = {
    runs: { get: (run: string) => (going.has(run) ? {} : undefined) },
    desk: () =>
      Promise.resolve({
        append: (lines: readonly PipelineEvent[]) => Promise.resolve(void told.push(...lines)),
      }),
    takeOver: (...of: string[]) => Promise.resolve(void told.push(`take over ${of.join(" ")}`)),
  } as unknown as Engine;
  const ports = {
    clock: new VirtualClock(),
    log: silentLog,
    store: new RunStore(runs),
    onFatal: (error: Error) => {
      throw error;
    },
  };
  return { runs, told, going, repair: (run = RUN) => repairRun(run, engine, ports) };
}

const typesOf = (path: string): string[] =>
  readLedger<HandEvent>(path).lines.map(({ type }) => type);
const evidenceIn = (path: string): string[] =>
  readdirSync(dirname(path)).filter((name) => name.includes(".damaged-"));

describe("a run that had not ended", () => {
  it("is cut back to its good lines, with a copy first, and goes on", async () => {
    const { runs, told, repair } = rig();
    const path = writeRun(runs, RUN, RUNS_ON);
    const good = statSync(path).size;
    appendFileSync(path, '{"torn":');
    const before = readFileSync(path);
    const copy = `${path}.damaged-1`;
    expect(await repair()).toEqual({
      accepted: true,
      run: RUN,
      reason: `8 bytes were cut; the damaged ledger is kept as ${copy}`,
      result: { lines: 2, bytes: 8, keptAs: copy },
    });
    expect(told).toEqual([`take over ${RUN} p`]);
    expect(readFileSync(copy).equals(before)).toBe(true);
    expect(readFileSync(path).equals(before.subarray(0, good))).toBe(true);
    // The evidence and its name, and only then the cut.
    expect(synced).toEqual([
      `${basename(copy)} ${before.length}`,
      "2026-11",
      `${basename(path)} ${good}`,
    ]);
  });

  it("says what was cut where it is a byte", async () => {
    const { runs, repair } = rig();
    const path = writeRun(runs, RUN, RUNS_ON);
    appendFileSync(path, "x");
    expect((await repair()) as unknown).toMatchObject({
      reason: expect.stringMatching(/^1 byte was cut; /),
    });
  });
});

describe("a run that had ended, as its pipeline's ledger says", () => {
  const end = {
    type: "run.finished",
    status: "stopped",
    durationMs: 7,
    workedMs: 5,
    because:
      "the pipeline's ledger says so; this one was damaged, and lines before this are missing",
  };
  it.each<[string, (path: string) => void]>([
    ["a line is damaged", (path) => appendFileSync(path, '{"torn":\n')],
    ["lines are missing, and the rest is whole", () => undefined],
  ])("gets that end as its last line: %s", async (_, harm) => {
    const { runs, told, repair } = rig([
      finished(BY_HAND, "completed"),
      finished(RUN, "failed"),
      finished(RUN, "stopped"),
    ]);
    const path = writeRun(runs, RUN, RUNS_ON);
    harm(path);
    expect(await repair()).toMatchObject({ accepted: true, result: { lines: 2 } });
    expect(readLedger(path).lines.at(-1)).toMatchObject(end);
    expect(typesOf(path)).toEqual(["run.submitted", "run.started", "run.finished"]);
    expect([told, evidenceIn(path).length]).toEqual([[], 1]);
  });

  it("has one end where its own stands before what is damaged", async () => {
    const { runs, told, repair } = rig([finished(RUN, "completed")]);
    const { run: _run, ...own } = finished(RUN, "completed");
    const path = writeRun(runs, RUN, [...RUNS_ON, own]);
    appendFileSync(path, '{"torn":\n');
    expect(await repair()).toMatchObject({ accepted: true, result: { lines: 3, bytes: 9 } });
    expect(typesOf(path)).toEqual(["run.submitted", "run.started", "run.finished"]);
    expect([told, evidenceIn(path).length]).toEqual([[], 1]);
  });

  it("is looked up in old files of that ledger too, and in nothing that is no file", async () => {
    const { runs, told, repair } = rig();
    const folder = dirname(dirname(runPath(runs, RUN)));
    writeFileSync(join(folder, "pipeline-2026-11-23.jsonl"), ledgerText([finished(RUN)]));
    mkdirSync(join(folder, "pipeline-2026-11-22.jsonl"));
    const path = writeRun(runs, RUN, RUNS_ON);
    expect(await repair()).toMatchObject({ accepted: true });
    expect([typesOf(path).at(-1), told]).toEqual(["run.finished", []]);
  });
});

it("of ends that several files tell, the newest file's counts", async () => {
  const { runs, repair } = rig();
  const folder = dirname(dirname(runPath(runs, RUN)));
  for (let nth = 2; nth <= 12; nth += 1)
    writeFileSync(
      join(folder, `pipeline-2026-11-23-${nth}.jsonl`),
      ledgerText([{ ...finished(RUN), durationMs: nth }]),
    );
  const path = writeRun(runs, RUN, RUNS_ON);
  await repair();
  expect(readLedger(path).lines.at(-1)).toMatchObject({ durationMs: 12 });
});

describe("a ledger without a readable header", () => {
  const put = (runs: string, run: string): string => {
    const path = writeRun(runs, run, []);
    writeFileSync(path, "{not a line\n");
    return path;
  };

  it.each<[string, string, HandEvent[], "failed" | undefined]>([
    ["of a run by hand is put aside, and the run has failed", BY_HAND, [], "failed"],
    ["of a slot that has its line, too", RUN, [fired(RUN)], "failed"],
    [
      "of a run whose end is told is put aside, and it is not told again",
      RUN,
      [finished(RUN)],
      undefined,
    ],
  ])("%s", async (_, run, pipeline, status) => {
    const { runs, told, repair } = rig(pipeline);
    const path = put(runs, run);
    const copy = `${path}.damaged-1`;
    expect(await repair(run)).toMatchObject({ accepted: true, result: { lines: 0, bytes: 12 } });
    expect([existsSync(path), readFileSync(copy, "utf8")]).toEqual([false, "{not a line\n"]);
    expect(synced).toEqual([`${basename(copy)} 12`, "2026-11", "2026-11"]);
    const because = `its ledger had no readable header; it is kept as ${copy}`;
    expect(told).toEqual(
      status === undefined ? [] : [{ type: "run.finished", run, status, durationMs: 0, because }],
    );
  });

  it("stays where it alone says that its slot was fired", async () => {
    const { runs, told, repair } = rig([fired(BY_HAND)]);
    const path = put(runs, RUN);
    expect(await repair()).toEqual({
      accepted: false,
      reason:
        `the ledger of run ${RUN} has no readable header, and it alone says that its slot was ` +
        "fired: it stays, so that the slot does not fire again",
    });
    expect([existsSync(path), evidenceIn(path), told, synced]).toEqual([true, [], [], []]);
  });
});

describe("nothing is repaired", () => {
  it("of a run that there is not, or that goes on", async () => {
    const { runs, going, repair } = rig();
    expect(await repair()).toEqual({ accepted: false, reason: `there is no run ${RUN}` });
    const path = writeRun(runs, RUN, RUNS_ON);
    appendFileSync(path, "x");
    going.add(RUN);
    expect(await repair()).toEqual({
      accepted: false,
      reason: `run ${RUN} is going on: its ledger is not damaged`,
    });
    expect(evidenceIn(path)).toEqual([]);
  });

  it("of a ledger that is whole; it tells the newest copy if it was repaired", async () => {
    const { runs, told, repair } = rig([finished(RUN, "completed")]);
    const path = writeRun(runs, RUN, completedRun(RUN));
    expect(await repair()).toEqual({
      accepted: false,
      reason: `the ledger of run ${RUN} is whole`,
    });
    for (const n of [1, 2]) writeFileSync(`${path}.damaged-${n}`, "evidence");
    expect(await repair()).toEqual({
      accepted: true,
      run: RUN,
      reason: `it was repaired already; the damaged ledger is kept as ${path}.damaged-2`,
    });
    expect([told, synced]).toEqual([[], []]);
    rmSync(path);
    expect(await repair()).toMatchObject({ accepted: false });
  });
});
