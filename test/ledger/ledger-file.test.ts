import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { onTestFinished, describe, expect, it } from "vitest";
import {
  LedgerClosed,
  LedgerDamaged,
  LedgerExists,
  LedgerFailed,
  LedgerFormatError,
  LineTooLong,
} from "../../src/ledger/ledger-error.ts";
import { LedgerFile, type LedgerOptions } from "../../src/ledger/ledger-file.ts";
import { readLedger } from "../../src/ledger/ledger-reader.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { diskError, faultyDisk } from "../disk/faulty-disk.ts";
import { calm, SEVEN, writeLedger, type Note } from "./sample-ledgers.ts";

const first: Note[] = [{ type: "run.submitted", format: 1 }];
const note = (n: number): Note => ({ type: "note", n });

describe("appending", () => {
  it("writes what an independent reader of the format expects, to the byte", async () => {
    const path = join(tempRoot().root, "a.jsonl");
    const file = await LedgerFile.create<Note>(
      path,
      [{ format: 1, type: "run.submitted" }],
      calm(),
    );
    const lines = await file.append([
      {
        type: "note",
        text: 'a,"crc":"b"\n\u2028\ud800',
        gone: undefined,
        nested: { crc: "00000000" },
      },
    ]);
    const headerLine = readFileSync(path, "utf8").split("\n")[0]!;
    const body = '{"seq":1,"b":1,"at":"2026-11-23T02:00:00.000Z","type":"run.submitted","format":1';
    expect(headerLine.slice(0, body.length)).toBe(body);
    expect(headerLine.slice(body.length)).toMatch(/^,"crc":"[0-9a-f]{8}"\}$/);
    const read = readWholeLedger(path);
    expect(read).toMatchObject([
      { seq: 1, b: 1, at: "2026-11-23T02:00:00.000Z", type: "run.submitted", format: 1 },
      {
        seq: 2,
        b: 2,
        at: "2026-11-23T02:00:00.000Z",
        type: "note",
        text: 'a,"crc":"b"\n\u2028\ud800',
        nested: { crc: "00000000" },
      },
    ]);
    expect(read[1]).toMatchObject(JSON.parse(JSON.stringify(lines[0])) as object);
    expect(Object.keys(read[1]!)).toEqual(["seq", "b", "at", "type", "text", "nested", "crc"]);
    await file.close();
  });

  it("gives the header the time at which it was decided, if the caller names it", async () => {
    const path = join(tempRoot().root, "a.jsonl");
    const file = await LedgerFile.create<Note>(path, first, calm(), "2026-11-23T01:59:59.990Z");
    await file.append([note(1)]);
    expect(readWholeLedger(path).map(({ at }) => at)).toEqual([
      "2026-11-23T01:59:59.990Z",
      "2026-11-23T02:00:00.000Z",
    ]);
    await file.close();
  });

  it("makes one write and one sync of all that comes while a write is in flight", async () => {
    const disk = faultyDisk();
    const path = join(tempRoot().root, "a.jsonl");
    const file = await LedgerFile.create<Note>(path, first, calm({ disk }));
    const before = { ...disk.calls };
    const writes = [file.append([note(1)]), file.append([note(2), note(3)])];
    await Promise.resolve();
    writes.push(...Array.from({ length: 50 }, (_, index) => file.append([note(4 + index)])));
    const lines = (await Promise.all(writes)).flat();
    expect(disk.calls.write - before.write).toBe(2);
    expect(disk.calls.fdatasync - before.fdatasync).toBe(2);
    expect(lines.map(({ seq, b }) => [seq, b])).toEqual(
      Array.from({ length: 53 }, (_, index) => [index + 2, index < 3 ? 2 : 5]),
    );
    expect(lines.map(({ n }) => n)).toEqual(Array.from({ length: 53 }, (_, index) => index + 1));
    expect(readWholeLedger(path).map(({ b }) => b)).toEqual([1, ...lines.map(({ b }) => b)]);
    await file.close();
  });

  it("answers only after the sync", async () => {
    const disk = faultyDisk();
    const file = await LedgerFile.create<Note>(
      join(tempRoot().root, "a.jsonl"),
      first,
      calm({ disk }),
    );
    const order: string[] = [];
    disk.before = (call) => void order.push(call);
    await file.append([note(1)]).then(() => order.push("answered"));
    expect(order).toEqual(["write", "fdatasync", "answered"]);
    await file.close();
  });

  it("keeps what it was given, whatever the caller does to the object later", async () => {
    const path = join(tempRoot().root, "a.jsonl");
    const file = await LedgerFile.create<Note>(path, first, calm());
    const event = { type: "note", text: "before" };
    const written = file.append([event]);
    event.text = "after";
    await written;
    expect(readWholeLedger(path)[1]).toMatchObject({ text: "before" });
    await file.close();
  });

  it("never lets an event set its own framing", async () => {
    const path = join(tempRoot().root, "a.jsonl");
    const file = await LedgerFile.create<Note>(path, first, calm());
    await file.append([{ seq: 99, b: 98, at: "never", crc: "ffffffff", type: "note" }]);
    expect(readWholeLedger(path)[1]).toMatchObject({
      seq: 2,
      b: 2,
      at: "2026-11-23T02:00:00.000Z",
    });
    await file.close();
  });

  it("refuses a line of 1 MiB and goes on", async () => {
    const path = join(tempRoot().root, "a.jsonl");
    const file = await LedgerFile.create<Note>(path, first, calm());
    const [refused, , kept] = await Promise.allSettled([
      file.append([note(1), { type: "note", text: "é".repeat(600_000) }]),
      file.append([note(2)]),
      file.append([{ type: "note", text: "é".repeat(500_000) }]),
    ]);
    expect(refused).toMatchObject({
      status: "rejected",
      reason: expect.any(LineTooLong) as unknown,
    });
    expect(kept.status).toBe("fulfilled");
    expect(readWholeLedger(path).map(({ type, n }) => n ?? type)).toEqual([
      "run.submitted",
      2,
      "note",
    ]);
    await file.close();
  });

  it("finishes a write that the disk takes in pieces", async () => {
    const disk = faultyDisk();
    const path = join(tempRoot().root, "a.jsonl");
    const file = await LedgerFile.create<Note>(path, first, calm({ disk }));
    const write = disk.write.bind(disk);
    disk.write = (fd, bytes, offset, position) =>
      write(fd, bytes.subarray(0, offset + 7), offset, position);
    await file.append([note(1)]);
    expect(readWholeLedger(path)).toHaveLength(2);
    await file.close();
  });

  it("writes the lines that wait before it closes, and nothing after", async () => {
    const path = join(tempRoot().root, "a.jsonl");
    const file = await LedgerFile.create<Note>(path, first, calm());
    const written = file.append([note(1)]);
    await file.close();
    expect(await written).toHaveLength(1);
    await expect(file.append([note(2)])).rejects.toThrow(LedgerClosed);
    expect(readWholeLedger(path)).toHaveLength(2);
  });
});

describe("creating", () => {
  it("has exactly one winner among many, and leaves no dot-name", async () => {
    const folder = join(tempRoot().root, "2026-11");
    const path = join(folder, "a.jsonl");
    const tries = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) =>
        LedgerFile.create<Note>(path, [{ type: "run.submitted", n }], calm()),
      ),
    );
    const won = tries.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(won).toHaveLength(1);
    for (const result of tries)
      if (result.status === "rejected") expect(result.reason).toBeInstanceOf(LedgerExists);
    expect(readdirSync(folder)).toEqual(["a.jsonl"]);
    expect(readWholeLedger(path)).toHaveLength(1);
    await won[0]!.append([note(1)]);
    expect(readWholeLedger(path)).toHaveLength(2);
    await won[0]!.close();
  });

  it("shows only a whole first write, and makes file, name and folders durable", async () => {
    const disk = faultyDisk();
    const root = tempRoot().root;
    const path = join(root, "p", "2026-11", "a.jsonl");
    const order: string[] = [];
    disk.before = (call, [path]) => {
      order.push(
        typeof path === "string"
          ? `${call} ${path.replace(root, "").replace(/\.a\.jsonl.*/, ".aside")}`
          : call,
      );
      if (call === "unlink")
        expect(readWholeLedger(join(root, "p", "2026-11", "a.jsonl"))).toHaveLength(2);
      else if (existsSync(join(root, "p", "2026-11", "a.jsonl"))) expect(call).not.toBe("write");
      return undefined;
    };
    const file = await LedgerFile.create<Note>(path, [...first, note(1)], calm({ disk }));
    const own = order.slice(order.indexOf("open /p/2026-11/.aside"));
    expect(own).toEqual([
      "open /p/2026-11/.aside",
      "write",
      "fdatasync",
      "open /p/2026-11",
      "link /p/2026-11/.aside",
      "unlink /p/2026-11/.aside",
      "fsync",
      "close",
    ]);
    expect(order.filter((call) => call.startsWith("open") || call === "fsync").slice(0, 4)).toEqual(
      ["open ", "fsync", "open /p", "fsync"],
    );
    await file.close();
  });

  it("makes a thousand sixteen at a time, and shares the folder's syncs among them", async () => {
    const disk = faultyDisk();
    const folder = join(tempRoot().root, "2026-11");
    let writing = 0;
    let most = 0;
    disk.before = (call, [path]) => {
      if (call === "open" && String(path).includes(".jsonl")) most = Math.max(most, (writing += 1));
      if (call === "unlink") writing -= 1;
      return undefined;
    };
    const files = await Promise.all(
      Array.from({ length: 1_000 }, (_, n) =>
        LedgerFile.create<Note>(join(folder, `r${n}.jsonl`), first, calm({ disk })),
      ),
    );
    expect(most).toBe(16);
    expect(disk.calls.fdatasync).toBe(1_000);
    expect(disk.calls.fsync).toBeLessThan(700);
    expect(readdirSync(folder)).toHaveLength(1_000);
    await Promise.all(files.map((file) => file.close()));
  });

  it("makes a folder again if it was removed", async () => {
    const folder = join(tempRoot().root, "p", "2026-11");
    await (await LedgerFile.create<Note>(join(folder, "a.jsonl"), first, calm())).close();
    rmSync(join(folder, ".."), { recursive: true });
    await (await LedgerFile.create<Note>(join(folder, "a.jsonl"), first, calm())).close();
    expect(readWholeLedger(join(folder, "a.jsonl"))).toHaveLength(1);
  });
});

describe("opening after a crash", () => {
  it.each([false, true])(
    "keeps exactly the whole lines, at every byte, and goes on there; with the first write: %s",
    async (withFirstWrite) => {
      const folder = tempRoot().root;
      const bytes = readFileSync(await writeLedger(folder, SEVEN));
      const path = join(folder, "cut.jsonl");
      const firstLine = bytes.indexOf(10) + 1;
      for (let length = 0; length <= bytes.length; length += 1) {
        writeFileSync(path, bytes.subarray(0, length));
        if (length < firstLine) {
          await expect(LedgerFile.open<Note>(path, calm())).rejects.toThrow(LedgerDamaged);
          expect(statSync(path).size).toBe(length);
          continue;
        }
        const whole = bytes.subarray(0, length).lastIndexOf(10) + 1;
        const { file, lines, cut } = await LedgerFile.open<Note>(path, {
          ...calm<Note>(),
          withFirstWrite,
        });
        if (withFirstWrite) expect(statSync(path).size).toBe(length);
        expect([lines.length, cut]).toEqual([
          bytes.subarray(0, whole).toString().split("\n").length - 1,
          length - whole,
        ]);
        const [line] = await file.append([note(1)]);
        await file.close();
        expect([line!.seq, line!.b]).toEqual([lines.length + 1, lines.length + 1]);
        expect(readFileSync(path).subarray(0, whole).equals(bytes.subarray(0, whole))).toBe(true);
        expect(readWholeLedger(path)).toHaveLength(lines.length + 1);
      }
    },
  );

  it("writes the last batch once more and syncs file and folder before all else", async () => {
    const path = await writeLedger(tempRoot().root, SEVEN);
    const disk = faultyDisk();
    const written: string[] = [];
    disk.before = (call, args) => {
      written.push(
        call === "write" ? `write ${(args[1] as Uint8Array).length} at ${String(args[3])}` : call,
      );
      return undefined;
    };
    const bytes = readFileSync(path);
    const lastBatch = bytes.indexOf('{"seq":5,');
    const { file } = await LedgerFile.open<Note>(path, calm({ disk }));
    expect(written).toEqual([
      "open",
      `write ${bytes.length - lastBatch} at ${lastBatch}`,
      "fsync",
      "open",
      "fsync",
      "close",
    ]);
    await file.close();
  });

  it("does not change a damaged ledger", async () => {
    const path = await writeLedger(tempRoot().root, SEVEN);
    const bytes = readFileSync(path);
    bytes[200] = bytes[200]! ^ 4;
    writeFileSync(path, bytes);
    await expect(LedgerFile.open<Note>(path, calm())).rejects.toThrow(
      /^The ledger .*a\.jsonl is damaged at line 2: its checksum does not match\. /,
    );
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  it("calls a torn tail or a missing end damage if the run had finished", async () => {
    const folder = tempRoot().root;
    const path = await writeLedger(folder, [...SEVEN, [{ type: "run.finished" }]]);
    const ends = readFileSync(path).length;
    await (
      await LedgerFile.open<Note>(path, { ...calm<Note>(), finishedElsewhere: true })
    ).file.close();
    truncateSync(path, ends - 3);
    await expect(
      LedgerFile.open<Note>(path, { ...calm<Note>(), finishedElsewhere: true }),
    ).rejects.toThrow(LedgerDamaged);
    const lastLine = readFileSync(path).lastIndexOf(10) + 1;
    truncateSync(path, lastLine);
    await expect(
      LedgerFile.open<Note>(path, { ...calm<Note>(), finishedElsewhere: true }),
    ).rejects.toThrow(/lines are missing at the end/);
    const { file } = await LedgerFile.open<Note>(path, calm());
    await file.close();
  });

  it("refuses a newer format, and does not change it", async () => {
    const path = await writeLedger(tempRoot().root, [[{ type: "run.submitted", format: 2 }]]);
    await expect(LedgerFile.open<Note>(path, calm())).rejects.toThrow(LedgerFormatError);
    await (await LedgerFile.open<Note>(path, calm({ format: 2 }))).file.close();
  });

  it("writes the last batch again with the first write or at the close, or fails", async () => {
    const path = await writeLedger(tempRoot().root, SEVEN);
    truncateSync(path, readFileSync(path).length - 9);
    const { lines } = readLedger<Note>(path);
    for (const stop of ["ftruncate", "write", "fsync"] as const) {
      for (const appends of [true, false]) {
        const disk = faultyDisk();
        const { file } = await LedgerFile.open<Note>(path, {
          ...calm<Note>({ disk, onFatal: () => undefined }),
          withFirstWrite: true,
        });
        disk.before = (call) => (call === stop ? diskError("EIO") : undefined);
        const done = appends ? file.append([note(1)]) : file.close();
        // A torn tail that an earlier round cut off needs no cut.
        if (stop === "ftruncate" && readLedger(path).end === "whole") await done;
        else await expect(done).rejects.toThrow(LedgerFailed);
        disk.before = () => undefined;
        const writes = disk.calls.write;
        // Nothing is written to a ledger that has failed.
        if (appends) await file.close();
        expect(disk.calls.write).toBe(writes);
        expect(readLedger<Note>(path).lines.slice(0, lines.length)).toEqual(lines);
      }
    }
  });

  it("is left to the next process by a close that finds no room", async () => {
    const path = await writeLedger(tempRoot().root, SEVEN);
    truncateSync(path, readFileSync(path).length - 9);
    const before = readFileSync(path, "latin1");
    const disk = faultyDisk();
    const told: boolean[] = [];
    const onHeld = (held: boolean): void => void told.push(held);
    const options = { ...calm<Note>({ disk, onHeld }), withFirstWrite: true };
    const { file } = await LedgerFile.open<Note>(path, options);
    disk.before = (call) =>
      call === "write" || call === "ftruncate" ? diskError("ENOSPC") : undefined;
    await file.close();
    expect(told).toEqual([]);
    expect(readFileSync(path, "latin1")).toBe(before);
  });

  it("may itself crash, and still ends with the same lines", async () => {
    const path = await writeLedger(tempRoot().root, SEVEN);
    truncateSync(path, readFileSync(path).length - 9);
    const { lines } = readLedger<Note>(path);
    for (const stop of ["ftruncate", "write", "fsync"] as const) {
      const disk = faultyDisk();
      disk.before = (call) => (call === stop ? diskError("EIO") : undefined);
      await expect(
        LedgerFile.open<Note>(path, calm({ disk, onFatal: () => undefined })),
      ).rejects.toThrow(LedgerFailed);
    }
    const { file, lines: kept } = await LedgerFile.open<Note>(path, calm());
    expect(kept).toEqual(lines);
    await file.close();
    expect(readWholeLedger(path)).toHaveLength(lines.length);
  });
});

/** The files below a folder that this process has open. */
const openBelow = (folder: string): string[] =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(folder) ? [path] : [];
    } catch {
      return [];
    }
  });

describe("a disk that fails", () => {
  it("in a sync ends everything: nothing more is acknowledged", async () => {
    const disk = faultyDisk();
    const fatal: LedgerFailed[] = [];
    const file = await LedgerFile.create<Note>(
      join(tempRoot().root, "a.jsonl"),
      first,
      calm({ disk, onFatal: (error) => void fatal.push(error) }),
    );
    let fail = true;
    disk.before = (call) => (call === "fdatasync" && fail ? diskError("EIO") : undefined);
    const writes = [file.append([note(1)])];
    await Promise.resolve();
    writes.push(file.append([note(2)]));
    const results = await Promise.allSettled(writes);
    fail = false;
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await expect(file.append([note(3)])).rejects.toThrow(
      /^Syncing .*a\.jsonl failed: EIO: planted\. Nothing more is acknowledged/,
    );
    expect(fatal).toHaveLength(1);
    expect(disk.calls.fdatasync).toBe(2);
    expect(file.lastSeq).toBe(1);
    await file.close();
  });

  it("in a write ends everything, unless there is no room", async () => {
    const disk = faultyDisk();
    const fatal: LedgerFailed[] = [];
    const file = await LedgerFile.create<Note>(
      join(tempRoot().root, "a.jsonl"),
      first,
      calm({ disk, onFatal: (error) => void fatal.push(error) }),
    );
    disk.before = (call) => (call === "write" ? diskError("EIO") : undefined);
    await expect(file.append([note(1)])).rejects.toThrow(LedgerFailed);
    expect(fatal).toHaveLength(1);
    await file.close();
  });

  it.each([
    ["fdatasync", 0],
    ["fsync", 0],
    ["link", 0],
    ["fsync", 1],
  ] as const)(
    "in %s of a creation, after %i links, acknowledges nothing and leaves nothing open",
    async (stop, links) => {
      const disk = faultyDisk();
      const fatal: LedgerFailed[] = [];
      disk.before = (call) =>
        call === stop && (disk.calls.link ?? 0) >= links ? diskError("EIO") : undefined;
      const { root } = tempRoot();
      const created = LedgerFile.create<Note>(
        join(root, "a.jsonl"),
        first,
        calm({ disk, onFatal: (error) => void fatal.push(error) }),
      );
      await expect(created).rejects.toThrow(LedgerFailed);
      expect(fatal).toHaveLength(1);
      expect(openBelow(root)).toEqual([]);
    },
  );
});

describe("a full disk", () => {
  it("cuts the write back, holds its lines, and goes on by itself once there is room", async () => {
    const disk = faultyDisk();
    const clock = new VirtualClock();
    const path = join(tempRoot().root, "a.jsonl");
    const held: boolean[] = [];
    const file = await LedgerFile.create<Note>(
      path,
      first,
      calm({ disk, clock, onHeld: (now) => void held.push(now) }),
    );
    const write = disk.write.bind(disk);
    let room = 20;
    disk.write = async (fd, bytes, offset, position) => {
      if (room <= 0) throw diskError("ENOSPC");
      const count = await write(
        fd,
        bytes.subarray(0, Math.min(bytes.length, offset + room)),
        offset,
        position,
      );
      room -= count;
      return count;
    };
    let answered = 0;
    const writes = [file.append([note(1), note(2)]).then(() => (answered += 1))];
    await clock.until(() => held.length === 1);
    writes.push(file.append([note(3)]).then(() => (answered += 1)));
    await clock.advance(2_500);
    expect([held, answered, readLedger(path).end, readLedger(path).lines.length]).toEqual([
      [true],
      0,
      "whole",
      1,
    ]);
    room = Infinity;
    await clock.until(() => answered === 2);
    await Promise.all(writes);
    expect(held).toEqual([true, false]);
    expect(readWholeLedger(path).map(({ n }) => n)).toEqual([undefined, 1, 2, 3]);
    expect(clock.timers).toBe(0);
    await file.close();
  });

  it.each([
    ["ENOSPC", /^ENOSPC/],
    ["EDQUOT", /^EDQUOT/],
    ["EFBIG", /a\.jsonl cannot be written: it may become no longer: .* \(EFBIG\)\.$/],
  ])("%s after a part of a write: that is cut off, and the lines wait", async (code, sentence) => {
    const disk = faultyDisk();
    const clock = new VirtualClock();
    const path = join(tempRoot().root, "a.jsonl");
    const held: unknown[] = [];
    const failures: Error[] = [];
    const file = await LedgerFile.create<Note>(
      path,
      first,
      calm({
        disk,
        clock,
        onHeld: (now, error) => void held.push(now, (error as Error | undefined)?.message),
        onFatal: (error) => void failures.push(error),
      }),
    );
    const write = disk.write.bind(disk);
    let isLimited = true;
    disk.write = async (fd, bytes, offset, position) => {
      if (!isLimited) return write(fd, bytes, offset, position);
      if (offset > 0) throw diskError(code);
      return write(fd, bytes.subarray(0, 20), offset, position);
    };
    let cuts = 0;
    const cut = disk.ftruncate.bind(disk);
    disk.ftruncate = async (fd, length) => {
      await cut(fd, length);
      cuts += 1;
    };
    const appended = file.append([note(1)]);
    await clock.until(() => held.length === 2);
    expect(held).toEqual([true, expect.stringMatching(sentence)]);
    await clock.until(() => cuts === 3);
    expect([readLedger(path).end, readLedger(path).lines.length]).toEqual(["whole", 1]);
    isLimited = false;
    await clock.until(() => held.length === 4);
    await appended;
    expect(readWholeLedger(path).map(({ n }) => n)).toEqual([undefined, 1]);
    expect(failures).toEqual([]);
    await file.close();
  });

  it("does not prevent a ledger from closing", async () => {
    const disk = faultyDisk();
    const clock = new VirtualClock();
    const path = join(tempRoot().root, "a.jsonl");
    const held: boolean[] = [];
    const file = await LedgerFile.create<Note>(
      path,
      first,
      calm({ disk, clock, onHeld: (now) => void held.push(now) }),
    );
    disk.before = (call) => (call === "write" ? diskError("EDQUOT") : undefined);
    const write = file.append([note(1)]);
    write.catch(() => undefined);
    await clock.until(() => held.length === 1);
    await file.close();
    await expect(write).rejects.toThrow(LedgerClosed);
    expect(readWholeLedger(path)).toHaveLength(1);
    expect(clock.timers).toBe(0);
  });

  it("holds a creation too, which takes no name and leaves no file", async () => {
    const disk = faultyDisk();
    const clock = new VirtualClock();
    const folder = tempRoot().root;
    const held: boolean[] = [];
    let full = true;
    disk.before = (call) => (call === "write" && full ? diskError("ENOSPC") : undefined);
    const created = LedgerFile.create<Note>(
      join(folder, "a.jsonl"),
      first,
      calm({ disk, clock, onHeld: (now) => void held.push(now) }),
    );
    await clock.until(() => held.length === 1);
    expect(readdirSync(folder).filter((name) => name.includes("jsonl"))).toEqual([]);
    full = false;
    await clock.until(() => held.length === 2);
    await (await created).close();
    expect(readWholeLedger(join(folder, "a.jsonl"))).toHaveLength(1);
  });

  it("or no descriptor for the folder holds them; a failed folder sync ends them", async () => {
    const folder = tempRoot().root;
    const path = join(folder, "a.jsonl");
    await (await LedgerFile.create<Note>(path, first, calm())).close();
    const acts = [
      (options: Partial<LedgerOptions<Note>>) =>
        LedgerFile.create<Note>(join(folder, "b.jsonl"), first, calm(options)),
      async (options: Partial<LedgerOptions<Note>>) =>
        (await LedgerFile.open<Note>(path, calm(options))).file,
    ];
    for (const act of acts) {
      const disk = faultyDisk();
      const clock = new VirtualClock();
      const held: boolean[] = [];
      let opens = 0;
      disk.before = (call, [what]) =>
        call === "open" && what === folder && (opens += 1) < 3 ? diskError("EMFILE") : undefined;
      const done = act({ disk, clock, onHeld: (now) => void held.push(now) });
      await clock.until(() => held.length === 2);
      await (await done).close();
      expect([opens, held]).toEqual([3, [true, false]]);
    }
    for (const act of [
      acts[1]!,
      (options: Partial<LedgerOptions<Note>>) =>
        LedgerFile.create<Note>(join(folder, "c.jsonl"), first, calm(options)),
    ]) {
      const disk = faultyDisk();
      const fatal: LedgerFailed[] = [];
      disk.before = (call) => (call === "fsync" ? diskError("ENOSPC") : undefined);
      await expect(act({ disk, onFatal: (error) => void fatal.push(error) })).rejects.toThrow(
        LedgerFailed,
      );
      expect(fatal).toHaveLength(1);
    }
  });
});

const mountable = ((): boolean => {
  try {
    const probe = join("/tmp", `orchd-mount-${process.pid}`);
    mkdirSync(probe);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", probe], { stdio: "ignore" });
      execFileSync("umount", [probe]);
    } finally {
      rmSync(probe, { recursive: true });
    }
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!mountable)("a real small disk", () => {
  it("fills and empties ten times, and loses or doubles no acknowledged line", async () => {
    const folder = tempRoot().root;
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", folder]);
    onTestFinished(() => void execFileSync("umount", ["--lazy", folder]));
    const clock = new VirtualClock();
    const path = join(folder, "a.jsonl");
    let holding = false;
    const file = await LedgerFile.create<Note>(
      path,
      first,
      calm({ clock, onHeld: (now) => (holding = now) }),
    );
    const acknowledged: number[] = [];
    const writes: Promise<unknown>[] = [];
    let next = 0;
    for (let cycle = 0; cycle < 10; cycle += 1) {
      const ballast = join(folder, "ballast");
      const free = 1_024 * 1_024 - Math.ceil(statSync(path).size / 4_096) * 4_096 - 8_192;
      writeFileSync(ballast, Buffer.alloc(Math.max(0, free)));
      // The ballast leaves no room for forty lines.
      for (const last = next + 40; next < last;) {
        const n = (next += 1);
        writes.push(
          file
            .append([{ type: "note", n, text: "x".repeat(500) }])
            .then(() => acknowledged.push(n)),
        );
        await clock.settle();
      }
      await clock.until(() => holding);
      const safe = acknowledged.length;
      expect(readWholeLedger(path).length).toBe(safe + 1);
      rmSync(ballast);
      await clock.until(() => !holding);
      await Promise.all(writes);
    }
    await file.close();
    expect(
      readWholeLedger(path)
        .slice(1)
        .map(({ n }) => n),
    ).toEqual(acknowledged);
    expect(acknowledged).toEqual(Array.from({ length: next }, (_, index) => index + 1));
  });
});
