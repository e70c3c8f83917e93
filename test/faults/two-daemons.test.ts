/**
 * Promise 13: of several daemons on one root, never two act, whatever happens to the lock file, to
 * the holder or to its clock.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLines, linesOf } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { fakeTimeLibrary } from "../support/fake-time.ts";
import { reached, trials } from "../support/figures.ts";
import { pipelineLedger, runsOf, undecidedSeconds } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const TICK = `schedule: { cron: "* * * * * *" }
overlap: allow
steps:
  note: { run: 'echo "$ORCHD_RUN_ID" >> ../notes' }
`;

const ELEVEN_AHEAD: Record<string, string> =
  fakeTimeLibrary === undefined
    ? {}
    : {
        LD_PRELOAD: fakeTimeLibrary,
        FAKETIME: "+11s",
        DONT_FAKE_MONOTONIC: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      };

/**
 * What must hold afterwards: each slot is decided once, each run runs once, each ledger is whole.
 */
function check(root: { root: string; runs: string }): void {
  const lines = pipelineLedger(root.runs, "tick");
  expect(undecidedSeconds(lines)).toEqual([]);
  const notes = readFileSync(join(root.root, "notes"), "utf8").trim().split("\n");
  expect(new Set(notes).size).toBe(notes.length);
  for (const run of runsOf(root.runs, "tick"))
    expect(run.lines.filter((line) => line.type === "step.started").length).toBeLessThanOrEqual(1);
}

describe("several daemons on one root", () => {
  it(
    "leave one that acts; the others end with a sentence that names it",
    { timeout: 3_600_000 },
    async () => {
      const rounds = trials(2, 100);
      let good = 0;
      for (let round = 0; round < rounds; round += 1) {
        const root = tempRoot({ "schedules/tick.yaml": TICK });
        // Two to four daemons, the last with a clock that is 11 s ahead.
        const count = 2 + ((round + 1) % 3);
        const clocks = Array.from({ length: count }, (_, index) =>
          index === count - 1 ? ELEVEN_AHEAD : {},
        );
        const daemons = await Promise.all(
          clocks.map((env) => startDaemon({ root: root.root, ready: false, env })),
        );
        await awaitLines(
          join(root.runs, "tick/pipeline.jsonl"),
          2,
          (line) => line.type === "run.finished",
          60_000,
        );
        const status = (await orchd(root.root, "status", "--json")).json<{
          daemon: { pid: number };
        }>();
        const others = daemons.filter((daemon) => daemon.pid !== status.daemon.pid);
        expect(others.length).toBe(count - 1);
        for (const other of others) {
          expect((await other.ended).status).not.toBe(0);
          expect(other.stderr()).toContain(String(status.daemon.pid));
        }
        await daemons.find((daemon) => daemon.pid === status.daemon.pid)!.end();
        check(root);
        good += 1;
      }
      reached(13, "rounds of two to four daemons at once of which one acted", good, rounds);
    },
  );

  it.each([
    ["the lock file is", ["daemon.lock"]],
    ["the lock file and the epoch are", ["daemon.lock", "epoch"]],
  ])(
    "stay out while the holder is stopped, even if %s deleted",
    { timeout: 1_800_000 },
    async (_what, names) => {
      const rounds = trials(1, 20);
      for (let round = 0; round < rounds; round += 1) {
        const root = tempRoot({ "schedules/tick.yaml": TICK });
        const ledger = join(root.runs, "tick/pipeline.jsonl");
        const holder = await startDaemon({ root: root.root });
        await awaitLines(ledger, 1, (line) => line.type === "run.finished");
        holder.process.kill("SIGSTOP");
        const waiting = await startDaemon({ root: root.root, ready: false, env: ELEVEN_AHEAD });
        expect((await waiting.ended).status).not.toBe(0);
        for (const name of names) rmSync(join(root.runs, ".orchd", name), { recursive: true });
        const second = await startDaemon({ root: root.root, ready: false });
        expect((await second.ended).status).not.toBe(0);
        expect(second.stderr()).toContain(
          names.length === 1 ? String(holder.pid) : "another process has it open to write it",
        );
        holder.process.kill("SIGCONT");
        // The lock file is no longer the holder's: it ends, and the next daemon starts at once.
        await holder.ended;
        const third = await startDaemon({ root: root.root });
        const before = linesOf(ledger).filter((line) => line.type === "run.finished").length;
        await awaitLines(ledger, before + 1, (line) => line.type === "run.finished");
        await third.end();
        check(root);
      }
      reached(
        13,
        "rounds in which nobody took the place of a stopped daemon, " +
          `whose ${names.join(" and ")} was deleted`,
        rounds,
        rounds,
      );
    },
  );
});
