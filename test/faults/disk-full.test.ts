/** Promise 6: on a full disk nothing is acknowledged or fired unrecorded, and scheduling goes on by itself once there is room. */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { canMount, reached, trials } from "../support/figures.ts";
import { pipelineLedger, runsOf, undecidedSeconds } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const TICK = `schedule: { cron: "* * * * * *" }
overlap: allow
enableCache: false
steps:
  note: { run: "true" }
`;

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

describe.runIf(canMount())("a disk that fills up", () => {
  it("holds what waits and goes on by itself", { timeout: 1_800_000 }, async () => {
    const root = tempRoot({ "schedules/tick.yaml": TICK });
    const runs = join(root.root, "small");
    mkdirSync(runs);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", runs]);
    onTestFinished(() => void execFileSync("umount", ["-l", runs]));
    const daemon = await startDaemon({ root: root.root, arguments: ["--runs", runs], env: { ORCHD_RUNS: runs }, ready: false });
    const ledger = join(runs, "tick/pipeline.jsonl");
    const finished = (): number => linesOf(ledger).filter((line) => line.type === "run.finished").length;
    await awaitSight(runs, () => (finished() >= 1 ? true : undefined), "a first run");
    const cycles = trials(2, 50);
    let resumed = 0;
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      fill(join(runs, "filler"));
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      const before = finished();
      rmSync(join(runs, "filler"));
      await awaitSight(
        runs,
        () => (finished() > before ? true : undefined),
        `a run after the disk had room again; the log says ${daemon.stderr().slice(-2_000)}`,
        30_000,
      );
      resumed += 1;
    }
    reached(6, "times that scheduling went on after a full disk", resumed, cycles);
    expect((await daemon.end()).status).toBe(0);
    expect(undecidedSeconds(pipelineLedger(runs, "tick"))).toEqual([]);
    for (const run of runsOf(runs, "tick")) expect(run.lines.filter((line) => line.type === "step.started").length).toBeLessThanOrEqual(1);
    expect((await orchd(root.root, "--runs", runs, "verify", "--json")).json()).toMatchObject({ faults: [] });
  });
});
