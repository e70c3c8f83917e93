import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs, {
  chmodSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate as nextTurn } from "node:timers/promises";
import { tryLock, unlock } from "fs-native-extensions";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import {
  isAlive,
  newestEpoch,
  readDaemon,
  readEpoch,
  readHolder,
} from "../../src/ledger/daemon-info.ts";
import { systemDisk } from "../../src/disk/disk.ts";
import { FolderLockHeld, withFolderLock } from "../../src/ledger/folder-lock.ts";
import {
  acquireDaemonLock,
  DaemonLockHeld,
  waitForDaemonLock,
  type DaemonLock,
} from "../../src/ledger/lock.ts";
import { diskError } from "../disk/faulty-disk.ts";
import { folderLockOwnerPath, folderLockPath } from "../../src/ledger/stale-folder-lock.ts";
import { recordDiskCalls } from "../support/disk-calls.ts";
import { projectRoot, tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const folder = (): string => join(tempRoot().runs, ".orchd");

async function acquire(orchdDir: string, clock = new VirtualClock()): Promise<DaemonLock> {
  const lock = await acquireDaemonLock(orchdDir, { clock, version: "1.2.3", tz: "2026c" });
  onTestFinished(() => lock.release());
  return lock;
}

/**
 * A process that tries to take the lock, prints the result, and keeps the lock until it is ended.
 */
async function contender(orchdDir: string): Promise<{
  readonly child: ChildProcess;
  readonly said: string;
  readonly nextWord: () => Promise<string>;
}> {
  const built = (file: string): string => JSON.stringify(join(projectRoot, "dist/src", file));
  const source = `
    import { acquireDaemonLock } from ${built("ledger/lock.js")};
    import { systemClock } from ${built("clock.js")};
    try {
      const lock = await acquireDaemonLock(${JSON.stringify(orchdDir)}, { clock: systemClock });
      lock.onLost(() => { console.log("lost"); process.exit(7); });
      console.log("held " + lock.epoch);
    } catch (error) {
      console.log(error.name);
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextWord = async (): Promise<string> => String((await lines.next()).value);
  return { child, said: await nextWord(), nextWord };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

describe("the lock", () => {
  it("belongs to one process, and a second one learns to which", async () => {
    const orchdDir = folder();
    const lock = await acquire(orchdDir);
    expect(lock.epoch).toBe(1);
    await expect(acquireDaemonLock(orchdDir, { clock: new VirtualClock() })).rejects.toThrow(
      `${orchdDir} is held by a daemon, process ${process.pid}, since 2026-11-23T02:00:00.000Z. ` +
        "Stop it first, or use another runs folder.",
    );
    expect((await contender(orchdDir)).said).toBe("DaemonLockHeld");
    expect(lock.stillHeld()).toBe(true);
  });

  it("is free after its release, also where that cannot be told", async () => {
    const orchdDir = folder();
    const lock = await acquire(orchdDir);
    const told = join(orchdDir, "epoch", "1");
    rmSync(told);
    mkdirSync(told);
    await lock.release();
    rmSync(told, { recursive: true });
    expect((await acquire(orchdDir)).stillHeld()).toBe(true);
  });

  it.each(["ENOSPC", "EIO"])("is free after a release that met %s", async (code) => {
    const orchdDir = folder();
    const lock = await acquire(orchdDir);
    const spy = vi.spyOn(systemDisk, "fdatasync").mockRejectedValue(diskError(code));
    onTestFinished(() => spy.mockRestore());
    const released = lock.release();
    // A disk that lacks room is no fault. One that fails is, and nobody may take it for well.
    if (code === "EIO") await expect(released).rejects.toThrow("EIO");
    else await released;
    spy.mockRestore();
    rmSync(join(orchdDir, "epoch", "1"));
    expect((await acquire(orchdDir)).stillHeld()).toBe(true);
  });

  it("is free after its release, and the next epoch is greater", async () => {
    const orchdDir = folder();
    await (await acquire(orchdDir)).release();
    expect(readHolder(orchdDir)).toBeNull();
    const next = await acquire(orchdDir);
    expect(next.epoch).toBe(2);
    await next.release();
    await next.release();
    expect(readdirSync(join(orchdDir, "epoch")).toSorted()).toEqual(["1", "2"]);
  });

  it("of a copy that was made while it was held says what to do", async () => {
    const orchdDir = folder();
    const held = await acquire(orchdDir);
    const copy = join(folder(), "copy");
    cpSync(orchdDir, copy, { recursive: true });
    await expect(acquire(copy)).rejects.toThrow(
      `is a copy of the one that it has, remove ${join(copy, "epoch")} here.`,
    );
    rmSync(join(copy, "epoch/1"));
    expect((await acquire(copy)).epoch).toBe(1);
    expect(held.stillHeld()).toBe(true);
    const same = acquire(orchdDir);
    await expect(same).rejects.toThrow(/or use another runs folder\.$/);
  });

  it("is taken under an epoch that is durable: no power cut gives it to another", async () => {
    const orchdDir = folder();
    await (await acquire(orchdDir)).release();
    const calls = recordDiskCalls();
    const lock = await acquire(orchdDir);
    const epochs = join(orchdDir, "epoch");
    expect(calls.filter((call) => call.startsWith("sync "))).toEqual([`sync ${epochs}`]);
    await lock.setReady();
    expect(calls.slice(-2)).toEqual([`rename ${join(epochs, "2")}`, `sync ${epochs}`]);
  });

  it("says before it is free that its holder has left, so a prompt restart may begin", async () => {
    const orchdDir = folder();
    const lock = await acquire(orchdDir);
    await lock.setReady();
    const fd = openSync(join(orchdDir, "daemon.lock"), "a+");
    onTestFinished(() => closeSync(fd));
    expect(tryLock(fd)).toBe(false);
    const released = lock.release();
    while (!tryLock(fd)) await nextTurn();
    expect(readEpoch(orchdDir, 1)).toMatchObject({ released: true, ready: false });
    unlock(fd);
    await released;
  });

  it("is free after kill -9, even before the process is reaped", async () => {
    const orchdDir = folder();
    const { child, said } = await contender(orchdDir);
    expect(said).toBe("held 1");
    expect(readHolder(orchdDir)?.pid).toBe(child.pid);
    await end(child, "SIGKILL");
    expect(readHolder(orchdDir)).toBeNull();
    expect((await acquire(orchdDir)).epoch).toBe(2);
  });

  it("is kept by a stopped process, even if the lock file is removed", async () => {
    const orchdDir = folder();
    const { child } = await contender(orchdDir);
    child.kill("SIGSTOP");
    await expect(acquireDaemonLock(orchdDir, { clock: new VirtualClock() })).rejects.toThrow(
      DaemonLockHeld,
    );
    unlinkSync(join(orchdDir, "daemon.lock"));
    await expect(acquireDaemonLock(orchdDir, { clock: new VirtualClock() })).rejects.toThrow(
      DaemonLockHeld,
    );
    expect(newestEpoch(orchdDir)).toBe(1);
    await end(child, "SIGKILL");
    expect((await acquire(orchdDir)).epoch).toBe(2);
  });

  it("is given up within seconds by a holder whose lock file is gone", async () => {
    const orchdDir = folder();
    const { child, nextWord } = await contender(orchdDir);
    const exited = once(child, "exit");
    unlinkSync(join(orchdDir, "daemon.lock"));
    expect(await nextWord()).toBe("lost");
    expect(await exited).toEqual([7, null]);
  });

  it("calls its holder once, whether the file was removed or replaced", async () => {
    for (const spoil of [
      unlinkSync,
      (path: string): void => (unlinkSync(path), writeFileSync(path, "")),
    ]) {
      const orchdDir = folder();
      const clock = new VirtualClock();
      const lock = await acquire(orchdDir, clock);
      let told = 0;
      lock.onLost(() => (told += 1));
      await clock.advance(4_000);
      expect([told, lock.stillHeld(), clock.timers]).toEqual([0, true, 1]);
      spoil(join(orchdDir, "daemon.lock"));
      await clock.advance(1_000);
      expect([told, lock.stillHeld(), clock.timers]).toEqual([1, false, 0]);
      lock.onLost(() => (told += 1));
      expect(told).toBe(2);
    }
  });

  it("is held by its lock file alone if the epochs cannot be read", async () => {
    const orchdDir = folder();
    const clock = new VirtualClock();
    const lock = await acquire(orchdDir, clock);
    rmSync(join(orchdDir, "epoch"), { recursive: true });
    writeFileSync(join(orchdDir, "epoch"), "");
    await clock.advance(5_000);
    expect(lock.stillHeld()).toBe(true);
    rmSync(join(orchdDir, "daemon.lock"));
    expect(lock.stillHeld()).toBe(false);
  });

  it("is held while its folder may not be entered, and not where that is no folder", async () => {
    const orchdDir = folder();
    const clock = new VirtualClock();
    const lock = await acquire(orchdDir, clock);
    let told = 0;
    lock.onLost(() => (told += 1));
    chmodSync(orchdDir, 0);
    // Root enters each folder.
    if (process.getuid!() === 0) process.seteuid!(65534);
    try {
      await clock.advance(5_000);
      expect([lock.stillHeld(), told]).toEqual([true, 0]);
    } finally {
      if (process.getuid!() === 0) process.seteuid!(0);
      chmodSync(orchdDir, 0o750);
    }
    renameSync(orchdDir, `${orchdDir}.moved`);
    writeFileSync(orchdDir, "");
    await clock.advance(5_000);
    expect([lock.stillHeld(), told]).toEqual([false, 1]);
    rmSync(orchdDir);
    renameSync(`${orchdDir}.moved`, orchdDir);
  });

  it("writes its epoch file again if somebody removed it", async () => {
    const orchdDir = folder();
    const clock = new VirtualClock();
    const lock = await acquire(orchdDir, clock);
    await lock.setReady();
    rmSync(join(orchdDir, "epoch"), { recursive: true });
    expect(readDaemon(orchdDir)).toBeNull();
    await clock.advance(1_000);
    await clock.until(() => readDaemon(orchdDir) !== null);
    expect(readDaemon(orchdDir)).toMatchObject({ pid: process.pid, ready: true });
    expect(lock.stillHeld()).toBe(true);
  });

  it("is refused within its own process too, where somebody removed the lock file", async () => {
    const orchdDir = folder();
    await acquire(orchdDir);
    unlinkSync(join(orchdDir, "daemon.lock"));
    await expect(acquire(orchdDir)).rejects.toBeInstanceOf(DaemonLockHeld);
  });

  it("goes to one of many that want it at once", async () => {
    const orchdDir = folder();
    const all = await Promise.all(Array.from({ length: 6 }, () => contender(orchdDir)));
    expect(all.filter(({ said }) => said.startsWith("held"))).toHaveLength(1);
    expect(all.filter(({ said }) => said === "DaemonLockHeld")).toHaveLength(5);
  });
});

describe("what happens as the lock is taken", () => {
  /** Acts at each call of a function of `fs`, until the test ends. */
  function at(name: "openSync" | "writeFileSync", act: (given: readonly unknown[]) => void): void {
    const real = fs[name] as (...given: unknown[]) => unknown;
    const spy = vi.spyOn(fs, name).mockImplementation((...given: unknown[]) => {
      const result = real(...given);
      act(given);
      return result as never;
    });
    syncBuiltinESMExports();
    onTestFinished(() => {
      spy.mockRestore();
      syncBuiltinESMExports();
    });
  }

  it("does not count where somebody replaced the file: the new one is locked", async () => {
    const orchdDir = folder();
    const path = join(orchdDir, "daemon.lock");
    let replaced = 0;
    at("openSync", ([opened]) => {
      if (opened !== path || (replaced += 1) > 3) return;
      unlinkSync(path);
      writeFileSync(path, "");
    });
    const lock = await acquire(orchdDir);
    expect([replaced, lock.stillHeld()]).toEqual([4, true]);
    const fd = openSync(path, "a+");
    onTestFinished(() => closeSync(fd));
    expect(tryLock(fd)).toBe(false);
  });

  it("is a sentence where somebody replaces it without end", async () => {
    const orchdDir = folder();
    const path = join(orchdDir, "daemon.lock");
    at("openSync", ([opened]) => {
      if (opened === path) unlinkSync(path);
    });
    await expect(acquire(orchdDir)).rejects.toThrow(`${path} is replaced again and again`);
  });

  it("is that an epoch is durable before it has its name", async () => {
    const orchdDir = folder();
    const written: unknown[] = [];
    at("writeFileSync", ([path, , how]) => {
      const epoch = join(orchdDir, "epoch");
      if (!String(path).startsWith(epoch)) return;
      written.push([how, readdirSync(epoch).filter((name) => !name.startsWith("."))]);
    });
    await acquire(orchdDir);
    expect(written).toEqual([[{ mode: 0o644, flush: true }, []]]);
  });
});

it("what the holder tells is told although the time before could not be written", async () => {
  const orchdDir = folder();
  const lock = await acquire(orchdDir);
  const failing = vi.spyOn(systemDisk, "rename").mockRejectedValueOnce(new Error("no room"));
  onTestFinished(() => failing.mockRestore());
  await expect(lock.setReady()).rejects.toThrow("no room");
  await lock.setRuns(["p@20260101T000000Z"]);
  expect(readHolder(orchdDir)).toMatchObject({ ready: true, runs: ["p@20260101T000000Z"] });
});

describe("what other processes learn", () => {
  it("is that a daemon runs, and whether it is ready", async () => {
    const orchdDir = folder();
    expect(readDaemon(orchdDir)).toBeNull();
    const lock = await acquire(orchdDir);
    const info = {
      pid: process.pid,
      since: "2026-11-23T02:00:00.000Z",
      version: "1.2.3",
      tz: "2026c",
    };
    expect(readDaemon(orchdDir)).toEqual({ ...info, ready: false });
    await lock.setReady();
    expect(readDaemon(orchdDir)).toEqual({ ...info, ready: true });
    await lock.release();
    expect(readDaemon(orchdDir)).toBeNull();
  });

  it("is no daemon if a run in the foreground holds the lock", async () => {
    const orchdDir = folder();
    const lock = await acquireDaemonLock(orchdDir, {
      clock: new VirtualClock(),
      role: "foreground",
      run: "p@20260101T000000Z",
    });
    expect([readDaemon(orchdDir), readHolder(orchdDir)]).toMatchObject([
      null,
      { role: "foreground", run: "p@20260101T000000Z" },
    ]);
    await lock.release();
  });

  it("is no holder if the pid is another process now, or the machine has rebooted", async () => {
    const orchdDir = folder();
    const lock = await acquire(orchdDir);
    const holder = readEpoch(orchdDir, lock.epoch)!;
    expect(isAlive(holder)).toBe(true);
    expect(isAlive({ ...holder, startTime: "1" })).toBe(false);
    expect(isAlive({ ...holder, bootId: "another" })).toBe(false);
    expect(isAlive({ ...holder, pid: 2 ** 22 + 1 })).toBe(false);
    expect(isAlive({ ...holder, startTime: null })).toBe(true);
    expect(isAlive({ ...holder, startTime: null, pid: 2 ** 22 + 1 })).toBe(false);
  });

  it("is no holder if an epoch file holds rubbish; then the lock is free", async () => {
    const orchdDir = folder();
    mkdirSync(join(orchdDir, "epoch"), { recursive: true });
    writeFileSync(join(orchdDir, "epoch", "41"), "{");
    expect(readHolder(orchdDir)).toBeNull();
    expect((await acquire(orchdDir)).epoch).toBe(42);
  });
});

describe("waiting for the lock", () => {
  it("goes on while a run in the foreground has it, and says so once", async () => {
    const orchdDir = folder();
    const clock = new VirtualClock();
    const foreground = await acquireDaemonLock(orchdDir, {
      clock,
      role: "foreground",
      run: "p@20260101T000000Z",
    });
    const waitedFor: unknown[] = [];
    let got: DaemonLock | undefined;
    void waitForDaemonLock(orchdDir, {
      clock,
      onWaiting: (holder) => void waitedFor.push(holder?.role),
    }).then((lock) => (got = lock));
    await clock.advance(2_000);
    expect([waitedFor, got]).toEqual([["foreground"], undefined]);
    await foreground.release();
    await clock.until(() => got !== undefined);
    expect(got!.epoch).toBe(2);
    await got!.release();
    expect(clock.timers).toBe(0);
  });

  it("ends at once if a daemon has it, and when the caller stops it", async () => {
    const orchdDir = folder();
    const clock = new VirtualClock();
    const daemon = await acquire(orchdDir, clock);
    await expect(waitForDaemonLock(orchdDir, { clock })).rejects.toThrow(DaemonLockHeld);
    await daemon.release();
    const command = await acquireDaemonLock(orchdDir, { clock, role: "command" });
    const stop = new AbortController();
    const waited = waitForDaemonLock(orchdDir, { clock, signal: stop.signal });
    waited.catch(() => undefined);
    stop.abort();
    await clock.advance(500);
    await expect(waited).rejects.toThrow(DaemonLockHeld);
    await command.release();
  });
});

describe("a command that writes", () => {
  const clock = new VirtualClock();

  it("keeps out daemons and other commands while it works, and leaves nothing", async () => {
    const orchdDir = folder();
    const answer = await withFolderLock(orchdDir, { clock }, async (lost) => {
      expect(lost.aborted).toBe(false);
      await expect(acquireDaemonLock(orchdDir, { clock })).rejects.toThrow(
        /is held by a command that writes, process/,
      );
      await expect(withFolderLock(orchdDir, { clock }, () => Promise.resolve(1))).rejects.toThrow(
        DaemonLockHeld,
      );
      return 42;
    });
    expect(answer).toBe(42);
    expect(existsSync(folderLockPath(orchdDir))).toBe(false);
    expect(readHolder(orchdDir)).toBeNull();
    await expect(
      withFolderLock(orchdDir, { clock }, () => Promise.reject(new Error("mine"))),
    ).rejects.toThrow("mine");
    await (await acquire(orchdDir)).release();
  });

  it("is refused while a daemon runs", async () => {
    const orchdDir = folder();
    await acquire(orchdDir);
    await expect(withFolderLock(orchdDir, { clock }, () => Promise.resolve(1))).rejects.toThrow(
      DaemonLockHeld,
    );
  });

  it("that died leaves a lock, which the next holder on this host removes at once", async () => {
    const orchdDir = folder();
    const ownersBoot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    mkdirSync(folderLockPath(orchdDir), { recursive: true });
    writeFileSync(folderLockOwnerPath(orchdDir), JSON.stringify({ bootId: ownersBoot, pid: 1 }));
    expect(await withFolderLock(orchdDir, { clock }, () => Promise.resolve(1))).toBe(1);
  });

  it("of another host keeps its lock while it is fresh; a stale one is taken over", async () => {
    const orchdDir = folder();
    mkdirSync(folderLockPath(orchdDir), { recursive: true });
    writeFileSync(folderLockOwnerPath(orchdDir), JSON.stringify({ bootId: "another", pid: 1 }));
    await expect(withFolderLock(orchdDir, { clock }, () => Promise.resolve(1))).rejects.toThrow(
      FolderLockHeld,
    );
    expect(statSync(folderLockPath(orchdDir)).isDirectory()).toBe(true);
    utimesSync(folderLockPath(orchdDir), 1, 1);
    expect(await withFolderLock(orchdDir, { clock }, () => Promise.resolve(1))).toBe(1);
    rmSync(orchdDir, { recursive: true });
  });
});
