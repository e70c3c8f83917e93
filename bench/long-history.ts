/**
 * What commands cost over a long history, in processor time and peak memory: over 300 pipelines,
 * beside one pipeline with as many runs, and beside 300 pipelines with two runs each. Nothing may
 * grow with pipelines times history. What is about all pipelines grows with their number, and what
 * reads all ledgers with their length; the rest grows with neither. A daemon has run over each root
 * once, so what it keeps for later commands is there (the compiled versions of its files).
 */
import { spawnSync } from "node:child_process";
import { BenchDaemon, inFolder, program } from "./bench-root.ts";
import { history, MANY, ONE, type Shape } from "./history.ts";
import type { BenchOptions, Measured, Row } from "./row.ts";

const ROUNDS = 3;
const RUNS = 219_000;
const SHORT_RUNS = 9_000;
/** Tells at its end, as the last line of stderr, what the process took. */
const TELLS =
  'data:text/javascript,process.on("exit",()=>{const u=process.resourceUsage();' +
  'process.stderr.write("\\n"+JSON.stringify([u.userCPUTime+u.systemCPUTime,u.maxRSS]))})';
/** Reads and parses what `orchd verify` reads, and checks nothing. */
const RAW = `const fs = require("node:fs");
for (const entry of fs.readdirSync("runs", { recursive: true, withFileTypes: true }))
  if (entry.name.endsWith(".jsonl"))
    for (const line of fs.readFileSync(entry.parentPath + "/" + entry.name, "latin1").split("\\n"))
      if (line !== "") JSON.parse(line);`;

interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly peakMiB: number;
}

function cost(root: string, words: readonly string[]): Cost {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ["--import", TELLS, ...words], {
    cwd: root,
    env: { ...process.env, ORCHD_ROOT: root },
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  const wallMs = performance.now() - start;
  if (status !== 0) throw new Error(`node ${words.join(" ")} exited ${status}: ${stderr}`);
  const [cpuUs, peakKiB] = JSON.parse(stderr.slice(stderr.lastIndexOf("\n"))) as [number, number];
  return { wallMs, cpuMs: cpuUs / 1_000, peakMiB: peakKiB / 1_024 };
}

/** The samples of one command over two roots, taken in turn. */
interface Beside {
  readonly what: string;
  readonly many: readonly Cost[];
  readonly name: string;
  readonly beside: readonly Cost[];
  readonly ratio: number;
  readonly peakMiB: number;
}

function rowsOf({ what, many, name, beside, ratio, peakMiB }: Beside): Row[] {
  const measured = (of: readonly Cost[], called: string): Measured => ({
    name: called,
    samples: of.map(({ wallMs }) => wallMs),
    cpuUs: of.map(({ cpuMs }) => cpuMs * 1_000),
  });
  return [
    {
      what,
      unit: "ms",
      orchd: measured(many, what),
      beside: measured(beside, name),
      cpuAtMost: ratio,
    },
    {
      what: `${what}: peak memory`,
      unit: "MiB",
      orchd: { name: what, samples: many.map(({ peakMiB: peak }) => peak) },
      beside: { name, samples: beside.map(({ peakMiB: peak }) => peak) },
      goal: { of: "orchd", atMost: peakMiB },
    },
  ];
}

/** A command, what it stands beside, and how much memory it may take. */
interface Asked {
  readonly words: readonly string[];
  /** `one`: one pipeline with as many runs; `bare`: as many pipelines with two runs each. */
  readonly beside: "one" | "bare";
  /** The default is 1.5. */
  readonly ratio?: number;
  readonly peakMiB: number;
}

const ASKED: readonly Asked[] = [
  { words: ["next"], beside: "bare", peakMiB: 150 },
  // A tail has up to 64 lines, where two runs have seven.
  { words: ["status"], beside: "bare", ratio: 2, peakMiB: 150 },
  { words: ["next", "p0"], beside: "one", peakMiB: 150 },
  { words: ["status", "p0"], beside: "one", peakMiB: 150 },
  { words: ["why", "p0"], beside: "one", peakMiB: 150 },
  { words: ["runs", "p0"], beside: "one", peakMiB: 150 },
  { words: ["verify"], beside: "one", peakMiB: 250 },
  { words: ["prune", "--dry-run", "--keep-days", "1"], beside: "one", peakMiB: 150 },
];
const NAMES = { one: "one pipeline", bare: "two runs each" } as const;

/** Writes a root as a daemon would have left it. */
async function lived(root: string, runs: number, shape: Shape): Promise<void> {
  history(root, runs, 0, 0, shape);
  await BenchDaemon.during(root, () => Promise.resolve());
}

export async function run(options: BenchOptions): Promise<Row[]> {
  const wanted = options.runs ?? (options.short ? SHORT_RUNS : RUNS);
  const runs = Math.ceil(wanted / MANY.pipelines) * MANY.pipelines;
  const rows: Row[] = [];
  await inFolder(async (many) => {
    await lived(many, runs, MANY);
    await inFolder(async (one) => {
      await lived(one, runs, ONE);
      await inFolder(async (bare) => {
        await lived(bare, 2 * MANY.pipelines, MANY);
        const over = `${runs.toLocaleString("en")} runs of ${MANY.pipelines} pipelines`;
        for (const { words, beside, ratio = 1.5, peakMiB } of ASKED) {
          const samples: { many: Cost[]; beside: Cost[] } = { many: [], beside: [] };
          for (let round = 0; round < ROUNDS; round += 1) {
            samples.many.push(cost(many, [program, ...words]));
            samples.beside.push(cost(beside === "one" ? one : bare, [program, ...words]));
          }
          const what = `${words.join(" ")} over ${over}`;
          rows.push(...rowsOf({ what, name: NAMES[beside], ratio, peakMiB, ...samples }));
        }
        rows.push(...verifyBesideRaw(many, over));
      });
    });
  });
  return rows;
}

function verifyBesideRaw(root: string, over: string): Row[] {
  const [many, beside]: Cost[][] = [[], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    many!.push(cost(root, [program, "verify"]));
    beside!.push(cost(root, ["-e", RAW]));
  }
  // It also checks each line's checksum, its place and what other ledgers say of it.
  const name = "JSON.parse of it";
  const what = `verify over ${over}`;
  return rowsOf({ what, name, many: many!, beside: beside!, ratio: 2.5, peakMiB: 250 });
}
