/** What the disk's small acts do to real files, and which errors are no errors to them. */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { hasDescriptors, requireDescriptors } from "../../src/disk/descriptors.ts";
import { bytesWritten, systemDisk, writeAll, type Disk } from "../../src/disk/disk.ts";
import { namesIn } from "../../src/disk/names-in.ts";
import { readBytes } from "../../src/disk/read-bytes.ts";
import { removeFile, removeFileOffThread } from "../../src/disk/remove-file.ts";
import { removeTrees } from "../../src/disk/remove-tree.ts";
import { syncPath } from "../../src/disk/sync-path.ts";
import { tempRoot } from "../support/temp-root.ts";

const descriptors = (): number => readdirSync("/proc/self/fd").length;

it("bytes are read from an offset on, as far as there are so many", () => {
  const { root } = tempRoot({ a: "0123456789" });
  const fd = openSync(join(root, "a"), "r");
  const text = (offset: number, length: number): string => String(readBytes(fd, offset, length));
  expect([text(0, 3), text(3, 3), text(8, 9), text(10, 1), text(99, 1), text(2, 0)]).toEqual([
    "012",
    "345",
    "89",
    "",
    "",
    "",
  ]);
  expect(text(0, -1)).toBe("");
  closeSync(fd);
});

it("all bytes are written where they belong, however few a call takes", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      fc.nat(20),
      async (bytes, parts, position) => {
        const file = Buffer.alloc(80, 0xff);
        let calls = 0;
        const write: Disk["write"] = (fd, from, offset, at) => {
          expect(fd).toBe(7);
          const some = from.subarray(offset, offset + parts[calls++ % parts.length]!);
          file.set(some, at);
          return Promise.resolve(some.length);
        };
        await writeAll({ ...systemDisk, write }, 7, bytes, position);
        const whole = Buffer.alloc(80, 0xff);
        whole.set(bytes, position);
        expect(file).toEqual(whole);
      },
    ),
  );
});

it("a disk that takes no byte of a write is broken", async () => {
  const disk = { ...systemDisk, write: () => Promise.resolve(0) };
  const writing = writeAll(disk, 1, Buffer.from("x"), 0);
  await expect(writing).rejects.toMatchObject({
    code: "EIO",
    message: "the disk took no byte of a write",
  });
});

it("the machine's disk writes at a position, counts bytes, and gives Node's errors", async () => {
  const { root } = tempRoot();
  const path = join(root, "a");
  const before = bytesWritten();
  const fd = await systemDisk.open(path, "wx+", 0o600);
  expect(await systemDisk.write(fd, Buffer.from("__abc"), 2, 0)).toBe(3);
  expect(await systemDisk.write(fd, Buffer.from("d"), 0, 4)).toBe(1);
  expect(bytesWritten() - before).toBe(4);
  await systemDisk.fdatasync(fd);
  await systemDisk.fsync(fd);
  await systemDisk.fchmod(fd, 0o640);
  expect(readFileSync(path, "latin1")).toBe("abc\0d");
  await systemDisk.ftruncate(fd, 2);
  expect(await systemDisk.close(fd)).toBeUndefined();
  await systemDisk.link(path, join(root, "b"));
  await systemDisk.rename(path, join(root, "c"));
  await systemDisk.mkdir(join(root, "d"));
  await systemDisk.unlink(join(root, "c"));
  expect(readdirSync(root).filter((name) => name.length === 1)).toEqual(["b", "d"]);
  expect(readFileSync(join(root, "b"), "latin1")).toBe("ab");
  // Each is called when its turn comes: one that fails while another is waited for has no one yet.
  const bad: [string, () => Promise<unknown>][] = [
    ["EEXIST", () => systemDisk.open(join(root, "b"), "wx+")],
    ["EBADF", () => systemDisk.write(9_999, Buffer.from("x"), 0, 0)],
    ["EBADF", () => systemDisk.fdatasync(9_999)],
    ["EBADF", () => systemDisk.fsync(9_999)],
    ["EBADF", () => systemDisk.fchmod(9_999, 0o600)],
    ["EBADF", () => systemDisk.ftruncate(9_999, 0)],
    ["EBADF", () => systemDisk.close(9_999)],
    ["ENOENT", () => systemDisk.link(join(root, "x"), join(root, "y"))],
    ["ENOENT", () => systemDisk.rename(join(root, "x"), join(root, "y"))],
    ["ENOENT", () => systemDisk.unlink(join(root, "x"))],
    ["EEXIST", () => systemDisk.mkdir(join(root, "d"))],
  ];
  for (const [code, call] of bad) await expect(call()).rejects.toMatchObject({ code });
});

it("what is not there is removed, has no names, and cannot be synced", async () => {
  const { root } = tempRoot({ "a/one": "", "a/two": "", "a/three": "" });
  const at = (name: string): string => join(root, name);
  removeFile(at("a/one"));
  removeFile(at("a/one"));
  await removeFileOffThread(at("a/two"));
  await removeFileOffThread(at("a/two"));
  expect([namesIn(at("a")), namesIn(at("none"))]).toEqual([["three"], []]);
  // All else is told: these are no files and no folders.
  expect(() => removeFile(at("a"))).toThrow(/EISDIR|EPERM/);
  await expect(removeFileOffThread(at("a"))).rejects.toThrow(/EISDIR|EPERM/);
  expect(() => namesIn(at("a/three"))).toThrow(/ENOTDIR/);
  const open = descriptors();
  syncPath(at("a/three"));
  syncPath(at("a"));
  expect(() => syncPath(at("none"))).toThrow(/ENOENT/);
  expect(descriptors()).toBe(open);
});

it("whether a process can be started is asked without a descriptor left open", () => {
  const open = descriptors();
  requireDescriptors();
  expect([hasDescriptors(), descriptors()]).toEqual([true, open]);
});

it("trees go with shut folders and odd names, and their links do not lead out", async () => {
  const { root } = tempRoot({
    "kept/file": "",
    "a/shut/deep/file": "",
    "-rf": "",
    "two\nlines/file": "",
  });
  const at = (name: string): string => join(root, name);
  symlinkSync(at("kept"), at("a/link"));
  chmodSync(at("a/shut/deep"), 0);
  chmodSync(at("a/shut"), 0);
  await removeTrees(["a", "-rf", "two\nlines", "not there"].map(at));
  expect(["a", "-rf", "two\nlines"].filter((name) => existsSync(at(name)))).toEqual([]);
  expect(existsSync(at("kept/file"))).toBe(true);
  mkdirSync(at("last"));
  writeFileSync(at("last/x"), "");
  await removeTrees([]);
  // More than one command takes.
  const many = Array.from({ length: 10_000 }, (_, n) => `/nowhere/${n}-${"x".repeat(220)}`);
  await removeTrees([...many, at("last")]);
  expect(existsSync(at("last"))).toBe(false);
});
