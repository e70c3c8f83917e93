/**
 * The drop folder with a watcher that never reports anything: the rescan every 15 s must find
 * everything by itself (promise 20).
 */
import { mkdirSync, rmSync, symlinkSync, renameSync, writeFileSync } from "node:fs";
import type * as Fs from "node:fs";
import { basename, join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { DropFolder } from "../../src/schedules/drop-folder.ts";
import { reachedByTests } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** If on, the file system's times are whole seconds, as on some file systems. */
const coarse = vi.hoisted(() => ({ on: false }));

vi.mock("node:fs", async (original) => {
  const real = await original<typeof Fs>();
  const statSync = (path: string, options: { bigint: true; throwIfNoEntry: false }): unknown => {
    const stats = real.statSync(path, options);
    if (stats === undefined || !coarse.on) return stats;
    const whole = (nanoseconds: bigint): bigint => nanoseconds - (nanoseconds % 1_000_000_000n);
    return Object.assign(stats, { mtimeNs: whole(stats.mtimeNs), ctimeNs: whole(stats.ctimeNs) });
  };
  return { ...real, statSync };
});

vi.mock("chokidar", () => ({
  watch: () => ({ on: () => undefined, close: () => Promise.resolve() }),
}));

/**
 * With `old`, every file looks as if it was written ten seconds ago, so that only the 15 s make the
 * folder look again.
 */
async function blind({ old = true } = {}): Promise<{
  dir: string;
  clock: VirtualClock;
  log: string[];
  folder: DropFolder;
  within15s(): Promise<string[]>;
}> {
  const { schedules: dir } = tempRoot({ "schedules/a.yaml": "1" });
  const clock = new VirtualClock();
  const realNow = Date.now.bind(Date);
  if (old) vi.spyOn(Date, "now").mockImplementation(() => realNow() + 10_000);
  onTestFinished(() => void vi.restoreAllMocks());
  const log: string[] = [];
  const folder = new DropFolder({
    dir,
    clock,
    onChange: ({ changed, removed }) =>
      void log.push(
        ...changed.map((path) => `+${basename(path)}`),
        ...removed.map((path) => `-${basename(path)}`),
      ),
  });
  onTestFinished(() => folder.close());
  await folder.start();
  expect(log).toEqual(["+a.yaml"]);
  log.length = 0;
  return {
    dir,
    clock,
    log,
    folder,
    async within15s() {
      log.length = 0;
      await clock.advance(15_000);
      return [...log];
    },
  };
}

reachedByTests(20, "edits told though the watcher misses everything");

it("finds new, changed and atomically saved files", async () => {
  const at = await blind();
  writeFileSync(join(at.dir, "b.yaml"), "1");
  writeFileSync(join(at.dir, "a.yaml"), "2");
  expect(await at.within15s()).toEqual(["+a.yaml", "+b.yaml"]);
  writeFileSync(join(at.dir, ".c"), "3");
  renameSync(join(at.dir, ".c"), join(at.dir, "b.yaml"));
  expect(await at.within15s()).toEqual(["+b.yaml"]);
  expect(await at.within15s()).toEqual([]);
});

it("finds another content of the same length, written within the same tick", async () => {
  coarse.on = true;
  onTestFinished(() => void (coarse.on = false));
  const at = await blind({ old: false });
  writeFileSync(join(at.dir, "a.yaml"), "2");
  await at.folder.rescan();
  for (const text of ["3", "4", "5"]) {
    writeFileSync(join(at.dir, "a.yaml"), text);
    await at.folder.rescan();
  }
  expect(at.log).toEqual(["+a.yaml", "+a.yaml", "+a.yaml", "+a.yaml"]);
});

it("finds a removed file, a removed folder and one made again", async () => {
  const at = await blind();
  rmSync(join(at.dir, "a.yaml"));
  expect(await at.within15s()).toEqual([]);
  // It is missing at the end of those 15 s, and again 200 ms later.
  await at.clock.advance(200);
  expect(at.log).toEqual(["-a.yaml"]);
  writeFileSync(join(at.dir, "b.yaml"), "1");
  expect(await at.within15s()).toEqual(["+b.yaml"]);
  rmSync(at.dir, { recursive: true });
  await at.clock.advance(15_000 + 1_000);
  expect(at.log.at(-1)).toBe("-b.yaml");
  mkdirSync(at.dir);
  writeFileSync(join(at.dir, "c.yaml"), "1");
  expect(await at.within15s()).toEqual(["+c.yaml"]);
});

it("takes a file that is missing for a moment as changed, not as removed", async () => {
  const at = await blind();
  rmSync(join(at.dir, "a.yaml"));
  await at.clock.advance(15_000);
  expect(at.log).toEqual([]);
  writeFileSync(join(at.dir, "a.yaml"), "other");
  await at.clock.advance(200);
  expect(at.log).toEqual(["+a.yaml"]);
});

it("finds a flipped link and a changed module", async () => {
  const at = await blind();
  for (const version of ["1", "2"]) {
    mkdirSync(join(at.dir, `..v${version}`));
    writeFileSync(join(at.dir, `..v${version}/k.yaml`), version);
  }
  symlinkSync("..v1", join(at.dir, "..data"));
  symlinkSync("..data/k.yaml", join(at.dir, "k.yaml"));
  expect(await at.within15s()).toEqual(["+k.yaml"]);
  symlinkSync("..v2", join(at.dir, "..data2"));
  renameSync(join(at.dir, "..data2"), join(at.dir, "..data"));
  expect(await at.within15s()).toEqual(["+k.yaml"]);
  writeFileSync(join(at.dir, "_s.ts"), "1");
  at.folder.follow(join(at.dir, "a.yaml"), [join(at.dir, "_s.ts")]);
  await at.within15s();
  writeFileSync(join(at.dir, "_s.ts"), "2");
  expect(await at.within15s()).toEqual(["+a.yaml"]);
});
