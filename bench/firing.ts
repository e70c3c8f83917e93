/**
 * What the daemon holds while 1,000 pipelines fire every 10 s, and while they fire every second:
 * resident memory, its share of a processor, and the longest turn of its event loop. A machine may
 * be too slow for 1,000 runs a second; slots are then skipped, because a run of the pipeline is
 * still under way.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import { familyUs } from "./processor.ts";
import { figuresOf, runnerOf } from "./resources.ts";
import type { BenchOptions, Row } from "./row.ts";

const COUNT = 1_000;
const WATCH_MS = 180_000;
const SHORT_WATCH_MS = 40_000;
const LOOK_MS = 1_000;

interface Held {
  readonly daemon: number[];
  readonly runner: number[];
  /** Percent of one processor, of the daemon and its runners. */
  readonly share: number;
}

/** Lets it fire for half of the time, and looks during the other half. */
async function watch(daemon: BenchDaemon, ms: number): Promise<Held> {
  await sleep(ms / 2);
  const held = { daemon: [] as number[], runner: [] as number[] };
  const before = familyUs(daemon.pid);
  const start = performance.now();
  while (performance.now() - start < ms / 2) {
    held.daemon.push(figuresOf(daemon.pid).residentMiB);
    const runner = runnerOf(daemon.pid);
    if (runner !== undefined) held.runner.push(figuresOf(runner).residentMiB);
    await sleep(LOOK_MS);
  }
  const share = (familyUs(daemon.pid) - before) / (performance.now() - start) / 10;
  return { ...held, share };
}

/** How often they fire. */
interface Often {
  readonly cron: string;
  readonly text: string;
  /** The most memory that the daemon may have, in MiB. */
  readonly atMost: number;
}

const OFTEN: readonly Often[] = [
  { cron: "*/10 * * * * *", text: "every 10 s", atMost: 110 },
  { cron: "* * * * * *", text: "every second", atMost: 128 },
];

async function rowsOf(
  { cron, text: often, atMost }: Often,
  count: number,
  ms: number,
): Promise<Row[]> {
  return inFolder(async (root) => {
    const text =
      `schedule: { cron: "${cron}" }\nenableCache: false\n` +
      "steps: { nothing: { uses: ./steps/nothing.ts } }\n";
    writeFiles(root, {
      ...Object.fromEntries(
        Array.from({ length: count }, (_, index) => [`schedules/p${index}.yaml`, text]),
      ),
      "schedules/steps/nothing.ts": "export default async () => null;\n",
    });
    let held: Held | undefined;
    const daemon = await BenchDaemon.during(root, async (own) => {
      held = await watch(own, ms);
      return own;
    });
    const what = `${count.toLocaleString("en")} pipelines ${often}`;
    const rows: Row[] = [
      {
        what: `resident memory of the daemon, ${what}`,
        unit: "MiB",
        orchd: { name: "daemon", samples: held!.daemon },
        goal: { of: "orchd", atMost },
      },
      {
        what: `resident memory of the runner, ${what}`,
        unit: "MiB",
        orchd: { name: "runner", samples: held!.runner },
      },
      {
        what: `processor, ${what}`,
        unit: "%",
        orchd: { name: "daemon and runner", samples: [held!.share] },
      },
      daemon.turnRow(what),
    ];
    return rows;
  });
}

/** A number given with the bench's name is how many pipelines there are. */
export async function run({ short, runs: count = COUNT }: BenchOptions): Promise<Row[]> {
  if (process.platform !== "linux") return [];
  const ms = short ? SHORT_WATCH_MS : WATCH_MS;
  const rows: Row[] = [];
  for (const often of OFTEN) rows.push(...(await rowsOf(often, count, ms)));
  return rows;
}
