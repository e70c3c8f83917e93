/**
 * Promise 42: a process that follows the ledgers is killed again and again, while pipelines'
 * ledgers and runs are written and rotated. Started from its last position each time, it is given
 * every line once, in the order of its ledger.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { beforeAll, expect, it, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { PipelineEvent, RunEvent } from "../../src/core/event.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { PipelineLedger } from "../../src/ledger/pipeline-ledger.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { reached, trials } from "../support/figures.ts";
import { endedWithTest } from "../support/process-end.ts";
import { buildProgram } from "../support/program.ts";
import { tempRoot } from "../support/temp-root.ts";

const PIPELINES = ["etl", "often"];
const options = {
  clock: systemClock,
  onFatal: (error: Error) => {
    throw error;
  },
};
let follower: string;
beforeAll(async () => {
  follower = await buildProgram("feed-follower");
});

/** Writes a pipeline's ledger and its runs, until it is told to end. */
async function writeUntil(store: RunStore, pipeline: string, isOver: () => boolean): Promise<void> {
  const ledger = await PipelineLedger.open(store.runsDir, pipeline, {
    ...options,
    rotateBytes: 6_000,
    checkpointLines: 16,
  });
  const tell = (event: object): Promise<unknown> => ledger.append([event as PipelineEvent]);
  await tell({ type: "pipeline.paused", because: "the test begins" });
  for (let nth = 0; !isOver(); nth += 1) {
    const at = new Date(Date.parse("2026-11-28T00:00:00Z") + nth * 1_000).toISOString();
    const run = `${pipeline}@${at.replaceAll(/[-:]|\.000/g, "")}`;
    const first = { type: "run.submitted", format: 1, run, pipeline } as unknown as RunEvent;
    const file = await LedgerFile.create<RunEvent>(store.runLedger(run), [first], options);
    await tell({ type: "slot.fired", slot: at, run, through: at });
    for (let step = 0; step < nth % 4; step += 1)
      await file.append([{ type: "step.started", step: `s${step}` } as unknown as RunEvent]);
    await file.append([{ type: "run.finished", status: "completed" } as unknown as RunEvent]);
    await file.close();
    await tell({ type: "run.finished", run, status: "completed", durationMs: 1 });
    await wait(2);
  }
  await ledger.close();
}

/** Every line that stands, by ledger, in order. */
function standing(store: RunStore): Map<string, string[]> {
  const lines = new Map<string, string[]>();
  const add = (ledger: string, path: string): void => {
    const own = readFileSync(path, "utf8").split("\n").slice(0, -1);
    lines.set(ledger, [...(lines.get(ledger) ?? []), ...own]);
  };
  for (const pipeline of PIPELINES) {
    const rotated = readdirSync(store.pipelineDir(pipeline))
      .filter((name) => /^pipeline-.*\.jsonl$/.test(name))
      .toSorted((a, b) => nthOf(a) - nthOf(b));
    for (const name of rotated) add(pipeline, join(store.pipelineDir(pipeline), name));
    add(pipeline, store.pipelineLedger(pipeline));
    for (const run of store.list(pipeline)) add(run, store.runLedger(run));
  }
  return lines;
}

/** `pipeline-2026-11-28.jsonl` is the first of its day. */
function nthOf(name: string): number {
  return Number(/^pipeline-\d{4}-\d\d-\d\d-(\d+)\.jsonl$/.exec(name)?.[1] ?? "1");
}

function noted(notes: string): Map<string, string[]> {
  const lines = new Map<string, string[]>();
  const text = existsSync(notes) ? readFileSync(notes, "utf8") : "";
  for (const note of text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .slice(0, -1)) {
    const { ledger, raw } = JSON.parse(note) as { ledger: string; raw: string };
    const own = lines.get(ledger) ?? [];
    own.push(raw);
    lines.set(ledger, own);
  }
  return lines;
}

it("a reader that is killed goes on where it was", { timeout: 1_800_000 }, async () => {
  const { runs, root } = tempRoot();
  const store = new RunStore(runs);
  const notes = join(root, "notes");
  const kills = trials(12, 300);
  const start = (): ChildProcess => {
    const words = [follower, runs, notes];
    return endedWithTest(
      spawn(process.execPath, words, { stdio: ["ignore", "inherit", "inherit"] }),
    );
  };
  let isOver = false;
  const writing = Promise.all(PIPELINES.map((one) => writeUntil(store, one, () => isOver)));
  for (let kill = 0; kill < kills; kill += 1) {
    const child = start();
    await wait(60 + Math.random() * 250);
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  isOver = true;
  await writing;
  const stood = standing(store);
  const last = start();
  // Which ledgers lack which lines.
  const lacking = (): string[] => {
    const given = noted(notes);
    return [...stood].flatMap(([ledger, lines]) => {
      const own = new Set(given.get(ledger));
      const nths = lines.flatMap((line, nth) => (own.has(line) ? [] : [nth + 1]));
      return nths.length === 0 ? [] : [`${ledger}: ${nths.join(" ")}`];
    });
  };
  await vi.waitFor(() => expect(lacking()).toEqual([]), { timeout: 60_000, interval: 100 });
  // What would be given twice would come now.
  await wait(300);
  last.kill("SIGKILL");
  await once(last, "exit");
  const given = noted(notes);
  const good = [...stood].filter(([ledger, lines]) => {
    const own = given.get(ledger) ?? [];
    return own.length === lines.length && own.every((line, nth) => line === lines[nth]);
  });
  reached(
    42,
    `ledgers given whole and once over ${kills} kills of the reader`,
    good.length,
    stood.size,
  );
  expect(given.size).toBe(stood.size);
  expect(good.length).toBe(stood.size);
});
