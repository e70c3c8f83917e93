import { appendFileSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { PipelineEvent, RunEvent } from "../../src/core/event.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { verifyLedger, verifyRoot } from "../../src/ledger/verify.ts";
import { tempRoot } from "../support/temp-root.ts";
import { calm, header } from "./sample-ledgers.ts";

const RUN = "p@20260101T000000Z";
const finished: RunEvent = {
  type: "run.finished",
  status: "completed",
  because: "all steps completed",
  durationMs: 1,
};
const loaded: PipelineEvent = {
  type: "pipeline.loaded",
  format: 1,
  digest: "d",
  schedules: [],
  tz: "UTC",
  tzdata: "2026c",
};

/** A root with a finished run, an active run and the pipeline's ledger. */
async function healthy(): Promise<RunStore> {
  const store = new RunStore(tempRoot().runs);
  const pipeline = await LedgerFile.create<PipelineEvent>(
    store.pipelineLedger("p"),
    [loaded],
    calm(),
  );
  await pipeline.append([{ type: "run.finished", run: RUN, status: "completed", durationMs: 1 }]);
  await pipeline.close();
  const run = await LedgerFile.create<RunEvent>(store.runLedger(RUN), [header(RUN)], calm());
  await run.append([{ type: "run.started", because: "due" }]);
  await run.append([finished]);
  await run.close();
  const active = "p@20260101T000100Z";
  await (
    await LedgerFile.create<RunEvent>(store.runLedger(active), [header(active)], calm())
  ).close();
  return store;
}

describe("verifying a root", () => {
  it("finds nothing wrong with whole ledgers, also of an active run", async () => {
    const store = await healthy();
    writeFileSync(join(store.pipelineDir("p"), "pipeline.jsonl.damaged-1"), "old damage");
    writeFileSync(store.runLog(RUN), "not a ledger");
    expect(await verifyRoot(store.runsDir)).toEqual({ checked: 3, faults: [] });
    expect(await verifyRoot("/nowhere")).toEqual({ checked: 0, faults: [] });
  });

  const spoil = (
    name: string,
    change: (path: string) => void,
    line: number,
    fault: RegExp,
    run = "p@20260101T000100Z",
  ): [string, typeof change, number, RegExp, string] => [name, change, line, fault, run];
  it.each([
    spoil(
      "an empty ledger",
      (path) => truncateSync(path, 0),
      1,
      /^empty: the ledger has no header$/,
    ),
    spoil(
      "half a header",
      (path) => truncateSync(path, 30),
      1,
      /^no whole header: it ends without a line feed$/,
    ),
    spoil(
      "rubbish in place of a header",
      (path) => writeFileSync(path, "rubbish\n"),
      1,
      /^no whole header: /,
    ),
    spoil(
      "a torn tail",
      (path) => appendFileSync(path, '{"seq":2,'),
      2,
      /^torn tail: it ends without a line feed$/,
    ),
    spoil(
      "another run's header",
      (path) => writeFileSync(path, readFileSync(path.replace("000100", "000000"))),
      1,
      /^the header is not that of p@20260101T000100Z$/,
    ),
    spoil(
      "a torn tail of a run that finished",
      (path) => truncateSync(path, readFileSync(path).length - 1),
      3,
      /^damaged: it ends without a line feed$/,
      RUN,
    ),
    spoil(
      "a missing last line of a run that finished",
      (path) => truncateSync(path, readFileSync(path).lastIndexOf("\n", -2) + 1),
      3,
      /^lines are missing at the end/,
      RUN,
    ),
    spoil(
      "a changed byte",
      (path) => writeFileSync(path, readFileSync(path, "latin1").replace("due", "duf"), "latin1"),
      2,
      /^damaged: its checksum does not match$/,
      RUN,
    ),
  ])("reports %s", async (_, change, line, fault, run) => {
    const store = await healthy();
    change(store.runLedger(run));
    const { checked, faults } = await verifyRoot(store.runsDir);
    expect(checked).toBe(3);
    expect(faults).toEqual([
      { file: store.runLedger(run), line, fault: expect.stringMatching(fault) as unknown },
    ]);
  });

  it("reports faults in a pipeline's ledger, its old files included", async () => {
    const store = await healthy();
    writeFileSync(join(store.pipelineDir("p"), "pipeline-2026-01-01.jsonl"), "");
    appendFileSync(store.pipelineLedger("p"), "{");
    expect(
      (await verifyRoot(store.runsDir)).faults.map(({ file, fault }) => [
        file.split("/").at(-1),
        fault,
      ]),
    ).toEqual([
      ["pipeline-2026-01-01.jsonl", "empty: the ledger has no header"],
      ["pipeline.jsonl", "torn tail: it ends without a line feed"],
    ]);
  });

  it("reports a newer format, a line after the last, and a name that is no run's", async () => {
    const store = await healthy();
    const newer = "p@20260101T000200Z";
    await (
      await LedgerFile.create<RunEvent>(
        store.runLedger(newer),
        [header(newer, { format: 9 })],
        calm(),
      )
    ).close();
    const { file } = await LedgerFile.open<RunEvent>(store.runLedger(RUN), calm());
    await file.append([{ type: "run.started", because: "again" }]);
    await file.close();
    writeFileSync(join(store.runDir(RUN), "stray.jsonl"), "");
    writeFileSync(join(store.runDir(RUN), "p@20260201T000000Z.jsonl"), "");
    writeFileSync(join(store.runDir(RUN), "q@20260101T000000Z.jsonl"), "");
    mkdirSync(store.runLedger("p@20260101T000300Z"));
    const { faults } = await verifyRoot(store.runsDir);
    expect(faults.map(({ line, fault }) => [line, fault])).toEqual([
      [4, "it stands after run.finished"],
      [1, expect.stringContaining("has format 9, and this orchd reads formats up to 1")],
      [1, expect.stringMatching(/^it cannot be read: .*: it is a folder \(EISDIR\)\.$/)],
      [0, "its name is no run's id"],
      // Runs of another month and of another pipeline lie where no reader looks for them.
      [0, "its name is no run's id"],
      [0, "its name is no run's id"],
    ]);
  });

  it("names the first of several lines that follow the end of a run", async () => {
    const store = new RunStore(tempRoot().runs);
    const file = await LedgerFile.create<RunEvent>(
      store.runLedger(RUN),
      [header(RUN), finished, finished, finished],
      calm(),
    );
    await file.close();
    expect(verifyLedger(store.runLedger(RUN), { run: RUN })).toMatchObject({ line: 3 });
  });

  it("knows that nothing may follow the end of a run", async () => {
    const store = new RunStore(tempRoot().runs);
    const file = await LedgerFile.create<RunEvent>(
      store.runLedger(RUN),
      [header(RUN), finished, { type: "run.started", because: "again" }],
      calm(),
    );
    await file.close();
    expect(verifyLedger(store.runLedger(RUN), { run: RUN })).toEqual({
      line: 3,
      fault: "it stands after run.finished",
    });
    expect(verifyLedger(store.runLedger(RUN), { run: "p@20260101T000001Z" })).toMatchObject({
      line: 1,
    });
  });

  it("does not call a write that is under way a torn tail", async () => {
    const store = await healthy();
    const path = store.runLedger("p@20260101T000100Z");
    const file = await LedgerFile.open<RunEvent>(path, calm());
    await file.file.append([{ type: "run.started", because: "due" }]);
    await file.file.close();
    const whole = readFileSync(path);
    truncateSync(path, whole.length - 10);
    const verified = verifyRoot(store.runsDir);
    setImmediate(() => writeFileSync(path, whole));
    expect((await verified).faults).toEqual([]);
  });
});
