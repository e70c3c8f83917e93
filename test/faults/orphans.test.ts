/**
 * Promises 24, 25 and 26: whatever is killed in the middle of a step, nothing that the step started
 * lives on, not even what made a session of its own and ignores TERM; the step is `interrupted`
 * within 5 s of the restart; and counted attempts never exceed the maximum.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { reached, trials } from "../support/figures.ts";
import { childrenOf, outcomeOf, processesWith, runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const GRANDCHILDREN = `for n in 1 2; do setsid sh -c 'trap "" TERM INT HUP; while :; do sleep 3600; done' & done`;

/**
 * The daemon's other child: it ends when it sees its input closed, which it could not if it were
 * stopped too.
 */
const isBundler = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("esbuild");

/** What is killed, and whether the daemon goes on. */
const KILLS: Record<string, (daemon: Daemon) => Promise<"lives" | "dead">> = {
  daemon: async (daemon) => {
    await daemon.kill();
    return "dead";
  },
  runner: (daemon) => {
    for (const pid of childrenOf(daemon.pid)) process.kill(pid, "SIGKILL");
    return Promise.resolve("lives");
  },
  "runner, then daemon": async (daemon) => {
    for (const pid of childrenOf(daemon.pid)) process.kill(pid, "SIGKILL");
    await daemon.kill();
    return "dead";
  },
  // A runner that is stopped cannot hear that the daemon is gone.
  "daemon, its runner stopped": async (daemon) => {
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
export default () => { spawn("sh", ["-c", ${JSON.stringify(GRANDCHILDREN)}], { detached: true, stdio: "ignore" }); return new Promise(() => {}); };`,
        "schedules/steps/blocked.mjs": `import { execSync } from "node:child_process"; export default () => execSync("trap '' TERM; sleep 3600");`,
      });
      let daemon = await startDaemon({ root: root.root });
      let [gone, interrupted, counted] = [0, 0, 0];
      for (let round = 0; round < rounds; round += 1) {
        const [family, other] = await Promise.all(
          ["family", "counted"].map(
            async (name) =>
              (await orchd(root.root, "run", name, "--json")).json<{ run: string }>().run,
          ),
        );
        // Two and their shells for each of two steps, the shell itself, two blocked, one counted:
        // all under way.
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
            `an end of ${processesWith(`MARKER=${marker}`).join(", ")} after the ${what} was killed`,
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
        // Killed once more, its attempts are used up.
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

  it("end though some show only when others have been ended", { timeout: 120_000 }, async () => {
    const marker = `late-${process.pid}-${Math.random().toString(36).slice(2)}`;
    // What is forked while all are looked for is seen by the next look alone: here what nobody can
    // find until the first look's find is dead.
    const root = tempRoot({
      "schedules/steps/late.sh": `setsid sleep 3600 &
env -i PATH="$PATH" setsid sh -c 'while grep -q sleep /proc/$1/cmdline; do :; done 2>/dev/null; exec env MARKER="$3" ORCHD_RUNNER_TOKEN="$2" sleep 3600' - $! "$ORCHD_RUNNER_TOKEN" "$MARKER" &
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
      "all four",
    );
    // The runner's guard is alone with them.
    await KILLS["daemon, its runner stopped"]!(daemon);
    await awaitSight(
      "/proc",
      () => (processesWith(marker).length === 0 ? true : undefined),
      () => `an end of ${processesWith(marker).join(", ")}`,
    );
    reached(24, "processes of a step that showed late, and ended all the same", 1, 1);
  });
});
