/**
 * The feed of ledger lines over 1,000 pipelines: how soon a line that is written reaches a reader,
 * beside a watch of the one folder that it is written to; and what `orchd tail -f` uses while
 * nothing is written.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, watch, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { openFeed } from "../src/feed/open-feed.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { inFolder, program } from "./bench-root.ts";
import { familyUs } from "./processor.ts";
import { figuresOf } from "./resources.ts";
import type { BenchOptions, Row } from "./row.ts";

const PIPELINES = 1_000;
const LINES = 400;
/** In this time every ledger had its first slow look, which comes within 30 s. */
const SETTLE_MS = 32_000;
const WATCH_MS = 60_000;
const SHORT_WATCH_MS = 20_000;

/** A ledger that is appended to, without a sync: it is not the disk that is measured. */
class PlainLedger {
  readonly path: string;
  #seq = 0;
  #crc = 0;

  constructor(path: string) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, this.next("pipeline.loaded") + this.next("pipeline.checkpoint"));
  }

  next(type: string): string {
    const seq = (this.#seq += 1);
    const at = new Date().toISOString();
    const active = type === "pipeline.checkpoint" ? { active: [] } : {};
    const body = JSON.stringify({ seq, b: seq, at, type, format: 1, ...active }).slice(0, -1);
    this.#crc = crc32(body, this.#crc);
    return `${body},"crc":"${this.#crc.toString(16).padStart(8, "0")}"}\n`;
  }
}

async function linesTo(store: RunStore, ledgers: readonly PlainLedger[]): Promise<Row> {
  const feed = openFeed(store);
  const lines = feed[Symbol.asyncIterator]();
  const [given, told]: number[][] = [[], []];
  let next = lines.next();
  await sleep(1_000);
  for (let nth = 0; nth < LINES; nth += 1) {
    const ledger = ledgers[(nth * 7) % ledgers.length]!;
    const folder = watch(dirname(ledger.path), { persistent: false });
    const event = once(folder, "change");
    await sleep(2);
    const before = performance.now();
    appendFileSync(ledger.path, ledger.next("note"));
    const isTold = event.then(() => told!.push(performance.now() - before));
    await next.then(() => given!.push(performance.now() - before));
    await isTold;
    folder.close();
    next = lines.next();
  }
  feed.close();
  await next;
  return {
    what: "a line to its reader, 1,000 pipelines",
    unit: "ms",
    orchd: { name: "feed", samples: given! },
    beside: { name: "a watch of its folder", samples: told! },
    goal: { of: "orchd", atMost: 20 },
  };
}

async function idle(root: string, ms: number): Promise<Row[]> {
  const child = spawn(process.execPath, [program, "tail", "-f", "-n", "0", "--root", root], {
    stdio: "ignore",
  });
  try {
    await sleep(SETTLE_MS);
    const before = familyUs(child.pid!);
    await sleep(ms);
    const share = ((familyUs(child.pid!) - before) / (ms * 1_000)) * 100;
    return [
      {
        what: "processor, 1,000 idle pipelines",
        unit: "%",
        orchd: { name: "orchd tail -f", samples: [share] },
        goal: { of: "orchd", atMost: 0.2 },
      },
      {
        what: "resident memory, 1,000 idle pipelines",
        unit: "MiB",
        orchd: { name: "orchd tail -f", samples: [figuresOf(child.pid!).residentMiB] },
      },
    ];
  } finally {
    child.kill();
  }
}

export async function run({ short }: BenchOptions): Promise<Row[]> {
  if (process.platform !== "linux") return [];
  return inFolder(async (root) => {
    const runs = join(root, "runs");
    const ledgers = Array.from({ length: PIPELINES }, (_, nth) => {
      return new PlainLedger(join(runs, `p${String(nth).padStart(4, "0")}`, "pipeline.jsonl"));
    });
    const row = await linesTo(new RunStore(runs), ledgers);
    return [row, ...(await idle(root, short ? SHORT_WATCH_MS : WATCH_MS))];
  });
}
