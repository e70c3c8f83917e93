/**
 * Where a command works and where its result goes. A folder that is no folder, and a stdout that
 * takes nothing, get a sentence and never a stack.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { orchd, orchdProgram } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";

it.each([["status"], ["next"], ["status", "--root", "/tmp"]])(
  "a working folder that was removed is told in a sentence: orchd %s",
  (...words) => {
    const { root } = tempRoot();
    const gone = 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"';
    const command = [process.execPath, orchdProgram, ...words];
    const ended = spawnSync("/bin/sh", ["-c", gone, join(root, "gone"), ...command], {
      encoding: "utf8",
    });
    expect([ended.status, ended.stdout, ended.stderr]).toEqual([
      1,
      "",
      "orchd: the folder that this command was started in was removed; change to one that " +
        "exists (`cd /`) and run the command again, with --root.\n",
    ]);
  },
);

it.each([
  [
    "a root that is not there",
    ["status", "--root", "ROOT/nothing"],
    /^orchd: the root \S+\/nothing is no folder; name one with --root or ORCHD_ROOT/,
  ],
  [
    "a root that is a file",
    ["runs", "--root", "ROOT/file"],
    /^orchd: the root \S+\/file is no folder/,
  ],
  [
    "a runs folder that is a file",
    ["status", "--runs", "ROOT/file"],
    /^orchd: \S+\/file is no folder; name the folder of ledgers with --runs\.\n$/,
  ],
  [
    "a drop folder that is a file",
    ["next", "--schedules", "ROOT/file"],
    /^orchd: \S+\/file is no folder; name the drop folder with --schedules\.\n$/,
  ],
  [
    "a daemon's root that is not there",
    ["start", "--root", "ROOT/nothing"],
    /^orchd: the root \S+\/nothing is no folder/,
  ],
])("%s is bad usage", async (_, words, sentence) => {
  const { root } = tempRoot({ file: "" });
  const ended = await orchd(root, ...words.map((word) => word.replace("ROOT", root)));
  expect(ended.stderr).toMatch(sentence);
  expect([ended.status, ended.stdout]).toEqual([2, ""]);
});

// /proc makes no folders, not even for root.
it
  .runIf(existsSync("/proc/self"))
  .each(["run p", "run p --foreground", "pause p", "prune", "verify --rebuild", "start"])(
  "orchd %s says of a runs folder that cannot be what it is and what to do",
  async (words) => {
    const { root } = tempRoot({ "schedules/p.yaml": 'steps: { it: { run: "true" } }\n' });
    const ended = await orchd(root, ...words.split(" "), "--runs", "/proc/x/runs");
    const sentence =
      "the folder /proc/x cannot be made: its file system makes no folders there (ENOENT); " +
      "name a folder that can be written with --runs or --root.";
    const said =
      words === "start" ? (JSON.parse(ended.stderr) as { msg: string }).msg : ended.stderr;
    expect(said).toContain(sentence);
    expect([ended.status, ended.stdout]).toEqual([1, ""]);
  },
);

it.each([
  ["schema", "pipeline"],
  ["completion", "zsh"],
])("orchd %s needs no root", async (...words) => {
  const { root } = tempRoot();
  const ended = await orchd(root, ...words, "--root", join(root, "nothing"));
  expect([ended.status, ended.stderr]).toEqual([0, ""]);
  expect(ended.stdout).not.toBe("");
});

it("init makes a root that is missing", async () => {
  const { root } = tempRoot();
  expect(
    (await orchd(root, "init", "new", { env: { ORCHD_ROOT: join(root, "new") } })).status,
  ).toBe(0);
  expect(existsSync(join(root, "new/schedules"))).toBe(true);
});

it.runIf(existsSync("/dev/full"))(
  "a stdout that is full is a failure, in one sentence; a stderr that is full changes nothing",
  () => {
    const { root } = tempRoot();
    const into = (words: string, redirection: string) =>
      spawnSync(
        "/bin/sh",
        ["-c", `exec "$0" "$1" ${words} ${redirection}`, process.execPath, orchdProgram],
        { cwd: root, encoding: "utf8" },
      );
    for (const words of ["status --json", "runs --json"]) {
      const full = into(words, ">/dev/full");
      expect([full.status, full.stderr]).toEqual([
        1,
        "orchd: the result cannot be written (ENOSPC); see where stdout goes.\n",
      ]);
    }
    expect(into("status nothing", "2>/dev/full").status).toBe(3);
  },
);
