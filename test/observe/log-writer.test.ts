/** How the log reaches stderr where that is a pipe that nobody reads, or a disk that is full. */
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { LogWriter, type LostLines } from "../../src/observe/log-writer.ts";
import { tempRoot } from "../support/temp-root.ts";

interface Pipe {
  readonly writer: LogWriter;
  readonly lost: LostLines[];
  /** What is in the pipe now; "" if nothing is. */
  read(): string;
  closeReader(): void;
}

/** A writer into a pipe, which holds 64 KiB. */
function pipe(onLost: (writer: LogWriter) => void = () => {}): Pipe {
  const path = join(tempRoot().root, "pipe");
  spawnSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  let isOpen = true;
  const closeReader = (): void => {
    if (isOpen) closeSync(reader);
    isOpen = false;
  };
  onTestFinished(() => {
    closeReader();
    closeSync(fd);
  });
  const lost: LostLines[] = [];
  const writer = new LogWriter((one) => {
    lost.push(one);
    onLost(writer);
  }, fd);
  const bytes = Buffer.alloc(64 * 1024);
  return {
    writer,
    lost,
    closeReader,
    read() {
      let text = "";
      try {
        for (;;) {
          const length = readSync(reader, bytes);
          if (length === 0) return text;
          text += bytes.toString("latin1", 0, length);
        }
      } catch (error) {
        expect(error).toMatchObject({ code: "EAGAIN" });
        return text;
      }
    },
  };
}

/** A line of a thousand bytes. */
const line = (number: number): string => `${String(number).padEnd(999, ".")}\n`;
const numbersOf = (text: string): number[] =>
  text
    .split("\n")
    .slice(0, -1)
    .map((one) => Number.parseInt(one, 10));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

it("writes at once, and keeps what a pipe has no room for until it has", async () => {
  const { writer, lost, read } = pipe();
  writer.write("a\n");
  expect(read()).toBe("a\n");
  for (let number = 0; number < 200; number += 1) writer.write(line(number));
  let text = read();
  // Each write has fewer bytes than the kernel keeps together, so none is cut.
  expect(numbersOf(text).length).toBeLessThan(70);
  await vi.waitFor(() => {
    text += read();
    expect(numbersOf(text)).toEqual(upTo(200));
  }, 10_000);
  expect(lost).toEqual([]);
  // The second time as the first.
  writer.write("b\n");
  expect(read()).toBe("b\n");
});

it("goes on within a line that was written in part", async () => {
  const { writer, read } = pipe();
  const long = `${"x".repeat(300_000)}\n`;
  writer.write(long);
  writer.write("b\n");
  let text = "";
  await vi.waitFor(() => {
    text += read();
    expect(text.length).toBe(long.length + 2);
  }, 10_000);
  expect(text).toBe(`${long}b\n`);
});

it("loses lines past a mebibyte, and tells how many after the others", async () => {
  const { writer, lost, read } = pipe((told) => told.write("told\n"));
  for (let number = 0; number < 1_500; number += 1) writer.write(line(number));
  writer.write(line(0) + line(1));
  let text = "";
  await vi.waitFor(() => {
    text += read();
    expect(text).toMatch(/told\n$/);
  }, 10_000);
  const written = numbersOf(text.slice(0, -"told\n".length));
  expect(written).toEqual(upTo(written.length));
  // What the pipe holds, and what waits.
  expect(written.length).toBeGreaterThan(1_048 + 60);
  expect(written.length).toBeLessThan(1_048 + 70);
  expect(lost).toEqual([
    { lines: 1_502 - written.length, forMs: expect.any(Number) as number, code: "EAGAIN" },
  ]);
  // It is told once.
  writer.write("c\n");
  expect(read()).toBe("c\n");
  expect(lost).toHaveLength(1);
});

it("writes nothing more where the reader is gone", () => {
  const { writer, lost, closeReader } = pipe();
  closeReader();
  for (let number = 0; number < 3_000; number += 1) writer.write(line(number));
  expect(lost).toEqual([]);
});

describe("time", () => {
  let now = 0;
  beforeEach(() => {
    now = 5_000;
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    vi.spyOn(performance, "now").mockImplementation(() => now);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
  const pass = (ms: number): void => {
    now += ms;
    vi.advanceTimersByTime(ms);
  };

  it("a full pipe is tried after 20 ms, then after twice as long, a second at most", () => {
    const { writer, read } = pipe();
    for (let number = 0; number < 100; number += 1) writer.write(line(number));
    const written = numbersOf(read()).length;
    pass(19);
    expect(read()).toBe("");
    pass(1);
    expect(numbersOf(read())[0]).toBe(written);
    for (let number = 100; number < 300; number += 1) writer.write(line(number));
    pass(20);
    pass(40);
    for (const wait of [80, 160, 320, 640, 1_000, 1_000]) pass(wait - 1);
    const next = numbersOf(read());
    expect([next.length < 70, read()]).toEqual([true, ""]);
    pass(1_000);
    expect(numbersOf(read())[0]).toBe(next.at(-1)! + 1);
  });

  it("what was lost is told with its time, each time that lines are lost", () => {
    const { writer, lost, read } = pipe();
    for (const forMs of [7_000, 3_000]) {
      lost.length = 0;
      for (let number = 0; number < 1_200; number += 1) writer.write(line(number));
      writer.write("x".repeat(90_000) + "\n\n\n");
      pass(forMs);
      let text = "";
      for (let more = read(); more !== ""; more = read()) {
        text += more;
        vi.advanceTimersByTime(1_000);
      }
      const kept = text.split("\n").length - 1;
      expect(lost).toEqual([{ lines: 1_203 - kept, forMs, code: "EAGAIN" }]);
    }
  });

  it("a single text that is longer than what may wait is kept whole", () => {
    const { writer, lost, read } = pipe();
    const long = "y".repeat(2 * 1024 * 1024) + "\n";
    writer.write(long);
    writer.write("not kept\n");
    let text = "";
    for (let more = read(); more !== ""; more = read()) {
      text += more;
      vi.advanceTimersByTime(1_000);
    }
    expect([text === long, lost.length, lost[0]?.lines]).toEqual([true, 1, 1]);
  });

  it("what waits is written as the process exits, for a second where nobody reads", () => {
    const { writer, read } = pipe();
    const exits = process.listeners("exit").at(-1) as () => void;
    for (let number = 0; number < 100; number += 1) writer.write(line(number));
    const first = numbersOf(read()).length;
    exits();
    expect(vi.getTimerCount()).toBe(0);
    expect(numbersOf(read())).toEqual(upTo(100).slice(first));
    for (let number = 0; number < 100; number += 1) writer.write(line(number));
    // Each look at the time is ten milliseconds later.
    vi.mocked(performance.now).mockImplementation(() => (now += 10));
    const before = now;
    vi.spyOn(Atomics, "wait").mockReturnValue("timed-out");
    exits();
    expect(now - before).toBeGreaterThanOrEqual(1_000);
    expect(now - before).toBeLessThan(1_100);
  });

  it("a reader that is gone leaves nothing to try", () => {
    const { writer, lost, closeReader } = pipe();
    for (let number = 0; number < 2_000; number += 1) writer.write(line(number));
    expect(vi.getTimerCount()).toBe(1);
    closeReader();
    pass(1_000);
    expect(vi.getTimerCount()).toBe(0);
    writer.write("a\n");
    pass(60_000);
    expect([vi.getTimerCount(), lost]).toEqual([0, []]);
  });
});

it("waits for room on a full disk, and never throws", async () => {
  const fd = openSync("/dev/full", "w");
  const writer = new LogWriter(() => {}, fd);
  const exits = process.listeners("exit").at(-1) as () => void;
  expect(() => writer.write("a\n")).not.toThrow();
  await new Promise((resolve) => setTimeout(resolve, 30));
  writer.write("b\n");
  // An exit does not wait for a disk.
  expect(exits).not.toThrow();
  closeSync(fd);
});
