/** How much of a step's output is kept: what its lines cost in the log, not their letters. */
import { expect, it } from "vitest";
import { LINE_OVERHEAD } from "../../src/core/task.ts";
import { LineCapture } from "../../src/steps/line-capture.ts";
import { Masker } from "../../src/core/mask.ts";

function captured(limit: number): { readonly capture: LineCapture; readonly lines: string[] } {
  const lines: string[] = [];
  const capture = new LineCapture(new Masker(), (_, more) => lines.push(...more), limit);
  return { capture, lines };
}

it.each([0, 9])(
  "ends at the limit for lines of %i letters, and says what was dropped",
  (letters) => {
    const cost = letters + 1 + LINE_OVERHEAD;
    const { capture, lines } = captured(10 * cost);
    const line = `${"x".repeat(letters)}\n`;
    capture.write("stdout", line.repeat(8));
    capture.write("stderr", line.repeat(2));
    expect(lines).toHaveLength(10);
    capture.write("stdout", line.repeat(3));
    capture.end();
    expect(lines.slice(10)).toEqual([
      "[orchd: the output is longer than 0 MiB; " +
        `${3 * (letters + 1)} bytes after that are dropped]`,
    ]);
  },
);

it("counts the lines of one write, however long it is", () => {
  const { capture, lines } = captured(5 * (1 + LINE_OVERHEAD));
  capture.write("stdout", "\n".repeat(1_000));
  capture.end();
  expect(lines).toHaveLength(6);
  expect(lines[5]).toContain("995 bytes after that are dropped");
});

it("counts the bytes of a text, not its letters", () => {
  const { capture, lines } = captured(2 * (4 + LINE_OVERHEAD));
  capture.write("stdout", Buffer.from("äö\näö\näö\n"));
  capture.end();
  expect(lines.slice(0, 2)).toEqual(["äö", "äö"]);
  expect(lines.at(-1)).toContain("5 bytes after that");
});

it("keeps what comes without an end of line, and drops the CR before one", () => {
  const { capture, lines } = captured(10_000);
  capture.write("stdout", "a\r\nb\r");
  capture.write("stderr", "c");
  capture.write("stdout", "\r\nd\r");
  capture.end();
  expect(lines).toEqual(["a", "b\r", "d", "c"]);
});

it("cuts a line that never ends at each 64 KiB, as it comes", () => {
  const kib = 1_024;
  for (const [written, whole] of [
    [64, 0],
    [65, 1],
    [200, 3],
    [600, 9],
  ] as const) {
    const { capture, lines } = captured(10 * kib * kib);
    capture.write("stdout", "x".repeat(written * kib));
    expect(lines.map((line) => line.length)).toEqual(Array(whole).fill(64 * kib));
    capture.end();
    expect(lines.join("")).toHaveLength(written * kib);
  }
});
