/**
 * Promise 6: without blocks, inodes or descriptors nothing is acknowledged or fired unrecorded, and
 * scheduling goes on by itself when there is room again.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { canMount, hasProgram, reached, trials } from "../support/figures.ts";
import {
  outcomeOf,
  pipelineLedger,
  runsOf,
  undecidedSeconds,
  type PlainRun,
} from "../support/ledgers.ts";
import { buildPlanted, type Plant } from "../support/program.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const TICK = `schedule: { cron: "* * * * * *" }
overlap: allow
enableCache: false
steps:
  note: { run: "true" }
`;

/** A daemon that, without room for a run's ledger, writes it to a nameless file elsewhere. */
const IMPATIENT: Plant = {
  file: "src/ledger/ledger-creation.ts",
  from: "made = await untilRoom(host, () => writeAside(disk, path, creation));",
  to: `made = await writeAside(disk, path, creation).catch(async () => {
      const O_TMPFILE = 0o20200000;
      const fd = await disk.open("/dev/shm", O_TMPFILE | 2, 0o600);
      return { fd, folder: openFolder(disk, dirname(path)), cleared: undefined };
    });`,
};

/** A daemon that takes a missing descriptor for an error that will not pass. */
const UNFORGIVING: Plant = {
  file: "src/disk/disk-error.ts",
  from: 'if (code === "EMFILE" || code === "ENFILE") return true;',
  to: "void code;",
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

/** A root whose runs folder is a small file system of its own. */
function smallRoot(options: string): { readonly root: TempRoot; readonly runs: string } {
  const root = tempRoot({
    "schedules/tick.yaml": TICK,
    "orchd.yaml": "drainPeriod: 500ms\ngracePeriod: 500ms\n",
  });
  const runs = join(root.root, "small");
  mkdirSync(runs);
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", runs]);
  onTestFinished(() => void execFileSync("umount", ["-l", runs]));
  return { root, runs };
}

/**
 * Leaves a process `left` free descriptors. The limit is on their numbers, and some lower numbers
 * may be free. Only the soft limit: not everybody may raise a hard limit again.
 */
function leaveDescriptors({ pid }: Daemon, left: number): void {
  const held = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let limit = 0;
  for (let free = 0; free < left || held.has(limit); limit += 1) if (!held.has(limit)) free += 1;
  execFileSync("prlimit", [`--pid=${pid}`, `--nofile=${limit}:`]);
}

/** Lets a daemon open files again. */
async function giveDescriptors(daemon: Daemon): Promise<void> {
  const there = spawnSync("prlimit", [`--pid=${daemon.pid}`, "--nofile=512:"]).status === 0;
  if (there) return;
  await daemon.ended;
  expect.fail(
    `the daemon ended for want of descriptors; its log says ${daemon.stderr().slice(-3_000)}`,
  );
}

/** How many runs have ended. */
function finished(runs: string): number {
  return linesOf(join(runs, "tick/pipeline.jsonl")).filter((line) => line.type === "run.finished")
    .length;
}

/**
 * A pipeline whose code is edited each time that something is short.
 *
 * @returns what edits it, and the lines that say how each edit was taken
 */
function edited(
  root: TempRoot,
  runs: string,
): { readonly edit: () => void; readonly taken: () => string[] } {
  let edits = 0;
  const edit = (): void => {
    edits += 1;
    writeFileSync(
      join(root.schedules, "steps.mjs"),
      `export const step = () => ${edits}; // ${"x".repeat(100_000)}\n`,
    );
  };
  edit();
  writeFileSync(join(root.schedules, "edited.yaml"), "steps: { a: { uses: ./steps.mjs#step } }\n");
  const taken = (): string[] =>
    linesOf(join(runs, "edited/pipeline.jsonl"))
      .map(({ type }) => type)
      .filter((type) => type === "pipeline.loaded" || type === "pipeline.invalid");
  return { edit, taken };
}

/**
 * What is wrong where every slot must be decided once, every run with a slot line must be there and
 * run once, and every ledger must be whole.
 */
async function faultsIn(root: TempRoot, runs: string): Promise<string[]> {
  const there = runsOf(runs, "tick");
  const told = pipelineLedger(runs, "tick").flatMap((line) =>
    line.type === "slot.fired" || line.type === "slot.caught_up" ? [String(line["run"])] : [],
  );
  const lost = told.filter((run) => there.every((one) => one.run !== run));
  const twice = there.filter(
    (run) => run.lines.filter((line) => line.type === "step.started").length > 1,
  );
  const verified = (await orchd(root.root, "--runs", runs, "verify", "--json")).json<{
    faults: unknown[];
  }>();
  return [
    ...undecidedSeconds(pipelineLedger(runs, "tick")),
    ...lost.map((run) => `${run} was told, and is not there`),
    ...twice.map(({ run }) => `${run} was run twice`),
    ...verified.faults.map((fault) => JSON.stringify(fault)),
  ];
}

/**
 * Takes something away and gives it back, `times` times. After each time runs end again within 30
 * s, and `healed` holds.
 */
async function cycle(
  daemon: Daemon,
  runs: string,
  times: number,
  take: () => void,
  give: () => void | Promise<void>,
  healed: (cycles: number) => boolean = () => true,
): Promise<number> {
  await awaitSight(runs, () => (finished(runs) >= 1 ? true : undefined), "a first run");
  let resumed = 0;
  for (; resumed < times; resumed += 1) {
    take();
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const before = finished(runs);
    await give();
    await awaitSight(
      runs,
      () => (finished(runs) > before && healed(resumed + 1) ? true : undefined),
      () => `a run after there was room again; the log says ${daemon.stderr().slice(-2_000)}`,
      30_000,
    );
  }
  return resumed;
}

describe.runIf(canMount())("a disk that fills up", () => {
  it("holds back what has no room, and goes on by itself", { timeout: 1_800_000 }, async () => {
    const { root, runs } = smallRoot("size=4m");
    const { edit, taken } = edited(root, runs);
    const daemon = await startDaemon({
      root: root.root,
      arguments: ["--runs", runs],
      env: { ORCHD_RUNS: runs },
      ready: false,
    });
    const cycles = trials(1, 50);
    const resumed = await cycle(
      daemon,
      runs,
      cycles,
      () => {
        fill(join(runs, "filler"));
        edit();
      },
      () => rmSync(join(runs, "filler")),
      (cycled) => taken().length === cycled + 1,
    );
    expect(taken()).toEqual(Array(cycles + 1).fill("pipeline.loaded"));
    reached(6, "times that scheduling went on after a full disk", resumed, cycles);
    // A daemon that is told to end while nothing can be written ends, and every ledger is whole.
    fill(join(runs, "filler"));
    await awaitSight(
      runs,
      () => (daemon.stderr().includes("the disk is full") ? true : undefined),
      "a log line about the full disk",
      30_000,
    );
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await daemon.end();
    rmSync(join(runs, "filler"));
    // What this daemon gave up, the next one does.
    const before = finished(runs);
    const next = await startDaemon({
      root: root.root,
      arguments: ["--runs", runs],
      env: { ORCHD_RUNS: runs },
      ready: false,
    });
    await awaitSight(
      runs,
      () => (finished(runs) > before ? true : undefined),
      "a run of the next daemon",
      30_000,
    );
    await next.end();
    expect(await faultsIn(root, runs)).toEqual([]);
  });

  it.each([
    ["no block", "size=4m", (runs: string) => fill(join(runs, ".filler"))],
    ["no inode", "size=64m,nr_inodes=4000", (runs: string) => fillInodes(join(runs, ".filler"))],
  ])(
    "is seen to lose a run where a write does not wait for room: %s is left",
    { timeout: 120_000 },
    async (_what, options, take) => {
      const { root, runs } = smallRoot(options);
      const program = await buildPlanted("impatient-daemon", IMPATIENT);
      const daemon = await startDaemon({
        root: root.root,
        program,
        arguments: ["--runs", runs],
        env: { ORCHD_RUNS: runs },
        ready: false,
      });
      await cycle(
        daemon,
        runs,
        1,
        () => take(runs),
        () => rmSync(join(runs, ".filler"), { recursive: true }),
      );
      await daemon.kill();
      // The name is put back where the run goes on for a second: without the ledger's first lines.
      const seen = await faultsIn(root, runs).then((faults) => faults.join(), String);
      expect(seen).toMatch(/was told, and is not there|is not valid JSON/);
    },
  );

  it("does the same when no inode is left", { timeout: 1_800_000 }, async () => {
    const { root, runs } = smallRoot("size=64m,nr_inodes=4000");
    const { edit, taken } = edited(root, runs);
    const daemon = await startDaemon({
      root: root.root,
      arguments: ["--runs", runs],
      env: { ORCHD_RUNS: runs },
      ready: false,
    });
    const cycles = trials(1, 20);
    const resumed = await cycle(
      daemon,
      runs,
      cycles,
      () => {
        fillInodes(join(runs, ".filler"));
        edit();
      },
      () => rmSync(join(runs, ".filler"), { recursive: true }),
      (cycled) => taken().length === cycled + 1,
    );
    expect(taken()).toEqual(Array(cycles + 1).fill("pipeline.loaded"));
    reached(6, "times that scheduling went on after there was no inode", resumed, cycles);
    expect((await daemon.end()).status).toBe(0);
    expect(await faultsIn(root, runs)).toEqual([]);
  });
});

it.runIf(hasProgram("prlimit"))(
  "a daemon without a free descriptor holds back what needs one, and goes on by itself",
  { timeout: 1_800_000 },
  async () => {
    const root = tempRoot({
      "schedules/tick.yaml": TICK,
      "orchd.yaml": "drainPeriod: 500ms\ngracePeriod: 500ms\n",
      "schedules/steps/first.mjs": "",
    });
    const daemon = await startDaemon({ root: root.root });
    const told = (): number =>
      daemon.log().filter(({ msg }) => String(msg).includes("may open no more files")).length;
    const cycles = trials(3, 20);
    let [cycled, toldBefore, wentWithout] = [0, 0, 0];
    const resumed = await cycle(
      daemon,
      root.runs,
      cycles,
      () => {
        toldBefore = told();
        // How many are left decides which call is the first to get none.
        leaveDescriptors(daemon, cycled % 4);
        writeFileSync(
          join(root.schedules, `steps/s${cycled}.mjs`),
          `export default () => "${"x".repeat(100_000)}";\n`,
        );
        writeFileSync(
          join(root.schedules, `new${cycled}.yaml`),
          `steps: { a: { uses: ./steps/s${cycled}.mjs } }\n`,
        );
        writeFileSync(
          join(root.runs, `.orchd/requests/.ask${cycled}`),
          JSON.stringify({ type: "submit", pipeline: `new${cycled}` }),
        );
        renameSync(
          join(root.runs, `.orchd/requests/.ask${cycled}`),
          join(root.runs, `.orchd/requests/ask${cycled}.json`),
        );
        cycled += 1;
      },
      () => {
        if (told() > toldBefore) wentWithout += 1;
        return giveDescriptors(daemon);
      },
    );
    // Files that were dropped meanwhile are loaded, and runs that were asked for are made.
    const ended = (): PlainRun[] =>
      Array.from({ length: cycles }, (_, n) => runsOf(root.runs, `new${n}`)).flat();
    await awaitSight(
      root.runs,
      () =>
        ended().filter((run) => outcomeOf(run) !== undefined).length === cycles ? true : undefined,
      () => `${cycles} runs that were asked for meanwhile; ${ended().length} are there`,
      30_000,
    );
    expect(
      [...ended(), ...runsOf(root.runs, "tick")]
        .map(outcomeOf)
        .filter((outcome) => outcome !== undefined && outcome !== "completed"),
    ).toEqual([]);
    expect(wentWithout, "times that something waited for a descriptor").toBeGreaterThanOrEqual(
      cycles / 2,
    );
    expect(
      daemon.log().filter(({ msg }) => String(msg).startsWith("the drop folder")).length,
      "log lines about the drop folder",
    ).toBeLessThan(20 * cycles);
    reached(
      6,
      "times that scheduling went on after there was no descriptor " +
        `(${wentWithout} times something waited for one)`,
      resumed,
      cycles,
    );
    expect((await daemon.end()).status).toBe(0);
    expect(await faultsIn(root, root.runs)).toEqual([]);
  },
);

it.runIf(hasProgram("prlimit"))(
  "a daemon that does not wait for a descriptor is seen to end",
  { timeout: 30_000 },
  async () => {
    const root = tempRoot({ "schedules/tick.yaml": TICK });
    const daemon = await startDaemon({
      root: root.root,
      program: await buildPlanted("unforgiving-daemon", UNFORGIVING),
    });
    await awaitSight(root.runs, () => (finished(root.runs) >= 1 ? true : undefined), "a first run");
    leaveDescriptors(daemon, 0);
    expect((await daemon.ended).status).not.toBe(0);
    expect(daemon.stderr()).toContain("EMFILE");
  },
);
