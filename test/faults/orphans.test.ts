/**
 * Promises 24, 25 and 26: whatever is killed in the middle of a step, no process that the step
 * started lives on, not even one that made a session of its own and ignores TERM. The step is
 * `interrupted` within 5 s of the restart. Counted attempts never exceed the maximum.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { reached, trials } from "../support/figures.ts";
import { childrenOf, outcomeOf, processesWith, runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const GRANDCHILD = `trap "" TERM INT HUP; while :; do sleep 3600; done`;
const GRANDCHILDREN = `for n in 1 2; do setsid sh -c '${GRANDCHILD}' & done`;

/**
 * Whether a process is the daemon's other child, the bundler. It ends when its input is closed; it
 * could not if it were stopped.
 */
const isBundler = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("esbuild");

/** The spawner of a daemon's runner. Undefined until the runner has one. */
const spawnerOf = (daemon: Daemon): number | undefined =>
  childrenOf(daemon.pid)
    .flatMap((runner) => childrenOf(runner))
    .find((pid) => readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith("orchd-spawner"));

/** Has a daemon run shells until its runner has a spawner, which starts the next ones. */
async function withSpawner(root: string, daemon: Daemon): Promise<number> {
  for (;;) {
    await orchd(root, "run", "brief", "--wait");
    const pid = spawnerOf(daemon);
    if (pid !== undefined) return pid;
  }
}

const BRIEF = `enableCache: false
steps:
  a: { run: "true" }
  b: { run: "true" }
  c: { run: "true" }
`;

/** What is killed; each gives whether the daemon lives on. */
const KILLS: Record<string, (daemon: Daemon) => Promise<"lives" | "dead">> = {
  daemon: async (daemon) => {
    await daemon.kill();
    return "dead";
  },
  runner: (daemon) => {
    for (const pid of childrenOf(daemon.pid)) process.kill(pid, "SIGKILL");
    return Promise.resolve("lives");
  },
  "runner, and its spawner at once,": (daemon) => {
    const runners = childrenOf(daemon.pid);
    const spawner = spawnerOf(daemon)!;
    for (const pid of [spawner, ...runners]) process.kill(pid, "SIGKILL");
    return Promise.resolve("lives");
  },
  "runner and then the daemon": async (daemon) => {
    for (const pid of childrenOf(daemon.pid)) process.kill(pid, "SIGKILL");
    await daemon.kill();
    return "dead";
  },
  // A stopped runner cannot notice that the daemon is gone.
  "daemon whose runner is stopped": async (daemon) => {
    for (const pid of childrenOf(daemon.pid)) if (!isBundler(pid)) process.kill(pid, "SIGSTOP");
    await daemon.kill();
    return "dead";
  },
};

describe("a step's processes", () => {
  it.each(Object.entries(KILLS))(
    "end when the %s is killed",
    { timeout: 1_800_000 },
    async (what, kill) => {
      const rounds = trials(1, 50);
      const marker = `orphan-${process.pid}-${Math.random().toString(36).slice(2)}`;
      const root = tempRoot({
        "orchd.yaml": "gracePeriod: 500ms\n",
        "schedules/brief.yaml": BRIEF,
        "schedules/family.yaml": `overlap: allow
enableCache: false
env: { MARKER: ${marker} }
onInterruption: fail
steps:
  shell: { run: "${GRANDCHILDREN.replaceAll('"', '\\"')}; env -i sleep 3600" }
  module: { uses: ./steps/family.mjs }
  blocked: { uses: ./steps/blocked.mjs }
`,
        "schedules/counted.yaml": `overlap: allow
enableCache: false
env: { MARKER: ${marker} }
retry: { maxRetries: 1 }
steps:
  it: { run: "sleep 3600" }
`,
        "schedules/steps/family.mjs": `import { spawn } from "node:child_process";
const text = ${JSON.stringify(GRANDCHILDREN)};
export default () => {
  spawn("sh", ["-c", text], { detached: true, stdio: "ignore" });
  return new Promise(() => {});
};`,
        "schedules/steps/blocked.mjs": `import { execSync } from "node:child_process";
export default () => execSync("trap '' TERM; sleep 3600");`,
      });
      let daemon = await startDaemon({ root: root.root });
      let [gone, interrupted, counted] = [0, 0, 0];
      for (let round = 0; round < rounds; round += 1) {
        await withSpawner(root.root, daemon);
        const [family, other] = await Promise.all(
          ["family", "counted"].map(
            async (name) =>
              (await orchd(root.root, "run", name, "--json")).json<{ run: string }>().run,
          ),
        );
        // Wait for all: two grandchildren and their shells for each of two steps, the step's shell,
        // two of the blocked step, one of the counted.
        await awaitSight(
          "/proc",
          () => (processesWith(`MARKER=${marker}`).length >= 12 ? true : undefined),
          () => `12 processes, not ${processesWith(`MARKER=${marker}`).length}`,
          30_000,
        );
        const before = new Set(processesWith(`MARKER=${marker}`));
        const fate = await kill(daemon);
        await awaitSight(
          "/proc",
          () =>
            processesWith(`MARKER=${marker}`).some((pid) => before.has(pid)) ? undefined : true,
          () =>
            `an end of ${processesWith(`MARKER=${marker}`).join(", ")} after a kill of the ${what}`,
        );
        gone += 1;
        if (fate === "dead") daemon = await startDaemon({ root: root.root });
        const restarted = Date.now();
        const lines = await awaitSight(
          root.runs,
          () => {
            const found = runsOf(root.runs, "family").find(({ run }) => run === family);
            return found !== undefined && outcomeOf(found) === "failed" ? found.lines : undefined;
          },
          () =>
            `an end of ${family}: ${JSON.stringify(
              runsOf(root.runs, "family")
                .find(({ run }) => run === family)
                ?.lines.slice(1),
            )}`,
        );
        const ends = lines.filter((line) => line.type === "step.interrupted");
        if (ends.length === 3 && ends.every((line) => Date.parse(line.at) - restarted < 5_000))
          interrupted += 1;
        // It had one retry: stopped in its second attempt, it has no attempt left.
        await awaitSight(
          "/proc",
          () => (processesWith(other!).length > 0 ? true : undefined),
          `the second attempt of ${other}`,
        );
        await orchd(root.root, "stop", other!, "--force");
        const attempts = await awaitSight(
          root.runs,
          () => {
            const found = runsOf(root.runs, "counted").find(({ run }) => run === other);
            return found !== undefined && outcomeOf(found) !== undefined
              ? found.lines.filter((line) => line.type === "step.started")
              : undefined;
          },
          `an end of ${other}`,
        );
        if (attempts.length <= 2 && attempts.every((line) => Number(line["attempt"]) <= 2))
          counted += 1;
      }
      reached(24, `kills of the ${what} after which nothing lived on`, gone, rounds);
      reached(
        25,
        `kills of the ${what} after which every step was interrupted in time`,
        interrupted,
        rounds,
      );
      reached(26, `kills of the ${what} after which attempts were counted right`, counted, rounds);
      expect({ gone, interrupted, counted }).toEqual({
        gone: rounds,
        interrupted: rounds,
        counted: rounds,
      });
      expect((await orchd(root.root, "verify")).status).toBe(0);
    },
  );

  it(
    "end when the spawner is killed, and steps in threads go on",
    { timeout: 1_800_000 },
    async () => {
      const rounds = trials(2, 50);
      const marker = `spawned-${process.pid}-${Math.random().toString(36).slice(2)}`;
      const root = tempRoot({
        "orchd.yaml": "gracePeriod: 500ms\n",
        "schedules/brief.yaml": BRIEF,
        "schedules/family.yaml": `enableCache: false
env: { MARKER: ${marker} }
steps:
  fails: { run: "${GRANDCHILDREN.replaceAll('"', '\\"')}; env -i sleep 3600", onInterruption: fail }
  again: { run: "${GRANDCHILDREN.replaceAll('"', '\\"')}; sleep 3600" }
  module: { uses: ./steps/module.mjs }
`,
        "schedules/steps/module.mjs": `export default ({ signal }) =>
  new Promise((end) => signal.addEventListener("abort", () => end("heard")));`,
      });
      const daemon = await startDaemon({ root: root.root });
      let good = 0;
      for (let round = 0; round < rounds; round += 1) {
        const spawner = await withSpawner(root.root, daemon);
        const { run } = (await orchd(root.root, "run", "family", "--json")).json<{ run: string }>();
        const until = async (what: string, count: number): Promise<Set<number>> =>
          awaitSight(
            "/proc",
            () => {
              const found = processesWith(`MARKER=${marker}`);
              return found.length >= count ? new Set(found) : undefined;
            },
            () => `${count} processes ${what}, not ${processesWith(`MARKER=${marker}`).length}`,
            30_000,
          );
        // Two grandchildren, their shells and the step's own, for each of two steps.
        const before = await until("at first", 10);
        process.kill(spawner, "SIGKILL");
        await awaitSight(
          "/proc",
          () =>
            processesWith(`MARKER=${marker}`).some((pid) => before.has(pid)) ? undefined : true,
          () => `an end of ${processesWith(`MARKER=${marker}`).join(", ")}`,
        );
        await until("of the one that runs again", 5);
        await orchd(root.root, "stop", run, "--force");
        const lines = await awaitSight(
          root.runs,
          () => {
            const found = runsOf(root.runs, "family").find((each) => each.run === run);
            return found !== undefined && outcomeOf(found) !== undefined ? found.lines : undefined;
          },
          `an end of ${run}`,
        );
        const of = (step: string): unknown[] =>
          lines
            .filter((line) => line["step"] === step)
            .map((line) => [line.type, line["attempt"], line["next"]].filter(Boolean).join(" "));
        const because = lines.find((line) => line.type === "step.interrupted")?.["because"];
        expect(of("fails").slice(0, 2)).toEqual(["step.started 1", "step.interrupted 1 fail"]);
        expect(of("again").slice(0, 3)).toEqual([
          "step.started 1",
          "step.interrupted 1 rerun",
          "step.started 1",
        ]);
        expect(of("module")).toHaveLength(2);
        expect(because).toMatch(/^the spawner of the runner's shells was ended by SIGKILL with \d/);
        good += 1;
      }
      reached(24, "kills of the spawner after which nothing lived on", good, rounds);
      expect(good).toBe(rounds);
      expect((await orchd(root.root, "verify")).status).toBe(0);
    },
  );

  it(
    "end even if some can be found only when others have ended",
    { timeout: 120_000 },
    async () => {
      const marker = `late-${process.pid}-${Math.random().toString(36).slice(2)}`;
      // A process that is forked during a search is found by the next search only. Here one cannot
      // be found until the process that the first search finds is dead.
      const root = tempRoot({
        "schedules/steps/late.sh": `setsid sleep 3600 &
env -i PATH="$PATH" setsid sh -c '
  while grep -q sleep /proc/$1/cmdline; do :; done 2>/dev/null
  exec env MARKER="$3" ORCHD_RUNNER_TOKEN="$2" sleep 3600
' - $! "$ORCHD_RUNNER_TOKEN" "$MARKER" &
sleep 3600
`,
        "schedules/late.yaml": `env: { MARKER: ${marker} }
steps:
  it: { run: ". ./steps/late.sh" }
`,
      });
      const daemon = await startDaemon({ root: root.root });
      await orchd(root.root, "run", "late");
      await awaitSight(
        "/proc",
        () =>
          processesWith(`MARKER=${marker}`).length >= 3 && processesWith(marker).length >= 4
            ? true
            : undefined,
        "all four processes",
      );
      // Only the runner's guard is left to end them.
      await KILLS["daemon whose runner is stopped"]!(daemon);
      await awaitSight(
        "/proc",
        () => (processesWith(marker).length === 0 ? true : undefined),
        () => `an end of ${processesWith(marker).join(", ")}`,
      );
      reached(24, "processes of a step that could be found late, and ended", 1, 1);
    },
  );
});
