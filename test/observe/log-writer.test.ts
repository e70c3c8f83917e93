/** How the log reaches stderr where that is a pipe that nobody reads, or a disk that is full. */
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
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
