/** `orchd verify` compares a pipeline's ledger with its runs' ledgers. */
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { PipelineEvent, PipelineLine, RunEvent } from "../../src/core/event.ts";
import { checkpointOf } from "../../src/core/pipeline-checkpoint.ts";
import { emptyPipelineState } from "../../src/core/pipeline-state.ts";
import { parseRunId } from "../../src/core/run-id.ts";
import { iso } from "../../src/core/time.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { PipelineLedger } from "../../src/ledger/pipeline-ledger.ts";
import { prune } from "../../src/ledger/prune.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { SlotsTold } from "../../src/ledger/verify-slots.ts";
import { verifyRoot } from "../../src/ledger/verify.ts";
import { tempRoot } from "../support/temp-root.ts";
import { calm, header } from "./sample-ledgers.ts";

const runAt = (minute: number): string => `p@20270101T00${String(minute).padStart(2, "0")}00Z`;
const slotAt = (minute: number): string => iso(Date.UTC(2027, 0, 1, 0, minute));
const loaded: PipelineEvent = {
  type: "pipeline.loaded",
  digest: "d",
  schedules: [],
  tz: "UTC",
  tzdata: "2026c",
};

/** A pipeline that fired in these minutes, each with its run. */
async function fired(minutes: readonly number[]): Promise<RunStore> {
  const store = new RunStore(tempRoot().runs);
  const ledger = await PipelineLedger.open(store.runsDir, "p", calm());
  await ledger.append([loaded]);
  for (const minute of minutes) {
    const [run, slot] = [runAt(minute), slotAt(minute)];
    await ledger.append([
      { type: "slot.fired", slot, run, through: slot },
      { type: "run.started", run },
      { type: "run.finished", run, status: "completed", durationMs: 1 },
    ]);
    const end = { type: "run.finished", status: "completed", because: "ended", durationMs: 1 };
    const file = await LedgerFile.create<RunEvent>(
      store.runLedger(run),
      [header(run), end as RunEvent],
      calm(),
    );
    await file.close();
  }
  await ledger.close();
  return store;
}

/** The faults, each as the name of its file and its text. */
async function faultsOf(store: RunStore): Promise<string[]> {
  const { faults } = await verifyRoot(store.runsDir);
  return faults.map(({ file, fault }) => `${file.split("/").at(-1)}: ${fault}`);
}

describe("runs and slots", () => {
  it("that belong together are no fault", async () => {
    expect(await faultsOf(await fired([1, 2, 3]))).toEqual([]);
  });

  it("a run whose ledger was removed is named, with the line that tells of it", async () => {
    const store = await fired([1, 2, 3]);
    rmSync(store.runLedger(runAt(2)));
    expect(await faultsOf(store)).toEqual([
      `${runAt(2)}.jsonl: it is missing: pipeline.jsonl tells of this run at line 6 (slot.fired)`,
    ]);
  });

  it("a run that retention removed while lines were read is no fault", async () => {
    const store = await fired([1]);
    const own = store.pipelineLedger("p");
    const before = readFileSync(own, "utf8");
    const { file: writer } = await LedgerFile.open<PipelineEvent>(own, calm());
    await writer.append([{ type: "runs.pruned", until: slotAt(2), runs: 1 }]);
    await writer.close();
    const pruned = readFileSync(own, "utf8").slice(before.length);
    writeFileSync(own, before);
    rmSync(store.runLedger(runAt(1)));
    // Its line comes before it removes anything, and here after all lines were read.
    const exists = vi.spyOn(RunStore.prototype, "exists").mockImplementation(() => {
      appendFileSync(own, pruned);
      return false;
    });
    onTestFinished(() => exists.mockRestore());
    expect(await faultsOf(store)).toEqual([]);
    expect(exists).toHaveBeenCalledTimes(1);
  });

  it("all runs of a month's folder that was removed are named", async () => {
    const store = await fired([1, 2]);
    rmSync(store.runDir(runAt(1)), { recursive: true });
    expect(await faultsOf(store)).toHaveLength(2);
  });

  it("runs are named whose slots have no line: an older ledger was put back", async () => {
    const store = await fired([1, 2]);
    const backup = `${store.pipelineLedger("p")}.backup`;
    renameSync(store.pipelineLedger("p"), backup);
    const ledger = await PipelineLedger.open(store.runsDir, "p", calm());
    await ledger.append([{ ...loaded, through: slotAt(10) }]);
    await ledger.close();
    for (const minute of [1, 2]) age(store.runLedger(runAt(minute)));
    expect(await faultsOf(store)).toEqual(
      [1, 2].map(
        (minute) =>
          `${runAt(minute)}.jsonl: no line of its pipeline's ledger says what became of its slot`,
      ),
    );
  });

  it("a pipeline's ledger that is gone is named", async () => {
    const store = await fired([1]);
    rmSync(store.pipelineLedger("p"));
    expect(await faultsOf(store)).toEqual(["pipeline.jsonl: it is missing, and there are runs"]);
  });

  it("a slot after the watermark is not decided yet, and its run needs no line", async () => {
    const store = await fired([1]);
    const run = runAt(9);
    const file = await LedgerFile.create<RunEvent>(store.runLedger(run), [header(run)], calm());
    await file.close();
    age(store.runLedger(run));
    expect(await faultsOf(store)).toEqual([]);
  });

  it("a run that retention removed is no fault, one that somebody removed then is", async () => {
    const store = await fired([1, 2, 3, 4]);
    const pruned = await prune(store.runsDir, {
      nowMs: Date.UTC(2027, 0, 2),
      policyOf: () => ({ keepDays: 365, keepRuns: 2 }),
      onPruning: async (pipeline, line) => {
        const ledger = await PipelineLedger.open(store.runsDir, pipeline, calm());
        await ledger.append([line]);
        await ledger.close();
      },
    });
    expect(pruned.runs.map(({ run }) => run).sort()).toEqual([runAt(1), runAt(2)]);
    expect(await faultsOf(store)).toEqual([]);
    rmSync(store.runLedger(runAt(3)));
    expect(await faultsOf(store)).toEqual([expect.stringContaining(`${runAt(3)}.jsonl: it is m`)]);
  });

  it("a ledger of an earlier orchd, which does not tell of retention, proves nothing", async () => {
    const store = new RunStore(tempRoot().runs);
    const events: PipelineEvent[] = [
      { ...loaded, format: 1 },
      { type: "slot.fired", slot: slotAt(1), run: runAt(1), through: slotAt(1) },
    ];
    const file = await LedgerFile.create(store.pipelineLedger("p"), events, calm());
    await file.close();
    expect(await faultsOf(store)).toEqual([]);
  });

  it("a folder that cannot be read is a fault of its own, and the others are checked", async () => {
    const store = await fired([1]);
    mkdirSync(join(store.pipelineDir("p"), "2027-02"));
    mkdirSync(store.pipelineDir("q"));
    writeFileSync(join(store.pipelineDir("p"), "2027-03"), "");
    mkdirSync(store.pipelineLedger("q"));
    expect(await faultsOf(store)).toEqual([expect.stringContaining("it cannot be read")]);
  });
});

/** Makes a file older than what may be under way. */
function age(path: string): void {
  utimesSync(path, new Date(0), new Date(0));
}

it("a run needs a line from the end of what was told before up to the watermark", () => {
  const told = new SlotsTold();
  const line = (seq: number, event: PipelineEvent): PipelineLine => ({
    ...event,
    seq,
    b: seq,
    at: slotAt(9),
  });
  const checkpoint: PipelineEvent = {
    ...checkpointOf(emptyPipelineState()),
    counts: { fired: 2 },
    through: slotAt(2),
  };
  told.add("pipeline.jsonl", line(1, checkpoint));
  told.add("pipeline.jsonl", line(2, { ...loaded, through: slotAt(5) }));
  expect([1, 2, 3, 4, 5, 6].filter((minute) => told.lacksLine(parseRunId(runAt(minute))!))).toEqual(
    [3, 4, 5],
  );
  told.add("pipeline.jsonl", line(3, { type: "slot.fired", slot: slotAt(4), run: runAt(4) }));
  expect([3, 4, 5].filter((minute) => told.lacksLine(parseRunId(runAt(minute))!))).toEqual([3, 5]);
});
