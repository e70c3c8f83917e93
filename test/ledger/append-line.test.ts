/** A line that a command leaves in a pipeline's ledger: it is durable, or given up. */
import { mkdirSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { appendLine } from "../../src/ledger/append-line.ts";
import { LedgerBlocked } from "../../src/ledger/ledger-error.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { systemDisk } from "../../src/disk/disk.ts";
import { diskError } from "../disk/faulty-disk.ts";
import { pipelineLedger } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const PRUNED = { type: "runs.pruned", until: "2026-11-23T02:00:00.000Z", runs: 3 } as const;

it("stands at the end of the ledger, which nobody has open then", async () => {
  const store = new RunStore(tempRoot().runs);
  const clock = new VirtualClock();
  for (const runs of [1, 2]) await appendLine(store.runsDir, "p", { ...PRUNED, runs }, clock);
  const lines = pipelineLedger(store.runsDir, "p").filter(({ type }) => type === "runs.pruned");
  expect(lines.map(({ runs }) => runs)).toEqual([1, 2]);
  expect(clock.timers).toBe(0);
});

it("is given up where the disk is full, and the ledger is as it was", async () => {
  const store = new RunStore(tempRoot().runs);
  const clock = new VirtualClock();
  await appendLine(store.runsDir, "p", PRUNED, clock);
  const before = pipelineLedger(store.runsDir, "p");
  // Opening a ledger writes its last line again, in its place, which takes no room.
  const real = systemDisk.write.bind(systemDisk);
  const full = vi.spyOn(systemDisk, "write");
  full.mockImplementationOnce(real).mockRejectedValue(diskError("ENOSPC"));
  try {
    await appendLine(store.runsDir, "p", { ...PRUNED, runs: 9 }, clock);
  } finally {
    full.mockRestore();
  }
  expect(pipelineLedger(store.runsDir, "p")).toEqual(before);
  expect(clock.timers).toBe(0);
});

it("is told where its path is bad", async () => {
  const store = new RunStore(tempRoot().runs);
  mkdirSync(store.pipelineLedger("p"), { recursive: true });
  await expect(appendLine(store.runsDir, "p", PRUNED, new VirtualClock())).rejects.toBeInstanceOf(
    LedgerBlocked,
  );
});
