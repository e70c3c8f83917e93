/**
 * Durable lines, one at a time and many at once. Beside them stand the write and the fdatasync that
 * a durable line needs.
 */
import { fdatasync, open, write } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { systemClock } from "../src/clock.ts";
import type { RunEvent } from "../src/core/event.ts";
import { LedgerFile } from "../src/ledger/ledger-file.ts";
import { inFolder } from "./bench-root.ts";
import { ownUs } from "./processor.ts";
import { Rounds, tookHere } from "./rounds.ts";
import { median, timed } from "./row.ts";
import type { Row } from "./row.ts";

const openAsync = promisify(open);
const syncAsync = promisify(fdatasync);
const writeAsync = promisify(write) as unknown as (fd: number, bytes: Buffer) => Promise<number>;

const header: RunEvent = {
  type: "run.submitted",
  format: 1,
  run: "bench@20261123T020000Z",
  pipeline: "bench",
  orchestratorRunId: "bench",
  trigger: { kind: "manual" },
  params: {},
  snapshot: { $artifact: "0".repeat(64), bytes: 1 },
  tags: [],
} as unknown as RunEvent;
const event = (step: number): RunEvent => ({
  type: "step.started",
  step: `step-${step}`,
  attempt: 1,
  because: "inputs ready",
});
const rawLine = Buffer.from(
  '{"seq":1000,"b":1000,"at":"2026-11-23T02:00:00.000Z",' +
    `${JSON.stringify(event(1000)).slice(1, -1)},"crc":"00000000"}\n`,
);

const SINGLE = 50;
const SINGLE_ROUNDS = 8;
const GROUPS = 30;
const GROUP = 500;

export async function run(): Promise<Row[]> {
  return inFolder(async (folder) => {
    const raw = await openAsync(join(folder, "raw.jsonl"), "w");
    const ledger = await LedgerFile.create<RunEvent>(join(folder, "bench.jsonl"), [header], {
      clock: systemClock,
      onFatal: (error) => {
        throw error;
      },
    });
    // In turn, so that other work of the disk falls on both.
    const single = new Rounds("append");
    const floor = new Rounds("write + fdatasync");
    const one = async (rounds: Rounds, warmup: number, once: () => unknown): Promise<void> => {
      const before = ownUs();
      const samples = await timed(SINGLE, warmup, once);
      const cpuUs = (ownUs() - before) / (SINGLE + warmup);
      rounds.add({ ms: median(samples) * 1_000, cpuUs });
    };
    for (let round = 0; round < SINGLE_ROUNDS; round += 1) {
      const warmup = round === 0 ? 20 : 0;
      await one(floor, warmup, async () => (await writeAsync(raw, rawLine), syncAsync(raw)));
      await one(single, warmup, () => ledger.append([event(round)]));
    }
    const many = new Rounds("append");
    const rawMany = new Rounds("the same bytes in one write + fdatasync");
    const block = Buffer.concat(Array.from({ length: GROUP }, () => rawLine));
    const appendAll = (): Promise<unknown> =>
      Promise.all(Array.from({ length: GROUP }, (_, index) => ledger.append([event(index)])));
    for (let round = 0; round < GROUPS; round += 1) {
      const written = await tookHere(async () => (await writeAsync(raw, block), syncAsync(raw)));
      rawMany.addRate(written, GROUP);
      many.addRate(await tookHere(appendAll), GROUP);
    }
    await ledger.close();
    return [
      { what: "one durable line", unit: "µs", orchd: single, beside: floor },
      {
        what: `${GROUP} appends at once, durable`,
        unit: "lines/s",
        orchd: many,
        beside: rawMany,
      },
    ];
  });
}
