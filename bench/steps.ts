/**
 * What a warm module step costs in a run that is durable: a chain of 200, where each waits for the one before, and a fan-out of 1,000.
 *
 * Times are the run's own ledger's, from `run.started` to `run.finished`.
 */
import { BenchDaemon, between, inFolder, writeFiles } from "./bench-root.ts";
import { RawRunner } from "./raw-runner.ts";
import { timed } from "./row.ts";
import type { Row } from "./row.ts";

const CHAIN = 200;
const FAN = 1_000;
const ROUNDS = 5;

const step = (name: string, more: string): string => `  ${name}: { uses: ./steps/nothing.ts${more} }\n`;
const chain = `enableCache: false\nsteps:\n${Array.from({ length: CHAIN }, (_, index) => step(`s${index}`, index === 0 ? "" : `, after: s${index - 1}`)).join("")}`;
const fan = `enableCache: false\nmaxParallelSteps: 64\nsteps:\n${Array.from({ length: FAN }, (_, index) => step(`s${index}`, "")).join("")}`;

export async function run(): Promise<Row[]> {
  return inFolder(async (root) => {
    writeFiles(root, {
      "schedules/chain.yaml": chain,
      "schedules/fan.yaml": fan,
      "schedules/steps/nothing.ts": "export default async () => null;\n",
    });
    const raw = await RawRunner.start(root);
    const line = Buffer.from(`${"x".repeat(299)}\n`);
    const floor: number[] = [];
    const chained: number[] = [];
    const fanned: number[] = [];
    await BenchDaemon.during(root, async (daemon) => {
      await daemon.runOnce("chain");
      await daemon.runOnce("fan");
      for (let round = 0; round < ROUNDS; round += 1) {
        const [whole] = await timed(1, round === 0 ? 1 : 0, async () => {
          for (let index = 0; index < CHAIN; index += 1) await raw.step(line);
        });
        floor.push(whole! / CHAIN);
        const ran = await daemon.runOnce("chain");
        chained.push(
          between(
            ran.find(({ type }) => type === "run.started"),
            ran.at(-1),
          ) / CHAIN,
        );
        const spread = await daemon.runOnce("fan");
        fanned.push(
          (FAN /
            between(
              spread.find(({ type }) => type === "run.started"),
              spread.at(-1),
            )) *
            1000,
        );
      }
    });
    await raw.end();
    return [
      {
        what: `a step in a chain of ${CHAIN}`,
        unit: "ms",
        orchd: { name: "chain", samples: chained },
        beside: { name: "IPC + worker round trip + write + fdatasync", samples: floor },
        goal: { of: "ratio", atMost: 1.6 },
      },
      { what: `a fan-out of ${FAN}, 64 at once`, unit: "steps/s", orchd: { name: "fan", samples: fanned }, goal: { of: "orchd", atLeast: 20_000 } },
    ];
  });
}
