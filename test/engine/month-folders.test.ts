/** A month's folders are made ahead: of which pipelines, for how long, and what a fault does. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { makeMonthFolders } from "../../src/engine/month-folders.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import type { Log } from "../../src/log.ts";
import { diskError, faultyDisk } from "../disk/faulty-disk.ts";
import { tempRoot } from "../support/temp-root.ts";

const LAST = Date.UTC(2026, 10, 30, 23, 59, 59, 999);

function rig() {
  const store = new RunStore(tempRoot().runs);
  const told: string[] = [];
  const log = {
    warn: (of: { pipeline: string }, text: string) => told.push(`${of.pipeline}: ${text}`),
  } as unknown as Log;
  const disk = faultyDisk();
  const onFatal = (error: Error): void => void told.push(`fatal: ${error.message}`);
  return { store, told, disk, ports: { log, store, disk, onFatal } };
}
const hasMonth = (store: RunStore, pipeline: string, month: string): boolean =>
  existsSync(`${store.pipelineDir(pipeline)}/${month}`);

it.each([
  [LAST, "2026-11"],
  [LAST + 1, "2026-12"],
])("of all pipelines, at %i the folder of %s", async (at, month) => {
  const { store, told, ports } = rig();
  const names = Array.from({ length: 9 }, (_, nth) => `p${nth}`);
  await makeMonthFolders(names, at, ports, () => true);
  expect(names.filter((name) => !hasMonth(store, name, month))).toEqual([]);
  expect(told).toEqual([]);
});

it("until they are not wanted any more", async () => {
  const { store, ports } = rig();
  let wanted = 5;
  const names = Array.from({ length: 20 }, (_, nth) => `p${nth}`);
  await makeMonthFolders(names, LAST, ports, () => (wanted -= 1) >= 0);
  expect(names.filter((name) => hasMonth(store, name, "2026-11"))).toHaveLength(5);
});

it("of the others too where one cannot be made, which is told", async () => {
  const { store, told, ports } = rig();
  mkdirSync(store.runsDir, { recursive: true });
  writeFileSync(store.pipelineDir("b"), "");
  await makeMonthFolders(["a", "b", "c", "d", "e", "f"], LAST, ports, () => true);
  expect(told).toEqual(["b: a month's folder could not be made ahead"]);
  expect(["a", "c", "d", "e", "f"].map((name) => hasMonth(store, name, "2026-11"))).toEqual(
    Array(5).fill(true),
  );
});

it("and a disk that fails under one ends the daemon, as it does under a ledger", async () => {
  const { store, told, disk, ports } = rig();
  disk.before = (call) => (call === "fsync" ? diskError("EIO") : undefined);
  await makeMonthFolders(["a"], LAST, ports, () => true);
  expect(told).toEqual([expect.stringMatching(/^fatal: Making a month's folder in /)]);
  expect(told[0]).toContain(store.runsDir);
});
