/**
 * What a warm module step costs in a durable run: in a chain of 200, where each step waits for the
 * one before, and in a fan-out of 1,000.
 *
 * Times come from the run's own ledger, from `run.started` to `run.finished`. Beside the fan-out
 * stands the same shape with nothing around it (raw-fan.ts), with as many steps under way. That is
 * 16 by default: `runner.threads` is 8, and one more step a thread is sent ahead. With 32 threads
 * it is 64, all that the run allows.
 */
import { BenchDaemon, between, inFolder, writeFiles } from "./bench-root.ts";
import { RawFan } from "./raw-fan.ts";
import { RawRunner } from "./raw-runner.ts";
import { timed } from "./row.ts";
import type { Row } from "./row.ts";

const CHAIN = 200;
const FAN = 1_000;
const ROUNDS = 7;
const WARMUP = 4;

const step = (name: string, more: string): string =>
  `  ${name}: { uses: ./steps/nothing.ts${more} }\n`;
const chained = Array.from({ length: CHAIN }, (_, index) =>
  step(`s${index}`, index === 0 ? "" : `, after: s${index - 1}`),
);
const fanned = Array.from({ length: FAN }, (_, index) => step(`s${index}`, ""));
const chain = `enableCache: false\nsteps:\n${chained.join("")}`;
const fan = `enableCache: false\nmaxParallelSteps: 64\nsteps:\n${fanned.join("")}`;

/** Steps a second: of a fan-out, and of the raw one beside it. */
async function fans(threads: number | undefined): Promise<{ ours: number[]; raw: number[] }> {
  return inFolder(async (root) => {
    writeFiles(root, {
      "schedules/fan.yaml": fan,
      "schedules/steps/nothing.ts": "export default async () => null;\n",
      ...(threads === undefined ? {} : { "orchd.yaml": `runner: { threads: ${threads} }\n` }),
    });
    const bare = new RawFan(root);
    const ours: number[] = [];
    const raw: number[] = [];
    await BenchDaemon.during(root, async (daemon) => {
      for (let round = -WARMUP; round < ROUNDS; round += 1) {
        const [whole] = await timed(1, 0, () => bare.run(FAN, 2 * (threads ?? 8)));
        const spread = await daemon.runOnce("fan");
        if (round < 0) continue;
        raw.push((FAN / whole!) * 1000);
        ours.push(
          (FAN /
            between(
              spread.find(({ type }) => type === "run.started"),
              spread.at(-1),
            )) *
            1000,
        );
      }
    });
    bare.end();
    return { ours, raw };
  });
}

export async function run(): Promise<Row[]> {
  const usual = await fans(undefined);
  const wide = await fans(32);
  const beside = "the same, raw: IPC, two threads, one fdatasync a batch";
  return [
    ...(await chains()),
    {
      what: `a fan-out of ${FAN}: 8 threads, 16 under way`,
      unit: "steps/s",
      orchd: { name: "fan", samples: usual.ours },
      beside: { name: beside, samples: usual.raw },
      goal: { of: "orchd", atLeast: 20_000 },
    },
    {
      what: `a fan-out of ${FAN}: 32 threads, 64 under way`,
      unit: "steps/s",
      orchd: { name: "fan", samples: wide.ours },
      beside: { name: beside, samples: wide.raw },
    },
  ];
}

async function chains(): Promise<Row[]> {
  return inFolder(async (root) => {
    writeFiles(root, {
      "schedules/chain.yaml": chain,
      "schedules/steps/nothing.ts": "export default async () => null;\n",
    });
    const raw = await RawRunner.start(root);
    const line = Buffer.from(`${"x".repeat(299)}\n`);
    const floor: number[] = [];
    const ours: number[] = [];
    await BenchDaemon.during(root, async (daemon) => {
      await daemon.runOnce("chain");
      for (let round = 0; round < ROUNDS; round += 1) {
        const [whole] = await timed(1, round === 0 ? 1 : 0, async () => {
          for (let index = 0; index < CHAIN; index += 1) await raw.step(line);
        });
        floor.push(whole! / CHAIN);
        const ran = await daemon.runOnce("chain");
        ours.push(
          between(
            ran.find(({ type }) => type === "run.started"),
            ran.at(-1),
          ) / CHAIN,
        );
      }
    });
    await raw.end();
    return [
      {
        what: `a step in a chain of ${CHAIN}`,
        unit: "ms",
        orchd: { name: "chain", samples: ours },
        beside: { name: "IPC + worker round trip + write + fdatasync", samples: floor },
        goal: { of: "ratio", atMost: 1.6 },
      },
    ];
  });
}
