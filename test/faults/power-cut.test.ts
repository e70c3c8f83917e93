/**
 * Promise 2: a power cut. The writer's file system is ext4 on a loop device. At a random moment the
 * writer is stopped and the image is copied: the copy holds what had reached the "disk", and
 * nothing that was only in memory. The copy is mounted, as a machine would mount its disk after the
 * cut.
 */
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readLedger } from "../../src/ledger/ledger-reader.ts";
import { canMount, hasProgram, reached, trials } from "../support/figures.ts";
import { buildProgram } from "../support/program.ts";
import { tempRoot } from "../support/temp-root.ts";

let program: string;
beforeAll(async () => {
  program = await buildProgram("ledger-writer");
});

const possible = canMount() && hasProgram("mkfs.ext4") && existsSync("/dev/loop-control");

/**
 * Writes on `image` for `milliseconds`, cuts the power, and gives how many lines were acknowledged
 * and how many are there.
 */
async function cut(
  folder: string,
  image: string,
  milliseconds: number,
  planted: readonly string[],
): Promise<{ acknowledged: number; kept: number }> {
  const live = join(folder, "live");
  const dead = join(folder, "dead");
  const copy = join(folder, "copy.img");
  for (const path of [live, dead]) mkdirSync(path, { recursive: true });
  execFileSync("mkfs.ext4", ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image]);
  execFileSync("mount", ["-o", "loop", image, live]);
  let text = "";
  try {
    const child = spawn(
      process.execPath,
      [program, join(live, "2026-11", "run.jsonl"), "1000000", ...planted],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    child.stdout.setEncoding("utf8").on("data", (more: string) => (text += more));
    await new Promise<void>((resolve) => child.stdout.once("data", () => resolve()));
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    child.kill("SIGSTOP");
    const stopped = (): boolean =>
      /^State:\s+T/m.test(readFileSync(`/proc/${child.pid}/status`, "utf8"));
    while (!stopped()) await new Promise((resolve) => setImmediate(resolve));
    copyFileSync(image, copy);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("close", resolve));
  } finally {
    execFileSync("umount", [live]);
  }
  execFileSync("mount", ["-o", "loop", copy, dead]);
  try {
    const path = join(dead, "2026-11", "run.jsonl");
    const kept = existsSync(path) ? readLedger(path).lines.length : 0;
    const acknowledged = Math.max(
      0,
      ...text
        .slice(0, text.lastIndexOf("\n"))
        .split("\n")
        .flatMap((line) => (line.startsWith("ack ") ? [Number(line.slice(4))] : [])),
    );
    return { acknowledged, kept };
  } finally {
    execFileSync("umount", [dead]);
  }
}

describe.runIf(possible)("a power cut", () => {
  const cuts = async (count: number, ...planted: string[]): Promise<number> => {
    const root = tempRoot();
    const image = join(root.root, "disk.img");
    execFileSync("truncate", ["-s", "24M", image]);
    let lost = 0;
    for (let round = 0; round < count; round += 1) {
      const { acknowledged, kept } = await cut(root.root, image, (round * 7) % 60, planted);
      expect(acknowledged).toBeGreaterThan(0);
      if (kept < acknowledged) lost += 1;
    }
    return lost;
  };

  it("loses no acknowledged line", { timeout: 900_000 }, async () => {
    const count = trials(4, 200);
    const lost = await cuts(count);
    reached(2, "power cuts that lost no acknowledged line", count - lost, count);
    expect(lost).toBe(0);
  });

  it("is seen to lose lines where nothing is synced", { timeout: 120_000 }, async () => {
    expect(await cuts(3, "unsynced")).toBeGreaterThan(0);
  });
});
