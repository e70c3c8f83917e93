/** What the daemon's log writes to stderr, with and without a journal that reads it. */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { openDaemonLog } from "../../src/observe/daemon-log.ts";
import { buildProgram } from "../support/program.ts";
import { endedWithTest } from "../support/process-end.ts";
import { tempRoot } from "../support/temp-root.ts";

let program: string;
beforeAll(async () => {
  program = await buildProgram("log-writer");
});

/** Runs the program. @param journalOf makes JOURNAL_STREAM of stderr's device and inode */
function write(
  journalOf: (stream: string) => string | undefined,
  level = "trace",
  words: readonly string[] = [],
): { readonly path: string } {
  const path = join(tempRoot().root, "stderr");
  const fd = openSync(path, "w");
  const { dev, ino } = fstatSync(fd, { bigint: true });
  const journal = journalOf(`${dev}:${ino}`);
  const { status } = spawnSync(process.execPath, [program, ...words], {
    stdio: ["ignore", "ignore", fd],
    env: {
      PATH: process.env["PATH"],
      ORCHD_LOG_LEVEL: level,
      ...(journal === undefined ? {} : { JOURNAL_STREAM: journal }),
    },
  });
  closeSync(fd);
  expect(status).toBe(0);
  return { path };
}

/** The lines on stderr when the program has ended. */
function logged(...options: Parameters<typeof write>): string[] {
  return readFileSync(write(...options).path, "utf8")
    .trim()
    .split("\n");
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

/** Receives datagrams as the journal does, a line of hex each; ends at its stdin's end. */
const JOURNAL = `
use strict;
socket my $socket, 1, 2, 0;
bind $socket, pack("Sa*x", 1, shift) or die;
$| = 1;
print "ready\\n";
my $entry;
while (defined recv $socket, $entry, 1 << 22, 0) { print unpack("H*", $entry), "\\n" }
`;

/** A journal that listens at a socket. */
async function listening(
  socket: string,
): Promise<{ entries: string[]; until: (n: number) => Promise<void>; end: () => void }> {
  const child = endedWithTest(
    spawn("perl", ["-e", JOURNAL, socket], { stdio: ["ignore", "pipe", "inherit"] }),
  );
  const entries: string[] = [];
  const iterator = createInterface(child.stdout)[Symbol.asyncIterator]();
  expect((await iterator.next()).value).toBe("ready");
  const until = async (n: number): Promise<void> => {
    while (entries.length < n) {
      const { value } = (await iterator.next()) as { value: string };
      entries.push(Buffer.from(value, "hex").toString("utf8"));
    }
  };
  return { entries, until, end: () => void child.kill("SIGKILL") };
}

/** An entry as the journal takes it. */
function entryOf(priority: number, fields: string, line: RegExp): RegExp {
  const head = `^PRIORITY=${priority}\nSYSLOG_IDENTIFIER=orchd\n${fields}MESSAGE\n`;
  return new RegExp(`${head}[^]{8}${line.source}\n$`);
}

it("sends lines about pipelines and runs to the journal with their fields", async () => {
  const socket = join(tempRoot().root, "journal");
  const journal = await listening(socket);
  try {
    const onStderr = logged((stream) => stream, "info", [socket]);
    await journal.until(3);
    const fields = "ORCHD_PIPELINE=etl\nORCHD_RUN=etl@1\n";
    const [info, warn, error] = journal.entries;
    expect(info).toMatch(entryOf(6, fields, /\{"level":"info".*"msg":"a < b\\n<3>c"\}/));
    expect(warn).toMatch(entryOf(4, fields, /\{"level":"warn".*\}/));
    expect(error).toMatch(entryOf(3, fields, /\{"level":"error".*\}/));
    await journal.until(4);
    expect(journal.entries[3]).toMatch(entryOf(4, "ORCHD_RUN=etl@2\n", /\{.*"msg":"ü+"\}/));
    // A last word, what is about no pipeline, what is no word, and a line that is too long.
    const said = onStderr.map((line) => (JSON.parse(line.slice(3)) as { msg: string }).msg);
    expect(said).toEqual(["a < b\n<3>c", "about no pipeline", "no word", "ü".repeat(40_000)]);
    expect(onStderr[0]).toMatch(/^<2>/);
  } finally {
    journal.end();
  }
});

it("writes to stderr what the journal does not take", async () => {
  const socket = join(tempRoot().root, "journal");
  writeFileSync(socket, "");
  const { path } = write((stream) => stream, "warn", [socket]);
  const priorities = (): string[] =>
    readFileSync(path, "utf8")
      .split("\n")
      .map((line) => line.slice(0, 3))
      .toSorted();
  // perl may still read its pipe.
  await expect.poll(priorities).toEqual(["", "<2>", "<3>", "<4>", "<4>", "<4>"]);
});

it.each([
  [undefined, "info"],
  ["debug", "debug"],
])("the level of the log where the variable says %s is %s", (value, level) => {
  vi.stubEnv("ORCHD_LOG_LEVEL", value);
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(openDaemonLog(false).level).toBe(level);
});
