/** What is known of a terminal: whether a person looks at it, and how large it is. */
import type * as FS from "node:fs";
import { expect, it, vi } from "vitest";
import { Terminal } from "../../src/cli/terminal.ts";

const device = vi.hoisted(() => ({ is: true }));
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof FS>();
  return { ...fs, fstatSync: () => ({ isCharacterDevice: () => device.is }) };
});

function sized(stdout: object, term = "xterm", isDevice = true): unknown[] {
  device.is = isDevice;
  const stream = { on: () => stream, ...stdout };
  const { interactive, columns, rows } = new Terminal({
    stdout: stream,
    stderr: stream,
    env: { TERM: term },
  } as never);
  return [interactive, columns, rows];
}

it.each<[string, object, string, boolean, unknown[]]>([
  ["a terminal", { isTTY: true, columns: 80, rows: 50 }, "xterm", true, [true, 80, 50]],
  ["one of one column", { isTTY: true, columns: 1, rows: 1 }, "xterm", true, [true, 1, 1]],
  [
    "one without a size",
    { isTTY: true, columns: 0, rows: 0 },
    "xterm",
    true,
    [true, undefined, 24],
  ],
  ["a dumb one", { isTTY: true, columns: 80, rows: 50 }, "dumb", true, [false, 80, 50]],
  ["a device that is none", { rows: 0 }, "xterm", true, [false, undefined, 24]],
  ["a file", { isTTY: true, columns: 80, rows: 50 }, "xterm", false, [false, undefined, 24]],
])("%s", (_, stdout, term, isDevice, known) => {
  expect(sized(stdout, term, isDevice)).toEqual(known);
});
