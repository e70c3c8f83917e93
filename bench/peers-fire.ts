/**
 * Dagu and Bree as schedulers, beside orchd.
 *
 * Measured are the time from the minute to a process of each of 100 pipelines (Bree: to a thread of
 * each of 100 jobs), and the memory of the scheduler while it waits. The schedulers run one after
 * the other, because they would disturb one another. That takes up to six minutes.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MINUTE_MS } from "../src/core/time.ts";
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import { peerPackages, versionOf } from "./peer-packages.ts";
import { figuresOf } from "./resources.ts";
import type { BenchOptions, Row } from "./row.ts";

const COUNT = 100;
/** The time before the minute: everything is loaded, and memory is read. */
const LEAD_MS = 20_000;
const MOST_LATE_MS = 50_000;

interface SchedulerFigures {
  /** Milliseconds from the minute to each of the 100 starts. */
  readonly late: number[];
  /** MiB while nothing was due. */
  readonly memory: number;
}

const each = (file: (index: number) => [string, string]): Record<string, string> =>
  Object.fromEntries(Array.from({ length: COUNT }, (_, index) => file(index)));

const STAMP = (out: string): string => `date +%s%3N >> ${out}`;

/**
 * Waits for the next minute that is at least LEAD_MS away, and for 100 starts in it.
 *
 * @param out the file to which each start appends a time, in milliseconds since 1970
 * @throws Error if a start is missing MOST_LATE_MS after the minute
 */
async function watch(pid: number, out: string): Promise<SchedulerFigures> {
  const minute = Math.ceil((Date.now() + LEAD_MS) / MINUTE_MS) * MINUTE_MS;
  await sleep(minute - Date.now() - 2_000);
  const memory = figuresOf(pid).residentMiB;
  const late = (): number[] =>
    (existsSync(out) ? readFileSync(out, "utf8") : "")
      .split("\n")
      .filter(Boolean)
      .map((stamp) => Number(stamp) - minute)
      // Some schedulers start everything once when they come up; that does not count.
      .filter((ms) => ms >= -1_000);
  for (; late().length < COUNT; await sleep(100)) {
    if (Date.now() > minute + MOST_LATE_MS)
      throw new Error(
        `Of ${COUNT}, ${late().length} had begun ${MOST_LATE_MS} ms after the minute.`,
      );
  }
  return { late: late().slice(0, COUNT), memory };
}

async function whileUp(child: ChildProcess, out: string): Promise<SchedulerFigures> {
  try {
    return await watch(child.pid!, out);
  } finally {
    const ended = once(child, "exit");
    // Not SIGTERM: Dagu was seen to go on for minutes after one.
    child.kill("SIGKILL");
    await ended;
  }
}

function dagu(folder: string): Promise<SchedulerFigures> {
  const out = join(folder, "dagu.out");
  writeFiles(
    folder,
    each((index) => [
      `dags/p${index}.yaml`,
      `schedule: "* * * * *"\nsteps:\n  - name: s\n    command: sh -c "${STAMP(out)}"\n`,
    ]),
  );
  const program = join(peerPackages, "@dagu-org/dagu-linux-x64/bin/dagu");
  const env = { ...process.env, DAGU_HOME: join(folder, "dagu-home") };
  return whileUp(
    spawn(program, ["scheduler", `--dags=${join(folder, "dags")}`], { env, stdio: "ignore" }),
    out,
  );
}

function bree(folder: string): Promise<SchedulerFigures> {
  const out = join(folder, "bree.out");
  const entry = join(peerPackages, "bree/src/index.js");
  writeFiles(folder, {
    "job.mjs": `import { appendFileSync } from "node:fs";
appendFileSync(${JSON.stringify(out)}, Date.now() + "\\n");
`,
    "bree.mjs": `import Bree from ${JSON.stringify(entry)};
const path = ${JSON.stringify(join(folder, "job.mjs"))};
const job = (_, index) => ({ name: "j" + index, path, cron: "* * * * *" });
const jobs = Array.from({ length: ${COUNT} }, job);
await new Bree({ root: false, logger: false, jobs }).start();
`,
  });
  return whileUp(spawn(process.execPath, [join(folder, "bree.mjs")], { stdio: "ignore" }), out);
}

function ours(root: string): Promise<SchedulerFigures> {
  const out = join(root, "orchd.out");
  writeFiles(
    root,
    each((index) => [
      `schedules/p${index}.yaml`,
      `schedule: { cron: "* * * * *" }\nsteps: { s: { run: "${STAMP(out)}" } }\n`,
    ]),
  );
  return BenchDaemon.during(root, (daemon) => watch(daemon.pid, out));
}

export async function run({ note }: BenchOptions): Promise<Row[]> {
  if (
    !existsSync(peerPackages) ||
    spawnSync("date", ["+%3N"], { encoding: "utf8" }).stdout.length !== 4
  ) {
    note(
      "The peers are not installed (`npm ci --prefix bench/peers` installs them), " +
        "or this `date` counts no milliseconds.",
    );
    return [];
  }
  return inFolder(async (root) => {
    const orchd = await ours(root);
    const peers = [
      { name: `Dagu ${versionOf("@dagu-org/dagu-linux-x64")}`, seen: await dagu(root) },
      { name: `Bree ${versionOf("bree")}, a thread each`, seen: await bree(root) },
    ];
    return peers.flatMap(({ name, seen }): Row[] => [
      {
        what: `from the minute to a shell step of each of ${COUNT} pipelines`,
        unit: "ms",
        orchd: { name: "shell", samples: orchd.late },
        beside: { name, samples: seen.late },
      },
      {
        what: `resident memory with ${COUNT} pipelines, waiting`,
        unit: "MiB",
        orchd: { name: "daemon", samples: [orchd.memory] },
        beside: { name, samples: [seen.memory] },
      },
    ]);
  });
}
