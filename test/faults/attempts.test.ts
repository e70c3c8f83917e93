/**
 * Promise 26: a run is killed in the same step again and again. Counted attempts never exceed the
 * maximum, and uncounted re-runs never exceed three.
 */
import { expect, it } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { fullFigures, reached, trials } from "../support/figures.ts";
import { childrenOf, outcomeOf, processesWith, runsOf, type PlainRun } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const KILLS = 5;
const MAX_ATTEMPTS = 5;
const MAX_RERUNS = 3;
const NAMES = ["retry", "rerun"] as const;

interface Case {
  readonly victim: (kill: number) => "daemon" | "runner";
  /** The attempts that each pipeline's step has made at the end, where that is certain. */
  readonly made?: Record<(typeof NAMES)[number], readonly number[]>;
}

const CASES: Record<string, Case> = {
  daemon: { victim: () => "daemon", made: { retry: [1, 2, 3, 4, 5], rerun: [1, 1, 1, 1] } },
  // Each step is first an innocent sibling of the other. Alone it is to blame, and is retried.
  runner: { victim: () => "runner" },
  ...(fullFigures
    ? {
        "daemon and the runner in turns": {
          victim: (kill) => (kill % 2 === 0 ? "daemon" : "runner"),
        } satisfies Case,
      }
    : {}),
};

const startsOf = (run: PlainRun): PlainRun["lines"] =>
  run.lines.filter((line) => line.type === "step.started");

it.each(Object.entries(CASES))(
  "attempts and re-runs keep their limits when the %s is killed five times",
  { timeout: 900_000 },
  async (what, { victim, made }) => {
    const root = tempRoot({
      "schedules/retry.yaml": `onInterruption: retry
retry: { maxRetries: ${MAX_ATTEMPTS - 1}, delay: 0s }
steps:
  it: { run: "sleep 3600" }
`,
      "schedules/rerun.yaml": `onInterruption: rerun\nsteps:\n  it: { run: "sleep 3600" }\n`,
    });
    let daemon: Daemon = await startDaemon({ root: root.root });
    const rounds = trials(1, 20);
    let good = 0;
    const faults: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const ids = await Promise.all(
        NAMES.map(
          async (name) =>
            (await orchd(root.root, "run", name, "--json")).json<{ run: string }>().run,
        ),
      );
      const look = (): PlainRun[] =>
        NAMES.map((name, index) => runsOf(root.runs, name).find(({ run }) => run === ids[index])!);
      /** Waits until every run has ended or is in an attempt that began after the last kill. */
      const settled = async (): Promise<PlainRun[]> =>
        awaitSight(
          "/proc",
          () => {
            const runs = look();
            const isUp = (run: PlainRun): boolean => {
              const last = run.lines.findLast((line) => line.type.startsWith("step."));
              return (
                outcomeOf(run) !== undefined ||
                (last?.type === "step.started" &&
                  processesWith(`${run.run}#${String(last.seq)}`).length > 0)
              );
            };
            return runs.every(isUp) ? runs : undefined;
          },
          () =>
            "each run running or ended: " +
            JSON.stringify(look().map(({ lines }) => lines.slice(1))),
          30_000,
        );
      for (let kill = 0; kill < KILLS; kill += 1) {
        const before = await settled();
        if (victim(kill) === "daemon") {
          await daemon.kill();
          daemon = await startDaemon({ root: root.root });
          continue;
        }
        for (const pid of childrenOf(daemon.pid)) process.kill(pid, "SIGKILL");
        const grew = (): boolean =>
          look().every(
            (run, index) =>
              outcomeOf(run) !== undefined || run.lines.length > before[index]!.lines.length,
          );
        await awaitSight(
          "/proc",
          () => (grew() ? true : undefined),
          "a line about the runner's death",
        );
      }
      const runs = await settled();
      for (const [index, run] of runs.entries()) {
        const attempts = startsOf(run).map((line) => Number(line["attempt"]));
        const reruns = run.lines.filter(
          (line) => line.type === "step.interrupted" && line["next"] === "rerun",
        ).length;
        const wanted = made?.[NAMES[index]!];
        const isRight =
          attempts.every((attempt) => attempt <= MAX_ATTEMPTS) &&
          reruns <= MAX_RERUNS &&
          attempts.length <= MAX_ATTEMPTS + MAX_RERUNS &&
          (wanted === undefined ||
            (outcomeOf(run) === "failed" && attempts.join() === wanted.join()));
        if (isRight) good += 1;
        else faults.push(`${run.run}: ${JSON.stringify(run.lines.slice(1))}`);
      }
      await Promise.all(ids.map((id) => orchd(root.root, "stop", id, "--force")));
    }
    reached(
      26,
      `runs in which the ${what} was killed five times and attempts were counted right`,
      good,
      rounds * NAMES.length,
    );
    expect(faults).toEqual([]);
  },
);
