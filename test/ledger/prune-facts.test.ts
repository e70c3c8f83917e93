/** What retention is told of a root: each fact, read from files, by what stands in them. */
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { PruneFacts, type FactsOptions } from "../../src/ledger/prune-facts.ts";
import { KEEP_ALL, type PipelineFacts, type RunFacts } from "../../src/ledger/retention.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { completedRun, header, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const THREE = "2026-11-23T03:00:00.000Z";
const POLICY = { keepDays: 30, keepRuns: 10 };

interface Rig {
  readonly store: RunStore;
  facts(options?: Partial<FactsOptions>): Promise<PipelineFacts & { readonly all: RunFacts[] }>;
  reader(options?: Partial<FactsOptions>): PruneFacts;
}

function rig(): Rig {
  const store = new RunStore(tempRoot().runs);
  const reader = (options: Partial<FactsOptions> = {}): PruneFacts =>
    new PruneFacts(store, { policyOf: () => POLICY, ...options }, () => Promise.resolve());
  return {
    store,
    reader,
    async facts(options) {
      const found = await reader(options).of("p");
      return {
        ...found,
        all: Array.from({ length: found.runs.length }, (_, n) => found.runs.at(n)!),
      };
    },
  };
}

function file(path: string, bytes: number): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "x".repeat(bytes));
  return path;
}

describe("a run", () => {
  it.each([
    [RUN, true],
    [`${RUN}.weekly`, true],
    ["p@20261123T020000.123Z-m", false],
    [`${RUN}-b1`, false],
    [`${RUN}-r1`, false],
    [`${RUN}.weekly-r1`, false],
  ])("%s was made by its slot, which might fire again: %s", async (run, scheduled) => {
    const { store, facts } = rig();
    writeRun(store.runsDir, run, completedRun(run));
    expect((await facts()).all).toMatchObject([{ run, scheduled }]);
  });

  const END = Date.parse("2026-11-23T02:00:04.000Z");
  it.each<[string, (path: string) => void, number | undefined, boolean]>([
    ["that ended", () => undefined, END, false],
    ["whose last line is torn", (path) => appendFileSync(path, '{"seq":6,'), undefined, false],
    ["with a damaged line", (path) => writeFileSync(path, spoilt(path)), undefined, true],
  ])("%s has the end that its ledger tells", async (_, change, finishedAt, damaged) => {
    const { store, facts } = rig();
    change(writeRun(store.runsDir, RUN, completedRun(RUN)));
    expect((await facts()).all).toMatchObject([{ run: RUN, finishedAt, damaged }]);
  });

  it("that goes on has none", async () => {
    const { store, facts } = rig();
    writeRun(store.runsDir, RUN, completedRun(RUN).slice(0, -1));
    expect((await facts()).all).toMatchObject([{ finishedAt: undefined, damaged: false }]);
  });

  it("counts the bytes of its ledger, its log and the evidence beside it, once", async () => {
    const { store, facts } = rig();
    const ledger = writeRun(store.runsDir, RUN, completedRun(RUN));
    file(store.runLog(RUN), 1_000);
    file(`${ledger}.damaged-1`, 20_000);
    file(`${ledger}.damaged-2`, 300_000);
    const { all, files } = await facts();
    expect(all).toMatchObject([{ bytes: statSync(ledger).size + 321_000 }]);
    expect(files).toEqual([]);
  });

  it("is none where a folder has its ledger's name", async () => {
    const { store, facts } = rig();
    mkdirSync(store.runLedger(RUN), { recursive: true });
    expect((await facts()).all).toEqual([]);
  });
});

/** The ledger's text where two writes from its end on do not follow from what is before them. */
const spoilt = (path: string): string =>
  readFileSync(path, "utf8").replace(/(4,"b":4.*"crc":")..../, "$1____");

describe("files that belong to no run", () => {
  it("are as old as their last line, and evidence as old as its name", async () => {
    const { store, facts } = rig();
    const long = 1_700_000_000;
    const rotated = file(join(store.pipelineDir("p"), "pipeline-2026-01-01.jsonl"), 7);
    const own = file(`${store.pipelineLedger("p")}.damaged-1`, 8);
    const headless = file(`${store.runLedger(RUN)}.damaged-1`, 9);
    for (const path of [rotated, own, headless]) utimesSync(path, long, long);
    const { files } = await facts();
    const seen = (path: string): number => statSync(path).ctimeMs;
    expect(files!.toSorted((a, b) => a.bytes - b.bytes)).toEqual([
      { path: rotated, stampMs: long * 1_000, bytes: 7, evidence: false },
      { path: own, stampMs: seen(own), bytes: 8, evidence: true },
      { path: headless, stampMs: seen(headless), bytes: 9, evidence: true },
    ]);
  });

  it("are none where a folder has such a name", async () => {
    const { store, facts } = rig();
    mkdirSync(`${store.pipelineLedger("p")}.damaged-1`, { recursive: true });
    mkdirSync(join(store.pipelineDir("p"), "pipeline-2026-01-01.jsonl"));
    expect((await facts()).files).toEqual([]);
  });
});

describe("a pipeline's ledger tells", () => {
  it("until when slots are decided, its last line's time, and which runs go on", async () => {
    const { store, facts } = rig();
    writeRun(store.runsDir, RUN, completedRun(RUN));
    const fired = { type: "slot.fired", slot: "2026-11-23T02:00:00.000Z", run: RUN, latenessMs: 1 };
    const second = "p@20261123T030000Z";
    const waits = { ...fired, slot: THREE, through: THREE, run: second };
    writePipeline(store.runsDir, "p", [
      loaded("0 * * * *"),
      fired,
      { type: "run.finished", run: RUN, status: "completed", durationMs: 1 },
      waits,
      { type: "run.queued", run: second, because: "the one before goes on" },
    ]);
    const found = await facts({ alsoActive: new Set(["p@1"]) });
    expect(found).toMatchObject({
      through: Date.parse(THREE),
      recordedUntil: Date.parse("2026-11-23T02:00:04.000Z"),
    });
    expect([...found.active]).toEqual([second, "p@1"]);
  });
});

describe("artifacts", () => {
  const sha = "a".repeat(64);
  const [goneSha, other] = ["b".repeat(64), "c".repeat(64)];
  const using = (run: string, more: object[] = []) => [
    header(run, {}, { params: { one: { $artifact: sha, bytes: 5 } }, tags: [] }),
    { type: "run.started", because: JSON.stringify({ two: { $artifact: goneSha, bytes: 1 } }) },
    ...(more as { type: string }[]),
  ];
  const end = { type: "run.finished", status: "failed", because: "x", durationMs: 1 };

  it.each<[string, Partial<FactsOptions>, boolean]>([
    ["its own", { policyOf: () => ({ ...POLICY, keepBytes: 1 }) }, true],
    ["all pipelines'", { totalBytes: 1 }, true],
    ["no", {}, false],
  ])("are counted where there is %s limit in bytes", async (_, options, counted) => {
    const { store, facts, reader } = rig();
    file(join(store.artifacts, sha), 5);
    file(join(store.artifacts, other), 6);
    file(join(store.artifacts, "notes"), 7);
    writeRun(store.runsDir, RUN, using(RUN, [end]));
    expect((await facts(options)).all[0]!.artifacts).toEqual(
      counted ? [{ sha, bytes: 5 }] : undefined,
    );
    const read = reader(options);
    await read.of("p");
    // What was read is not read again in the sweep.
    expect([...read.references.keys()]).toEqual(counted ? [RUN] : []);
  });

  it("of a run that goes on are read again in the sweep: it may name more by then", async () => {
    const { store, reader } = rig();
    file(join(store.artifacts, sha), 5);
    writeRun(store.runsDir, RUN, using(RUN));
    const read = reader({ totalBytes: 1 });
    expect((await read.of("p")).runs.at(0)!.artifacts).toEqual([{ sha, bytes: 5 }]);
    expect([...read.references.keys()]).toEqual([]);
  });
});

it("of a prune of one pipeline all others keep everything", async () => {
  const { store, facts } = rig();
  writeRun(store.runsDir, RUN, completedRun(RUN));
  expect((await facts({ pipeline: "q" })).policy).toBe(KEEP_ALL);
  expect((await facts({ pipeline: "p" })).policy).toBe(POLICY);
  expect((await facts()).policy).toBe(POLICY);
});
