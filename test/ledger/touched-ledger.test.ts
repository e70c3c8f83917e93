/** A ledger under somebody's hands while it is open: removed, replaced, cut, written over. */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LedgerBlocked, LedgerOverwritten } from "../../src/ledger/ledger-error.ts";
import { LedgerFile, type LedgerOptions } from "../../src/ledger/ledger-file.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { diskError, faultyDisk } from "../disk/faulty-disk.ts";
import { calm, type Note } from "./sample-ledgers.ts";

const note = (n: number): Note => ({ type: "note", n });
const first: Note[] = [{ type: "run.submitted", format: 1 }];

/** A ledger of three lines that looks at its file before each write. */
async function opened(
  more: Partial<LedgerOptions<Note>> = {},
): Promise<{ path: string; file: LedgerFile<Note>; told: string[]; bytes: string }> {
  const path = join(tempRoot().root, "p/a.jsonl");
  const told: string[] = [];
  const options = calm({ locked: true, onRestored: (because) => void told.push(because), ...more });
  const file = await LedgerFile.create<Note>(path, first, options);
  await file.append([note(1)]);
  await file.append([note(2)]);
  return { path, file, told, bytes: readFileSync(path, "latin1") };
}

const numbers = (path: string): unknown[] => readWholeLedger(path).map(({ n }) => n);

describe("the file of an open ledger", () => {
  const acts: Record<string, (path: string) => void> = {
    "is removed": (path) => rmSync(path),
    "is moved away": (path) => renameSync(path, `${path}.away`),
    "is removed with its folder": (path) => rmSync(join(path, ".."), { recursive: true }),
    "is replaced by another": (path) => {
      writeFileSync(`${path}.new`, "another\n");
      renameSync(`${path}.new`, path);
    },
    "is replaced by a copy of itself": (path) => {
      writeFileSync(`${path}.new`, readFileSync(path));
      renameSync(`${path}.new`, path);
    },
    "gets more bytes": (path) => appendFileSync(path, "more\n"),
  };

  it.each(Object.keys(acts))("%s: the next write finds all lines in it", async (what) => {
    const { path, file, told } = await opened();
    acts[what]!(path);
    await file.append([note(3)]);
    expect(numbers(path)).toEqual([undefined, 1, 2, 3]);
    expect(told).toHaveLength(1);
    await file.close();
  });

  it.each(Object.keys(acts))("%s: a look mends it, without a write", async (what) => {
    const { path, file, told, bytes } = await opened();
    await file.look();
    acts[what]!(path);
    await file.look();
    expect(readFileSync(path, "latin1")).toBe(bytes);
    expect(told).toHaveLength(1);
    await file.append([note(3)]);
    expect(numbers(path)).toEqual([undefined, 1, 2, 3]);
    expect(told).toHaveLength(1);
    await file.close();
  });

  it("stays the one that is locked when it was put back", async () => {
    const { path, file } = await opened();
    rmSync(path);
    await file.append([note(3)]);
    const failures: unknown[] = [];
    const again = LedgerFile.open<Note>(
      path,
      calm({ locked: true, onFatal: (error) => void failures.push(error) }),
    );
    await expect(again).rejects.toThrow("another process has it open");
    await file.close();
  });

  it("keeps what took its place as evidence", async () => {
    const { path, file, told } = await opened();
    rmSync(path);
    writeFileSync(path, "another\n");
    writeFileSync(`${path}.damaged-1`, "earlier evidence");
    await file.append([note(3)]);
    expect(readFileSync(`${path}.damaged-2`, "utf8")).toBe("another\n");
    expect(told).toEqual([expect.stringContaining(`kept as ${path}.damaged-2`)]);
    await file.close();
  });

  it("is not looked at when a short-lived ledger is written, and is a second later", async () => {
    const clock = new VirtualClock();
    const { path, file } = await opened({ locked: false, clock });
    rmSync(path);
    await file.append([note(3)]);
    expect(existsSync(path)).toBe(false);
    await clock.advance(1_001);
    await file.append([note(4)]);
    expect(numbers(path)).toEqual([undefined, 1, 2, 3, 4]);
    await file.close();
  });
});

describe("what is in an open ledger", () => {
  const acts: Record<string, (path: string) => void> = {
    "is cut off": (path) => truncateSync(path, 100),
    "is all gone": (path) => truncateSync(path, 0),
    "is written over by a longer text": (path) => writeFileSync(path, "x".repeat(2_000)),
    "is changed in its last line": (path) =>
      writeFileSync(path, readFileSync(path, "latin1").replace('"n":2', '"n":3')),
    "is changed in an earlier line": (path) =>
      writeFileSync(path, readFileSync(path, "latin1").replace('"n":1', '"n":7')),
  };

  it.each(Object.keys(acts))("%s: a new one begins with what is known", async (what) => {
    const rebuild = (): Note[] => [{ type: "known", format: 1 }];
    const { path, file, told } = await opened({ rebuild });
    acts[what]!(path);
    await file.append([note(3)]);
    expect(readWholeLedger(path).map(({ type }) => type)).toEqual(["known", "note"]);
    expect(existsSync(`${path}.damaged-1`)).toBe(true);
    expect(told).toEqual([expect.stringContaining("a new one begins with what is known")]);
    await file.close();
  });

  it.each(Object.keys(acts))("%s: one that nobody can rebuild ends there", async (what) => {
    const { path, file } = await opened();
    acts[what]!(path);
    const after = readFileSync(path, "latin1");
    await expect(file.append([note(3)])).rejects.toThrow(LedgerOverwritten);
    await expect(file.append([note(4)])).rejects.toThrow(LedgerOverwritten);
    expect(readFileSync(path, "latin1")).toBe(after);
    await file.close();
  });
});

describe("a ledger that cannot be put back", () => {
  it.each([
    ["its folder is a file", (path: string) => writeFileSync(join(path, ".."), "")],
    ["its folder is a link to nothing", (path: string) => symlinkSync("nothing", join(path, ".."))],
  ])("%s: what is written waits, and is whole once that is mended", async (_, block) => {
    const clock = new VirtualClock({ turns: 30 });
    const held: boolean[] = [];
    const { path, file } = await opened({ clock, onHeld: (waits) => void held.push(waits) });
    rmSync(join(path, ".."), { recursive: true });
    block(path);
    const written = file.append([note(3)]);
    await clock.advance(2_500);
    await clock.until(() => held.length > 0);
    expect(held).toEqual([true]);
    rmSync(join(path, ".."));
    await clock.advance(1_100);
    await written;
    expect(held).toEqual([true, false]);
    expect(numbers(path)).toEqual([undefined, 1, 2, 3]);
    await file.close();
  });

  it("a folder has its name: that is left alone", async () => {
    const clock = new VirtualClock({ turns: 30 });
    const { path, file } = await opened({ clock });
    rmSync(path);
    mkdirSync(path);
    const written = file.append([note(3)]);
    await clock.advance(2_500);
    rmSync(path, { recursive: true });
    await clock.advance(1_100);
    await written;
    expect(numbers(path)).toEqual([undefined, 1, 2, 3]);
    await file.close();
  });

  it("a sync fails as it is put back: that is the disk's death", async () => {
    const disk = faultyDisk();
    const failures: Error[] = [];
    const { path, file } = await opened({ disk, onFatal: (error) => void failures.push(error) });
    rmSync(path);
    disk.before = (call) => (call === "fdatasync" ? diskError("EIO") : undefined);
    await expect(file.append([note(3)])).rejects.toThrow("EIO");
    expect(failures).toHaveLength(1);
    disk.before = () => undefined;
    await file.close();
  });
});

describe("a path that is bad when the ledger is created", () => {
  it.each(["EACCES", "EPERM", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EFBIG", "EMLINK"])(
    "%s is told, and ends no process",
    async (code) => {
      const disk = faultyDisk();
      const failures: Error[] = [];
      disk.before = (call) => (call === "open" ? diskError(code) : undefined);
      const path = join(tempRoot().root, "a.jsonl");
      const options = calm<Note>({ disk, onFatal: (error) => void failures.push(error) });
      const made = LedgerFile.create<Note>(path, first, options);
      await expect(made).rejects.toThrow(LedgerBlocked);
      expect(failures).toEqual([]);
    },
  );

  it.each(["EIO", "EROFS"])("%s ends the process", async (code) => {
    const disk = faultyDisk();
    const failures: Error[] = [];
    disk.before = (call) => (call === "open" ? diskError(code) : undefined);
    const path = join(tempRoot().root, "a.jsonl");
    const options = calm<Note>({ disk, onFatal: (error) => void failures.push(error) });
    await expect(LedgerFile.create<Note>(path, first, options)).rejects.toThrow(code);
    expect(failures).toHaveLength(1);
  });

  it("a folder that cannot be synced leaves no name behind", async () => {
    const disk = faultyDisk();
    const root = tempRoot().root;
    const path = join(root, "a.jsonl");
    disk.before = (call, [at]) =>
      call === "open" && at === root ? diskError("EACCES") : undefined;
    await expect(LedgerFile.create<Note>(path, first, calm({ disk }))).rejects.toThrow(
      LedgerBlocked,
    );
    expect(existsSync(path)).toBe(false);
  });
});

it("a line whose checksum begins with 0, one in sixteen, is known as one's own", async () => {
  const { path, file, told } = await opened();
  const begins = (): string => readFileSync(path, "latin1").split('"crc":"').at(-1)![0]!;
  const cut = "another program appended 5 bytes to the ledger, which was cut back";
  let zeros = 0;
  for (let n = 3; zeros < 3; n += 1) {
    await file.append([note(n)]);
    const expected = begins() === "0" ? [cut] : [];
    if (begins() === "0") {
      zeros += 1;
      appendFileSync(path, "more\n");
    }
    await file.append([note((n += 1))]);
    expect(told.splice(0)).toEqual(expected);
  }
  await file.close();
});
