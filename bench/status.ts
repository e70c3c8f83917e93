/**
 * `orchd status` and `orchd status RUN` as commands, beside `node -e 0`. Measured over 100 runs and
 * over 100,000, because the cost must not grow with history.
 */
import { spawnSync } from "node:child_process";
import { inFolder, program } from "./bench-root.ts";
import { history } from "./history.ts";
import { timed } from "./row.ts";
import type { BenchOptions, Row } from "./row.ts";
import { endedUs } from "./processor.ts";
import { Rounds } from "./rounds.ts";

const ROUNDS = 15;
const RUNS = 100_000;
const SHORT_RUNS = 20_000;

export async function run({ short, runs: wanted }: BenchOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const runs of [100, wanted ?? (short ? SHORT_RUNS : RUNS)]) {
    await inFolder(async (root) => {
      const { newest } = history(root, runs);
      const call = (...words: string[]): void => {
        const { status, stderr } = spawnSync(process.execPath, words, {
          cwd: root,
          env: { ...process.env, ORCHD_ROOT: root },
          encoding: "utf8",
        });
        if (status !== 0) throw new Error(`node ${words.join(" ")} exited ${status}: ${stderr}`);
      };
      const sides = {
        bare: { words: ["-e", "0"], rounds: new Rounds("node -e 0") },
        all: { words: [program, "status", "--json"], rounds: new Rounds("status") },
        one: { words: [program, "status", newest, "--json"], rounds: new Rounds("status RUN") },
      };
      for (let round = -2; round < ROUNDS; round += 1) {
        for (const { words, rounds } of Object.values(sides)) {
          const before = endedUs();
          const [ms] = await timed(1, 0, () => call(...words));
          if (round >= 0) rounds.add({ ms: ms!, cpuUs: endedUs() - before });
        }
      }
      const beside = sides.bare.rounds;
      rows.push(
        {
          what: `orchd status over ${runs.toLocaleString("en")} runs`,
          unit: "ms",
          orchd: sides.all.rounds,
          beside,
          goal: { of: "ratio", atMost: 1.5 },
        },
        {
          what: `orchd status RUN over ${runs.toLocaleString("en")} runs`,
          unit: "ms",
          orchd: sides.one.rounds,
          beside,
          goal: { of: "ratio", atMost: 1.5 },
        },
      );
    });
  }
  return rows;
}
