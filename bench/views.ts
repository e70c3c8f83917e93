/**
 * What a page reads of 1,000 pipelines and 100,000 runs: their status and the Overview, beside raw
 * reading of the ledgers' ends (64 KiB of each, its lines parsed). At first, and again with what is
 * remembered.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { HOUR_MS } from "../src/core/time.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { readOverview } from "../src/views/overview-reading.ts";
import { PipelineMemory } from "../src/views/pipeline-memory.ts";
import { readStatus } from "../src/views/status-view.ts";
import { inFolder } from "./bench-root.ts";
import { history, type Shape } from "./history.ts";
import { Rounds, tookHere } from "./rounds.ts";
import type { BenchOptions, Row } from "./row.ts";

const ROUNDS = 10;
const END_BYTES = 65_536;
const PIPELINES = 1_000;
const RUNS_EACH = 100;

export async function run({ short, runs: wanted }: BenchOptions): Promise<Row[]> {
  const runs = wanted ?? (short ? PIPELINES / 5 : PIPELINES) * RUNS_EACH;
  const shape: Shape = { pipelines: runs / RUNS_EACH, cron: "0 * * * *", everyMs: HOUR_MS };
  const sides = {
    raw: new Rounds("read and parse the ends"),
    statusFirst: new Rounds("status, first"),
    status: new Rounds("status, again"),
    overviewFirst: new Rounds("overview, first"),
    overview: new Rounds("overview, again"),
  };
  await inFolder(async (root) => {
    history(root, runs, 0, 0, shape);
    const roots = { root, schedules: join(root, "schedules"), runs: join(root, "runs") };
    const store = new RunStore(roots.runs);
    const paths = store.pipelines().map((name) => store.pipelineLedger(name));
    const memory = new PipelineMemory(store);
    const now = Date.now();
    const acts: readonly (readonly [Rounds, () => unknown])[] = [
      [sides.raw, () => paths.map(readEnd)],
      [sides.statusFirst, () => readStatus(roots, undefined, now)],
      [sides.status, () => readStatus(roots, undefined, now, (name) => memory.view(name, now))],
      [sides.overviewFirst, () => readOverview(roots, now)],
      [sides.overview, () => readOverview(roots, now, memory)],
    ];
    for (let round = -1; round < ROUNDS; round += 1)
      for (const [rounds, act] of acts) {
        const took = await tookHere(act);
        if (round >= 0) rounds.add(took);
      }
  });
  const what = `${shape.pipelines.toLocaleString("en")} pipelines`;
  const row = (name: string, orchd: Rounds, atMost: number): Row => ({
    what: `${name} of ${what}`,
    unit: "ms",
    orchd,
    beside: sides.raw,
    goal: { of: "ratio", atMost },
  });
  return [
    row("first status", sides.statusFirst, 3),
    row("next status", sides.status, 3),
    row("first overview", sides.overviewFirst, 6),
    row("next overview", sides.overview, 3),
  ];
}

function readEnd(path: string): number {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.allocUnsafe(Math.min(size, END_BYTES));
    readSync(fd, bytes, 0, bytes.length, size - bytes.length);
    const lines = bytes.toString("utf8").split("\n").slice(1, -1);
    return lines.map((line) => JSON.parse(line) as unknown).length;
  } finally {
    closeSync(fd);
  }
}
