/** What an engine takes up while it is up: settings, a repaired run, ledgers that were touched. */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, it, onTestFinished, vi } from "vitest";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { PipelineDesks } from "../../src/engine/pipeline-desks.ts";
import { writeRequest } from "../../src/ledger/requests.ts";
import { EngineRig, pipelineOf } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { tempRoot } from "../support/temp-root.ts";

const HOUR_MS = 3_600_000;
const schedules = [scheduleOf({ cron: "0 * * * *", catchUp: "none" })];
const started = (rig: EngineRig): string[] =>
  ["p", "q", "r"].filter((name) => rig.lines(name).some(({ type }) => type === "run.started"));

it("lets waiting runs begin as soon as the limit of all runs is higher, or gone", async () => {
  const rig = new EngineRig({
    runs: tempRoot().runs,
    settings: { maxActiveRuns: 1 },
    script: { durationOf: () => 10 * HOUR_MS },
  });
  await rig.up();
  for (const name of ["p", "q", "r"]) await rig.drop(pipelineOf(name, schedules));
  await rig.clock.advance(HOUR_MS);
  expect(started(rig)).toHaveLength(1);
  await rig.settling(rig.engine.setSettings({ ...DEFAULT_SETTINGS, maxActiveRuns: 2 }));
  await rig.clock.advance(1_000);
  expect(started(rig)).toHaveLength(2);
  await rig.settling(rig.engine.setSettings(DEFAULT_SETTINGS));
  await rig.clock.advance(1_000);
  expect(started(rig)).toHaveLength(3);
  expect(rig.engine.settings).toBe(DEFAULT_SETTINGS);
  await rig.down();
});

it("reads all files again with new settings: they may go into pipelines", async () => {
  const rig = new EngineRig({ runs: tempRoot().runs });
  await rig.up();
  await rig.drop(pipelineOf("p", schedules));
  expect(rig.engine.inForce).toBe(1);
  // It has changed, and no watcher has said so.
  rig.put(pipelineOf("p", schedules, { tags: ["new"] }));
  await rig.settling(rig.engine.setSettings({ ...DEFAULT_SETTINGS }));
  const loads = rig.lines("p").filter(({ type }) => type === "pipeline.loaded");
  expect(loads).toHaveLength(2);
  expect(loads[1]!["tags"]).toEqual(["new"]);
  await rig.down();
});

it("goes on with a run whose ledger was mended, once it is told", async () => {
  const script = { durationOf: () => HOUR_MS / 2 };
  const rig = new EngineRig({ runs: tempRoot().runs, script });
  await rig.up();
  await rig.drop(pipelineOf("p", schedules));
  await rig.clock.advance(HOUR_MS);
  const [run] = rig.store.list("p");
  const path = rig.store.runLedger(run!);
  await rig.kill();
  const whole = readFileSync(path);
  writeFileSync(path, "rubbish\n{}\n");
  await rig.up();
  const ends = (): unknown[] => rig.lines("p").filter(({ type }) => type === "run.finished");
  await rig.clock.advance(HOUR_MS - 60_000);
  expect(ends()).toEqual([]);
  writeFileSync(path, whole);
  await rig.settling(rig.engine.takeOver(run!, "p"));
  await rig.clock.advance(HOUR_MS - 60_000);
  expect(ends()).toMatchObject([{ run, status: "completed" }]);
  await rig.down();
});

it("writes into the pipeline's ledger that somebody touched it, or a run's ledger", async () => {
  const rig = new EngineRig({ runs: tempRoot().runs });
  await rig.up();
  await rig.drop(pipelineOf("p", schedules));
  rig.engine.disturbed("p", "it was moved away");
  rig.engine.disturbedRun("p@20261123T020000Z", "it was cut back");
  await rig.clock.settle();
  await rig.down();
  const told = rig.lines("p").filter(({ type }) => type === "ledger.disturbed");
  expect(told.map(({ run, because }) => [run, because])).toEqual([
    [undefined, "it was moved away"],
    ["p@20261123T020000Z", "it was cut back"],
  ]);
});

it("starts nothing more where it is stopped while it answers what was asked before", async () => {
  const { runs } = tempRoot();
  const rig: EngineRig = new EngineRig({
    runs,
    ledgerLookMs: 1_000,
    onDurableLine: ({ line }) => {
      if (line.type === "pipeline.paused") stopped = rig.engine.stop(0);
    },
  });
  let stopped: Promise<void> | undefined;
  rig.put(pipelineOf("p", schedules));
  await writeRequest(runs, { type: "pause", pipeline: "p" }, { id: "r1" });
  await rig.up();
  expect(stopped).toBeDefined();
  await rig.settling(stopped!);
  expect(rig.clock.timers).toBe(0);
});

it("ends no call of a stop before the ledgers are closed", async () => {
  const rig = new EngineRig({ runs: tempRoot().runs });
  await rig.up();
  let close!: () => void;
  const closing = new Promise<void>((resolve) => (close = resolve));
  const desks = vi.spyOn(PipelineDesks.prototype, "close").mockReturnValue(closing);
  onTestFinished(() => desks.mockRestore());
  let over = 0;
  const calls = [60_000, 0].map((period) => rig.engine.stop(period).then(() => (over += 1)));
  await vi.waitFor(() => expect(desks).toHaveBeenCalledOnce());
  await rig.clock.settle();
  expect(over).toBe(0);
  close();
  await Promise.all(calls);
  expect(desks).toHaveBeenCalledOnce();
});
