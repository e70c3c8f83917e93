/**
 * The drop folder: whatever happens to it, in the end it has told what is there (promise 20).
 */
import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { pbkdf2 } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { systemClock, type Clock } from "../../src/clock.ts";
import { isPipelineFileName } from "../../src/core/pipeline-file-name.ts";
import { DropFolder, type DropFolderChanges } from "../../src/schedules/drop-folder.ts";
import { reachedByTests } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

interface Watched {
  readonly dir: string;
  readonly folder: DropFolder;
  readonly told: DropFolderChanges[];
  /** Every change that was told so far, in order, as `+name` and `-name`. */
  readonly log: string[];
  write(name: string, text: string): void;
  /** Resolves when the log holds `what` that many times. Rejects after 10 s. */
  seen(what: string, times?: number): Promise<void>;
}

async function watched(
  options: {
    clock?: Clock;
    before?: Record<string, string>;
    onChange?: (changes: DropFolderChanges) => Promise<void> | void;
  } = {},
): Promise<Watched> {
  const { schedules: dir } = tempRoot();
  for (const [name, text] of Object.entries(options.before ?? {}))
    writeFileSync(join(dir, name), text);
  const told: DropFolderChanges[] = [];
  const log: string[] = [];
  const waiting = new Set<() => void>();
  const folder = new DropFolder({
    dir,
    clock: options.clock ?? systemClock,
    async onChange(changes) {
      told.push(changes);
      log.push(
        ...changes.changed.map((path) => `+${basename(path)}`),
        ...changes.removed.map((path) => `-${basename(path)}`),
      );
      await options.onChange?.(changes);
      for (const look of waiting) look();
    },
  });
  onTestFinished(() => folder.close());
  await folder.start();
  return {
    dir,
    folder,
    told,
    log,
    write: (name, text) => writeFileSync(join(dir, name), text),
    seen: (what, times = 1) =>
      new Promise((resolve, reject) => {
        const late = (): Error =>
          new Error(`${what} was not told ${times} time(s) within 10 s, but ${log.join(" ")}`);
        const deadline = setTimeout(() => reject(late()), 10_000);
        const look = (): void => {
          if (log.filter((one) => one === what).length < times) return;
          clearTimeout(deadline);
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

it.each([
  ["a.yaml", true],
  ["a.yml", true],
  ["a.json", true],
  ["a.ts", true],
  ["a.mts", true],
  ["a.js", true],
  ["a.mjs", true],
  ["A.YAML", true],
  [".a.yaml", false],
  ["_a.yaml", false],
  ["a.d.ts", false],
  ["a.d.mts", false],
  ["a.yaml~", false],
  [".a.yaml.swp", false],
  ["#a.yaml#", false],
  ["a.yaml.tmp", false],
  ["4913", false],
  ["a.cts", false],
  ["a.txt", false],
  ["README.md", false],
  ["a", false],
  ["..data", false],
  ["a.yaml.bak", false],
  ["a.tsx", false],
] as const)("%s is a pipeline file: %s", (name, is) => expect(isPipelineFileName(name)).toBe(is));

describe("with the real watcher", () => {
  reachedByTests(20, "edits of a watched folder told");

  it("tells only pipeline files at the start, in the order of their names", async () => {
    const at = await watched({
      before: { "b.yaml": "1", "a.yaml": "1", ".c.yaml": "1", "notes.txt": "1" },
    });
    expect(at.log).toEqual(["+a.yaml", "+b.yaml"]);
    expect(at.folder.pipelineFiles.map((path) => basename(path))).toEqual(["a.yaml", "b.yaml"]);
  });

  it("tells no folder, and a file that gave way to one as removed", async () => {
    const at = await watched({ before: { "a.yaml": "1", "b.yaml": "1" } });
    expect(at.log).toEqual(["+a.yaml", "+b.yaml"]);
    mkdirSync(join(at.dir, "c.yaml"));
    rmSync(join(at.dir, "b.yaml"));
    mkdirSync(join(at.dir, "b.yaml"));
    await at.seen("-b.yaml");
    rmSync(join(at.dir, "b.yaml"), { recursive: true });
    at.write("b.yaml", "1");
    await at.seen("+b.yaml", 2);
    expect(at.log).toEqual(["+a.yaml", "+b.yaml", "-b.yaml", "+b.yaml"]);
  });

  it("tells what is made, changed and removed", async () => {
    const at = await watched();
    at.write("a.yaml", "1");
    await at.seen("+a.yaml");
    at.write("a.yaml", "22");
    await at.seen("+a.yaml", 2);
    unlinkSync(join(at.dir, "a.yaml"));
    await at.seen("-a.yaml");
    expect(at.log).toEqual(["+a.yaml", "+a.yaml", "-a.yaml"]);
  });

  it("does not take a file that an editor replaces for a removed one", async () => {
    const at = await watched({ before: { "a.yaml": "1" } });
    for (let round = 0; round < 5; round++) {
      // vim without a rename: the old one aside, a new one in its place.
      renameSync(join(at.dir, "a.yaml"), join(at.dir, "a.yaml~"));
      at.write("4913", "");
      unlinkSync(join(at.dir, "4913"));
      at.write("a.yaml", `v${round}`);
      unlinkSync(join(at.dir, "a.yaml~"));
      await at.seen("+a.yaml", round + 2);
      // An atomic save.
      at.write(".a.yaml.tmp", `w${round}${round}`);
      renameSync(join(at.dir, ".a.yaml.tmp"), join(at.dir, "a.yaml"));
      await at.folder.rescan();
      at.log.splice(round + 2);
    }
    expect(at.log).not.toContain("-a.yaml");
  });

  it("tells of a rename that the old name is missing before it counts as removed", async () => {
    const at = await watched({ before: { "a.yaml": "1" } });
    renameSync(join(at.dir, "a.yaml"), join(at.dir, "b.yaml"));
    await at.seen("-a.yaml");
    expect(at.log).toEqual(["+a.yaml", "+b.yaml", "-a.yaml"]);
    expect(at.told.map(({ missing }) => missing.map((path) => basename(path)))).toEqual([
      [],
      ["a.yaml"],
      [],
    ]);
  });

  it("tells a file again that was missing and came back as it was", async () => {
    const at = await watched({ before: { "a.yaml": "1" } });
    renameSync(join(at.dir, "a.yaml"), join(at.dir, "a.yaml~"));
    at.write("b.yaml", "1");
    await at.seen("+b.yaml");
    renameSync(join(at.dir, "a.yaml~"), join(at.dir, "a.yaml"));
    await at.seen("+a.yaml", 2);
    // On a busy machine it counts as removed in between.
    expect(at.log.filter((one) => one !== "-a.yaml")).toEqual(["+a.yaml", "+b.yaml", "+a.yaml"]);
  });

  it("tells nothing about a file that was only touched", async () => {
    const at = await watched({ before: { "a.yaml": "1" } });
    at.write("a.yaml", "2");
    await at.seen("+a.yaml", 2);
    utimesSync(join(at.dir, "a.yaml"), new Date(), new Date());
    await at.folder.rescan();
    expect(at.log).toEqual(["+a.yaml", "+a.yaml"]);
  });

  it("tells a changed mode, since it decides whether the file is safe", async () => {
    const at = await watched({ before: { "a.yaml": "1" } });
    await at.folder.rescan();
    chmodSync(join(at.dir, "a.yaml"), 0o666);
    await at.seen("+a.yaml", 2);
    expect(at.log).toEqual(["+a.yaml", "+a.yaml"]);
  });

  it("tells every file where the folder's mode changed, for the same reason", async () => {
    const at = await watched({ before: { "a.yaml": "1", "b.yaml": "1" } });
    await at.folder.rescan();
    chmodSync(at.dir, 0o775);
    await at.seen("+b.yaml", 2);
    chmodSync(at.dir, 0o755);
    await at.seen("+b.yaml", 3);
    expect(at.log.filter((one) => one === "+a.yaml")).toHaveLength(3);
    await at.folder.rescan();
    expect(at.log).toHaveLength(6);
  });

  it("sees a folder that is removed and made again", async () => {
    const at = await watched({ before: { "a.yaml": "1" } });
    rmSync(at.dir, { recursive: true });
    await at.seen("-a.yaml");
    mkdirSync(at.dir);
    at.write("b.yaml", "1");
    await at.seen("+b.yaml");
    // It goes on watching the new folder.
    at.write("c.yaml", "1");
    await at.seen("+c.yaml");
    expect(at.log).toEqual(["+a.yaml", "-a.yaml", "+b.yaml", "+c.yaml"]);
  });

  it("sees a link flipped as Kubernetes does", async () => {
    const at = await watched();
    for (const version of ["1", "2"]) {
      mkdirSync(join(at.dir, `..2026_${version}`));
      writeFileSync(join(at.dir, `..2026_${version}/a.yaml`), `v${version}`);
    }
    symlinkSync("..2026_1", join(at.dir, "..data"));
    symlinkSync("..data/a.yaml", join(at.dir, "a.yaml"));
    await at.seen("+a.yaml");
    symlinkSync("..2026_2", join(at.dir, "..data_tmp"));
    renameSync(join(at.dir, "..data_tmp"), join(at.dir, "..data"));
    await at.seen("+a.yaml", 2);
    rmSync(join(at.dir, "..2026_1"), { recursive: true });
    await at.folder.rescan();
    expect(at.log).toEqual(["+a.yaml", "+a.yaml"]);
  });

  it("misses none of a burst of 3,000", async () => {
    const at = await watched();
    for (let index = 0; index < 3_000; index++) at.write(`p${index}.yaml`, "x");
    await at.seen("+p2999.yaml");
    await at.folder.rescan();
    expect(new Set(at.log).size).toBe(3_000);
    expect(at.folder.pipelineFiles).toHaveLength(3_000);
  });

  it("tells a pipeline when one of its modules changes, appears or disappears", async () => {
    const at = await watched({ before: { "a.yaml": "1", "b.yaml": "1" } });
    mkdirSync(join(at.dir, "steps"));
    at.write("steps/s.ts", "1");
    at.folder.follow(join(at.dir, "a.yaml"), [
      join(at.dir, "a.yaml"),
      join(at.dir, "steps/s.ts"),
      join(at.dir, "steps/later.ts"),
    ]);
    await at.folder.rescan();
    const before = at.log.length;
    at.write("steps/later.ts", "1");
    await at.folder.rescan();
    at.write("steps/s.ts", "2");
    await at.folder.rescan();
    unlinkSync(join(at.dir, "steps/s.ts"));
    await at.folder.rescan();
    expect(at.log.slice(before)).toEqual(["+a.yaml", "+a.yaml", "+a.yaml"]);
    at.folder.follow(join(at.dir, "a.yaml"), []);
    await at.folder.rescan();
    const after = at.log.length;
    at.write("steps/later.ts", "3");
    await at.folder.rescan();
    expect(at.log.slice(after)).toEqual([]);
  });

  it("hears a change in a module's folder without being asked", async () => {
    const at = await watched({ before: { "a.yaml": "1" } });
    mkdirSync(join(at.dir, "deep"));
    at.write("deep/s.ts", "1");
    at.folder.follow(join(at.dir, "a.yaml"), [join(at.dir, "deep/s.ts")]);
    await at.folder.rescan();
    const before = at.log.length;
    at.write("deep/s.ts", "2");
    await at.seen("+a.yaml", before + 1);
    expect(new Set(at.log)).toEqual(new Set(["+a.yaml"]));
  });

  it("does not look again for a log beside it, or for data beside its modules", async () => {
    let looks = 0;
    const clock: Clock = {
      ...systemClock,
      after(milliseconds, callback) {
        if (milliseconds <= 60) looks += 1;
        return systemClock.after(milliseconds, callback);
      },
    };
    const at = await watched({ clock, before: { "a.yaml": "1" } });
    mkdirSync(join(at.dir, "steps"));
    at.write("steps/s.ts", "1");
    at.folder.follow(join(at.dir, "a.yaml"), [join(at.dir, "steps/s.ts")]);
    await at.folder.rescan();
    await at.seen("+a.yaml");
    at.write("a.yaml", "2");
    await at.seen("+a.yaml", 2);
    const before = looks;
    for (let line = 0; line < 50; line += 1) {
      at.write("../orchd.log", `${line}`);
      at.write("steps/out.csv", `${line}`);
      at.write("notes.txt", `${line}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    // It comes after all of these.
    at.write("a.yaml", "3");
    await at.seen("+a.yaml", 3);
    expect(looks - before).toBeLessThan(20);
  });

  it("takes a module that was written while its pipeline was loading as changed", async () => {
    let first = true;
    const at: Watched = await watched({
      before: { "a.yaml": "1" },
      onChange({ changed: [path] }) {
        if (!first || path === undefined) return;
        first = false;
        writeFileSync(join(path, "../_s.ts"), "written after it was read");
      },
    });
    at.folder.follow(join(at.dir, "a.yaml"), [join(at.dir, "_s.ts")]);
    await at.seen("+a.yaml", 2);
    expect(at.log).toEqual(["+a.yaml", "+a.yaml"]);
  });

  it("tells one thing after the other, and goes on after onChange failed", async () => {
    let inside = 0;
    let most = 0;
    const at = await watched({
      async onChange() {
        inside += 1;
        most = Math.max(most, inside);
        await new Promise((resolve) => setImmediate(resolve));
        inside -= 1;
        throw new Error("not taken in");
      },
    });
    for (const name of ["a.yaml", "b.yaml", "c.yaml"]) {
      at.write(name, "1");
      await Promise.all([at.folder.rescan(), at.folder.rescan()]);
    }
    expect(at.log).toEqual(["+a.yaml", "+b.yaml", "+c.yaml"]);
    expect(most).toBe(1);
  });
});

it("a rescan that was asked for stays one where it shares a look that waits already", async () => {
  const clock = new VirtualClock();
  let release: () => void = () => undefined;
  let isHeld = false;
  const at = await watched({
    clock,
    before: { "a.yaml": "1", "b.yaml": "1" },
    onChange: () => (isHeld ? new Promise((resolve) => (release = resolve)) : undefined),
  });
  isHeld = true;
  at.write("b.yaml", "22");
  const first = at.folder.rescan();
  await vi.waitFor(() => expect(at.log).toContain("+b.yaml"));
  // Files that were written a moment ago are looked at again, in passing: that look waits now.
  await clock.advance(5_000);
  unlinkSync(join(at.dir, "a.yaml"));
  const asked = at.folder.rescan();
  isHeld = false;
  release();
  await Promise.all([first, asked]);
  expect(at.log).toContain("-a.yaml");
});

it("watches a folder that was made again, not only the removed one", async () => {
  const realNow = Date.now.bind(Date);
  // No file counts as young, so a timer of 60 ms can only come from an event.
  vi.spyOn(Date, "now").mockImplementation(() => realNow() + 10_000);
  onTestFinished(() => void vi.restoreAllMocks());
  const clock = new VirtualClock();
  const at = await watched({ clock, before: { "a.yaml": "1" } });
  const event = async (): Promise<void> => {
    for (let turn = 0; (clock.untilNext ?? Infinity) > 400; turn++) {
      if (turn > 5_000) throw new Error("no event came");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await clock.advance(500);
  };
  rmSync(at.dir, { recursive: true });
  await event();
  mkdirSync(at.dir);
  await event();
  await clock.advance(2_000);
  at.write("b.yaml", "1");
  await event();
  expect(at.log).toContain("+b.yaml");
});

describe("without luck", () => {
  it("leaves no timer and no watcher behind", async () => {
    const clock = new VirtualClock();
    const at = await watched({ clock, before: { "a.yaml": "1" } });
    expect(clock.timers).toBeGreaterThan(0);
    await at.folder.close();
    expect(clock.timers).toBe(0);
    at.write("b.yaml", "1");
    await clock.advance(60_000);
    expect(at.log).toEqual(["+a.yaml"]);
  });

  it("survives a watcher that fails after it was closed", async () => {
    const { root, schedules } = tempRoot();
    // Keeps every thread of the file system busy, so that the watcher looks after all that follows.
    const busy = Array.from({ length: 8 }, () => promisify(pbkdf2)("", "", 100_000, 64, "sha512"));
    const folder = new DropFolder({
      dir: schedules,
      clock: new VirtualClock(),
      onChange: () => undefined,
    });
    const started = folder.start();
    rmSync(schedules, { recursive: true });
    symlinkSync("schedules", join(root, "schedules"));
    // An error without a listener is an unhandled rejection, which fails the test.
    await Promise.all([folder.close(), started, ...busy]);
    await expect(stat(schedules)).rejects.toThrow("ELOOP");
    await new Promise((resolve) => setImmediate(resolve));
  });

  it("keeps what it knew if the folder cannot be read", async () => {
    const { root } = tempRoot({ "schedules/a.yaml": "1" });
    const told: DropFolderChanges[] = [];
    const errors: string[] = [];
    const folder = new DropFolder({
      dir: join(root, "schedules"),
      clock: new VirtualClock(),
      onChange: (changes) => void told.push(changes),
      onError: (_, what) => errors.push(what),
    });
    onTestFinished(() => folder.close());
    await folder.start();
    rmSync(join(root, "schedules"), { recursive: true });
    symlinkSync("schedules", join(root, "schedules"));
    await folder.rescan();
    expect(errors).toContain("reading the drop folder");
    expect(told).toHaveLength(1);
    expect(folder.pipelineFiles).toHaveLength(1);
  });
});
