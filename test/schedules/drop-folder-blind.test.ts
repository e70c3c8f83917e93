/**
 * The drop folder with a watcher that reports nothing but what a test says: the rescan every 15 s
 * must find everything by itself (promise 20), and each event has its wait.
 */
import { mkdirSync, rmSync, symlinkSync, renameSync, writeFileSync } from "node:fs";
import type * as Fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
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

type Hears = (...given: unknown[]) => void;

/** Watchers that say what a test wants. */
const watchers = vi.hoisted(() => ({
  open: [] as {
    readonly folder: string;
    readonly ignored: (path: string) => boolean;
    says(event: string, ...given: unknown[]): void;
    readonly of: object;
  }[],
}));

vi.mock("chokidar", () => ({
  FSWatcher: class {
    readonly #heard = new Map<string, Hears>();
    readonly #ignored: (path: string) => boolean;

    constructor({ ignored }: { ignored: (path: string) => boolean }) {
      this.#ignored = ignored;
    }

    add(folder: string): void {
      const says = (event: string, ...given: unknown[]): void => this.#heard.get(event)?.(...given);
      watchers.open.push({ folder, ignored: this.#ignored, says, of: this });
    }

    on(event: string, hears: Hears): void {
      this.#heard.set(event, hears);
    }

    close(): Promise<void> {
      watchers.open = watchers.open.filter(({ of }) => of !== this);
      return Promise.resolve();
    }
  },
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
  troubles: string[];
  within15s(): Promise<string[]>;
}> {
  const { schedules: dir } = tempRoot({ "schedules/a.yaml": "1" });
  const clock = new VirtualClock();
  const realNow = Date.now.bind(Date);
  if (old) vi.spyOn(Date, "now").mockImplementation(() => realNow() + 10_000);
  onTestFinished(() => void vi.restoreAllMocks());
  const log: string[] = [];
  const troubles: string[] = [];
  const folder = new DropFolder({
    dir,
    clock,
    onError: (error, what) => void troubles.push(`${what}: ${(error as Error).message}`),
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
    troubles,
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

describe("an event", () => {
  /** The watcher of a folder. */
  const watcherOf = (folder: string) => watchers.open.find((one) => one.folder === folder)!;
  const writeTo = (dir: string, text: string): void => writeFileSync(join(dir, "a.yaml"), text);

  it("is looked after 60 ms later, without another one", async () => {
    const { dir, clock, log } = await blind();
    writeTo(dir, "2");
    watcherOf(dir).says("raw", "change", "a.yaml");
    await clock.advance(59);
    expect(log).toEqual([]);
    await clock.advance(1);
    expect(log).toEqual(["+a.yaml"]);
  });

  it("is looked after 400 ms later, however many follow", async () => {
    const { dir, clock, log } = await blind();
    writeTo(dir, "2");
    for (let at = 0; at < 400; at += 50) {
      expect(log).toEqual([]);
      watcherOf(dir).says("raw", "change", "a.yaml");
      await clock.advance(at === 350 ? 49 : 50);
    }
    expect(log).toEqual([]);
    await clock.advance(1);
    expect(log).toEqual(["+a.yaml"]);
    // The next ones have their own 400 ms.
    writeTo(dir, "3");
    watcherOf(dir).says("raw", "change", "a.yaml");
    await clock.advance(60);
    expect(log).toHaveLength(2);
  });

  it("moves the next look to 15 s after the one that it asked for", async () => {
    const { dir, clock, log } = await blind();
    await clock.advance(10_000);
    watcherOf(dir).says("raw", "change", "a.yaml");
    await clock.advance(60);
    writeTo(dir, "2");
    await clock.advance(14_999);
    expect(log).toEqual([]);
    await clock.advance(1);
    expect(log).toEqual(["+a.yaml"]);
  });

  it("of a file that is gone is told 200 ms after the look, and none before", async () => {
    const { dir, clock, log } = await blind();
    rmSync(join(dir, "a.yaml"));
    watcherOf(dir).says("raw", "rename", "a.yaml");
    await clock.advance(60 + 199);
    expect(log).toEqual([]);
    await clock.advance(1);
    expect(log).toEqual(["-a.yaml"]);
  });

  it("of a folder that is gone is told for all files, a second after the look", async () => {
    const { dir, clock, log } = await blind();
    rmSync(dir, { recursive: true });
    watcherOf(dirname(dir)).says("raw", "rename", basename(dir));
    await clock.advance(60 + 999);
    expect(log).toEqual([]);
    await clock.advance(1);
    expect(log).toEqual(["-a.yaml"]);
  });

  it.each([
    ["a pipeline file", "b.yaml", true],
    ["no name", undefined, true],
    ["what is gone", "gone.txt", true],
    ["a folder", "..v1", true],
    ["a log", "x.log", false],
    ["a file of another kind", "a.txt", false],
  ])("that names %s asks for a look: %s, %s", async (_, name, asks) => {
    const { dir, clock, log } = await blind();
    mkdirSync(join(dir, "..v1"));
    for (const plain of ["x.log", "a.txt"]) writeFileSync(join(dir, plain), "1");
    writeTo(dir, "2");
    watcherOf(dir).says("raw", "change", name);
    await clock.advance(60);
    expect(log).toEqual(asks ? ["+a.yaml"] : []);
  });

  it("of a module is heard in its folder, as long as a pipeline is made from it", async () => {
    const { dir, clock, folder, log } = await blind();
    const lib = join(dirname(dir), "lib");
    mkdirSync(lib);
    writeFileSync(join(lib, "m.ts"), "1");
    folder.follow(join(dir, "a.yaml"), [join(dir, "a.yaml"), join(lib, "m.ts")], Date.now());
    await clock.advance(100);
    log.length = 0;
    writeFileSync(join(lib, "m.ts"), "2");
    watcherOf(lib).says("raw", "change", "m.ts");
    await clock.advance(60);
    expect(log).toEqual(["+a.yaml"]);
    folder.follow(join(dir, "a.yaml"), [join(dir, "a.yaml")], Date.now() + 60_000);
    await folder.rescan();
    expect(watchers.open.map((one) => one.folder)).toEqual([dir, dirname(dir)]);
  });
});

describe("a watcher", () => {
  it("watches the folder and no file in it, and asks for a look at its begin", async () => {
    const { dir, clock, log } = await blind();
    const one = watchers.open.find(({ folder }) => folder === dir)!;
    expect([one.ignored(dir), one.ignored(join(dir, "a.yaml"))]).toEqual([false, true]);
    writeFileSync(join(dir, "a.yaml"), "2");
    one.says("ready");
    await clock.advance(60);
    expect(log).toEqual(["+a.yaml"]);
  });

  it("that fails is made again: at once at first, then a second later, and told once", async () => {
    const { dir, clock, troubles } = await blind();
    const count = (): number => watchers.open.filter(({ folder }) => folder === dir).length;
    const fails = (code: string): void =>
      watchers.open
        .find(({ folder }) => folder === dir)!
        .says("error", Object.assign(new Error(code), { code }));
    fails("ENOSPC");
    expect(count()).toBe(0);
    await clock.advance(60);
    expect(count()).toBe(1);
    fails("ENOSPC");
    await clock.advance(999);
    expect(count()).toBe(0);
    await clock.advance(1);
    expect([count(), troubles]).toEqual([1, [`watching ${dir}: ENOSPC`]]);
    fails("EMFILE");
    await clock.advance(60);
    expect(troubles.slice(1)).toEqual([`watching ${dir}: EMFILE`]);
    // One that is there again has its next trouble told.
    watchers.open.find(({ folder }) => folder === dir)!.says("ready");
    fails("EMFILE");
    expect(troubles).toHaveLength(3);
  });

  it("is one of 256 at most: modules of further folders are found by looking", async () => {
    const { dir, folder } = await blind();
    const modules = Array.from({ length: 300 }, (_, nth) => {
      const path = join(dirname(dir), `m${nth}`);
      mkdirSync(path);
      writeFileSync(join(path, "m.ts"), "1");
      return join(path, "m.ts");
    });
    folder.follow(join(dir, "a.yaml"), modules, Date.now() + 60_000);
    expect(watchers.open).toHaveLength(256);
    await folder.rescan();
    expect(watchers.open).toHaveLength(256);
    await folder.close();
    expect(watchers.open).toEqual([]);
  });
});
