/**
 * What the daemon uses while nothing is due: resident memory and processor time, with no pipeline
 * and with 1,000. Beside it stands a Node that only waits.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import type { Row } from "./row.ts";

const SETTLE_MS = 4_000;
const WATCH_MS = 10_000;
/** Linux counts processor time in ticks of 10 ms. */
const TICK_MS = 10;

const residentMiB = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;

function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** @returns MiB of memory, and percent of one processor */
async function watch(pid: number): Promise<{ memory: number; share: number }> {
  await sleep(SETTLE_MS);
  const before = processorMs(pid);
  await sleep(WATCH_MS);
  return { memory: residentMiB(pid), share: ((processorMs(pid) - before) / WATCH_MS) * 100 };
}

async function waiting(): Promise<{ memory: number; share: number }> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { stdio: "ignore" });
  try {
    return await watch(child.pid!);
  } finally {
    child.kill();
  }
}

export async function run(): Promise<Row[]> {
  if (process.platform !== "linux") return [];
  const bare = await waiting();
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
      const seen = await BenchDaemon.during(root, (daemon) => watch(daemon.pid));
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
