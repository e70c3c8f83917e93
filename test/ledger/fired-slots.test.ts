/** The slots that fired after a time: a clock that goes far back must not fire them again. */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { expect, it } from "vitest";
import type { PipelineEvent } from "../../src/core/event.ts";
import { firedSlotsAfter } from "../../src/ledger/fired-slots.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";
import { calm } from "./sample-ledgers.ts";

const T0 = Date.UTC(2026, 10, 23);
const slot = (minute: number): string => new Date(T0 + minute * 60_000).toISOString();
const skipped = (minute: number): PipelineEvent => ({
  type: "slot.skipped",
  slot: slot(minute),
  because: "paused",
});
const fired = (minute: number, schedule?: string): PipelineEvent => ({
  type: minute % 2 === 0 ? "slot.fired" : "slot.caught_up",
  slot: slot(minute),
  run: `p@${minute}`,
  ...(schedule === undefined ? {} : { schedule }),
});

/** A pipeline whose ledgers hold these lines. @returns the path of its present ledger */
async function ledgers(files: Readonly<Record<string, readonly PipelineEvent[]>>): Promise<string> {
  const path = new RunStore(tempRoot().runs).pipelineLedger("p");
  mkdirSync(dirname(path), { recursive: true });
  for (const [name, events] of Object.entries(files))
    await (
      await LedgerFile.create<PipelineEvent>(`${dirname(path)}/${name}`, events, calm())
    ).close();
  return path;
}

const NAMES = ["pipeline.jsonl", "pipeline-2026-11-23-10.jsonl", "pipeline-2026-11-23-2.jsonl"];
const OLDEST = "pipeline-2026-11-22.jsonl";

it("are found in the rotated ledgers, also where the present one has none yet", async () => {
  const [present, tenth, second] = NAMES as [string, string, string];
  const path = await ledgers({
    [present]: [skipped(9)],
    [tenth]: [fired(7), fired(8, "x")],
    [second]: [fired(5), fired(6)],
  });
  expect(firedSlotsAfter(path, T0)).toEqual([slot(5), slot(6), slot(7), `${slot(8)}.x`]);
  expect(firedSlotsAfter(path, T0 + 6 * 60_000)).toEqual([slot(7), `${slot(8)}.x`]);
});

it("are looked for from the newest ledger back, until one adds nothing", async () => {
  const [present, tenth, second] = NAMES as [string, string, string];
  const path = await ledgers({
    [present]: [fired(8)],
    [tenth]: [fired(7)],
    [second]: [fired(2), fired(3)],
    [OLDEST]: [fired(6)],
  });
  // The ledger of the day before is not read: the one after it has nothing so late.
  expect(firedSlotsAfter(path, T0 + 4 * 60_000)).toEqual([slot(7), slot(8)]);
  expect(firedSlotsAfter(path, T0)).toEqual([2, 3, 6, 7, 8].map(slot));
});

it("are none where there is no ledger, and are each named once", async () => {
  expect(firedSlotsAfter(new RunStore(tempRoot().runs).pipelineLedger("p"), 0)).toEqual([]);
  const path = await ledgers({ "pipeline.jsonl": [fired(4), fired(2), fired(4)] });
  expect(firedSlotsAfter(path, T0)).toEqual([slot(2), slot(4)]);
});
