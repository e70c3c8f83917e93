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

/**
 * What a start leaves to do takes this long: code that warms, garbage, watches that are made, and a
 * minute later the first retention, of which nine tenths are code that runs for the first time.
 */
const SETTLE_MS = 75_000;
const WATCH_MS = 60_000;
/** Two of the looks that come every 15 s. */
const SHORT_WATCH_MS = 30_000;
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

/** A daemon that nothing is due for. */
async function idle(count: number, ms: number): Promise<Watched> {
  return inFolder(async (root) => {
    writeFiles(
      root,
      Object.fromEntries(
        Array.from({ length: count }, (_, index) => [
          `schedules/p${index}.yaml`,
          `schedule: { cron: "${index % 60} 3 1 1 *" }\nsteps: { nothing: { run: "true" } }\n`,
        ]),
      ),
    );
    return BenchDaemon.during(root, (daemon) => watch(daemon.pid, ms));
  });
}

/** All are watched in the same time: each of them does next to nothing. */
export async function run({ short }: BenchOptions): Promise<Row[]> {
  if (process.platform !== "linux") return [];
  const ms = short ? SHORT_WATCH_MS : WATCH_MS;
  const counts = [0, 1_000];
  const [bare, ...daemons] = await Promise.all([
    waiting(ms),
    ...counts.map((count) => idle(count, ms)),
  ]);
  return daemons.flatMap((seen, index) => rowsOf(counts[index]!, seen, bare));
}

function rowsOf(count: number, seen: Watched, bare: Watched): Row[] {
  return [
    {
      what: `resident memory, ${count} pipelines`,
      unit: "MiB",
      orchd: { name: "daemon", samples: [seen.memory] },
      beside: { name: "a Node that waits", samples: [bare.memory] },
      goal: { of: "orchd", atMost: count === 0 ? 80 : 110 },
    },
    {
      what: `processor, ${count} pipelines`,
      unit: "%",
      orchd: { name: "daemon", samples: [seen.share] },
      ...(count > 0 ? { goal: { of: "orchd" as const, atMost: 0.2 } } : {}),
    },
  ];
}
