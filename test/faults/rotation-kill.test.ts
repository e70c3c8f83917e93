/**
 * Promises 1 and 8 where a pipeline's ledger reaches 16 MiB and a new file begins: SIGKILL at each
 * system call of the rotation, and again at one of the recovery that follows. Every line that was
 * acknowledged is in exactly one of the files.
 */
import { spawn } from "node:child_process";
import { cpSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { PipelineLedger } from "../../src/ledger/pipeline-ledger.ts";
import { hasProgram, reached, trials } from "../support/figures.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { buildProgram } from "../support/program.ts";
import { tempRoot } from "../support/temp-root.ts";
import { firedAndEnded } from "./programs/pipeline-lines.ts";

/**
 * The system calls at which it is killed; strace counts each kind by itself. The second name, the
 * rename and the folder's sync stand first: the quick form uses the first two.
 */
const POINTS = [
  "link:1",
  "rename:1",
  "fsync:3",
  "pwrite64:2",
  "fdatasync:1",
  "pwrite64:3",
  "fdatasync:2",
  "pwrite64:1",
  "fsync:1",
  "fsync:2",
].map((point) => point.split(":") as [call: string, nth: string]);
const FULL = 16 * 1_048_576;
let program: string;
beforeAll(async () => {
  program = await buildProgram("pipeline-writer");
});

/**
 * Runs the program `by`, which appends runs to the ledger.
 *
 * @returns the last run that was acknowledged, and whether the program was killed
 */
function goOn(
  by: string,
  runs: string,
  count: number,
  kill?: (typeof POINTS)[number],
): Promise<{ readonly acknowledged: number; readonly killed: boolean }> {
  const words =
    kill === undefined
      ? []
      : [
          "strace",
          "-f",
          "-qq",
          "-o",
          "/dev/null",
          "-e",
          `trace=${kill[0]}`,
          "-e",
          `inject=${kill[0]}:signal=KILL:when=${kill[1]}`,
        ];
  const [command, ...rest] = [...words, process.execPath, by, runs, String(count)];
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      env: { PATH: process.env["PATH"] ?? "", UV_THREADPOOL_SIZE: "1" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (more: string) => (text += more));
    child.on("error", reject);
    child.on("close", (status, signal) => {
      if (status !== 0 && signal === null)
        return reject(new Error(`it ended with status ${String(status)}`));
      resolve({
        acknowledged: Math.max(0, ...[...text.matchAll(/^ack (\d+)$/gm)].map(([, n]) => Number(n))),
        killed: signal !== null,
      });
    });
  });
}

/**
 * A runs folder with a full ledger, whose next line begins a new file, and how many runs it holds.
 */
async function fullLedger(): Promise<{ readonly runs: string; readonly told: number }> {
  const { runs } = tempRoot();
  const ledger = await PipelineLedger.open(runs, "p", {
    clock: systemClock,
    onFatal: (error) => expect.fail(error.message),
  });
  await ledger.append([
    {
      type: "pipeline.loaded",
      digest: "d",
      schedules: [{ cron: "* * * * * *" }],
      tz: "UTC",
      tzdata: "2026c",
    },
  ]);
  let told = 0;
  while (ledger.size < FULL) {
    const group = Array.from({ length: 100 }, () => firedAndEnded((told += 1))).flat();
    await ledger.append(group);
  }
  await ledger.close();
  return { runs, told };
}

/** What is there after a rotation and a recovery that were both killed. */
interface Aftermath {
  readonly kills: number;
  /** Whether each line is in exactly one of the two files. */
  readonly whole: boolean;
}

async function killedTwice(
  full: { readonly runs: string; readonly told: number },
  point: number,
  by: string,
): Promise<Aftermath> {
  const runs = join(tempRoot().root, `full-${point}`);
  cpSync(full.runs, runs, { recursive: true });
  const first = await goOn(by, runs, 3, POINTS[point % POINTS.length]);
  const second = await goOn(by, runs, 3, POINTS[(point * 7 + 4) % POINTS.length]);
  const last = await goOn(by, runs, 1);
  const names = readdirSync(join(runs, "p")).filter(
    (name) => name.endsWith(".jsonl") && !name.startsWith("."),
  );
  const ended = names
    .flatMap((name) => readWholeLedger(join(runs, "p", name)))
    .flatMap((line) =>
      line.type === "run.finished"
        ? [Number.parseInt(String(line["run"]).slice("p@".length), 10)]
        : [],
    );
  expect(statSync(join(runs, "p/pipeline.jsonl")).size).toBeLessThan(FULL);
  expect(last.acknowledged).toBeGreaterThan(
    Math.max(full.told, first.acknowledged, second.acknowledged),
  );
  const told = Array.from({ length: last.acknowledged }, (_, n) => n + 1);
  return {
    kills: Number(first.killed) + Number(second.killed),
    whole: names.length === 2 && ended.toSorted((a, b) => a - b).join() === told.join(),
  };
}

describe.runIf(hasProgram("strace"))("a pipeline's ledger", () => {
  it(
    "that is killed in its rotation loses no line, and has none twice",
    { timeout: 1_800_000 },
    async () => {
      const full = await fullLedger();
      const points = trials(2, 100);
      let good = 0;
      let kills = 0;
      for (let point = 0; point < points; point += 1) {
        const after = await killedTwice(full, point, program);
        if (after.whole) good += 1;
        kills += after.kills;
      }
      reached(
        1,
        `pipeline ledgers of 16 MiB that were killed as they rotated (${kills} kills), ` +
          "with each line once",
        good,
        points,
      );
      expect(good).toBe(points);
      expect(kills).toBeGreaterThanOrEqual(points);
      // The control: without a second name the old file is lost when the new one comes, and the
      // test sees that.
      const careless = await buildProgram("pipeline-writer", {
        file: "src/ledger/ledger-creation.ts",
        from: "await linkOnce(disk, path, keepAs);",
        to: "void linkOnce;",
      });
      expect(await killedTwice(full, 2, careless)).toMatchObject({ whole: false });
    },
  );
});
