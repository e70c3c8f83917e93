import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  existsSync,
  readFileSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import type { RunEvent } from "../../src/core/event.ts";
import { systemDisk } from "../../src/disk/disk.ts";
import { CacheIndex } from "../../src/ledger/cache-index.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { OffsetTable } from "../../src/ledger/offset-table.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { recordDiskCalls } from "../support/disk-calls.ts";
import { buildProgram } from "../support/program.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { calm, header } from "./sample-ledgers.ts";

const key = (text: string): string => createHash("sha256").update(text).digest("hex");
const at = (n: number): string => new Date(Date.UTC(2026, 0, 1) + n).toISOString();
const candidate = (n: number): { run: string; step: string; at: string } => ({
  run: `p@${n}`,
  step: "a",
  at: at(n),
});

describe("the index", () => {
  it("finds what was recorded, newest first, and still after it was closed", async () => {
    const folder = join(tempRoot().runs, "cache");
    const index = new CacheIndex(folder);
    expect(index.lookup(key("x"))).toEqual([]);
    for (const n of [1, 2, 3]) index.record(key("x"), candidate(n));
    index.record(key("y"), candidate(4));
    for (const again of [index, new CacheIndex(folder)]) {
      expect(again.lookup(key("x"))).toEqual([3, 2, 1].map(candidate));
      expect(again.lookup(key("y"))).toEqual([candidate(4)]);
      expect(again.lookup(key("z"))).toEqual([]);
      await again.close();
      expect(again.lookup(key("y"))).toEqual([candidate(4)]);
    }
  });

  it("takes several at once, one key twice, and none of them if one is no key", async () => {
    const folder = join(tempRoot().runs, "cache");
    const index = new CacheIndex(folder);
    index.record(key("x"), candidate(1));
    index.recordAll([
      [key("x"), candidate(2)],
      [key("y"), candidate(3)],
      [key("x"), candidate(4)],
    ]);
    expect(() =>
      index.recordAll([
        [key("x"), candidate(5)],
        ["none", candidate(6)],
      ]),
    ).toThrow(RangeError);
    for (const again of [index, new CacheIndex(folder)]) {
      expect(again.lookup(key("x"))).toEqual([4, 2, 1].map(candidate));
      expect(again.lookup(key("y"))).toEqual([candidate(3)]);
      await again.close();
    }
  });

  it("gives no more than sixteen, the newest, wherever they are", async () => {
    const index = new CacheIndex(join(tempRoot().runs, "cache"));
    const newest = (last: number) => Array.from({ length: 16 }, (_, n) => candidate(last - n));
    for (let n = 0; n < 40; n += 1) index.record(key("x"), candidate(n));
    expect(index.lookup(key("x"))).toEqual(newest(39));
    const flushed = index.flush();
    // The write begins in a moment: from then on these wait beside it.
    await Promise.resolve();
    for (let n = 40; n < 60; n += 1) index.record(key("x"), candidate(n));
    expect(index.lookup(key("x"))).toEqual(newest(59));
    await flushed;
    expect(index.lookup(key("x"))).toEqual(newest(59));
    await index.close();
    expect(index.lookup(key("x"))).toEqual(newest(59));
  });

  it("gives of those of one moment the one that was recorded last first", async () => {
    const index = new CacheIndex(join(tempRoot().runs, "cache"));
    const alike = (n: number) => ({ ...candidate(n), at: at(0) });
    for (const n of [1, 2]) index.record(key("x"), alike(n));
    expect(index.lookup(key("x"))).toEqual([2, 1].map(alike));
    const flushed = index.flush();
    await Promise.resolve();
    for (const n of [3, 4]) index.record(key("x"), alike(n));
    expect(index.lookup(key("x"))).toEqual([4, 3, 2, 1].map(alike));
    await flushed;
    expect(index.lookup(key("x"))).toEqual([4, 3, 2, 1].map(alike));
    await index.close();
    expect(index.lookup(key("x"))).toEqual([4, 3, 2, 1].map(alike));
  });

  it("leaves out what is too long to be read again, and loses no other by that", async () => {
    const folder = join(tempRoot().runs, "cache");
    const index = new CacheIndex(folder);
    const long = { ...candidate(2), step: "s".repeat(4_096) };
    index.recordAll([1, 2, 3].map((n) => [key("x"), n === 2 ? long : candidate(n)] as const));
    await index.close();
    expect(new CacheIndex(folder).lookup(key("x"))).toEqual([3, 1].map(candidate));
  });

  it("tells keys apart that begin with the same digits", async () => {
    const index = new CacheIndex(join(tempRoot().runs, "cache"));
    const alike = ["0", "1", "2"].map((last) => "ab".repeat(31) + `a${last}`);
    alike.forEach((one, n) => index.record(one, candidate(n)));
    alike.forEach((one, n) => expect(index.lookup(one)).toEqual([candidate(n)]));
    await index.close();
    alike.forEach((one, n) => expect(index.lookup(one)).toEqual([candidate(n)]));
  });

  it("behaves like a map, for any order of recording, looking, writing and closing", async () => {
    const act = fc.record({
      key: fc.nat(5),
      what: fc.constantFrom("record", "lookup", "flush", "await flush", "close", "rebuild"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
        const folder = join(tempRoot().runs, "cache");
        const index = new CacheIndex(folder);
        const model = new Map<number, number[]>();
        const check = (found: CacheIndex, one: number): void =>
          expect(found.lookup(key(String(one)))).toEqual(
            (model.get(one) ?? []).slice(0, 16).map(candidate),
          );
        const waited: Promise<unknown>[] = [];
        for (const [n, one] of acts.entries()) {
          if (one.what === "record") {
            index.record(key(String(one.key)), candidate(n));
            model.set(one.key, [n, ...(model.get(one.key) ?? [])]);
          } else if (one.what === "flush") waited.push(index.flush());
          else if (one.what === "await flush") await index.flush();
          else if (one.what === "close") await index.close();
          else if (one.what === "rebuild") await index.compact(() => true);
          check(index, one.key);
        }
        await Promise.all(waited);
        await index.close();
        const later = new CacheIndex(folder);
        for (const one of model.keys()) check(later, one);
        await later.close();
      }),
      { numRuns: 40 },
    );
  });

  it("skips torn and damaged lines, and never gives what was not recorded", async () => {
    const folder = join(tempRoot().runs, "cache");
    const path = join(folder, "index.jsonl");
    const index = new CacheIndex(folder);
    for (let n = 0; n < 6; n += 1) index.record(key(String(n % 2)), candidate(n));
    await index.close();
    const whole = readFileSync(path);
    const known = new Set(Array.from({ length: 6 }, (_, n) => JSON.stringify(candidate(n))));
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.nat(255),
        fc.boolean(),
        async (place, byte, cut) => {
          const bytes = Buffer.from(whole);
          bytes[place] = byte;
          writeFileSync(path, cut ? bytes.subarray(0, place) : bytes);
          const reopened = new CacheIndex(folder);
          // A run's name with a changed letter is still a name: the user of a candidate reads its
          // ledger.
          const found = [...reopened.lookup(key("0")), ...reopened.lookup(key("1"))].filter((one) =>
            known.has(JSON.stringify(one)),
          );
          expect(found.length).toBeGreaterThanOrEqual(cut ? 0 : 2);
          reopened.record(key("new"), candidate(9));
          expect(reopened.lookup(key("new"))).toEqual([candidate(9)]);
          await reopened.close();
          expect(reopened.lookup(key("new"))).toEqual([candidate(9)]);
          await reopened.close();
        },
      ),
      { numRuns: 100 },
    );
    truncateSync(path, 0);
    appendFileSync(path, `{"key":"${key("0")}","run":"p@1","step":"a","at":"x","prev":0}\n`);
    expect(new CacheIndex(folder).lookup(key("0"))).toHaveLength(1);
  });

  it("refuses a key that is not one", () => {
    const index = new CacheIndex(join(tempRoot().runs, "cache"));
    expect(() => index.record('x","run":"', candidate(1))).toThrow(RangeError);
    expect(index.lookup("../x")).toEqual([]);
  });
});

describe("the index's file", () => {
  const linesIn = (folder: string): string[] => {
    const path = join(folder, "index.jsonl");
    return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
  };
  const runsIn = (folder: string): string[] =>
    linesIn(folder).map((line) => (JSON.parse(line) as { run: string }).run);

  it("has what was recorded 50 ms later, in one write; a lookup has it at once", async () => {
    const clock = new VirtualClock();
    const folder = join(tempRoot().runs, "cache");
    const index = new CacheIndex(folder, { clock });
    const calls = recordDiskCalls();
    for (let n = 0; n < 5; n += 1) {
      index.record(key(String(n % 2)), candidate(n));
      expect(index.lookup(key(String(n % 2)))[0]).toEqual(candidate(n));
      await clock.advance(9);
    }
    expect(linesIn(folder)).toEqual([]);
    await clock.advance(5);
    await vi.waitFor(() => expect(calls).toHaveLength(1));
    await index.flush();
    expect(runsIn(folder).toSorted()).toEqual(["p@0", "p@1", "p@2", "p@3", "p@4"]);
    index.record(key("0"), candidate(5));
    await clock.advance(50);
    await index.flush();
    expect(calls).toHaveLength(2);
    // Several keys at once wait no longer.
    index.recordAll([
      [key("2"), candidate(6)],
      [key("3"), candidate(7)],
    ]);
    await clock.advance(50);
    await vi.waitFor(() => expect(calls).toHaveLength(3));
    await index.flush();
    for (const found of [index, new CacheIndex(folder)]) {
      expect(found.lookup(key("0"))).toEqual([5, 4, 2, 0].map(candidate));
      await found.close();
    }
  });

  it("is written off the thread: a disk that stops holds up nobody", async () => {
    const folder = join(tempRoot().runs, "cache");
    const index = new CacheIndex(folder);
    index.record(key("x"), candidate(1));
    await index.flush();
    let goOn = (): void => {};
    const stopped = new Promise<void>((resolve) => (goOn = resolve));
    const { write } = systemDisk;
    const spy = vi.spyOn(systemDisk, "write").mockImplementation(async (...call) => {
      await stopped;
      return write(...call);
    });
    onTestFinished(() => spy.mockRestore());
    index.record(key("x"), candidate(2));
    const flushed = index.flush();
    await vi.waitFor(() => expect(spy).toHaveBeenCalledTimes(1));
    index.record(key("x"), candidate(3));
    // One waits, one is being written, one is in the file.
    expect(index.lookup(key("x"))).toEqual([3, 2, 1].map(candidate));
    const closed = index.close();
    const compacted = index.compact(() => true);
    goOn();
    await Promise.all([flushed, closed, compacted]);
    expect(index.lookup(key("x"))).toEqual([3, 2, 1].map(candidate));
    await index.close();
    expect(new CacheIndex(folder).lookup(key("x"))).toEqual([3, 2, 1].map(candidate));
    expect(linesIn(folder)).toHaveLength(3);
  });

  it("loses what could not be written, says so, and takes what comes later", async () => {
    const folder = join(tempRoot().runs, "cache");
    const lost: unknown[] = [];
    const index = new CacheIndex(folder, { onLost: (error) => lost.push(error) });
    index.record(key("x"), candidate(1));
    await index.flush();
    const full = Object.assign(new Error("no space left"), { code: "ENOSPC" });
    const { write } = systemDisk;
    const spy = vi
      .spyOn(systemDisk, "write")
      // One line and a part of the next, and then no room.
      .mockImplementationOnce((fd, bytes, offset, position) =>
        write(fd, bytes.subarray(0, bytes.indexOf(10) + 40), offset, position),
      )
      .mockRejectedValueOnce(full);
    onTestFinished(() => spy.mockRestore());
    for (const n of [2, 3]) index.record(key("x"), candidate(n));
    await index.flush();
    expect(lost).toEqual([full]);
    expect(index.lookup(key("x"))).toEqual([2, 1].map(candidate));
    index.record(key("x"), candidate(4));
    for (const found of [index, new CacheIndex(folder)]) {
      expect(found.lookup(key("x"))).toEqual([4, 2, 1].map(candidate));
      await found.close();
    }
    expect(lost).toHaveLength(1);
  });

  it("lacks at most what was recorded in the last 50 ms of a process that is killed", async () => {
    const program = await buildProgram("index-recorder");
    const killed = (...given: (number | string)[]): string[] => {
      const folder = join(tempRoot().runs, "cache");
      const { signal } = spawnSync(process.execPath, [program, folder, ...given.map(String)]);
      expect(signal).toBe("SIGKILL");
      // The next process finds what is there, whole, and goes on.
      const index = new CacheIndex(folder);
      const found = [0, 1, 2].flatMap((n) => index.lookup(String(n).repeat(64)));
      expect(found.map(({ run }) => run).toSorted()).toEqual(runsIn(folder).toSorted());
      index.record("f".repeat(64), candidate(9));
      expect(index.lookup("f".repeat(64))).toEqual([candidate(9)]);
      return found.map(({ run }) => run).toSorted();
    };
    // What waited is lost, and what was flushed is not.
    expect(killed(9, 4, "now")).toEqual(["p@1", "p@2", "p@3", "p@4"]);
    // The others come to the file by themselves.
    expect(killed(9, 4, "written")).toHaveLength(9);
  });
});

describe("rebuilding the index", () => {
  async function ledger(store: RunStore, run: string, events: readonly RunEvent[]): Promise<void> {
    const file = await LedgerFile.create<RunEvent>(
      store.runLedger(run),
      [header(run), ...events],
      calm(),
    );
    await file.close();
  }
  const started = (step: string, cacheKey: string): RunEvent => ({
    type: "step.started",
    step,
    attempt: 1,
    cacheKey,
    because: "inputs ready",
  });
  const completed = (step: string): RunEvent => ({
    type: "step.completed",
    step,
    attempt: 1,
    outputs: { result: 1 },
    durationMs: 1,
  });

  it("finds every step that completed under a key, but none in a damaged ledger", async () => {
    const { runs } = tempRoot();
    const store = new RunStore(runs);
    await ledger(store, "p@20260101T000000Z", [
      started("a", key("a")),
      started("b", key("b")),
      completed("a"),
    ]);
    await ledger(store, "q@20260101T000001Z", [
      started("a", key("a")),
      completed("a"),
      { type: "step.started", step: "c", attempt: 1, because: "" },
      completed("c"),
    ]);
    await ledger(store, "q@20260101T000002Z", [started("a", key("d")), completed("a")]);
    const path = store.runLedger("q@20260101T000002Z");
    const bytes = readFileSync(path);
    writeFileSync(
      path,
      Buffer.concat([bytes.subarray(bytes.indexOf(10) + 1), Buffer.from('{"seq":9,"b":9}\n')]),
    );
    // An attempt that started without a key has a result of no key.
    await ledger(store, "q@20260101T000004Z", [
      started("a", key("f")),
      { type: "step.started", step: "a", attempt: 2, because: "" },
      completed("a"),
    ]);
    // What a newer release wrote is nothing that this one knows.
    const newer = "q@20260101T000005Z";
    const lines = [{ ...header(newer), format: 2 }, started("a", key("g")), completed("a")];
    await (await LedgerFile.create(store.runLedger(newer), lines, calm({ format: 2 }))).close();
    // Of another the last line is no line of it.
    await ledger(store, "q@20260101T000003Z", [started("a", key("e")), completed("a")]);
    appendFileSync(store.runLedger("q@20260101T000003Z"), '{"seq":9,"b":9}\n');
    const index = new CacheIndex(store.cache);
    index.record(key("old"), candidate(1));
    expect(await index.rebuild(runs)).toBe(2);
    const runsOf = (text: string): string[] =>
      index.lookup(key(text)).map(({ run, step }) => `${run} ${step}`);
    expect(runsOf("a").toSorted()).toEqual(["p@20260101T000000Z a", "q@20260101T000001Z a"]);
    expect(["b", "d", "e", "f", "g", "old"].flatMap(runsOf)).toEqual([]);
  });

  it("keeps what is recorded during the rebuild", async () => {
    const { runs } = tempRoot();
    const store = new RunStore(runs);
    await ledger(store, "p@20260101T000000Z", [started("a", key("a")), completed("a")]);
    const index = new CacheIndex(store.cache);
    const rebuilt = index.rebuild(runs);
    index.record(key("new"), candidate(7));
    await rebuilt;
    expect(index.lookup(key("new"))).toEqual([candidate(7)]);
    expect(index.lookup(key("a"))).toHaveLength(1);
  });

  it("has each entry once, whenever it was recorded", async () => {
    const store = new RunStore(tempRoot().runs);
    const index = new CacheIndex(store.cache, { clock: systemClock });
    let recorded = 0;
    const record = (): void => index.record(key(String(recorded % 3)), candidate((recorded += 1)));
    record();
    for (let round = 0; round < 20; round += 1) {
      let done = false;
      record();
      const compacted = index.compact(() => true).finally(() => (done = true));
      while (!done) {
        if (recorded < (round + 1) * 40) record();
        if (recorded % 7 === 0) void index.flush();
        await new Promise((resume) => setImmediate(resume));
      }
      await compacted;
    }
    await index.close();
    const runs = readFileSync(join(store.cache, "index.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { run: string }).run);
    expect(runs.toSorted()).toEqual(
      Array.from({ length: recorded }, (_, n) => `p@${n + 1}`).toSorted(),
    );
    expect(recorded).toBeGreaterThan(100);
  });

  it("waits for a write of the old file, and keeps what comes while it waits", async () => {
    const folder = join(tempRoot().runs, "cache");
    const index = new CacheIndex(folder);
    index.record(key("x"), candidate(1));
    let goOn = (): void => {};
    const stopped = new Promise<void>((resolve) => (goOn = resolve));
    await index.flush();
    const { write } = systemDisk;
    const written: string[] = [];
    const spy = vi.spyOn(systemDisk, "write").mockImplementation(async (fd, ...call) => {
      const path = basename(readlinkSync(`/proc/self/fd/${fd}`));
      written.push(path);
      if (path === "index.jsonl") await stopped;
      else if (written.length === 1) {
        index.record(key("x"), candidate(2));
        void index.flush();
      }
      return write(fd, ...call);
    });
    onTestFinished(() => spy.mockRestore());
    let done = false;
    const compacted = index.compact(() => true).finally(() => (done = true));
    await vi.waitFor(() => expect(written).toContain("index.jsonl"));
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resume) => setImmediate(resume));
    expect(done).toBe(false);
    index.record(key("x"), candidate(3));
    goOn();
    expect(await compacted).toBe(3);
    for (const found of [index, new CacheIndex(folder)]) {
      expect(found.lookup(key("x"))).toEqual([3, 2, 1].map(candidate));
      await found.close();
    }
  });

  it("removes what one that died has left, and its own file where it fails", async () => {
    const { cache } = new RunStore(tempRoot().runs);
    const index = new CacheIndex(cache);
    index.record(key("a"), candidate(1));
    await index.flush();
    writeFileSync(join(cache, ".index.jsonl.1"), "x");
    mkdirSync(join(cache, ".index.jsonl.2"));
    expect(await index.compact(() => true)).toBe(1);
    expect(readdirSync(cache).toSorted()).toEqual([".index.jsonl.2", "index.jsonl"]);
    const full = Object.assign(new Error("no room"), { code: "ENOSPC" });
    const spy = vi.spyOn(systemDisk, "write").mockRejectedValue(full);
    onTestFinished(() => spy.mockRestore());
    await expect(index.compact(() => true)).rejects.toBe(full);
    expect(readdirSync(cache).toSorted()).toEqual([".index.jsonl.2", "index.jsonl"]);
    expect(index.lookup(key("a"))).toEqual([candidate(1)]);
  });

  it("keeps the entries of the runs that are left, when others are gone", async () => {
    const store = new RunStore(tempRoot().runs);
    const index = new CacheIndex(store.cache);
    for (let n = 0; n < 20; n += 1) index.record(key(String(n % 3)), candidate(n));
    expect(await index.compact((run) => Number(run.slice(2)) >= 15)).toBe(5);
    expect(
      [0, 1, 2]
        .flatMap((n) => index.lookup(key(String(n))))
        .map(({ run }) => run)
        .toSorted(),
    ).toEqual(["p@15", "p@16", "p@17", "p@18", "p@19"]);
  });
});

describe("the table of offsets", () => {
  it("behaves like a map, however many keys share their bits, and grows", () => {
    const table = new OffsetTable();
    const keys = Array.from({ length: 5_000 }, (_, n) => n);
    const byOffset = new Map<number, number>();
    const bitsOf = (one: number): number => ((one % 700) * 2_654_435_761) >>> 0;
    for (const round of [1, 2]) {
      for (const one of keys) {
        const offset = one * 10 + round;
        byOffset.set(offset, one);
        table.set(bitsOf(one), offset, (there) => byOffset.get(there) === one);
      }
      expect(table.size).toBe(keys.length);
      for (const one of keys)
        expect(table.find(bitsOf(one), (there) => byOffset.get(there) === one)).toBe(
          one * 10 + round,
        );
    }
    expect(table.find(1, () => true)).toBe(-1);
  });
});
