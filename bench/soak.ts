/**
 * Whether anything grows. A daemon does 100,000 short runs, and its memory, descriptors, threads
 * and folders are read 200 times on the way. `npm run bench -- soak 2000` does fewer runs.
 *
 * The runs are of the kinds that users cause. 40 pipelines are due every second. Most of them have
 * one brief module step; the others have a shell step, a step in a thread of its own, a step that
 * prints, a step that fails, or two steps. A handful of runs are asked for by request. Retention
 * keeps 50 runs a pipeline. It is asked for every 2,000 runs, as a nightly pipeline would do, so
 * that what is on the disk has a size to return to.
 *
 * The verdict leaves out the first tenth as warm-up, and compares the last third of the rest with
 * its first third. Two columns of the curve have no verdict: a pipeline's own ledger is its history
 * (a new file begins at 16 MiB), and a reply is kept for an hour. Beside that the daemon's own
 * watch says how long the turns of its event loop were. A full soak writes its curve to
 * bench/soak.tsv.
 */
import {
  appendFileSync,
  closeSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LONG_TURN_MS } from "../src/observe/loop-watch.ts";
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import { figuresOf, folderFigures, runnerOf } from "./resources.ts";
import { median, type BenchOptions, type Row } from "./row.ts";

const FULL = 100_000;
const SHORT = 2_000;
const PIPELINES = 40;
const SAMPLES = 200;
const PRUNE_EVERY = 2_000;
const ASK_EVERY = 500;
const LOOK_MS = 500;

/** One reading. The names are the columns of the curve. */
type Sample = Record<(typeof COLUMNS)[number], number>;
const COLUMNS = [
  "runs",
  "seconds",
  "daemonMiB",
  "daemonDescriptors",
  "daemonThreads",
  "runnerMiB",
  "runnerDescriptors",
  "runnerThreads",
  "runFiles",
  "runKiB",
  "pipelineLedgersKiB",
  "cacheKiB",
  "replies",
  "requests",
  "scratch",
] as const;

/**
 * What has to stay flat. The late median may be at most the early median `times` a factor, `plus`
 * an amount in the column's unit.
 */
const FLAT: readonly {
  readonly column: (typeof COLUMNS)[number];
  readonly what: string;
  readonly unit: Row["unit"];
  readonly times: number;
  readonly plus: number;
}[] = [
  { column: "daemonMiB", what: "resident memory of the daemon", unit: "MiB", times: 1.1, plus: 4 },
  { column: "runnerMiB", what: "resident memory of the runner", unit: "MiB", times: 1.1, plus: 8 },
  {
    column: "daemonDescriptors",
    what: "descriptors of the daemon",
    unit: "open",
    times: 1,
    plus: 4,
  },
  {
    column: "runnerDescriptors",
    what: "descriptors of the runner",
    unit: "open",
    times: 1,
    plus: 4,
  },
  { column: "daemonThreads", what: "threads of the daemon", unit: "open", times: 1, plus: 0 },
  { column: "runnerThreads", what: "threads of the runner", unit: "open", times: 1, plus: 2 },
  { column: "runFiles", what: "files of runs", unit: "files", times: 1.1, plus: 100 },
  { column: "cacheKiB", what: "the cache's index", unit: "KiB", times: 1.1, plus: 64 },
  { column: "requests", what: "requests", unit: "files", times: 1, plus: 2 },
  { column: "scratch", what: "scratch files", unit: "files", times: 1, plus: 8 },
];

/** Counts the runs that have finished. It reads what the pipelines' ledgers gained since last. */
class FinishedRuns {
  count = 0;
  readonly #ledgers: { readonly path: string; ino: number; offset: number }[];
  readonly #block = Buffer.alloc(1 << 20);

  constructor(root: string, pipelines: readonly string[]) {
    this.#ledgers = pipelines.map((name) => ({
      path: join(root, "runs", name, "pipeline.jsonl"),
      ino: 0,
      offset: 0,
    }));
  }

  look(): number {
    for (const ledger of this.#ledgers) this.#read(ledger);
    return this.count;
  }

  #read(ledger: { readonly path: string; ino: number; offset: number }): void {
    let fd: number;
    try {
      fd = openSync(ledger.path, "r");
    } catch {
      return;
    }
    const { ino } = fstatSync(fd);
    if (ino !== ledger.ino) Object.assign(ledger, { ino, offset: 0 });
    for (;;) {
      const length = readSync(fd, this.#block, 0, this.#block.length, ledger.offset);
      const whole = this.#block.subarray(0, length).lastIndexOf(10) + 1;
      if (whole === 0) break;
      this.count +=
        this.#block.toString("latin1", 0, whole).split('"type":"run.finished"').length - 1;
      ledger.offset += whole;
    }
    closeSync(fd);
  }
}

const brief = "enableCache: false\nsteps: { brief: { uses: ./steps/brief.ts } }\n";
const two =
  "enableCache: false\nsteps: { brief: { uses: ./steps/brief.ts }, " +
  "next: { uses: ./steps/brief.ts, inputs: { before: brief } } }\n";
const KINDS: readonly (readonly [name: string, text: string])[] = [
  ["shell", 'steps: { brief: { run: "true" } }\n'],
  ["alone", "enableCache: false\nsteps: { brief: { uses: ./steps/brief.ts, isolated: true } }\n"],
  ["prints", "enableCache: false\nsteps: { brief: { uses: ./steps/prints.ts } }\n"],
  ["fails", "enableCache: false\nsteps: { brief: { uses: ./steps/fails.ts } }\n"],
  ["two", two],
];

function look(root: string, daemon: number, runs: number, seconds: number): Sample {
  const own = figuresOf(daemon);
  const runner = runnerOf(daemon);
  const threads =
    runner === undefined ? { residentMiB: 0, descriptors: 0, threads: 0 } : figuresOf(runner);
  const folder = (name: string): ReturnType<typeof folderFigures> =>
    folderFigures(join(root, "runs/.orchd", name));
  const [ofRuns, ofPipelines] = [/@[^/]*$/, /\/pipeline[^/]*\.jsonl$/].map((name) =>
    folderFigures(join(root, "runs"), (path) => name.test(path)),
  );
  return {
    runs,
    seconds,
    daemonMiB: own.residentMiB,
    daemonDescriptors: own.descriptors,
    daemonThreads: own.threads,
    runnerMiB: threads.residentMiB,
    runnerDescriptors: threads.descriptors,
    runnerThreads: threads.threads,
    runFiles: ofRuns!.files,
    runKiB: ofRuns!.bytes / 1024,
    pipelineLedgersKiB: ofPipelines!.bytes / 1024,
    cacheKiB: folder("cache").bytes / 1024,
    replies: folder("replies").files,
    requests: folder("requests").files,
    scratch: folder("scratch").files,
  };
}

/** Leaves a request, as any process may: docs/requests.md. */
function leaveRequest(root: string, id: string, request: object): void {
  const folder = join(root, "runs/.orchd/requests");
  writeFileSync(join(folder, `.${id}`), JSON.stringify(request));
  renameSync(join(folder, `.${id}`), join(folder, `${id}.json`));
}

/** The figures of the daemon's last line of its log: docs/failure-model.md 37. */
interface Turns {
  readonly longestTurnMs: number;
  readonly longTurns: number;
}

async function soak(
  count: number,
  onSample: (sample: Sample) => void,
): Promise<{ readonly samples: Sample[]; readonly turns: Turns }> {
  const samples: Sample[] = [];
  let turns: Turns = { longestTurnMs: Number.NaN, longTurns: Number.NaN };
  await inFolder(async (root) => {
    const names = Array.from(
      { length: PIPELINES },
      (_, index) => `${KINDS[index]?.[0] ?? "brief"}-${index}`,
    );
    writeFiles(root, {
      "orchd.yaml": "retention: { keepRuns: 50 }\n",
      "schedules/steps/brief.ts": "export default async () => 1;\n",
      "schedules/steps/prints.ts": 'export default async () => console.log("a line");\n',
      "schedules/steps/fails.ts":
        'export default async () => { throw new Error("as it should"); };\n',
      "schedules/by-hand.yaml": brief,
      ...Object.fromEntries(
        names.map((name, index) => [
          `schedules/${name}.yaml`,
          `schedule: { cron: "* * * * * *" }\n${KINDS[index]?.[1] ?? brief}`,
        ]),
      ),
    });
    const ended = await BenchDaemon.during(root, async (daemon) => {
      const finished = new FinishedRuns(root, [...names, "by-hand"]);
      const start = performance.now();
      let [nextSample, nextPrune, nextAsk, asked] = [0, PRUNE_EVERY, 0, 0];
      let last = { runs: 0, at: start };
      for (let runs = 0; nextSample <= count; runs = finished.look()) {
        if (runs > last.runs) last = { runs, at: performance.now() };
        else if (performance.now() - last.at > 60_000)
          throw new Error(`No run has finished for a minute, after ${runs}.`);
        if (runs >= nextAsk) {
          nextAsk += ASK_EVERY;
          for (let each = 0; each < 5; each += 1)
            leaveRequest(root, `soak-${(asked += 1)}`, {
              type: "submit",
              pipeline: "by-hand",
              by: "the soak",
            });
        }
        if (runs >= nextPrune) {
          nextPrune += PRUNE_EVERY;
          leaveRequest(root, `soak-${(asked += 1)}`, { type: "prune", by: "the soak" });
        }
        if (runs >= nextSample) {
          while (nextSample <= runs) nextSample += count / SAMPLES;
          samples.push(look(root, daemon.pid, runs, (performance.now() - start) / 1000));
          onSample(samples.at(-1)!);
        }
        await sleep(LOOK_MS);
      }
      return daemon;
    });
    turns = {
      longestTurnMs: ended.figure("longestTurnMs"),
      longTurns: ended.figure("longTurns"),
    };
  });
  return { samples, turns };
}

const line = (sample: Sample): string =>
  `${COLUMNS.map((column) => Math.round(sample[column] * 10) / 10).join("\t")}\n`;

export async function run({ short, runs }: BenchOptions): Promise<Row[]> {
  if (process.platform !== "linux") return [];
  const count = runs ?? (short ? SHORT : FULL);
  const curve = join(import.meta.dirname, "../../bench/soak.tsv");
  if (count >= FULL) writeFileSync(curve, `${COLUMNS.join("\t")}\n`);
  process.stderr.write(`${COLUMNS.join("\t")}\n`);
  const { samples, turns } = await soak(count, (sample) => {
    process.stderr.write(line(sample));
    if (count >= FULL) appendFileSync(curve, line(sample));
  });
  const warm = samples.slice(Math.floor(samples.length / 10));
  const third = Math.floor(warm.length / 3);
  const flat = FLAT.map(({ column, what, unit, times, plus }): Row => {
    const early = warm.slice(0, third).map((sample) => sample[column]);
    const atMost = median(early) * times + plus;
    return {
      what: `${what} over ${samples.at(-1)!.runs.toLocaleString("en")} runs`,
      unit,
      orchd: {
        name: "the last third",
        samples: warm.slice(-third).map((sample) => sample[column]),
      },
      beside: { name: "the first, after a tenth of warm-up", samples: early },
      goal: { of: "orchd", atMost },
    };
  });
  return [...flat, ...turnRows(turns, samples.at(-1)!.runs)];
}

/** What the daemon says of the turns of its event loop (promise 37). */
function turnRows({ longestTurnMs, longTurns }: Turns, runs: number): Row[] {
  const over = `over ${runs.toLocaleString("en")} runs`;
  const rows: readonly [what: string, unit: Row["unit"], seen: number, atMost: number][] = [
    [`the longest turn of the event loop ${over}`, "ms", longestTurnMs, LONG_TURN_MS],
    [`turns of over ${LONG_TURN_MS} ms ${over}`, "turns", longTurns, 0],
  ];
  return rows.map(([what, unit, seen, atMost]) => ({
    what,
    unit,
    orchd: { name: "the daemon's own watch", samples: [seen] },
    goal: { of: "orchd", atMost },
  }));
}
