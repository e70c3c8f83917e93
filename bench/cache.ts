/**
 * A run of 1,000 cached steps in which nothing changed: what it costs to find that out.
 *
 * The pre-pass alone is a run-loop of the daemon's, in this process: from the start of a run whose
 * header is durable to its last line's fdatasync. The whole is asked of a daemon: from the
 * request's file to the end of the run. Each step of a pipeline `files` depends on a file of its
 * own, which has to be looked at.
 *
 * The floor does the same with nothing around it: stat each file and compare, hash a key for each
 * step, one write of as many bytes as the ledger got, one fdatasync.
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
import type { Room } from "../src/core/plan.ts";
import { manualRunId } from "../src/core/run-id.ts";
import { DEFAULT_SETTINGS } from "../src/core/settings.ts";
import type { Snapshot } from "../src/core/snapshot.ts";
import { Artifacts } from "../src/ledger/artifacts.ts";
import { CacheIndex } from "../src/ledger/cache-index.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { Flavors } from "../src/orchestrators/flavors.ts";
import { RunLoop } from "../src/run/run-loop.ts";
import type { RunDeps } from "../src/run/run-deps.ts";
import type { TaskPool } from "../src/places/place.ts";
import { BenchDaemon, inFolder, ledgerPath, linesOf, writeFiles, type Line } from "./bench-root.ts";
import { timed, type Row } from "./row.ts";
import { PLAIN_SNAPSHOT, PLAIN_STEP } from "./plain-step.ts";

const STEPS = 1_000;
const ROUNDS = 15;
const WARMUP = 5;
const HUNDRED = 100;
/** dist/bench/ is where this runs. */
const packages = join(import.meta.dirname, "../../bench/peers/node_modules");

const ids = Array.from({ length: STEPS }, (_, index) => index);
const plain = `steps:\n${ids.map((id) => `  s${id}: { uses: ./steps/m${id % 10}.ts, params: { id: ${id} } }\n`).join("")}`;
const files = `steps:\n${ids
  .map(
    (id) =>
      `  s${id}: { uses: ./steps/m${id % 10}.ts, params: { id: ${id} }, cache: { fileDependencies: [./data/f${id}.txt] } }\n`,
  )
  .join("")}`;

/**
 * Asks for a run as any process may, and gives its ledger and the milliseconds until its end could
 * be read.
 */
async function ask(
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
    // Not taken apart until it is over: what is measured is the daemon.
    if (!existsSync(path) || !readFileSync(path).includes('"type":"run.finished"')) return false;
    ended = performance.now();
    lines = linesOf(path);
    return lines.at(-1)?.type === "run.finished";
  };
  await daemon.until(`the end of ${id}`, holds, 120_000, 2);
  return { lines, ms: ended - start };
}

/** Gives each step that is not cached its result at once. */
class NoPool implements TaskPool {
  started = 0;
  capacity(): Room {
    return { module: 64, shell: 64 };
  }
  start(
    _id: string,
    task: Parameters<TaskPool["start"]>[1],
    handlers: Parameters<TaskPool["start"]>[2],
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
}

/** The pre-pass alone: see the head of this file. */
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
      orchestrators: new Flavors({ pool: this.#pool }),
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

  /** One run: its milliseconds, and its ledger. */
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
 * A hundred tasks with a file each, cached and unchanged, on wireit: the whole command, its process
 * included.
 */
async function wireit(folder: string): Promise<number[]> {
  const tasks = ids.slice(0, HUNDRED).map((id) => `s${id}`);
  const scripts = Object.fromEntries([...tasks, "all"].map((name) => [name, "wireit"]));
  const each = ids
    .slice(0, HUNDRED)
    .map((id) => [`s${id}`, { command: "true", files: [`schedules/data/f${id}.txt`], output: [] }]);
  writeFiles(folder, {
    "package.json": JSON.stringify({
      name: "peer",
      private: true,
      scripts,
      wireit: { ...Object.fromEntries(each), all: { dependencies: tasks } },
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
      [join(packages, "wireit/bin/wireit.js")],
      { cwd: folder, env, encoding: "utf8" },
    );
    if (status !== 0) throw new Error(`wireit exited ${status}: ${stdout}`);
  };
  return timed(5, 1, once);
}

interface Remembered {
  readonly mtimeMs: number;
  readonly size: number;
  readonly ino: number;
}

/** The floor: see the head of this file. */
function raw(
  folder: string,
  paths: readonly string[],
  known: Map<string, Remembered>,
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

export async function run(): Promise<Row[]> {
  return inFolder(async (root) => {
    writeFiles(root, {
      "schedules/plain.yaml": plain,
      "schedules/files.yaml": files,
      "schedules/hundred.yaml": files
        .split("\n")
        .slice(0, HUNDRED + 1)
        .join("\n"),
    });
    for (let module = 0; module < 10; module += 1)
      writeFiles(root, {
        [`schedules/steps/m${module}.ts`]: `export default async ({ params }: any) => [${module}, params.id];\n`,
      });
    for (const id of ids)
      writeFiles(root, { [`schedules/data/f${id}.txt`]: `${id}\n`.repeat(100) });
    const paths = ids.map((id) => join(root, `schedules/data/f${id}.txt`));
    // Until then a file counts as just written, and is read each time.
    await sleep(3_000);
    const prePass: Record<"plain" | "files", number[]> = { plain: [], files: [] };
    const whole: Record<"plain" | "files" | "hundred", number[]> = {
      plain: [],
      files: [],
      hundred: [],
    };
    const floor: number[] = [];
    const known = new Map<string, Remembered>();
    for (const pipeline of ["plain", "files"] as const) {
      const pass = new PrePass(root, pipeline === "files");
      await pass.run();
      for (let round = -WARMUP; round < ROUNDS; round += 1) {
        const { ms, lines } = await pass.run();
        const bytes = lines
          .slice(1)
          .reduce((sum, line) => sum + JSON.stringify(line).length + 1, 0);
        const [bare] = await timed(1, 0, () => raw(root, paths, known, bytes));
        if (round < 0) continue;
        prePass[pipeline].push(ms);
        floor.push(bare!);
      }
      if (pass.started !== STEPS)
        throw new Error(`${pass.started - STEPS} steps of ${pipeline} ran, and none should have`);
    }
    await BenchDaemon.during(root, async (daemon) => {
      for (const pipeline of ["plain", "files", "hundred"] as const) {
        await daemon.runOnce(pipeline);
        for (let round = -WARMUP; round < ROUNDS; round += 1) {
          const { lines, ms } = await ask(daemon, pipeline, `${pipeline}-${round + WARMUP}`);
          if (lines.some(({ type }) => type === "step.started"))
            throw new Error(`steps of ${pipeline} ran, and none should have`);
          if (round >= 0) whole[pipeline].push(ms);
        }
      }
    });
    const beside = { name: "stat + compare + keys + one write + one fdatasync", samples: floor };
    const goal = { of: "ratio", atMost: 3 } as const;
    return [
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
      ...(existsSync(join(packages, "wireit"))
        ? [
            {
              what: `a no-op run of ${HUNDRED} steps with a file each`,
              unit: "ms" as const,
              orchd: { name: "hundred", samples: whole.hundred },
              beside: { name: `wireit, ${HUNDRED} unchanged tasks`, samples: await wireit(root) },
            },
          ]
        : []),
    ];
  });
}
