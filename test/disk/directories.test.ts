import {
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { makeMonthFolders } from "../../src/engine/month-folders.ts";
import {
  createFile,
  ensureDirectory,
  noteSynced,
  openFolder,
  syncDirectory,
} from "../../src/disk/directories.ts";
import type { LedgerFailed } from "../../src/ledger/ledger-error.ts";
import { systemDisk, type Disk } from "../../src/disk/disk.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { tempRoot } from "../support/temp-root.ts";

const failing = (code: string): Error => Object.assign(new Error(`${code}: planted`), { code });

/** A disk on which the first call of a kind fails, and all others succeed. */
function failsOnce(call: "fsync" | "mkdir", code: string): Disk {
  let left = 1;
  return {
    ...systemDisk,
    [call]: (what: never) =>
      (left -= 1) === 0 ? Promise.reject(failing(code)) : systemDisk[call](what),
  };
}

it("does not trust a folder whose sync failed, though a second sync would succeed", async () => {
  const { root } = tempRoot();
  const disk = failsOnce("fsync", "EIO");
  await expect(ensureDirectory(disk, join(root, "month"))).rejects.toThrow(
    /the sync of .* failed: EIO/,
  );
  await expect(ensureDirectory(disk, join(root, "month"))).rejects.toThrow(
    /the sync of .* failed: EIO/,
  );
});

it.each([["well", systemDisk] as const, ["badly", failsOnce("fsync", "EIO")] as const])(
  "closes a folder whose sync ended %s",
  async (_, one) => {
    const opened = new Set<number>();
    const disk: Disk = {
      ...one,
      open: async (...words) => {
        const fd = await one.open(...words);
        opened.add(fd);
        return fd;
      },
      close: async (fd) => {
        opened.delete(fd);
        await one.close(fd);
      },
    };
    await syncDirectory(disk, tempRoot().root).catch(() => undefined);
    expect(opened.size).toBe(0);
  },
);

it("syncs again for names that came while a sync was under way, once for all", async () => {
  const { root } = tempRoot();
  const under: (() => void)[] = [];
  let begun = 0;
  const disk: Disk = {
    ...systemDisk,
    fsync: async () => {
      begun += 1;
      await new Promise<void>((resolve) => under.push(resolve));
    },
  };
  const until = async (count: number): Promise<void> => {
    while (begun < count) await nextTurn();
  };
  const done: string[] = [];
  const sync = (name: string): Promise<void> =>
    syncDirectory(disk, root).then(() => void done.push(name));
  const first = sync("first");
  await until(1);
  const later = [sync("second"), sync("third")];
  under.shift()!();
  await first;
  await until(2);
  expect(done).toEqual(["first"]);
  const last = sync("fourth");
  under.shift()!();
  await Promise.all(later);
  expect(done).toEqual(["first", "second", "third"]);
  await until(3);
  under.shift()!();
  await last;
  expect(begun).toBe(3);
});

it.each([undefined, "EIO"])(
  "with a folder that is open waits for the next sync: %s",
  async (code) => {
    const { root } = tempRoot();
    const under: (() => void)[] = [];
    const closed: number[] = [];
    const disk: Disk = {
      ...systemDisk,
      fsync: async () => {
        await new Promise<void>((resolve) => under.push(resolve));
        if (code !== undefined) throw failing(code);
      },
      close: async (fd) => {
        closed.push(fd);
        await systemDisk.close(fd);
      },
    };
    const first = syncDirectory(disk, root).catch(() => undefined);
    while (under.length < 1) await nextTurn();
    const opened = openFolder(disk, root);
    let said: unknown = "nothing";
    const second = syncDirectory(disk, root, opened).then(
      () => (said = "durable"),
      (error: unknown) => (said = (error as { code?: string }).code),
    );
    under[0]!();
    await first;
    while (under.length < 2) await nextTurn();
    expect([said, closed.includes((await opened)!)]).toEqual(["nothing", false]);
    under[1]!();
    await second;
    expect([said, closed.includes((await opened)!)]).toEqual([code ?? "durable", true]);
  },
);

it("syncs for those that came later, also where the sync before failed", async () => {
  const { root } = tempRoot();
  const disk = failsOnce("fsync", "EIO");
  const [first, second] = await Promise.allSettled([
    syncDirectory(disk, root),
    syncDirectory(disk, root),
  ]);
  expect([first.status, second.status]).toEqual(["rejected", "fulfilled"]);
});

it("is a failed disk where a sync fails, whatever the reason: nobody waits for room", async () => {
  const { root } = tempRoot();
  await expect(syncDirectory(failsOnce("fsync", "ENOSPC"), root)).rejects.toMatchObject({
    code: "EIO",
    message: `the sync of ${root} failed: ENOSPC: planted`,
  });
});

it("gives up where no folder can be made, though the one above is there", async () => {
  const { root } = tempRoot();
  const none = join(root, "none");
  const mkdir = (path: string): Promise<void> =>
    path === none ? Promise.reject(failing("ENOENT")) : systemDisk.mkdir(path);
  await expect(ensureDirectory({ ...systemDisk, mkdir }, none)).rejects.toThrow("ENOENT: planted");
});

it("tries again to make a folder that found no room", async () => {
  const { root } = tempRoot();
  const disk = failsOnce("mkdir", "ENOSPC");
  await expect(ensureDirectory(disk, join(root, "month"))).rejects.toThrow(/ENOSPC/);
  await ensureDirectory(disk, join(root, "month"));
});

it("ends the daemon if a month folder's sync fails, and warns if there is no room", async () => {
  const { runs } = tempRoot();
  mkdirSync(join(runs, "p"), { recursive: true });
  const said: string[] = [];
  const log = {
    debug: () => {},
    info: () => {},
    error: () => {},
    warn: (_facts: unknown, text?: string) => void said.push(String(text)),
  };
  const make = (disk: Disk): Promise<void> =>
    makeMonthFolders(
      ["p"],
      0,
      {
        log,
        store: new RunStore(runs),
        disk,
        onFatal: (error: LedgerFailed) => said.push(error.message),
      },
      () => true,
    );
  await make(failsOnce("mkdir", "ENOSPC"));
  await make(failsOnce("fsync", "EIO"));
  expect(said).toEqual([
    "a month's folder could not be made ahead",
    expect.stringMatching(
      new RegExp(
        "^Making a month's folder in .* failed: the sync of .*/p failed: EIO.* " +
          "Nothing more is acknowledged",
      ),
    ),
  ]);
});

it("syncs anew for whoever comes after the last one has ended", async () => {
  const { root } = tempRoot();
  let begun = 0;
  const disk: Disk = { ...systemDisk, fsync: (fd) => ((begun += 1), systemDisk.fsync(fd)) };
  await syncDirectory(disk, root);
  await Promise.all([syncDirectory(disk, root), syncDirectory(disk, root)]);
  await syncDirectory(disk, root);
  expect(begun).toBe(4);
});

it("a folder above that cannot be opened is somebody else's, if the folder was there", async () => {
  for (const [code, existed, made] of [
    ["EACCES", true, true],
    ["EPERM", true, true],
    ["EACCES", false, false],
    ["EPERM", false, false],
    ["EMFILE", true, false],
    ["EIO", true, false],
  ] as const) {
    const { root } = tempRoot();
    const folder = join(root, "month");
    if (existed) mkdirSync(folder);
    const disk: Disk = { ...systemDisk, open: () => Promise.reject(failing(code)) };
    const making = ensureDirectory(disk, folder).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect([code, existed, await making]).toEqual([code, existed, made ? true : code]);
  }
});

it("makes folders again that were removed after they were made, from the top on", async () => {
  const { root } = tempRoot();
  const folder = join(root, "a/b/c");
  const disk: Disk = { ...systemDisk };
  const fd = await createFile(disk, join(folder, "one"), 0o600);
  await systemDisk.close(fd);
  const calls: string[] = [];
  Object.assign(disk, {
    mkdir: (path: string) => (calls.push(relative(root, path)), systemDisk.mkdir(path)),
    fsync: (descriptor: number) => (calls.push("sync"), systemDisk.fsync(descriptor)),
  });
  await ensureDirectory(disk, folder);
  expect(calls).toEqual([]);
  rmSync(join(root, "a"), { recursive: true });
  await systemDisk.close(await createFile(disk, join(folder, "two"), 0o600));
  expect(readdirSync(folder)).toEqual(["two"]);
  // Each one is made where that is missing, and then the one above is synced.
  expect(calls).toEqual(["a/b/c", "a/b", "a", "sync", "a/b", "sync", "a/b/c", "sync"]);
  await expect(createFile(disk, join(folder, "two"), 0o600)).rejects.toThrow(/EEXIST/);
  rmSync(join(root, "a"), { recursive: true });
  await ensureDirectory(disk, join(folder, "new"));
  expect(readdirSync(folder)).toEqual(["new"]);
});

describe("a folder that was there before the folder above was synced", () => {
  /** What making the folder durable calls, after a sync of the folder above `laterMs` from now. */
  async function callsAfter(laterMs: number, change?: (folder: string) => void): Promise<string[]> {
    const { root } = tempRoot();
    const folder = join(root, "2026-11");
    mkdirSync(folder);
    const calls: string[] = [];
    const disk: Disk = {
      ...systemDisk,
      mkdir: (path) => (calls.push("mkdir"), systemDisk.mkdir(path)),
      fsync: (fd) => (calls.push("fsync"), systemDisk.fsync(fd)),
    };
    const now = vi.spyOn(Date, "now").mockReturnValue(Date.now() + laterMs);
    await syncDirectory(disk, root);
    now.mockRestore();
    calls.length = 0;
    change?.(folder);
    await ensureDirectory(disk, folder);
    return calls;
  }

  it("is not made and synced once more", async () => {
    expect(await callsAfter(3_600_000)).toEqual([]);
  });

  it("is, if it was touched about when that sync began", async () => {
    expect(await callsAfter(30_000)).toEqual(["mkdir", "fsync"]);
  });

  it("is, if its touch is less than a minute older than what is known to be synced", async () => {
    const { root } = tempRoot();
    const folder = join(root, "2026-11");
    mkdirSync(folder);
    const touched = statSync(folder).ctimeMs;
    for (const [laterMs, made] of [
      [60_000, 1],
      [60_001, 0],
    ] as const) {
      let asked = 0;
      const disk: Disk = { ...systemDisk, mkdir: (path) => ((asked += 1), systemDisk.mkdir(path)) };
      noteSynced(disk, root, touched + laterMs);
      await ensureDirectory(disk, folder);
      expect([laterMs, asked]).toEqual([laterMs, made]);
    }
  });

  it("is, if it was moved here meanwhile: its own time says nothing of that", async () => {
    const { root } = tempRoot();
    const folder = join(root, "2026-11");
    mkdirSync(`${folder}-old`);
    utimesSync(`${folder}-old`, 1, 1);
    renameSync(`${folder}-old`, folder);
    let asked = 0;
    const disk: Disk = { ...systemDisk, mkdir: (path) => ((asked += 1), systemDisk.mkdir(path)) };
    noteSynced(disk, root, Date.now() + 30_000);
    await ensureDirectory(disk, folder);
    expect(asked).toBe(1);
  });

  it("is, if it is gone meanwhile", async () => {
    expect(await callsAfter(3_600_000, (folder) => rmdirSync(folder))).toEqual(["mkdir", "fsync"]);
  });

  it("is, if a file has its name", async () => {
    const asFile = (folder: string): void => {
      rmdirSync(folder);
      writeFileSync(folder, "");
    };
    expect(await callsAfter(3_600_000, asFile)).toEqual(["mkdir", "fsync"]);
  });

  it("is, if it was made while that sync was held up", async () => {
    const { root } = tempRoot();
    const folder = join(root, "2026-11");
    const asked: string[] = [];
    let now = Date.now();
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now);
    const disk: Disk = {
      ...systemDisk,
      mkdir: (path) => (asked.push("mkdir"), systemDisk.mkdir(path)),
      fsync: (fd) => {
        if (asked.push("fsync") === 1) mkdirSync(folder);
        // A frozen file system gives its answer minutes later.
        now += 600_000;
        return systemDisk.fsync(fd);
      },
    };
    try {
      await syncDirectory(disk, root);
      await ensureDirectory(disk, folder);
    } finally {
      clock.mockRestore();
    }
    expect(asked).toEqual(["fsync", "mkdir", "fsync"]);
  });

  it("is, if that sync failed", async () => {
    const { root } = tempRoot();
    const folder = join(root, "2026-11");
    mkdirSync(folder);
    const disk = failsOnce("fsync", "EIO");
    let made = 0;
    const counted: Disk = { ...disk, mkdir: (path) => ((made += 1), disk.mkdir(path)) };
    const now = vi.spyOn(Date, "now").mockReturnValue(Date.now() + 3_600_000);
    await expect(syncDirectory(counted, root)).rejects.toThrow(/EIO/);
    now.mockRestore();
    await ensureDirectory(counted, folder);
    expect(made).toBe(1);
  });
});
