/** The ledger in use is rotated while older files are read: it is read under its new name. */
import { linkSync, readdirSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import type * as nodeFs from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, it, vi } from "vitest";
import type { PipelineEvent, RunEvent } from "../../src/core/event.ts";
import { checkpointOf } from "../../src/core/pipeline-checkpoint.ts";
import { iso } from "../../src/core/time.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { PipelineLedger } from "../../src/ledger/pipeline-ledger.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { verifyRoot } from "../../src/ledger/verify.ts";
import { readPastStatus } from "../../src/views/past-status.ts";
import { pipelineLines } from "../../src/views/pipeline-facts.ts";
import { ledgerText } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { calm, header } from "./sample-ledgers.ts";

const seam = vi.hoisted(() => ({ opens: (_path: unknown): void => undefined }));
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof nodeFs>();
  const openSync = ((...words: Parameters<typeof fs.openSync>) => {
    seam.opens(words[0]);
    return fs.openSync(...words);
  }) as typeof fs.openSync;
  return { ...fs, openSync, default: { ...fs, openSync } };
});

const RUNS = Array.from({ length: 6 }, (_, minute) => `p@20270101T000${minute}00Z`);
let store: RunStore;

/** A pipeline with rotated files, which is rotated once more as the oldest one is opened. */
beforeEach(async () => {
  store = new RunStore(tempRoot().runs);
  const ledger = await PipelineLedger.open(store.runsDir, "p", { ...calm(), rotateBytes: 1_500 });
  await ledger.append([
    { type: "pipeline.loaded", digest: "d", schedules: [], tz: "UTC", tzdata: "2026c" },
  ]);
  for (const [minute, run] of RUNS.entries()) {
    const slot = iso(Date.UTC(2027, 0, 1, 0, minute));
    await ledger.append([
      { type: "slot.fired", slot, run, through: slot },
      { type: "run.started", run },
      { type: "run.finished", run, status: "completed", durationMs: 1 },
    ]);
    const end = { type: "run.finished", status: "completed", because: "ended", durationMs: 1 };
    const events = [header(run), end as RunEvent];
    const file = await LedgerFile.create<RunEvent>(store.runLedger(run), events, calm());
    await file.close();
    // Older than a run whose line may still come.
    utimesSync(store.runLedger(run), 1_700_000_000, 1_700_000_000);
  }
  await ledger.close();
  const folder = store.pipelineDir("p");
  const rotated = readdirSync(folder).filter((name) => name.startsWith("pipeline-"));
  expect(rotated.length).toBeGreaterThan(0);
  const path = store.pipelineLedger("p");
  const first: PipelineEvent = { ...checkpointOf(ledger.state), format: 1 };
  seam.opens = (opened) => {
    if (!rotated.includes(String(opened).slice(folder.length + 1))) return;
    seam.opens = () => undefined;
    linkSync(path, join(folder, "pipeline-2027-01-02.jsonl"));
    writeFileSync(`${path}.new`, ledgerText([first], "2027-01-02T00:00:00.000Z"));
    renameSync(`${path}.new`, path);
  };
});

it("orchd verify finds no fault", async () => {
  expect((await verifyRoot(store.runsDir)).faults).toEqual([]);
});

it("each line is listed once", () => {
  const fired = [...pipelineLines(store, "p")].filter(({ line }) => line["type"] === "slot.fired");
  expect(fired.map(({ line }) => line["run"])).toEqual(RUNS);
});

it("a pipeline is told as it was before that", () => {
  const read = readPastStatus(store, "p", Date.parse("2027-01-01T12:00:00Z"));
  expect(read).toMatchObject({ view: { pipelines: [{ lastRun: { run: RUNS.at(-1) } }] } });
});
