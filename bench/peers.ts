/**
 * The same work on peers, in the same run: a chain of 50 trivial steps on Dagu, a trivial unit of work in a thread on Bree.
 *
 * The peers are no dependency of orchd. `npm ci --prefix bench/peers` brings them; without it this bench says so and gives no row.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { BenchDaemon, between, inFolder, writeFiles } from "./bench-root.ts";
import { timed } from "./row.ts";
import type { Row } from "./row.ts";

const CHAIN = 50;
const ROUNDS = 5;
/** dist/bench/ is where this runs. */
const packages = join(import.meta.dirname, "../../bench/peers/node_modules");

/** What is used of Bree, which has no types of its own. */
interface BreeLike {
  run(name: string): Promise<void>;
  once(event: string, listener: () => void): void;
  stop(): Promise<void>;
}

const names = (one: (index: number) => string): string => Array.from({ length: CHAIN }, (_, index) => one(index)).join("");

async function dagu(folder: string): Promise<number[]> {
  writeFiles(folder, {
    "dagu.yaml": `steps:\n${names((index) => `  - name: s${index}\n    command: "true"\n${index === 0 ? "" : `    depends: s${index - 1}\n`}`)}`,
  });
  const once = (): void => {
    const { status, stderr } = spawnSync(join(packages, "@dagu-org/dagu-linux-x64/bin/dagu"), ["start", "-q", join(folder, "dagu.yaml")], {
      env: { ...process.env, DAGU_HOME: join(folder, "dagu-home") },
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`dagu exited ${status}: ${stderr}`);
  };
  return (await timed(ROUNDS, 1, once)).map((whole) => whole / CHAIN);
}

async function bree(folder: string): Promise<number[]> {
  writeFiles(folder, { "work.mjs": 'import { parentPort } from "node:worker_threads";\nparentPort.postMessage("done");\n' });
  const entry = pathToFileURL(join(packages, "bree/src/index.js")).href;
  const { default: Bree } = (await import(entry)) as { default: new (options: object) => BreeLike };
  const scheduler = new Bree({ root: false, logger: false, jobs: [{ name: "work", path: join(folder, "work.mjs") }] });
  const samples = await timed(20, 2, async () => {
    const ended = new Promise<void>((resolve) => scheduler.once("worker deleted", resolve));
    await scheduler.run("work");
    await ended;
  });
  await scheduler.stop();
  return samples;
}

export async function run(): Promise<Row[]> {
  if (!existsSync(packages)) {
    process.stderr.write("The peers are not installed; `npm ci --prefix bench/peers` brings them.\n");
    return [];
  }
  return inFolder(async (root) => {
    const after = (index: number): string => (index === 0 ? "" : `, after: s${index - 1}`);
    writeFiles(root, {
      "schedules/shell.yaml": `steps:\n${names((index) => `  s${index}: { run: "true"${after(index)} }\n`)}`,
      "schedules/warm.yaml": `enableCache: false\nsteps:\n${names((index) => `  s${index}: { uses: ./steps/nothing.ts${after(index)} }\n`)}`,
      "schedules/alone.yaml": "enableCache: false\nsteps:\n  s0: { uses: ./steps/nothing.ts, isolated: true }\n",
      "schedules/steps/nothing.ts": "export default async () => null;\n",
    });
    const ours: Record<"shell" | "warm" | "alone", number[]> = { shell: [], warm: [], alone: [] };
    await BenchDaemon.during(root, async (daemon) => {
      for (const pipeline of ["shell", "warm", "alone"] as const) {
        await daemon.runOnce(pipeline);
        for (let round = 0; round < ROUNDS; round += 1) {
          const lines = await daemon.runOnce(pipeline);
          ours[pipeline].push(
            between(
              lines.find(({ type }) => type === "run.started"),
              lines.at(-1),
            ) / (pipeline === "alone" ? 1 : CHAIN),
          );
        }
      }
    });
    const chain = { name: `Dagu, a chain of ${CHAIN} shell steps`, samples: await dagu(root) };
    const thread = { name: "Bree, one worker", samples: await bree(root) };
    return [
      { what: `a shell step in a chain of ${CHAIN}`, unit: "ms", orchd: { name: "shell", samples: ours.shell }, beside: chain },
      { what: `a warm module step in a chain of ${CHAIN}`, unit: "ms", orchd: { name: "warm", samples: ours.warm }, beside: chain },
      { what: "a module step in a thread of its own, run and all", unit: "ms", orchd: { name: "isolated", samples: ours.alone }, beside: thread },
    ];
  });
}
