/**
 * Ledgers for tests. LedgerFile itself writes them, so a change of the writer shows in every test
 * of a reader.
 */
import { join } from "node:path";
import type { RunEvent } from "../../src/core/event.ts";
import { LedgerFile, type LedgerOptions } from "../../src/ledger/ledger-file.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** A small event for any ledger. */
export interface Note {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The header of a run. */
export function header(run: string, more: Partial<RunEvent> = {}): RunEvent {
  return {
    type: "run.submitted",
    format: 1,
    run,
    pipeline: run.split("@")[0]!,
    orchestratorRunId: run,
    trigger: { kind: "schedule" },
    params: {},
    snapshot: { name: run.split("@")[0]!, steps: [] },
    tags: [],
    ...more,
  } as unknown as RunEvent;
}

/** Options that fail the test if the ledger fails. */
export function calm<E>(more: Partial<LedgerOptions<E>> = {}): LedgerOptions<E> {
  return {
    clock: new VirtualClock(),
    onFatal: (error) => {
      throw error;
    },
    ...more,
  };
}

/** Writes a ledger of these batches, one write each, and gives its path. */
export async function writeLedger(
  folder: string,
  batches: readonly (readonly Note[])[],
  name = "a.jsonl",
): Promise<string> {
  const path = join(folder, name);
  const file = await LedgerFile.create<Note>(path, batches[0]!, calm());
  for (const batch of batches.slice(1)) await file.append(batch);
  await file.close();
  return path;
}

/** Seven lines in four writes: 1, 2-3, 4, 5-7. */
export const SEVEN: readonly (readonly Note[])[] = [
  [{ type: "run.submitted", format: 1, run: "p@1" }],
  [
    { type: "run.started", because: "ünï ☃ 🚀" },
    { type: "step.started", step: "a" },
  ],
  [
    {
      type: "step.completed",
      step: "a",
      outputs: { result: { crc: "x", n: 1.5, list: [null, true] } },
    },
  ],
  [
    { type: "step.started", step: "b" },
    { type: "step.started", step: "c" },
    { type: "step.started", step: "d" },
  ],
];
