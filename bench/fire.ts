/**
 * How late pipelines fire that are all due in the same second: one, 100 and 1,000 of them.
 *
 * `decided` is when the run was decided: the `at` of its header. `durable` is the `at` of
 * `run.started`, which is written only once the header is on the disk. Where many are due, no run
 * goes on before all headers are: so the first `run.started` of them says when the last header was,
 * unless a month's folder got a name after it. Beside it stands the same number of raw creates,
 * sixteen at a time: each has an fdatasync, a link and a directory sync. The first time a pipeline
 * fires, its folders are made, and the daemon's code is cold: that is a row of its own.
 */
import { link, mkdir, open, unlink } from "node:fs/promises";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MINUTE_MS, iso } from "../src/core/time.ts";
import { BenchDaemon, hasEnded, inFolder, ledgerPath, linesOf, writeFiles } from "./bench-root.ts";
import { familyUs } from "./processor.ts";
import type { BenchOptions, Row } from "./row.ts";

/** As many bytes as a header usually has. */
const HEADER = Buffer.alloc(1_200, "x");
/** How many headers the daemon writes at once, and so the raw shape. */
const LANES = 16;
/** How often it is looked whether the runs have ended. */
const LOOK_MS = 250;

/** How many pipelines, how often and how far apart. */
interface Case {
  readonly count: number;
  readonly rounds: number;
  readonly everyS: number;
}

async function rawCreate(month: string): Promise<void> {
  const aside = join(month, ".run.jsonl");
  const file = await open(aside, "wx");
  await file.write(HEADER);
  await file.datasync();
  await file.close();
  await link(aside, join(month, "run.jsonl"));
  await unlink(aside);
  const directory = await open(month, "r");
  await directory.sync();
  await directory.close();
}

/** @returns when each of `count` headers was durable, in milliseconds from the first's beginning */
async function rawCreates(folder: string, count: number): Promise<number[]> {
  const months = Array.from({ length: count }, (_, index) => join(folder, `raw-${index}/2026-11`));
  for (const month of months) await mkdir(month, { recursive: true });
  const done: number[] = [];
  const start = performance.now();
  const lane = async (): Promise<void> => {
    for (let month = months.pop(); month !== undefined; month = months.pop()) {
      await rawCreate(month);
      done.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return done;
}

/** One round: milliseconds after the slot, and those of the raw creates before it. */
interface Fired {
  readonly decided: number[];
  /** The last header. */
  readonly durable: number;
  readonly ended: number[];
  readonly raw: number[];
  /** Processor time of a run, from its slot to its end, in microseconds. */
  readonly cpuUs: number;
}

/** The first slot: enough time to start and load, and all slots in one minute. */
function firstSlot({ count, rounds, everyS }: Case): number {
  const slot = Math.ceil((Date.now() + 6_000 + count * 30) / 1_000) * 1_000;
  const isInOneMinute = (slot % MINUTE_MS) + (rounds - 1) * everyS * 1_000 < MINUTE_MS;
  return isInOneMinute ? slot : Math.ceil(slot / MINUTE_MS) * MINUTE_MS;
}

const stampOf = (slot: number): string => iso(slot).replaceAll(/[-:]|\.\d{3}/g, "");

async function fires(one: Case): Promise<{ readonly fired: Fired[]; readonly turn: Row }> {
  return inFolder(async (root) => {
    const names = Array.from({ length: one.count }, (_, index) => `p${index}`);
    const first = firstSlot(one);
    const slots = Array.from(
      { length: one.rounds },
      (_, round) => first + round * one.everyS * 1_000,
    );
    const seconds = slots.map((slot) => (slot % MINUTE_MS) / 1_000).join(",");
    const [minute, hour] = [new Date(first).getUTCMinutes(), new Date(first).getUTCHours()];
    const due =
      `schedule: { cron: "${seconds} ${minute} ${hour} * * *", timezone: UTC }\n` +
      "enableCache: false\nsteps: { nothing: { uses: ./steps/nothing.ts } }\n";
    writeFiles(root, {
      ...Object.fromEntries(names.map((name) => [`schedules/${name}.yaml`, due])),
      "schedules/steps/nothing.ts": "export default async () => null;\n",
    });
    const fired: Fired[] = [];
    const daemon = await BenchDaemon.during(root, async (own) => {
      const isLoaded = (): boolean =>
        names.every((name) => existsSync(join(root, "runs", name, "pipeline.jsonl")));
      await own.until("all pipelines", isLoaded, first - Date.now() - 1_000, LOOK_MS);
      for (const slot of slots) {
        const raw = await rawCreates(join(root, `raw-${slot}`), one.count);
        fired.push({ raw, ...(await firedAt(own, names, slot)) });
      }
      return own;
    });
    return { fired, turn: daemon.turnRow(`${one.count.toLocaleString("en")} due at once`) };
  });
}

/** Waits for a slot and the end of its runs. */
async function firedAt(
  daemon: BenchDaemon,
  names: readonly string[],
  slot: number,
): Promise<Omit<Fired, "raw">> {
  await sleep(slot - 100 - Date.now());
  const before = familyUs(daemon.pid);
  const paths = names.map((name) => ledgerPath(daemon.root, `${name}@${stampOf(slot)}`));
  let left = paths;
  // Whoever looks too often takes the processor from what is looked at.
  await sleep(slot + LOOK_MS - Date.now());
  await daemon.until(
    `${names.length} runs`,
    () => (left = left.filter((path) => !hasEnded(path))).length === 0,
    120_000,
    LOOK_MS,
  );
  const cpuUs = (familyUs(daemon.pid) - before) / names.length;
  const lines = paths.map(linesOf);
  const late = (type: string): number[] =>
    lines.map((all) => Date.parse(all.find((line) => line.type === type)!.at) - slot);
  return {
    decided: late("run.submitted"),
    durable: Math.max(Math.min(...late("run.started")), lastNamed(paths) - slot),
    ended: late("run.finished"),
    cpuUs,
  };
}

/**
 * When a folder of these ledgers last got or lost a name, in milliseconds since 1970: each ledger
 * is linked, and its name aside removed.
 */
function lastNamed(paths: readonly string[]): number {
  return Math.max(...paths.map((path) => statSync(dirname(path)).mtimeMs));
}

function rowsOf(what: string, { count }: Case, fired: readonly Fired[]): Row[] {
  const isMany = count === 1_000;
  return [
    {
      what: `${what}: the last decided`,
      unit: "ms",
      orchd: { name: "decided", samples: fired.map(({ decided }) => Math.max(...decided)) },
      ...(isMany ? { goal: { of: "orchd", atMost: 20 } } : {}),
    },
    {
      what: `${what}: ${count === 1 ? "header" : "the last header"} durable`,
      unit: "ms",
      orchd: {
        name: "durable",
        samples: fired.map(({ durable }) => durable),
      },
      beside: {
        name: `create, fdatasync, link, directory sync${count === 1 ? "" : `, ${LANES} lanes`}`,
        samples: fired.map(({ raw }) => Math.max(...raw)),
      },
      goal: { of: "ratio", atMost: count === 1 ? 1.5 : 1.2 },
    },
    {
      what: `${what}: until all had ended, a run`,
      unit: "ms",
      orchd: {
        name: "run",
        samples: fired.map(({ ended }) => Math.max(...ended) / count),
        cpuUs: fired.map(({ cpuUs }) => cpuUs),
      },
    },
    {
      what: `${what}: early`,
      unit: "%",
      orchd: {
        name: "early",
        samples: fired.map(
          ({ decided }) => (decided.filter((late) => late < 0).length / count) * 100,
        ),
      },
      goal: { of: "orchd", atMost: 0 },
    },
  ];
}

export async function run({ short }: BenchOptions): Promise<Row[]> {
  const cases: readonly Case[] = [
    { count: 1, rounds: short ? 10 : 25, everyS: 2 },
    ...(short ? [] : [{ count: 100, rounds: 6, everyS: 10 }]),
    { count: 1_000, rounds: 3, everyS: 20 },
  ];
  const rows: Row[] = [];
  for (const each of cases) {
    const { fired, turn } = await fires(each);
    const due = `${each.count.toLocaleString("en")} due`;
    if (each.count > 1) rows.push(...rowsOf(`${due} for the first time`, each, fired.slice(0, 1)));
    rows.push(...rowsOf(due, each, fired.slice(1)));
    if (each.count === 1_000) rows.push(turn);
  }
  return rows;
}
