/**
 * What the daemon uses while nothing is due: resident memory and processor time, with no pipeline
 * and with 1,000. Beside it stands a Node that only waits.
 */
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import { familyUs } from "./processor.ts";
import { figuresOf } from "./resources.ts";
import type { BenchOptions, Row } from "./row.ts";

const SETTLE_MS = 4_000;
const WATCH_MS = 20_000;
const SHORT_WATCH_MS = 10_000;
interface Watched {
  /** In MiB. */
  readonly memory: number;
  /** Percent of one processor. */
  readonly share: number;
}

async function watch(pid: number, ms: number): Promise<Watched> {
  await sleep(SETTLE_MS);
  const before = familyUs(pid);
  await sleep(ms);
  return {
    memory: figuresOf(pid).residentMiB,
    share: ((familyUs(pid) - before) / (ms * 1_000)) * 100,
  };
}

async function waiting(ms: number): Promise<Watched> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { stdio: "ignore" });
  try {
    return await watch(child.pid!, ms);
  } finally {
    child.kill();
  }
}

export async function run({ short }: BenchOptions): Promise<Row[]> {
  if (process.platform !== "linux") return [];
  const ms = short ? SHORT_WATCH_MS : WATCH_MS;
  const bare = await waiting(ms);
  const rows: Row[] = [];
  for (const [count, limit] of [
    [0, 80],
    [1_000, 110],
  ] as const) {
    await inFolder(async (root) => {
      writeFiles(
        root,
        Object.fromEntries(
          Array.from({ length: count }, (_, index) => [
            `schedules/p${index}.yaml`,
            `schedule: { cron: "${index % 60} 3 1 1 *" }\nsteps: { nothing: { run: "true" } }\n`,
          ]),
        ),
      );
      const seen = await BenchDaemon.during(root, (daemon) => watch(daemon.pid, ms));
      rows.push(
        {
          what: `resident memory, ${count} pipelines`,
          unit: "MiB",
          orchd: { name: "daemon", samples: [seen.memory] },
          beside: { name: "a Node that waits", samples: [bare.memory] },
          goal: { of: "orchd", atMost: limit },
        },
        {
          what: `processor, ${count} pipelines`,
          unit: "%",
          orchd: { name: "daemon", samples: [seen.share] },
          ...(count > 0 ? { goal: { of: "orchd" as const, atMost: 0.2 } } : {}),
        },
      );
    });
  }
  return rows;
}
