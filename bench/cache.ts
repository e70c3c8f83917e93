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
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
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
import { BenchDaemon, inFolder, ledgerPath, linesOf, writeFiles, type Line } from "./bench-root.ts";
import { peerPackages } from "./peer-packages.ts";
import { PLAIN_SNAPSHOT, PLAIN_STEP } from "../test/support/plain-step.ts";
import { timed, type Row } from "./row.ts";

const STEPS = 1_000;
const ROUNDS = 15;
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
 * Asks for a run as any process may.
 *
 * @returns its ledger, and the milliseconds until its end could be read
 */
async function requestedRun(
  daemon: BenchDaemon,
  pipeline: string,
  id: string,
): Promise<{ lines: Line[]; ms: number }> {
  const requests = join(daemon.root, "runs/.orchd/requests");
  const reply = join(daemon.root, "runs/.orchd/replies", `${id}.json`);
  writeFileSync(
    join(requests, `.${id}`),
    JSON.stringify({ type: "submit", pipeline, by: "bench" }),
  );
  const start = performance.now();
  renameSync(join(requests, `.${id}`), join(requests, `${id}.json`));
  let lines: Line[] = [];
  let ended = start;
  const holds = (): boolean => {
    let run: string | undefined;
    try {
      run = (JSON.parse(readFileSync(reply, "utf8")) as { run?: string }).run;
    } catch {
      return false;
    }
    const path = ledgerPath(daemon.root, run!);
    // Parsed only once the run is over, because the daemon is what is measured.
    if (!existsSync(path) || !readFileSync(path).includes('"type":"run.finished"')) return false;
    ended = performance.now();
    lines = linesOf(path);
    return lines.at(-1)?.type === "run.finished";
  };
  await daemon.until(`the end of ${id}`, holds, 120_000, 2);
  return { lines, ms: ended - start };
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

  /** Does one run. @returns its milliseconds, and its ledger */
  async run(): Promise<{ ms: number; lines: Line[] }> {
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
    const start = performance.now();
    loop.start("bench");
    await loop.finished;
    return { ms: performance.now() - start, lines: linesOf(this.#deps.runStore.runLedger(run)) };
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

/** Milliseconds of the pre-pass alone, and of the floor beside it. */
async function prePasses(
  root: string,
): Promise<{ plain: number[]; files: number[]; floor: number[] }> {
  const paths = ids.map((id) => join(root, `schedules/data/f${id}.txt`));
  const measured: Record<"plain" | "files" | "floor", number[]> = {
    plain: [],
    files: [],
    floor: [],
  };
  const known = new Map<string, FileFacts>();
  for (const pipeline of ["plain", "files"] as const) {
    const pass = new PrePass(root, pipeline === "files");
    await pass.run();
    for (let round = -WARMUP; round < ROUNDS; round += 1) {
      const { ms, lines } = await pass.run();
      const bytes = lines.slice(1).reduce((sum, line) => sum + JSON.stringify(line).length + 1, 0);
      const [bare] = await timed(1, 0, () => raw(root, paths, known, bytes));
      if (round < 0) continue;
      measured[pipeline].push(ms);
      measured.floor.push(bare!);
    }
    if (pass.started !== STEPS)
      throw new Error(`${pass.started - STEPS} steps of ${pipeline} ran, and none should have`);
  }
  return measured;
}

/** Milliseconds of whole runs on a daemon. */
async function wholeRuns(
  root: string,
): Promise<{ plain: number[]; files: number[]; hundred: number[] }> {
  const whole: Record<"plain" | "files" | "hundred", number[]> = {
    plain: [],
    files: [],
    hundred: [],
  };
  await BenchDaemon.during(root, async (daemon) => {
    for (const pipeline of ["plain", "files", "hundred"] as const) {
      await daemon.runOnce(pipeline);
      for (let round = -WARMUP; round < ROUNDS; round += 1) {
        const { lines, ms } = await requestedRun(daemon, pipeline, `${pipeline}-${round + WARMUP}`);
        if (lines.some(({ type }) => type === "step.started"))
          throw new Error(`steps of ${pipeline} ran, and none should have`);
        if (round >= 0) whole[pipeline].push(ms);
      }
    }
  });
  return whole;
}

export async function run(): Promise<Row[]> {
  return inFolder(async (root) => {
    writeRoot(root);
    // A file that was written a moment ago is read each time; after this wait none is.
    await sleep(3_000);
    const prePass = await prePasses(root);
    const whole = await wholeRuns(root);
    const beside = {
      name: "stat + compare + keys + one write + one fdatasync",
      samples: prePass.floor,
    };
    const goal = { of: "ratio", atMost: 3 } as const;
    const rows: Row[] = [
      {
        what: `the pre-pass alone, ${STEPS} steps`,
        unit: "ms",
        orchd: { name: "plain", samples: prePass.plain },
        beside,
        goal,
      },
      {
        what: "the same, each with a file of its own",
        unit: "ms",
        orchd: { name: "files", samples: prePass.files },
        beside,
        goal,
      },
      {
        what: "the whole no-op run, from its request to its end",
        unit: "ms",
        orchd: { name: "plain", samples: whole.plain },
        beside,
      },
      {
        what: "the same, each with a file of its own",
        unit: "ms",
        orchd: { name: "files", samples: whole.files },
        beside,
      },
    ];
    if (existsSync(join(peerPackages, "wireit")))
      rows.push({
        what: `a no-op run of ${HUNDRED} steps with a file each`,
        unit: "ms",
        orchd: { name: "hundred", samples: whole.hundred },
        beside: { name: `wireit, ${HUNDRED} unchanged tasks`, samples: await wireit(root) },
      });
    return rows;
  });
}
