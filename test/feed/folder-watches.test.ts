/** Watches of folders, on a machine that gives so many and no more. */
import { EventEmitter } from "node:events";
import { mkdirSync, renameSync, type FSWatcher } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { FolderWatches } from "../../src/feed/folder-watches.ts";
import { tempRoot } from "../support/temp-root.ts";

const machine = vi.hoisted(() => ({
  left: Infinity,
  asked: 0,
  open: [] as { folder: string; tell: (event: string, name: string | null) => void }[],
}));

vi.mock("node:fs", async (original) => ({
  ...(await original<object>()),
  watch: (folder: string, _: object, tell: (event: string, name: string | null) => void) => {
    machine.asked += 1;
    if (machine.left <= 0) throw Object.assign(new Error("no watches"), { code: "ENOSPC" });
    machine.left -= 1;
    const one = { folder, tell };
    machine.open.push(one);
    return Object.assign(new EventEmitter(), {
      close: () => {
        machine.left += 1;
        machine.open.splice(machine.open.indexOf(one), 1);
      },
    }) as unknown as FSWatcher;
  },
}));

beforeEach(() => {
  machine.left = Infinity;
  machine.asked = 0;
  machine.open.length = 0;
});

function folders(count: number): string[] {
  const { root } = tempRoot();
  return Array.from({ length: count }, (_, n) => {
    mkdirSync(join(root, `f${n}`));
    return join(root, `f${n}`);
  });
}
const nothing = (): void => undefined;

describe("folders", () => {
  it("are watched once, and told to be watched before", () => {
    const [folder] = folders(1) as [string];
    const watches = new FolderWatches(10);
    expect([watches.watch(folder, nothing), watches.watch(folder, nothing)]).toEqual([false, true]);
    expect([machine.asked, watches.has(folder)]).toEqual([1, true]);
  });

  it("are watched anew where another folder took their path", () => {
    const [folder, other] = folders(2) as [string, string];
    const watches = new FolderWatches(10);
    watches.watch(folder, nothing);
    renameSync(folder, `${folder}-away`);
    renameSync(other, folder);
    expect(watches.watch(folder, nothing)).toBe(false);
    expect([machine.asked, machine.open.length]).toEqual([2, 1]);
  });

  it("are no more than may be, and none that is not there", () => {
    const all = folders(3);
    const watches = new FolderWatches(2);
    for (const folder of all) watches.watch(folder, nothing);
    watches.watch(`${all[0]!}-none`, nothing);
    expect([...watches.folders]).toEqual(all.slice(0, 2));
  });

  it("are not asked for again while the machine gives none, and are once one is free", () => {
    const [one, two, three] = folders(3) as [string, string, string];
    machine.left = 1;
    const watches = new FolderWatches(10);
    for (const folder of [one, two, three]) watches.watch(folder, nothing);
    expect([machine.asked, [...watches.folders]]).toEqual([2, [one]]);
    watches.end(one);
    expect(watches.watch(three, nothing)).toBe(false);
    expect([...watches.folders]).toEqual([three]);
  });

  it("tell the name that changed, a new ledger by the name that it gets", () => {
    const [folder] = folders(1) as [string];
    const watches = new FolderWatches(10);
    const told: (string | undefined)[] = [];
    watches.watch(folder, (name) => void told.push(name));
    for (const name of ["pipeline.jsonl", ".pipeline.jsonl.123-4", ".other.123-4", null])
      machine.open[0]!.tell("change", name);
    expect(told).toEqual(["pipeline.jsonl", "pipeline.jsonl", ".other.123-4", undefined]);
    watches.close();
    expect([machine.open.length, [...watches.folders]]).toEqual([0, []]);
  });
});
