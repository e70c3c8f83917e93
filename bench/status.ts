/**
 * `orchd status` and `orchd status RUN` as commands, beside `node -e 0`. Measured over 100 runs and
 * over 100,000, because the cost must not grow with history.
 */
import { spawnSync } from "node:child_process";
import { inFolder, program } from "./bench-root.ts";
import { history } from "./history.ts";
import { timed } from "./row.ts";
import type { Row } from "./row.ts";

const ROUNDS = 15;

export async function run(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const runs of [100, Number(process.env["BENCH_RUNS"] ?? 100_000)]) {
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
      const bare: number[] = [];
      const all: number[] = [];
      const one: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const warmup = round === 0 ? 2 : 0;
        bare.push(...(await timed(1, warmup, () => call("-e", "0"))));
        all.push(...(await timed(1, warmup, () => call(program, "status", "--json"))));
        one.push(...(await timed(1, warmup, () => call(program, "status", newest, "--json"))));
      }
      const beside = { name: "node -e 0", samples: bare };
      rows.push(
        {
          what: `orchd status over ${runs.toLocaleString("en")} runs`,
          unit: "ms",
          orchd: { name: "status", samples: all },
          beside,
          goal: { of: "ratio", atMost: 1.5 },
        },
        {
          what: `orchd status RUN over ${runs.toLocaleString("en")} runs`,
          unit: "ms",
          orchd: { name: "status RUN", samples: one },
          beside,
          goal: { of: "ratio", atMost: 1.5 },
        },
      );
    });
  }
  return rows;
}
