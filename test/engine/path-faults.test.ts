/**
 * Something stands in the way of one pipeline's files: another pipeline never notices, no slot is
 * left undecided, and the pipeline goes on by itself once its path is mended.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, rmdirSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Reply } from "../../src/core/request.ts";
import { jitterOf } from "../../src/core/schedule/schedule.ts";
import { readReply, waitForReply, writeRequest } from "../../src/ledger/requests.ts";
import { readPipeline } from "../../src/views/pipeline-reading.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { tempRoot } from "../support/temp-root.ts";

const minutely = scheduleOf({ cron: "* * * * *" });

/** Things that are no regular file, by what somebody would call them. */
const OBSTACLES: Record<string, (path: string) => void> = {
  "a folder": (path) => mkdirSync(path),
  "a folder with a file in it": (path) => {
    mkdirSync(path);
    writeFileSync(join(path, "note"), "");
  },
  "a link to nothing": (path) => symlinkSync("nothing", path),
  "a link to itself": (path) => symlinkSync(path, path),
  "a link to a folder": (path) => symlinkSync("..", path),
  "a pipe": (path) => void execFileSync("mkfifo", [path]),
};

function rigOver(names: readonly string[]): EngineRig {
  const there = new EngineRig({ runs: tempRoot().runs });
  for (const name of names) there.put(pipelineOf(name, [minutely]));
  return there;
}

/** The reply to a request; null if it gets none. Time stands still meanwhile. */
async function answerTo(there: EngineRig, id: string): Promise<Reply | null> {
  const until = performance.now() + 5_000;
  for (;;) {
    const reply = readReply(there.store.runsDir, id);
    if (reply !== null || performance.now() > until) return reply;
    await there.clock.settle();
  }
}

/** Puts an obstacle at a path, with the folders above it. */
function block(path: string, obstacle: (path: string) => void): void {
  mkdirSync(dirname(path), { recursive: true });
  obstacle(path);
}

describe("the name of a run's ledger is taken", () => {
  test.each(Object.keys(OBSTACLES))(
    "by %s: the slot is missed, with the reason, and the next one fires",
    async (kind) => {
      const there = rigOver(["p", "q"]);
      await there.up();
      block(there.store.runLedger("p@20261123T020200Z"), OBSTACLES[kind]!);
      await there.clock.advance(185_000);
      expect(there.slots("p")).toEqual(["fired 02:01:00", "missed 02:02:00", "fired 02:03:00"]);
      expect(there.slots("q")).toEqual(["fired 02:01:00", "fired 02:02:00", "fired 02:03:00"]);
      const missed = there.lines("p").find(({ type }) => type === "slot.missed")!;
      expect(missed["because"]).toMatch(/name is taken by what is no ledger: .*020200Z.jsonl /);
      expect(missed["through"]).toBe("2026-11-23T02:02:00.000Z");
      expect(there.fatal).toBeUndefined();
    },
  );

  test.each(Object.keys(OBSTACLES))(
    "by %s, and the daemon comes up after the slot: missed too",
    async (kind) => {
      const there = rigOver(["p"]);
      await there.up();
      await there.clock.advance(65_000);
      await there.down();
      block(there.store.runLedger("p@20261123T020200Z"), OBSTACLES[kind]!);
      block(there.store.runLedger("p@20261123T020105.000Z-m"), OBSTACLES[kind]!);
      await there.clock.advance(60_000);
      await there.up();
      await there.clock.advance(60_000);
      expect(there.slots("p")).toEqual(["fired 02:01:00", "missed 02:02:00", "fired 02:03:00"]);
    },
  );
});

describe("the month's folder is bad", () => {
  const kinds = {
    ...OBSTACLES,
    "a file": (path: string) => writeFileSync(path, ""),
  } as Record<string, (path: string) => void>;
  delete kinds["a folder"];
  delete kinds["a folder with a file in it"];
  delete kinds["a link to a folder"];

  test.each(Object.keys(kinds))(
    "it is %s: slots are missed with the reason, another pipeline fires, and mending it is enough",
    async (kind) => {
      const there = rigOver(["p", "q"]);
      const month = join(there.store.pipelineDir("p"), "2026-11");
      block(month, kinds[kind]!);
      await there.up();
      await there.clock.advance(125_000);
      expect(there.slots("p")).toEqual(["missed 02:01:00", "missed 02:02:00"]);
      unlinkSync(month);
      await there.clock.advance(60_000);
      expect(there.slots("p")).toEqual(["missed 02:01:00", "missed 02:02:00", "fired 02:03:00"]);
      expect(there.slots("q")).toEqual(["fired 02:01:00", "fired 02:02:00", "fired 02:03:00"]);
      const missed = there.lines("p").find(({ type }) => type === "slot.missed");
      expect(missed!["because"]).toMatch(
        /^its run could not be made: The ledger .* cannot be writ/,
      );
      expect(there.fatal).toBeUndefined();
    },
  );
});

test("a pipeline that comes back goes on with what ran, and then with what waited", async () => {
  const there = new EngineRig({
    runs: tempRoot().runs,
    ledgerLookMs: 1_000,
    script: { durationOf: (run) => (run.endsWith("-m") ? 600_000 : 1_000) },
  });
  // The slot of 02:00:30 is due only after somebody asked for a run: its run waits for that one.
  const jitter = scheduleOf({ cron: "30 0 2 * * *", jitterSeconds: 1_800 });
  const due = 30_000 + jitterOf("p", Date.UTC(2026, 10, 23, 2, 0, 30), 1_800);
  expect(due).toBeGreaterThan(120_000);
  await there.up();
  await there.drop(pipelineOf("p", [jitter], { overlap: "queue" }));
  await there.clock.advance(due - 60_000);
  await writeRequest(there.store.runsDir, { type: "submit", pipeline: "p" }, { id: "r1" });
  await there.settling(waitForReply(there.store.runsDir, "r1", 10_000));
  await there.clock.advance(120_000);
  const waits = "p@20261123T020030Z";
  expect(readPipeline(there.store, "p")!.state.queued).toEqual(new Set([waits]));
  await there.kill();
  const ledger = there.store.pipelineLedger("p");
  renameSync(ledger, `${ledger}.kept`);
  mkdirSync(ledger);
  await there.up();
  rmdirSync(ledger);
  renameSync(`${ledger}.kept`, ledger);
  await there.clock.advance(5_000);
  expect([...there.engine.runs.all()].map(({ ticket, going }) => [ticket.kind, going])).toEqual([
    ["manual", true],
    ["schedule", false],
  ]);
  await there.clock.advance(620_000);
  expect(readPipeline(there.store, "p")!.state.active.size).toBe(0);
  expect(there.slots("p")).toEqual(["fired 02:00:30"]);
  const started = there.lines("p").filter(({ type }) => type === "run.started");
  expect(started.map(({ run }) => String(run).slice(-2))).toEqual(["-m", "0Z"]);
  await there.down();
});

test("a run that was queued waits for what ran, also where its file is gone", async () => {
  const there = new EngineRig({
    runs: tempRoot().runs,
    script: { durationOf: (run) => (run.endsWith("0100Z") ? 600_000 : 1_000) },
  });
  await there.up();
  await there.drop(pipelineOf("p", [minutely], { overlap: "queue" }));
  await there.clock.advance(125_000);
  await there.kill();
  there.files.clear();
  await there.up();
  await there.clock.advance(60_000);
  expect([...there.engine.runs.all()].map(({ going }) => going)).toEqual([true, false]);
  await there.clock.advance(600_000);
  expect([...there.engine.runs.all()]).toEqual([]);
  await there.down();
});

test("a stop of a pipeline that cannot be opened is carried out once it can", async () => {
  const there = new EngineRig({
    runs: tempRoot().runs,
    ledgerLookMs: 1_000,
    script: { durationOf: () => 600_000 },
  });
  const { runsDir } = there.store;
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  await there.clock.advance(65_000);
  await there.kill();
  const ledger = there.store.pipelineLedger("p");
  renameSync(ledger, `${ledger}.kept`);
  mkdirSync(ledger);
  const stop = { type: "stop", run: "p@20261123T020100Z", mode: "graceful" } as const;
  await writeRequest(runsDir, stop, { id: "s1" });
  await there.up();
  await there.clock.advance(5_000);
  expect(readReply(runsDir, "s1")).toBeNull();
  rmdirSync(ledger);
  renameSync(`${ledger}.kept`, ledger);
  await there.clock.advance(5_000);
  expect(await answerTo(there, "s1")).toMatchObject({ accepted: true, run: stop.run });
  await there.clock.advance(1_000);
  expect(readPipeline(there.store, "p")!.state.active.size).toBe(0);
  await there.down();
});

test("a cancel of a backfill of what cannot be opened is carried out once it can", async () => {
  const there = new EngineRig({
    runs: tempRoot().runs,
    ledgerLookMs: 1_000,
    script: { durationOf: () => 60_000 },
  });
  const { runsDir } = there.store;
  await there.up();
  await there.drop(pipelineOf("p", [scheduleOf({ cron: "@hourly" })]));
  await there.drop(pipelineOf("q", []));
  const [from, to] = ["2026-11-22T00:00:00Z", "2026-11-22T03:00:00Z"];
  const which = "all";
  await writeRequest(runsDir, { type: "backfill", pipeline: "p", from, to, which }, { id: "b1" });
  expect(await answerTo(there, "b1")).toMatchObject({ accepted: true });
  await there.kill();
  const backfilled = (): number =>
    there.lines("p").filter(({ type }) => type === "slot.backfilled").length;
  expect(backfilled()).toBe(1);
  const ledger = there.store.pipelineLedger("p");
  renameSync(ledger, `${ledger}.kept`);
  mkdirSync(ledger);
  await writeRequest(runsDir, { type: "cancel_backfill", id: "b1" }, { id: "c1" });
  await there.up();
  await there.clock.advance(5_000);
  expect(readReply(runsDir, "c1")).toBeNull();
  rmdirSync(ledger);
  renameSync(`${ledger}.kept`, ledger);
  await there.clock.advance(5_000);
  expect(await answerTo(there, "c1")).toMatchObject({ accepted: true });
  // What is known to be no backfill is refused at once.
  await writeRequest(runsDir, { type: "cancel_backfill", id: "b1" }, { id: "c2" });
  expect(await answerTo(there, "c2")).toMatchObject({ accepted: false });
  await there.clock.advance(180_000);
  expect(backfilled()).toBe(1);
  await there.down();
});
