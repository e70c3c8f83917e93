/** The log of a run: what is written when, what is dropped, and what of it can fail. */
import { mkdtempSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { OutputLine } from "../../src/core/task.ts";
import { systemDisk, type Disk } from "../../src/disk/disk.ts";
import { RunLog } from "../../src/run/run-log.ts";
import { tempRoot } from "../support/temp-root.ts";

const line = (text: string): OutputLine => ({
  at: "2026-01-01T00:00:00.000Z",
  step: "a",
  attempt: 1,
  stream: "stdout",
  line: text,
});

/** A disk that answers when it is told to. */
class PlayedDisk {
  readonly said: string[] = [];
  readonly texts: string[] = [];
  /** How many bytes each write had. */
  readonly sizes: number[] = [];
  fault: Error | undefined;
  #held: (() => void) | undefined;
  #gate = Promise.resolve();

  get disk(): Disk {
    const does = async <T>(call: string, value: T): Promise<T> => {
      this.said.push(call);
      await this.#gate;
      if (this.fault !== undefined) throw this.fault;
      return value;
    };
    return {
      open: (_path: string, _flags: number, mode: number) => does(`open ${mode.toString(8)}`, 7),
      write: (_fd: number, bytes: Uint8Array) => {
        const text = Buffer.from(bytes).toString();
        this.sizes.push(bytes.length);
        this.texts.push(...text.trimEnd().split("\n"));
        return does("write", bytes.length);
      },
      close: (fd: number) => does(`close ${fd}`, undefined),
    } as unknown as Disk;
  }

  hold(): void {
    this.#gate = new Promise((resolve) => (this.#held = resolve));
  }

  go(): void {
    this.#held?.();
  }
}

let disk: PlayedDisk;
let log: RunLog;
let errors: unknown[];
beforeEach(() => {
  disk = new PlayedDisk();
  errors = [];
  log = new RunLog("/r.log", (error) => errors.push(error), disk.disk);
});
const lines = (): unknown[] => disk.texts.map((text) => (JSON.parse(text) as OutputLine).line);

describe("a run's log", () => {
  it("is made with its first line, and has no others than those of a line", async () => {
    expect([log.idle, disk.said]).toEqual([true, []]);
    log.write([{ ...line("one"), more: 1 } as OutputLine]);
    expect(log.idle).toBe(false);
    await log.flushed();
    expect([log.idle, disk.said]).toEqual([true, ["open 640", "write"]]);
    expect(JSON.parse(disk.texts[0]!)).toEqual(line("one"));
    await log.close();
    await log.close();
    expect(disk.said.slice(2)).toEqual(["close 7"]);
  });

  it("has one write in flight, and what comes meanwhile is in the next one", async () => {
    disk.hold();
    log.write([line("1")]);
    for (const text of ["2", "3"]) log.write([line(text)]);
    disk.go();
    await log.flushed();
    expect(disk.said).toEqual(["open 640", "write", "write"].slice(0, disk.said.length));
    expect(lines()).toEqual(["1", "2", "3"]);
    disk.said.length = 0;
    disk.hold();
    log.write([line("4")]);
    await Promise.resolve();
    for (const text of ["5", "6"]) log.write([line(text)]);
    disk.go();
    await log.flushed();
    expect([disk.said, lines().slice(3)]).toEqual([
      ["write", "write"],
      ["4", "5", "6"],
    ]);
  });

  it("that waits for the disk is closed once all is written", async () => {
    disk.hold();
    log.write([line("1")]);
    const closed = log.close();
    disk.go();
    await closed;
    expect(disk.said).toEqual(["open 640", "write", "close 7"]);
  });

  it("takes nothing once it is closed: nobody would close the file again", async () => {
    log.write([line("1")]);
    const closed = log.close();
    log.write([line("late")]);
    await closed;
    log.write([line("later")]);
    await log.flushed();
    expect([disk.said, lines()]).toEqual([["open 640", "write", "close 7"], ["1"]]);
  });

  it.each([
    [1, "1 line was dropped: the disk did not keep up"],
    [2, "2 lines were dropped: the disk did not keep up"],
  ])("says how many lines did not fit: %d", async (more, sentence) => {
    disk.hold();
    log.write([line("first")]);
    await Promise.resolve();
    // 16 MiB may wait, and what makes it more is kept.
    const long = "x".repeat(1024 * 1024);
    for (let n = 0; n < 16; n += 1) log.write([line(long)]);
    log.write(Array.from({ length: more }, () => ({ ...line("over"), at: "later" })));
    disk.go();
    await log.flushed();
    expect(lines().length).toBe(18);
    const last = { step: "", attempt: 0, stream: "orchd", line: sentence };
    expect(JSON.parse(disk.texts.at(-1)!)).toEqual({ ...last, at: line("").at });
    log.write([line("next")]);
    await log.flushed();
    expect(lines().slice(-2)).toEqual([sentence, "next"]);
  });

  it("writes megabytes in pieces: no turn of the event loop has all of it", async () => {
    disk.hold();
    log.write([line("first")]);
    await Promise.resolve();
    const long = "x".repeat(64 * 1024);
    for (let n = 0; n < 160; n += 1) log.write([line(`${n}${long}`), line("short")]);
    disk.go();
    await log.flushed();
    expect(Math.max(...disk.sizes)).toBeLessThan(4 * 1024 * 1024);
    expect(lines().filter((text) => text !== "short")).toEqual([
      "first",
      ...Array.from({ length: 160 }, (_, n) => `${n}${long}`),
    ]);
  });

  it("names the step, the attempt, the stream and the time of each line", async () => {
    const said: OutputLine[] = [
      { at: "", step: "", attempt: 0, stream: "stdout", line: "the first of all" },
      line("1"),
      line("2"),
      { ...line("3"), step: "b" },
      { ...line("4"), step: "b", attempt: 2 },
      { ...line("5"), step: "b", attempt: 2, stream: "stderr" },
      { ...line("6"), at: "later", step: "b", attempt: 2, stream: "stderr" },
      line('7 "quoted"'),
    ];
    log.write(said.slice(0, 4));
    log.write(said.slice(4));
    await log.flushed();
    expect(disk.texts.map((text) => JSON.parse(text) as unknown)).toEqual(said);
  });

  it("begins a line of its own after one that a full disk cut", async () => {
    const path = join(tempRoot().root, "cut.log");
    let room = 10;
    const small: Disk = {
      ...systemDisk,
      write: async (fd, bytes, offset, position) => {
        if (room === 0) throw new Error("ENOSPC");
        const wrote = await systemDisk.write(
          fd,
          bytes.subarray(0, offset + room),
          offset,
          position,
        );
        room -= wrote;
        return wrote;
      },
    };
    const real = new RunLog(path, (error) => errors.push(error), small);
    real.write([line("cut")]);
    await real.flushed();
    room = 1_000;
    real.write([line("whole")]);
    await real.flushed();
    real.write([line("next")]);
    await real.flushed();
    await real.close();
    const [cut, ...whole] = readFileSync(path, "utf8").trimEnd().split("\n");
    expect([cut!.length, errors.length]).toEqual([10, 1]);
    expect(whole.map((text) => (JSON.parse(text) as OutputLine).line)).toEqual(["whole", "next"]);
  });

  it("that cannot be written drops what waits, says so, and tries again later", async () => {
    disk.fault = new Error("EIO");
    log.write([line("lost")]);
    await log.flushed();
    expect(errors).toEqual([disk.fault]);
    disk.fault = undefined;
    log.write([line("kept")]);
    await log.flushed();
    expect(errors.length).toBe(1);
    expect(lines().at(-1)).toBe("kept");
    disk.fault = new Error("EIO");
    await log.close();
    expect(errors.length).toBe(2);
  });
});

describe("what lies where a log should be", () => {
  const folder = (): string => mkdtempSync(join(tempRoot().root, "logs-"));
  const written = async (path: string): Promise<unknown[]> => {
    const real = new RunLog(path, (error) => errors.push(error), systemDisk);
    real.write([line("one")]);
    await real.flushed();
    await real.close();
    return errors.map((error) => (error as { code?: string }).code);
  };

  it("is added to where it is a file", async () => {
    const path = join(folder(), "r.log");
    writeFileSync(path, "before\n");
    expect(await written(path)).toEqual([]);
    expect(readFileSync(path, "utf8").split("\n")).toEqual([
      "before",
      JSON.stringify(line("one")),
      "",
    ]);
  });

  it("keeps a line that was cut, and adds lines of their own behind it", async () => {
    const path = join(folder(), "r.log");
    writeFileSync(path, "before\ncu");
    expect(await written(path)).toEqual([]);
    expect(readFileSync(path, "utf8").split("\n")).toEqual([
      "before",
      "cu",
      JSON.stringify(line("one")),
      "",
    ]);
  });

  it("is not followed where it is a link", async () => {
    const at = folder();
    writeFileSync(join(at, "other"), "");
    symlinkSync("other", join(at, "r.log"));
    expect(await written(join(at, "r.log"))).toEqual(["ELOOP"]);
    expect(readFileSync(join(at, "other"), "utf8")).toBe("");
  });

  it("holds nobody up where it is a pipe that nobody reads", async () => {
    const path = join(folder(), "r.log");
    execFileSync("mkfifo", [path]);
    expect(await written(path)).toEqual(["ENXIO"]);
  });
});
