/** kill -9 of a real daemon: slots, running steps, and what must not be left. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, awaitLines, awaitSight } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { trials } from "../support/figures.ts";
import {
  childrenOf,
  outcomeOf,
  pipelineLedger,
  processesWith,
  runsOf,
  undecidedSeconds,
} from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Chance that can be repeated: a test that fails prints its seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** How often the daemon is killed. */
const MOMENTS = trials(4, 12);

describe("kill -9", () => {
  it(
    `at ${MOMENTS} random moments loses no slot, runs none twice, and leaves no process`,
    { timeout: 120_000 },
    async () => {
      const marker = `crash-${process.pid}-${Math.random().toString(36).slice(2)}`;
      const seed = Number(process.env["ORCHD_SEED"] ?? Date.now() % 1_000_000);
      const chance = seeded(seed);
      const root = tempRoot({
        "orchd.yaml": "timezone: UTC\n",
        "schedules/tick.yaml": `schedule: { cron: "* * * * * *", catchUp: all, maxCatchUp: 1000 }
overlap: allow
env: { MARKER: ${marker} }
onInterruption: rerun
steps:
  one: { run: "echo one; sleep 0.2" }
  two: { run: "echo two >> ../twice/$ORCHD_RUN_ID", after: [one], onInterruption: fail }
`,
        "twice/.keep": "",
      });
      for (let round = 0; round < MOMENTS; round += 1) {
        const daemon = await startDaemon({ root: root.root });
        await awaitLine(
          join(root.runs, "tick/pipeline.jsonl"),
          (line) => line.type === "slot.fired" || line.type === "slot.caught_up",
        );
        await new Promise((resolve) => setTimeout(resolve, chance() * 1_200));
        await daemon.kill();
        await awaitSight(
          "/proc",
          () => (processesWith(marker).length === 0 ? true : undefined),
          () => `an end of ${processesWith(marker).join(", ")}, seed ${seed}`,
        );
      }
      const daemon = await startDaemon({ root: root.root });
      await awaitSight(
        root.runs,
        () => {
          const active = runsOf(root.runs, "tick").filter((run) => outcomeOf(run) === undefined);
          return active.length <= 2 ? true : undefined;
        },
        `the ends of interrupted runs, seed ${seed}`,
      );
      await daemon.end();
      const lines = pipelineLedger(root.runs, "tick");
      expect(undecidedSeconds(lines), `seed ${seed}`).toEqual([]);
      const decided = lines
        .filter((line) => line.type === "slot.fired" || line.type === "slot.caught_up")
        .map((line) => String(line["run"]));
      expect(new Set(decided).size, `seed ${seed}`).toBe(decided.length);
      expect(
        runsOf(root.runs, "tick")
          .map((run) => run.run)
          .sort(),
        `seed ${seed}`,
      ).toEqual([...decided].sort());
      expect(
        (await orchd(root.root, "verify", "--json")).json<{ faults: unknown[] }>().faults,
        `seed ${seed}`,
      ).toEqual([]);
    },
  );

  it("leaves running steps interrupted, and they go on by their policy", async () => {
    const root = tempRoot({
      "schedules/slow.yaml": `steps:
  again:
    run: "sleep 0.3; test -e ../again || { touch ../again; sleep 3600; }"
    retry: { maxRetries: 1 }
  once: { run: "sleep 3600", onInterruption: fail }
`,
    });
    const first = await startDaemon({ root: root.root });
    const { run } = (await orchd(root.root, "run", "slow", "--json")).json<{ run: string }>();
    const path = runsOf(root.runs, "slow")[0]!.path;
    await awaitSight(
      root.root,
      () => (processesWith("sleep\u00003600").length >= 1 ? true : undefined),
      "both steps running",
    );
    await awaitSight(
      root.root,
      () =>
        runsOf(root.runs, "slow")[0]!.lines.filter((line) => line.type === "step.started")
          .length === 2
          ? true
          : undefined,
      "two starts",
    );
    await awaitSight(
      root.root,
      () => (processesWith(run).length >= 2 ? true : undefined),
      "their processes",
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    await first.kill();
    await startDaemon({ root: root.root });
    const interrupted = await awaitLines(path, 2, (line) => line.type === "step.interrupted");
    expect(Object.fromEntries(interrupted.map((line) => [line["step"], line["next"]]))).toEqual({
      again: "retry",
      once: "fail",
    });
    const finished = await awaitLine(path, (line) => line.type === "run.finished");
    expect(finished["status"]).toBe("failed");
    const [ended] = runsOf(root.runs, "slow");
    expect(ended!.lines.find((line) => line.type === "step.completed")).toMatchObject({
      step: "again",
      attempt: 2,
    });
    expect(ended!.lines.some((line) => line.type === "run.recovered")).toBe(true);
  });

  it("of a daemon and its runner at once leaves no process either", async () => {
    const marker = `both-${process.pid}-${Math.random().toString(36).slice(2)}`;
    const root = tempRoot({
      "schedules/hold.yaml": `env: { MARKER: ${marker} }
steps:
  it: { run: "sleep 3600 & setsid sleep 3600 & sleep 3600" }
`,
    });
    const daemon = await startDaemon({ root: root.root });
    await orchd(root.root, "run", "hold");
    await awaitSight(
      "/proc",
      () => (processesWith(marker).length >= 3 ? true : undefined),
      "three sleeping processes",
    );
    for (const pid of childrenOf(daemon.pid)) process.kill(pid, "SIGKILL");
    await daemon.kill();
    await startDaemon({ root: root.root });
    await awaitSight(
      "/proc",
      () => (processesWith(marker).length === 0 ? true : undefined),
      () => `an end of ${processesWith(marker).join(", ")}`,
    );
  });
});
