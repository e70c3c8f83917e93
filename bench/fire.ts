/**
 * How late pipelines fire that are all due in the same second.
 *
 * `decided` is when the run was decided: the `at` of its header. `durable` is the `at` of
 * `run.started`, which is written only once the header is on the disk. Beside it stands the same
 * number of raw creates, four at a time: each has an fdatasync, a link and a directory sync.
 */
import { link, mkdir, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { iso } from "../src/core/time.ts";
import { BenchDaemon, inFolder, ledgerPath, linesOf, runsOf, writeFiles } from "./bench-root.ts";
import { quantile } from "./row.ts";
import type { Row } from "./row.ts";

/** As many bytes as a header usually has. */
const HEADER = Buffer.alloc(1_200, "x");

async function rawCreate(folder: string, index: number): Promise<void> {
  const month = join(folder, `raw-${index}`, "2026-11");
  const aside = join(month, ".run.jsonl");
  const file = await open(aside, "wx");
  await file.write(HEADER);
  await file.datasync();
  await file.close();
  await link(aside, join(month, "run.jsonl"));
  await unlink(aside);
  const directory = await open(month, "r");
  await directory.sync();
  await directory.close();
}

async function rawFires(folder: string, count: number): Promise<number[]> {
  for (let index = 0; index < count; index += 1)
    await mkdir(join(folder, `raw-${index}`, "2026-11"), { recursive: true });
  let next = 0;
  const done: number[] = [];
  const start = performance.now();
  const lane = async (): Promise<void> => {
    while (next < count) {
      await rawCreate(folder, next++);
      done.push(performance.now() - start);
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
  return done;
}

async function fires(
  count: number,
): Promise<{ decided: number[]; durable: number[]; early: number; raw: number[] }> {
  return inFolder(async (root) => {
    const raw = await rawFires(join(root, "raw"), count);
    const names = Array.from({ length: count }, (_, index) => `p${index}`);
    // The pipelines are loaded first, so that all is quiet when they fall due.
    writeFiles(
      root,
      Object.fromEntries(
        names.map((name) => [
          `schedules/${name}.yaml`,
          `schedule: { cron: "0 0 1 1 *" }\nsteps: { nothing: { run: "true" } }\n`,
        ]),
      ),
    );
    return BenchDaemon.during(root, async (daemon) => {
      const slot = Math.ceil((Date.now() + 10_000 + count * 12) / 1000) * 1000;
      const due =
        `schedule: { runOnceAt: "${iso(slot)}" }\n` +
        "steps: { nothing: { uses: ./steps/nothing.ts } }\n";
      writeFiles(root, Object.fromEntries(names.map((name) => [`schedules/${name}.yaml`, due])));
      writeFiles(root, { "schedules/steps/nothing.ts": "export default async () => null;\n" });
      const ran = (): number =>
        names.filter((name) =>
          linesOf(join(root, "runs", name, "pipeline.jsonl")).some(
            ({ type }) => type === "run.finished",
          ),
        ).length;
      await daemon.until(
        `${count} runs`,
        () => Date.now() > slot + 500 && ran() === count,
        slot - Date.now() + 120_000,
      );
      const decided: number[] = [];
      const durable: number[] = [];
      for (const name of names) {
        const lines = linesOf(ledgerPath(root, runsOf(root, name)[0]!));
        decided.push(Date.parse(lines[0]!.at) - slot);
        durable.push(Date.parse(lines.find(({ type }) => type === "run.started")!.at) - slot);
      }
      return { decided, durable, early: decided.filter((late) => late < 0).length, raw };
    });
  });
}

export async function run(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const count of [1, 100, 1_000]) {
    const { decided, durable, early, raw } = await fires(count);
    const many = count === 1_000;
    rows.push(
      {
        what: `${count} due: decided, last`,
        unit: "ms",
        orchd: { name: "decided", samples: [Math.max(...decided)] },
        ...(many ? { goal: { of: "orchd" as const, atMost: 20 } } : {}),
      },
      {
        what: `${count} due: header durable, p99`,
        unit: "ms",
        orchd: { name: "durable", samples: [quantile(durable, 0.99)] },
        beside: {
          name: "create, fdatasync, link, directory sync: p99",
          samples: [quantile(raw, 0.99)],
        },
        goal: count === 1 ? { of: "orchd", atMost: 5 } : { of: "ratio", atMost: 1.3 },
      },
      {
        what: `${count} due: early`,
        unit: "%",
        orchd: { name: "early", samples: [(early / count) * 100] },
        goal: { of: "orchd", atMost: 0 },
      },
    );
  }
  return rows;
}
