/** Promise 6: out of blocks, of inodes or of descriptors nothing is acknowledged or fired unrecorded, and scheduling goes on by itself once there is room. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { canMount, hasProgram, reached, trials } from "../support/figures.ts";
import { pipelineLedger, runsOf, undecidedSeconds } from "../support/ledgers.ts";
import { buildPlanted, type Plant } from "../support/program.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const TICK = `schedule: { cron: "* * * * * *" }
overlap: allow
enableCache: false
steps:
  note: { run: "true" }
`;

/** Has a run go on in a file without a name, elsewhere, where there is no room for its ledger. */
const IMPATIENT: Plant = {
  file: "src/ledger/ledger-birth.ts",
  from: "fd = await untilRoom(host, () => writeAside(disk, path, birth));",
  to: `fd = await writeAside(disk, path, birth).catch(() => {
      const O_TMPFILE = 0o20200000;
      return disk.open("/dev/shm", O_TMPFILE | 2, 0o600);
    });`,
};

/** Fills a file system to its last block. */
function fill(path: string): void {
  for (let chunk = 1 << 18; chunk >= 512; chunk >>= 1) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(chunk), { flag: "a" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
  }
}

/** Takes every inode of a file system. */
function fillInodes(folder: string): void {
  mkdirSync(folder);
  try {
    for (let n = 0; ; n += 1) writeFileSync(join(folder, String(n)), "");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}

/** A root whose runs lie on a small file system of their own. */
function smallRoot(options: string): { readonly root: TempRoot; readonly runs: string } {
  const root = tempRoot({ "schedules/tick.yaml": TICK, "orchd.yaml": "drainPeriod: 500ms\ngracePeriod: 500ms\n" });
  const runs = join(root.root, "small");
  mkdirSync(runs);
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", runs]);
  onTestFinished(() => void execFileSync("umount", ["-l", runs]));
  return { root, runs };
}

/** Runs that have ended. */
function finished(runs: string): number {
  return linesOf(join(runs, "tick/pipeline.jsonl")).filter((line) => line.type === "run.finished").length;
}

/** What is wrong where every slot is to be decided once, every run that was told is to be there and run once, and every ledger whole. */
async function faultsIn(root: TempRoot, runs: string): Promise<string[]> {
  const there = runsOf(runs, "tick");
  const told = pipelineLedger(runs, "tick").flatMap((line) =>
    line.type === "slot.fired" || line.type === "slot.caught_up" ? [String(line["run"])] : [],
  );
  const lost = told.filter((run) => there.every((one) => one.run !== run));
  const twice = there.filter((run) => run.lines.filter((line) => line.type === "step.started").length > 1);
  const verified = (await orchd(root.root, "--runs", runs, "verify", "--json")).json<{ faults: unknown[] }>();
  return [
    ...undecidedSeconds(pipelineLedger(runs, "tick")),
    ...lost.map((run) => `${run} was told, and is not there`),
    ...twice.map(({ run }) => `${run} was run twice`),
    ...verified.faults.map((fault) => JSON.stringify(fault)),
  ];
}

/** Takes something away and gives it back, so many times; after each, runs end again within 30 s. */
async function cycle(daemon: Daemon, runs: string, times: number, take: () => void, give: () => void): Promise<number> {
  await awaitSight(runs, () => (finished(runs) >= 1 ? true : undefined), "a first run");
  let resumed = 0;
  for (; resumed < times; resumed += 1) {
    take();
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const before = finished(runs);
    give();
    await awaitSight(
      runs,
      () => (finished(runs) > before ? true : undefined),
      () => `a run after there was room again; the log says ${daemon.stderr().slice(-2_000)}`,
      30_000,
    );
  }
  return resumed;
}

describe.runIf(canMount())("a disk that fills up", () => {
  it("holds what waits and goes on by itself", { timeout: 1_800_000 }, async () => {
    const { root, runs } = smallRoot("size=4m");
    const daemon = await startDaemon({ root: root.root, arguments: ["--runs", runs], env: { ORCHD_RUNS: runs }, ready: false });
    const cycles = trials(1, 50);
    const resumed = await cycle(
      daemon,
      runs,
      cycles,
      () => fill(join(runs, "filler")),
      () => rmSync(join(runs, "filler")),
    );
    reached(6, "times that scheduling went on after a full disk", resumed, cycles);
    // Told to end while nothing can be written, it ends, and every ledger is whole.
    fill(join(runs, "filler"));
    await awaitSight(runs, () => (daemon.stderr().includes("the disk is full") ? true : undefined), "a word about the full disk", 30_000);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await daemon.end();
    rmSync(join(runs, "filler"));
    // What was told and given up is the next daemon's to do.
    const before = finished(runs);
    const next = await startDaemon({ root: root.root, arguments: ["--runs", runs], env: { ORCHD_RUNS: runs }, ready: false });
    await awaitSight(runs, () => (finished(runs) > before ? true : undefined), "a run of the next daemon", 30_000);
    await next.end();
    expect(await faultsIn(root, runs)).toEqual([]);
  });

  it("is seen to lose what was to be written, where that does not wait for room", { timeout: 120_000 }, async () => {
    const { root, runs } = smallRoot("size=4m");
    const program = await buildPlanted("impatient-daemon", IMPATIENT);
    const daemon = await startDaemon({ root: root.root, program, arguments: ["--runs", runs], env: { ORCHD_RUNS: runs }, ready: false });
    await cycle(
      daemon,
      runs,
      1,
      () => fill(join(runs, "filler")),
      () => rmSync(join(runs, "filler")),
    );
    await daemon.kill();
    expect((await faultsIn(root, runs)).join()).toContain("was told, and is not there");
  });

  it("and one that has no inode left", { timeout: 1_800_000 }, async () => {
    const { root, runs } = smallRoot("size=64m,nr_inodes=4000");
    const daemon = await startDaemon({ root: root.root, arguments: ["--runs", runs], env: { ORCHD_RUNS: runs }, ready: false });
    const cycles = trials(1, 20);
    const resumed = await cycle(
      daemon,
      runs,
      cycles,
      () => fillInodes(join(runs, ".filler")),
      () => rmSync(join(runs, ".filler"), { recursive: true }),
    );
    reached(6, "times that scheduling went on after there was no inode", resumed, cycles);
    expect((await daemon.end()).status).toBe(0);
    expect(await faultsIn(root, runs)).toEqual([]);
  });
});

it.runIf(hasProgram("prlimit"))("a daemon that has no descriptor left holds what waits and goes on by itself", { timeout: 1_800_000 }, async () => {
  const root = tempRoot({ "schedules/tick.yaml": TICK, "orchd.yaml": "drainPeriod: 500ms\ngracePeriod: 500ms\n" });
  const daemon = await startDaemon({ root: root.root });
  // The soft limit alone: lowering the hard one cannot be taken back by everybody.
  const limit = (most: number): void => void execFileSync("prlimit", [`--pid=${daemon.pid}`, `--nofile=${most}:`]);
  // How many are left decides which call is the first to go without.
  const cycles = trials(2, 20);
  let left = -2;
  const resumed = await cycle(
    daemon,
    root.runs,
    cycles,
    () => limit(readdirSync(`/proc/${daemon.pid}/fd`).length + (left = left === 6 ? -2 : left + 1)),
    () => limit(512),
  );
  reached(6, "times that scheduling went on after there was no descriptor", resumed, cycles);
  expect((await daemon.end()).status).toBe(0);
  expect(await faultsIn(root, root.runs)).toEqual([]);
});
