/** The names in `.orchd` that are orchd's, where something else has them. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { acquireDaemonLock, type DaemonLock } from "../../src/ledger/lock.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function made(): string {
  const orchdDir = join(tempRoot().runs, ".orchd");
  mkdirSync(join(orchdDir, "elsewhere"), { recursive: true });
  return orchdDir;
}

async function taken(orchdDir: string, moved: string[] = []): Promise<DaemonLock> {
  const onMoved = (sentence: string): void => void moved.push(sentence);
  const lock = await acquireDaemonLock(orchdDir, { clock: new VirtualClock(), onMoved });
  onTestFinished(() => lock.release());
  return lock;
}

it("is moved out of the way, and said, by whoever takes the lock", async () => {
  const orchdDir = made();
  mkdirSync(join(orchdDir, "places.jsonl/kept"), { recursive: true });
  execFileSync("mkfifo", [join(orchdDir, "daemon.jsonl")]);
  writeFileSync(join(orchdDir, "claims"), "");
  symlinkSync("elsewhere", join(orchdDir, "artifacts"));
  symlinkSync("nowhere", join(orchdDir, "left"));
  const moved: string[] = [];
  await taken(orchdDir, moved);
  const at = (name: string): string => join(orchdDir, name);
  expect(moved).toEqual([
    `${at("claims")} was a file, where orchd keeps a folder: ` +
      `it is ${at("claims.in-the-way-1")} now`,
    `${at("daemon.jsonl")} was a pipe, a socket or a device, where orchd keeps a file: ` +
      `it is ${at("daemon.jsonl.in-the-way-1")} now`,
    `${at("places.jsonl")} was a folder, where orchd keeps a file: ` +
      `it is ${at("places.jsonl.in-the-way-1")} now`,
  ]);
  expect(readdirSync(at("places.jsonl.in-the-way-1"))).toEqual(["kept"]);
  // A folder may be a link to one, and a file is made behind its link.
  expect(readdirSync(orchdDir)).toEqual(expect.arrayContaining(["artifacts", "left"]));
});

it.each<[string, (path: string) => void, string]>([
  ["daemon.lock", (path) => mkdirSync(path), "is a folder, and orchd keeps a file"],
  ["epoch", (path) => writeFileSync(path, ""), "is a file, and orchd keeps a folder"],
  ["epoch", (path) => symlinkSync("nowhere", path), "is a link to nothing"],
  ["artifacts", (path) => symlinkSync("/mnt/none", path), "is a link to nothing"],
])("%s is left to a person", async (name, make, sentence) => {
  const orchdDir = made();
  const path = join(orchdDir, name);
  make(path);
  await expect(taken(orchdDir)).rejects.toThrow(`${path} ${sentence}`);
  await expect(taken(orchdDir)).rejects.toThrow("move it away or put it right, then start again.");
});

it("a pipe at an epoch's name holds nobody", async () => {
  const orchdDir = made();
  mkdirSync(join(orchdDir, "epoch"));
  execFileSync("mkfifo", [join(orchdDir, "epoch/6")]);
  expect((await taken(orchdDir)).epoch).toBe(7);
});
