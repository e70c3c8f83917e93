/**
 * A shell step, beside a bare spawn of the same shell from a process of 45 MiB: two at once, and in
 * a chain.
 */
import { BenchDaemon, inFolder, writeFiles } from "./bench-root.ts";
import { RawSpawner } from "./raw-spawner.ts";
import { Rounds } from "./rounds.ts";
import type { BenchOptions, Row } from "./row.ts";

const STEPS = 200;
const CHAIN = 50;
const ROUNDS = 7;
const SHORT_ROUNDS = 4;

interface Shape {
  readonly pipeline: string;
  readonly steps: number;
  readonly atOnce: number;
  readonly what: string;
}

const SHAPES: readonly Shape[] = [
  { pipeline: "two", steps: STEPS, atOnce: 2, what: "a shell step, two at once" },
  { pipeline: "chain", steps: CHAIN, atOnce: 1, what: `a shell step in a chain of ${CHAIN}` },
];

function pipelineOf({ steps, atOnce }: Shape): string {
  const lines = Array.from({ length: steps }, (_, index) => {
    const after = atOnce > 1 || index === 0 ? "" : `, after: s${index - 1}`;
    return `  s${index}: { run: "true"${after} }\n`;
  });
  return `enableCache: false\nmaxParallelSteps: ${atOnce}\nsteps:\n${lines.join("")}`;
}

export async function run({ short, note }: BenchOptions): Promise<Row[]> {
  return inFolder(async (root) => {
    writeFiles(
      root,
      Object.fromEntries(
        SHAPES.map((shape) => [`schedules/${shape.pipeline}.yaml`, pipelineOf(shape)]),
      ),
    );
    const spawner = await RawSpawner.start(root);
    const rows: Row[] = [];
    await BenchDaemon.during(root, async (daemon) => {
      for (const { pipeline, steps, atOnce, what } of SHAPES) {
        const ours = new Rounds("shell");
        const bare = new Rounds("a bare spawn of it from a small process");
        for (let round = -1; round < (short ? SHORT_ROUNDS : ROUNDS); round += 1) {
          const raw = await spawner.run(steps, atOnce);
          const ran = await daemon.runOnce(pipeline);
          if (round < 0) continue;
          bare.add(raw, steps);
          ours.add(ran, steps);
        }
        rows.push({
          what,
          unit: "ms",
          orchd: ours,
          beside: bare,
          ...(atOnce === 2 ? { goal: { of: "ratio", atMost: 1.15 } } : {}),
        });
      }
    });
    note(`The process that spawns had ${Math.round(spawner.residentMiB)} MiB.`);
    spawner.end();
    return rows;
  });
}
