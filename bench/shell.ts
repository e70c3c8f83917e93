/** A shell step, beside a bare spawn of the same shell from this process; two at once in both. */
import { spawn } from "node:child_process";
import { BenchDaemon, between, inFolder, writeFiles } from "./bench-root.ts";
import { timed } from "./row.ts";
import type { Row } from "./row.ts";

const STEPS = 200;
const AT_ONCE = 2;
const ROUNDS = 5;

const bare = (): Promise<void> =>
  new Promise((resolve, reject) => {
    spawn("/bin/sh", ["-c", "true"], { stdio: ["ignore", "pipe", "pipe"] })
      .on("close", () => resolve())
      .on("error", reject);
  });

async function bareSteps(): Promise<void> {
  let left = STEPS;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await bare();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

export async function run(): Promise<Row[]> {
  return inFolder(async (root) => {
    const steps = Array.from(
      { length: STEPS },
      (_, index) => `  s${index}: { run: "true" }\n`,
    ).join("");
    writeFiles(root, { "schedules/shell.yaml": `maxParallelSteps: ${AT_ONCE}\nsteps:\n${steps}` });
    const floor: number[] = [];
    const ours: number[] = [];
    await BenchDaemon.during(root, async (daemon) => {
      await daemon.runOnce("shell");
      for (let round = 0; round < ROUNDS; round += 1) {
        const [whole] = await timed(1, 0, bareSteps);
        floor.push(whole! / STEPS);
        const ran = await daemon.runOnce("shell");
        ours.push(
          between(
            ran.find(({ type }) => type === "run.started"),
            ran.at(-1),
          ) / STEPS,
        );
      }
    });
    return [
      {
        what: `a shell step, ${AT_ONCE} at once`,
        unit: "ms",
        orchd: { name: "shell", samples: ours },
        beside: { name: 'spawn("/bin/sh", ["-c", "true"])', samples: floor },
        goal: { of: "ratio", atMost: 1.3 },
      },
    ];
  });
}
