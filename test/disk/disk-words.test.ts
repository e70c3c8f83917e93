/** What is wrong with a path, a folder or a disk, by the code of a Node error, to the letter. */
import { expect, it } from "vitest";
import { errorCode, isExhausted, lacksDescriptor, whatRanOut } from "../../src/disk/disk-error.ts";
import { folderSentence } from "../../src/disk/folder-sentence.ts";
import { isPathFault, PathFault, pathReason } from "../../src/disk/path-fault.ts";

const coded = (code: string, cause?: Error): Error =>
  Object.assign(new Error(`${code}: node's own text`, { cause }), { code });

it.each([
  ["EACCES", "this user may not use it (EACCES)"],
  ["EPERM", "this user may not change it (EPERM)"],
  ["ENOTDIR", "a part of its path is a file where a folder should be (ENOTDIR)"],
  ["EISDIR", "it is a folder (EISDIR)"],
  ["EFTYPE", "it is no regular file (EFTYPE)"],
  ["ELOOP", "its links lead in a circle (ELOOP)"],
  ["ENAMETOOLONG", "its path is too long (ENAMETOOLONG)"],
  ["ENOENT", "a part of its path is gone, or is a link to nothing (ENOENT)"],
  ["ENXIO", "it is a pipe or a socket (ENXIO)"],
  [
    "EFBIG",
    "it may become no longer: see `ulimit -f`, LimitFSIZE= in the unit, the file system (EFBIG)",
  ],
  ["EMLINK", "its folder takes no more folders, or the file no more names (EMLINK)"],
])("%s is a fault of one path: %s", (code, reason) => {
  expect([isPathFault(coded(code)), pathReason(coded(code))]).toEqual([true, reason]);
  const fault = new PathFault("/a", code);
  expect([fault.message, fault.code, fault.path, fault.name]).toEqual([
    `/a cannot be used: ${reason}.`,
    code,
    "/a",
    "PathFault",
  ]);
});

it.each(["EIO", "EROFS", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EBADF"])(
  "%s is no fault of one path, and keeps Node's words",
  (code) => {
    expect([isPathFault(coded(code)), pathReason(coded(code))]).toEqual([
      false,
      `${code}: node's own text`,
    ]);
  },
);

it("what is no error has no code, and is told as it is", () => {
  expect([errorCode(undefined), errorCode(null), errorCode({ code: 5 })]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect([pathReason("x"), isPathFault("x")]).toEqual(["x", false]);
});

it.each([
  ["ENOENT", "its file system makes no folders there (ENOENT)"],
  ["ENOTDIR", "a part of its path is a file (ENOTDIR)"],
  ["EEXIST", "a file has that name (EEXIST)"],
  ["EROFS", "its file system is read-only (EROFS)"],
  ["EACCES", "this user may not write there (EACCES)"],
  ["EPERM", "this user may not write there (EPERM)"],
  ["ENOSPC", "the disk is full (ENOSPC)"],
  ["EDQUOT", "the quota is used up (EDQUOT)"],
  ["EIO", "EIO"],
])("a folder that cannot be made for %s says: %s", (code, reason) => {
  expect(folderSentence("/a", code)).toBe(
    `the folder /a cannot be made: ${reason}; ` +
      "name a folder that can be written with --runs or --root.",
  );
});

it.each([
  ["ENOSPC", true, false, "the disk is full"],
  ["EDQUOT", true, false, "the quota on the disk is used up"],
  [
    "EMFILE",
    true,
    true,
    "this daemon may open no more files (raise LimitNOFILE= in its unit, or ulimit -n)",
  ],
  ["ENFILE", true, true, "the machine can open no more files (raise fs.file-max)"],
  ["EIO", false, false, "the disk is full"],
])("%s: waiting cures it: %s, a descriptor is missing: %s, %s", (code, waits, lacks, what) => {
  const error = coded(code);
  expect([isExhausted(error), lacksDescriptor(error), whatRanOut(error)]).toEqual([
    waits,
    lacks,
    what,
  ]);
  // An error that was made of it counts as it, of descriptors alone.
  const wrapped = new Error("x", { cause: error });
  expect([isExhausted(wrapped), lacksDescriptor(wrapped)]).toEqual([lacks, lacks]);
});
