/**
 * A daemon whose log cannot be written: nobody reads the pipe that it goes to, or the disk is full.
 * Its pipelines run, and it ends when it is told to.
 */
import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

/** A pipe without room, whose reader reads nothing. */
function unreadPipe(folder: string): string {
  const path = join(folder, "pipe");
  spawnSync("mkfifo", [path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => closeSync(fd));
  expect(() => {
    for (;;) writeSync(fd, "x".repeat(4_096));
  }).toThrow("EAGAIN");
  return path;
}

it.each([
  { how: "nobody reads", stderr: unreadPipe, words: [] },
  { how: "has no room on its disk", stderr: () => "/dev/full", words: ["--pretty"] },
])("a daemon whose log $how runs its pipelines, and ends", { timeout: 60_000 }, async (given) => {
  const root = tempRoot({ "schedules/p.yaml": "steps: { a: { run: 'true' } }\n" });
  const daemon = await startDaemon({
    root: root.root,
    arguments: given.words,
    through: ["sh", "-c", `exec "$@" 2>"$0"`, given.stderr(root.root)],
  });
  // It is told at once, which a line of a lower level is not.
  root.write("schedules/bad.yaml", "steps: 1\n");
  expect((await orchd(root.root, "run", "p", "--wait")).status).toBe(0);
  expect(outcomeOf(runsOf(root.runs, "p")[0]!)).toBe("completed");
  expect(await daemon.end()).toEqual({ status: 0, signal: null });
});
