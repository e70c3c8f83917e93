/**
 * Promises 1, 5 and 8: SIGKILL and EIO at chosen system calls of a process that writes a ledger.
 *
 * strace counts system calls for each thread, so libuv gets one thread. Only calls that libuv makes
 * for files are named, so that `when=N` hits the ledger.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { LedgerFile } from "../../src/ledger/ledger-file.ts";
import { hasProgram, reached, trials } from "../support/figures.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { killPoint } from "../support/kill-point.ts";
import { buildProgram } from "../support/program.ts";
import { tempRoot } from "../support/temp-root.ts";

const CALLS = "pwrite64,fdatasync,fsync,link,linkat,unlink,unlinkat,ftruncate,rename";
const SELDOM = ["fsync", "link", "unlink"];
const GROUPS = 30;
let program: string;
beforeAll(async () => {
  program = await buildProgram("ledger-writer");
});

interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly acknowledged: number;
  readonly said: readonly string[];
  readonly fatalToEndMs: number;
}

function write(path: string, inject: string, ...planted: string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      "strace",
      [
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        `trace=${CALLS}`,
        "-e",
        `inject=${inject}`,
        process.execPath,
        program,
        path,
        String(GROUPS),
        ...planted,
      ],
      {
        env: { PATH: process.env["PATH"] ?? "", UV_THREADPOOL_SIZE: "1" },
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let text = "";
    let fatalAt = Number.NaN;
    child.stdout.setEncoding("utf8").on("data", (more: string) => {
      text += more;
      if (more.includes("fatal")) fatalAt = performance.now();
    });
    child.on("error", reject);
    child.on("close", (status, signal) => {
      const said = text.split("\n");
      const acknowledged = Math.max(
        0,
        ...said.flatMap((line) => (line.startsWith("ack ") ? [Number(line.slice(4))] : [])),
      );
      resolve({ status, signal, acknowledged, said, fatalToEndMs: performance.now() - fatalAt });
    });
  });
}

/**
 * Recovers a ledger, and checks that its lines are those that were written, without a gap.
 *
 * @returns how many lines there are
 */
async function recovered(path: string): Promise<number> {
  if (!existsSync(path)) return 0;
  const { file } = await LedgerFile.open<{ type: string }>(path, {
    clock: systemClock,
    onFatal: () => expect.fail("the disk does not fail any more"),
  });
  await file.close();
  const lines = readWholeLedger(path);
  for (const line of lines.slice(1)) expect(line["n"]).toBe(line.seq);
  return lines.length;
}

describe.runIf(hasProgram("strace"))("a process that writes a ledger", () => {
  it(
    "loses no acknowledged line to kill -9 at any system call, those of recovery too",
    { timeout: 1_800_000 },
    async () => {
      const root = tempRoot();
      const points = trials(16, 1_000);
      let lost = 0;
      let killed = 0;
      let killedAgain = 0;
      const each = async (point: number): Promise<void> => {
        const path = join(root.root, `${point}`, "run.jsonl");
        mkdirSync(join(root.root, `${point}`));
        const first = await write(
          path,
          killPoint(point, { often: GROUPS + 1, calls: SELDOM, seldom: 1 }),
        );
        const second = await write(
          path,
          killPoint(point + 1, { often: 5, calls: SELDOM, seldom: 3 }),
        );
        killed += (first.signal === null ? 0 : 1) + (second.signal === null ? 0 : 1);
        if (first.signal !== null && second.signal !== null) killedAgain += 1;
        if ((await recovered(path)) < Math.max(first.acknowledged, second.acknowledged)) lost += 1;
      };
      for (let point = 0; point < points; point += 2)
        await Promise.all([each(point), each(point + 1)]);
      reached(1, "acknowledged lines kept through kill -9", points - lost, points);
      reached(
        8,
        "recoveries that were killed too, after which the next one has every line",
        killedAgain - lost,
        killedAgain,
      );
      expect(lost).toBe(0);
      expect(killed).toBeGreaterThan(points);
    },
  );

  it("is seen to lose lines if it acknowledges them too early", { timeout: 120_000 }, async () => {
    const root = tempRoot();
    let lost = 0;
    for (let point = 0; point < 8; point += 1) {
      const path = join(root.root, `${point}.jsonl`);
      const { acknowledged } = await write(
        path,
        `pwrite64:error=EIO:signal=KILL:when=${5 + point}`,
        "early",
      );
      if ((await recovered(path)) < acknowledged) lost += 1;
    }
    expect(lost).toBeGreaterThan(0);
  });

  it(
    "acknowledges nothing after a failed sync or write, and ends within a second",
    { timeout: 600_000 },
    async () => {
      const root = tempRoot();
      const points = trials(6, 100);
      let good = 0;
      for (let point = 0; point < points; point += 1) {
        const path = join(root.root, `${point}.jsonl`);
        const call = point % 3 === 2 ? "pwrite64" : "fdatasync";
        const outcome = await write(
          path,
          `${call}:error=EIO:when=${1 + Math.floor((point * GROUPS) / points)}`,
        );
        expect(outcome.status).toBe(7);
        expect(outcome.fatalToEndMs).toBeLessThan(1_000);
        expect(outcome.said.indexOf("fatal")).toBe(outcome.said.length - 2);
        if ((await recovered(path)) >= outcome.acknowledged) good += 1;
      }
      reached(
        5,
        "failed syncs after which nothing was acknowledged and nothing lost",
        good,
        points,
      );
      expect(good).toBe(points);
    },
  );
});
