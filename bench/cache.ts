/**
 * A run of 1,000 cached steps in which nothing changed: what it costs to find that out.
 *
 * The pre-pass alone is the daemon's run-loop, in this process. It is measured from the start of a
 * run whose header is durable to the fdatasync of the run's last line. The whole run is asked of a
 * daemon, and is measured from the request's file to the end of the run. In the pipeline `files`
 * each step depends on a file of its own, which has to be looked at.
 *
 * The floor does the same with nothing around it: stat each file and compare, hash one key a step,
 * write as many bytes as the ledger got in one write, fdatasync once.
 */
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, fdatasyncSync, openSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../src/clock.ts";
import { silentLog } from "../src/log.ts";
import type { Room } from "../src/core/lane.ts";
import { manualRunId } from "../src/core/run-id.ts";
import { DEFAULT_SETTINGS } from "../src/core/settings.ts";
import type { Snapshot } from "../src/core/snapshot.ts";
import { Artifacts } from "../src/ledger/artifacts.ts";
import { CacheIndex } from "../src/ledger/cache-index.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { Flavors } from "../src/orchestrators/flavors.ts";
import { RunLoop } from "../src/run/run-loop.ts";
import type { RunDeps } from "../src/run/run-deps.ts";
import type { Place } from "../src/places/place.ts";
import {
  BenchDaemon,
  hasEnded,
  inFolder,
  ledgerPath,
  linesOf,
  writeFiles,
  type Line,
} from "./bench-root.ts";
import { peerPackages } from "./peer-packages.ts";
import { PLAIN_SNAPSHOT, PLAIN_STEP } from "../test/support/plain-step.ts";
import { familyUs } from "./processor.ts";
import { Rounds, tookHere, type Took } from "./rounds.ts";
import { timed, type BenchOptions, type Measured, type Row } from "./row.ts";

const STEPS = 1_000;
const ROUNDS = 15;
const SHORT_ROUNDS = 9;
const WARMUP = 5;
const HUNDRED = 100;

const ids = Array.from({ length: STEPS }, (_, index) => index);
const pipelineOf = (more: (id: number) => string): string => {
  const steps = ids.map(
    (id) => `  s${id}: { uses: ./steps/m${id % 10}.ts, params: { id: ${id} }${more(id)} }\n`,
  );
  return `steps:\n${steps.join("")}`;
};
const plain = pipelineOf(() => "");
const files = pipelineOf((id) => `, cache: { fileDependencies: [./data/f${id}.txt] }`);

/**
 * Asks for a run.
 *
 * @returns its ledger, and the milliseconds from its request until its end could be read
 */
async function requestedRun(
  daemon: BenchDaemon,
  pipeline: string,
): Promise<Took & { readonly lines: Line[] }> {
  const before = familyUs(daemon.pid);
  const start = performance.now();
  const path = ledgerPath(daemon.root, await daemon.submit(pipeline));
  await daemon.until(`the end of ${path}`, () => hasEnded(path), 120_000, 2);
  const ms = performance.now() - start;
  return { lines: linesOf(path), ms, cpuUs: familyUs(daemon.pid) - before };
}

/** A place that answers at once: a step that is not cached gets its param `id` as its result. */
class NoPool implements Place {
  started = 0;
  capacity(): Room {
    return { module: 64, shell: 64 };
  }
  start(
    _id: string,
    task: Parameters<Place["start"]>[1],
    handlers: Parameters<Place["start"]>[2],
  ): void {
    this.started += 1;
    queueMicrotask(() =>
      handlers.done(
        { ok: true, value: "params" in task ? (task.params?.["id"] ?? null) : null },
        0,
        systemClock.now(),
      ),
    );
  }
  stop(): void {}
  forget(): void {}
  promise(): void {}
  redeem(): void {}
  adopt(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set());
  }
}

/** Runs the pre-pass alone, in this process. */
class PrePass {
  readonly #pool = new NoPool();
  readonly #deps: RunDeps;
  readonly #snapshot: Snapshot;
  #runs = 0;

  constructor(folder: string, withFiles: boolean) {
    const runStore = new RunStore(join(folder, "in-process"));
    this.#deps = {
      clock: systemClock,
      runStore,
      cacheIndex: new CacheIndex(runStore.cache),
      artifacts: new Artifacts(runStore.artifacts),
      place: this.#pool,
      orchestrators: new Flavors({ place: this.#pool }),
      settings: DEFAULT_SETTINGS,
      log: silentLog,
      onFatal: (error) => {
        throw error;
      },
    };
    const hashed = (text: string): string => createHash("sha256").update(text).digest("hex");
    this.#snapshot = {
      name: withFiles ? "files" : "plain",
      ...PLAIN_SNAPSHOT,
      file: join(folder, "schedules/p.yaml"),
      steps: ids.map((id) => ({
        id: `s${id}`,
        code: {
          bundle: hashed(String(id % 10)),
          pick: "export:default",
          source: `./steps/m${id % 10}.ts`,
        },
        ...PLAIN_STEP,
        params: { id },
        ...(withFiles
          ? {
              cache: {
                acrossSlots: false,
                fileDependencies: [`./data/f${id}.txt`],
                ignoredInputs: [],
                includeStepCode: true,
              },
            }
          : {}),
      })),
    };
  }

  /** Does one run. @returns what it took, and its ledger */
  async run(): Promise<Took & { readonly lines: Line[] }> {
    const { name } = this.#snapshot;
    const run = manualRunId(name, Date.UTC(2026, 10, 23, 2) + (this.#runs += 1));
    const header = {
      format: 1,
      run,
      pipeline: name,
      orchestratorRunId: run,
      trigger: { kind: "manual" },
      params: {},
      snapshot: this.#snapshot,
      tags: [],
    } as const;
    const loop = await RunLoop.create({ type: "run.submitted", ...header, tags: [] }, this.#deps);
    const took = await tookHere(() => {
      loop.start("bench");
      return loop.finished;
    });
    return { ...took, lines: linesOf(this.#deps.runStore.runLedger(run)) };
  }

  get started(): number {
    return this.#pool.started;
  }
}

/**
 * A hundred unchanged scripts with a file each on wireit: milliseconds of the whole command, its
 * process included.
 */
async function wireit(folder: string): Promise<number[]> {
  const names = ids.slice(0, HUNDRED).map((id) => `s${id}`);
  const scripts = Object.fromEntries([...names, "all"].map((name) => [name, "wireit"]));
  const each = ids
    .slice(0, HUNDRED)
    .map((id) => [`s${id}`, { command: "true", files: [`schedules/data/f${id}.txt`], output: [] }]);
  writeFiles(folder, {
    "package.json": JSON.stringify({
      name: "peer",
      private: true,
      scripts,
      wireit: { ...Object.fromEntries(each), all: { dependencies: names } },
    }),
  });
  const env = {
    ...process.env,
    npm_lifecycle_event: "all",
    npm_package_json: join(folder, "package.json"),
    npm_config_user_agent: "npm/10",
    WIREIT_LOGGER: "simple",
  };
  const once = (): void => {
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(peerPackages, "wireit/bin/wireit.js")],
      { cwd: folder, env, encoding: "utf8" },
    );
    if (status !== 0) throw new Error(`wireit exited ${status}: ${stdout}`);
  };
  return timed(5, 1, once);
}

interface FileFacts {
  readonly mtimeMs: number;
  readonly size: number;
  readonly ino: number;
}

/** The floor: stats, compares, hashes the keys, writes `bytes` and syncs, all once. */
function raw(
  folder: string,
  paths: readonly string[],
  known: Map<string, FileFacts>,
  bytes: number,
): void {
  const keys: string[] = [];
  for (const path of paths) {
    const { mtimeMs, size, ino } = statSync(path);
    const before = known.get(path);
    if (
      before !== undefined &&
      (before.mtimeMs !== mtimeMs || before.size !== size || before.ino !== ino)
    )
      throw new Error(`${path} changed`);
    known.set(path, { mtimeMs, size, ino });
  }
  for (const id of ids)
    keys.push(
      createHash("sha256")
        .update(
          JSON.stringify([
            1,
            "project",
            "code".repeat(16),
            "export:default",
            { id },
            {},
            null,
            {},
            [],
          ]),
        )
        .digest("hex"),
    );
  const text = Buffer.from(keys.join("\n").padEnd(bytes, "x"));
  const file = openSync(join(folder, "raw.jsonl"), "a");
  writeSync(file, text);
  fdatasyncSync(file);
  closeSync(file);
}

function writeRoot(root: string): void {
  const hundred = files
    .split("\n")
    .slice(0, HUNDRED + 1)
    .join("\n");
  writeFiles(root, {
    "schedules/plain.yaml": plain,
    "schedules/files.yaml": files,
    "schedules/hundred.yaml": hundred,
  });
  for (let module = 0; module < 10; module += 1) {
    const text = `export default async ({ params }: any) => [${module}, params.id];\n`;
    writeFiles(root, { [`schedules/steps/m${module}.ts`]: text });
  }
  for (const id of ids) writeFiles(root, { [`schedules/data/f${id}.txt`]: `${id}\n`.repeat(100) });
}

/** The pre-pass alone, and the floor beside it: one of each a round. */
interface PrePasses {
  readonly ours: Record<"plain" | "files", Rounds>;
  readonly floor: Record<"plain" | "files", Rounds>;
}

const FLOOR = "stat + compare + keys + one write + one fdatasync";

async function prePasses(root: string, rounds: number): Promise<PrePasses> {
  const paths = ids.map((id) => join(root, `schedules/data/f${id}.txt`));
  const measured: PrePasses = {
    ours: { plain: new Rounds("plain"), files: new Rounds("files") },
    floor: { plain: new Rounds(FLOOR), files: new Rounds(FLOOR) },
  };
  const known = new Map<string, FileFacts>();
  for (const pipeline of ["plain", "files"] as const) {
    const pass = new PrePass(root, pipeline === "files");
    await pass.run();
    for (let round = -WARMUP; round < rounds; round += 1) {
      const { lines, ...took } = await pass.run();
      const bytes = lines.slice(1).reduce((sum, line) => sum + JSON.stringify(line).length + 1, 0);
      const bare = await tookHere(() => raw(root, paths, known, bytes));
      if (round < 0) continue;
      measured.ours[pipeline].add(took);
      measured.floor[pipeline].add(bare);
    }
    if (pass.started !== STEPS)
      throw new Error(`${pass.started - STEPS} steps of ${pipeline} ran, and none should have`);
  }
  return measured;
}

/** Samples of whole runs on a daemon. */
async function wholeRuns(
  root: string,
  rounds: number,
): Promise<Record<"plain" | "files" | "hundred", Measured>> {
  const whole = {
    plain: { name: "plain", samples: [] as number[], cpuUs: [] as number[] },
    files: { name: "files", samples: [] as number[], cpuUs: [] as number[] },
    hundred: { name: "hundred", samples: [] as number[], cpuUs: [] as number[] },
  };
  await BenchDaemon.during(root, async (daemon) => {
    for (const pipeline of ["plain", "files", "hundred"] as const) {
      await daemon.runOnce(pipeline);
      let usedUs = 0;
      for (let round = -WARMUP; round < rounds; round += 1) {
        const { lines, ms, cpuUs } = await requestedRun(daemon, pipeline);
        if (lines.some(({ type }) => type === "step.started"))
          throw new Error(`steps of ${pipeline} ran, and none should have`);
        if (round < 0) continue;
        whole[pipeline].samples.push(ms);
        usedUs += cpuUs;
      }
      // One run is only a few ticks of 10 ms, so their sum is taken.
      whole[pipeline].cpuUs.push(usedUs / rounds);
    }
  });
  return whole;
}

export async function run({ short, note }: BenchOptions): Promise<Row[]> {
  return inFolder(async (root) => {
    writeRoot(root);
    // A file that was written a moment ago is read each time; after this wait none is.
    await sleep(3_000);
    const rounds = short ? SHORT_ROUNDS : ROUNDS;
    const { ours, floor } = await prePasses(root, rounds);
    const whole = await wholeRuns(root, rounds);
    const goal = { of: "ratio", atMost: 3 } as const;
    const rows = (["plain", "files"] as const).flatMap((pipeline): Row[] => {
      const each = pipeline === "plain" ? "" : ", each with a file of its own";
      return [
        {
          what: `the pre-pass alone, ${STEPS.toLocaleString("en")} cached steps${each}`,
          unit: "ms",
          orchd: ours[pipeline],
          beside: floor[pipeline],
          goal,
        },
        {
          what: `the whole no-op run, from its request to its end${each}`,
          unit: "ms",
          orchd: whole[pipeline],
          beside: floor[pipeline],
          goal,
        },
      ];
    });
    if (existsSync(join(peerPackages, "wireit")))
      rows.push({
        what: `a no-op run of ${HUNDRED} steps with a file each`,
        unit: "ms",
        orchd: whole.hundred,
        beside: { name: `wireit, ${HUNDRED} unchanged tasks`, samples: await wireit(root) },
      });
    else note("wireit is not installed: `npm ci --prefix bench/peers` installs it.");
    return rows;
  });
}
