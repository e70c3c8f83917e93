/** What the daemon's log writes to stderr, with and without a journal that reads it. */
import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { buildProgram } from "../support/program.ts";
import { tempRoot } from "../support/temp-root.ts";

let program: string;
beforeAll(async () => {
  program = await buildProgram("log-writer");
});

/** Runs the program. @param journalOf makes JOURNAL_STREAM of stderr's device and inode */
function logged(journalOf: (stream: string) => string | undefined, level = "trace"): string[] {
  const path = join(tempRoot().root, "stderr");
  const fd = openSync(path, "w");
  const { dev, ino } = fstatSync(fd, { bigint: true });
  const journal = journalOf(`${dev}:${ino}`);
  const { status } = spawnSync(process.execPath, [program], {
    stdio: ["ignore", "ignore", fd],
    env: {
      ORCHD_LOG_LEVEL: level,
      ...(journal === undefined ? {} : { JOURNAL_STREAM: journal }),
    },
  });
  closeSync(fd);
  expect(status).toBe(0);
  return readFileSync(path, "utf8").trim().split("\n");
}

it("has each line's priority before it where stderr is the journal", () => {
  const lines = logged((stream) => stream);
  expect(lines.map((line) => line.slice(0, 3))).toEqual(["<7>", "<7>", "<6>", "<4>", "<3>", "<2>"]);
  const told = lines.map((line) => JSON.parse(line.slice(3)) as Record<string, unknown>);
  expect(told.map(({ level }) => level)).toEqual([
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "fatal",
  ]);
  for (const line of told) expect(line).toMatchObject({ pipeline: "etl", msg: "a < b\n<3>c" });
});

it("has nothing before its lines where stderr is anything else", () => {
  for (const journal of [undefined, "", "1:2", "nonsense"])
    for (const line of logged(() => journal, "warn"))
      expect(JSON.parse(line)).toMatchObject({ msg: "a < b\n<3>c" });
});
