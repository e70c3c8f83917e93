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
import { timed } from "./row.ts";
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

const SINGLE = 400;
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
    const single: number[] = [];
    const floor: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      floor.push(
        ...(await timed(
          SINGLE / 4,
          20,
          async () => (await writeAsync(raw, rawLine), syncAsync(raw)),
        )),
      );
      single.push(...(await timed(SINGLE / 4, 20, (index) => ledger.append([event(index)]))));
    }
    const many: number[] = [];
    const rawMany: number[] = [];
    const block = Buffer.concat(Array.from({ length: GROUP }, () => rawLine));
    for (let round = 0; round < GROUPS; round += 1) {
      rawMany.push(
        ...(await timed(1, 0, async () => (await writeAsync(raw, block), syncAsync(raw)))),
      );
      many.push(
        ...(await timed(1, 0, () =>
          Promise.all(Array.from({ length: GROUP }, (_, index) => ledger.append([event(index)]))),
        )),
      );
    }
    await ledger.close();
    const micros = (samples: number[]): number[] => samples.map((sample) => sample * 1000);
    const rates = (samples: number[]): number[] => samples.map((sample) => (GROUP / sample) * 1000);
    return [
      {
        what: "one durable line",
        unit: "µs",
        orchd: { name: "append", samples: micros(single) },
        beside: { name: "write + fdatasync", samples: micros(floor) },
      },
      {
        what: `${GROUP} appends at once, durable`,
        unit: "lines/s",
        orchd: { name: "append", samples: rates(many) },
        beside: { name: "the same bytes in one write + fdatasync", samples: rates(rawMany) },
      },
    ];
  });
}
