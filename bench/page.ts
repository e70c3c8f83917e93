/**
 * What `orchd page` costs: until it is ready, an answer over a long history, a line's way to a
 * client, memory, and what it costs the daemon that it stands beside.
 */
import { spawn } from "node:child_process";
import { closeSync, fstatSync, mkdirSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../src/clock.ts";
import type { PipelineEvent } from "../src/core/event.ts";
import { HOUR_MS } from "../src/core/time.ts";
import { LedgerFile } from "../src/ledger/ledger-file.ts";
import { ask, BenchPage, firstLine } from "./bench-page.ts";
import { BenchDaemon, inFolder, linesOf, writeFiles } from "./bench-root.ts";
import { history } from "./history.ts";
import { figuresOf } from "./resources.ts";
import { median, timed, type BenchOptions, type Row } from "./row.ts";

const PIPELINES = 1_000;
const RUNS = 100_000;
const SHORT_RUNS = 20_000;
/** How much of a ledger's end a reader reads first. */
const TAIL_BYTES = 65_536;

/** A server of node:http alone, which answers everything with one word. */
const HELLO = `
  const server = require("node:http").createServer((_, out) => out.end("hello"));
  server.listen(0, "127.0.0.1", function () {
    console.log(JSON.stringify({ url: "http://127.0.0.1:" + this.address().port + "/" }));
  });`;

/** From the start of a process until it has answered once, in milliseconds. */
async function readyMs(start: () => ReturnType<typeof spawn>, path: string): Promise<number> {
  const from = performance.now();
  const child = start();
  const { url } = JSON.parse(await firstLine(child)) as { url: string };
  const status = await ask(new URL(path, url.replace(/#.*$/, "")).href);
  const took = performance.now() - from;
  if (status !== 200) throw new Error(`${path} is answered with ${status}.`);
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  return took;
}

async function readyRow(rounds: number): Promise<Row> {
  return inFolder(async (root) => {
    writeFiles(root, { "schedules/p.yaml": 'steps: { nothing: { run: "true" } }\n' });
    mkdirSync(join(root, "runs"), { recursive: true });
    const [orchd, beside]: [number[], number[]] = [[], []];
    const bare = (): ReturnType<typeof spawn> =>
      spawn(process.execPath, ["-e", HELLO], { stdio: ["ignore", "pipe", "inherit"] });
    for (let round = -2; round < rounds; round += 1) {
      const own = await readyMs(() => BenchPage.spawn(root), "/healthz");
      const raw = await readyMs(bare, "/");
      if (round < 0) continue;
      orchd.push(own);
      beside.push(raw);
    }
    return {
      what: "until the page is ready",
      unit: "ms",
      orchd: { name: "orchd page", samples: orchd },
      beside: { name: "a node:http that says hello", samples: beside },
      goal: { of: "ratio", atMost: 2.5 },
    };
  });
}

/** Reads the ends of all pipelines' ledgers, and does nothing with them. */
function readTails(root: string): void {
  const bytes = Buffer.allocUnsafe(TAIL_BYTES);
  for (let index = 0; index < PIPELINES; index += 1) {
    const fd = openSync(join(root, "runs", `p${index}`, "pipeline.jsonl"), "r");
    const { size } = fstatSync(fd);
    readSync(fd, bytes, 0, TAIL_BYTES, Math.max(0, size - TAIL_BYTES));
    closeSync(fd);
  }
}

async function historyRows(runs: number, rounds: number): Promise<Row[]> {
  return inFolder(async (root) => {
    const shape = { pipelines: PIPELINES, cron: "0 * * * *", everyMs: HOUR_MS };
    history(root, runs, 0, 0, shape);
    return BenchPage.during(root, async (page) => {
      const [orchd, beside]: [number[], number[]] = [[], []];
      for (let round = -2; round < rounds; round += 1) {
        const [own] = await timed(1, 0, () => page.get("/api/v1/status"));
        const [raw] = await timed(1, 0, () => readTails(root));
        if (round < 0) continue;
        orchd.push(own!);
        beside.push(raw!);
      }
      for (const path of ["/api/v1/overview", "/api/v1/runs", "/api/v1/next"]) await page.get(path);
      await page.follow("/api/v1/events", () => {});
      await sleep(2_000);
      const { residentMiB } = figuresOf(page.pid);
      page.hangUp();
      const over = `1,000 pipelines and ${runs.toLocaleString("en")} runs`;
      return [
        {
          what: `/api/v1/status over ${over}`,
          unit: "ms",
          orchd: { name: "the page", samples: orchd },
          beside: { name: "reading the same tails", samples: beside },
          goal: { of: "ratio", atMost: 3 },
        },
        {
          what: "resident memory of the page, 1,000 pipelines",
          unit: "MiB",
          orchd: { name: "orchd page", samples: [residentMiB] },
          goal: { of: "orchd", atMost: 90 },
        },
      ];
    });
  });
}

/** How long a durable line takes to a client, in milliseconds. */
async function streamRow(lines: number): Promise<Row> {
  return inFolder(async (root) => {
    const schedules = 'schedule: { cron: "0 3 * * *" }\nsteps: { s: { run: "true" } }\n';
    writeFiles(root, { "schedules/p.yaml": schedules });
    mkdirSync(join(root, "runs/p"), { recursive: true });
    const loaded = { type: "pipeline.loaded", format: 1, pipeline: "p", digest: "d", file: "f" };
    const ledger = await LedgerFile.create<PipelineEvent>(
      join(root, "runs/p/pipeline.jsonl"),
      [{ ...loaded, schedules: [], tz: "UTC" } as unknown as PipelineEvent],
      {
        clock: systemClock,
        onFatal: (error) => {
          throw error;
        },
      },
    );
    const samples = await BenchPage.during(root, async (page) => {
      let heard: (line: string) => void = () => {};
      await page.follow("/api/v1/events", (line) => heard(line));
      await sleep(500);
      const took: number[] = [];
      for (let number = -5; number < lines; number += 1) {
        const because = `line ${number}`;
        const arrived = new Promise<number>((resolve) => {
          heard = (line) => line.includes(`"${because}"`) && resolve(performance.now());
        });
        const from = performance.now();
        // A reader may see the line before the disk has it, and so before this resolves.
        await ledger.append([{ type: "pipeline.paused", by: "bench", because } as never]);
        const at = await arrived;
        if (number >= 0) took.push(at - from);
        await sleep(50);
      }
      return took;
    });
    await ledger.close();
    return {
      what: "a line from its append to a client of the event stream",
      unit: "ms",
      orchd: { name: "the page", samples },
      goal: { of: "orchd", atMost: 20 },
    };
  });
}

const CLIENTS = 50;
const FIRING = 20;

/** How late slots fired since a moment, in milliseconds. */
function lateness(root: string, since: number): number[] {
  return Array.from({ length: FIRING }, (_, index) =>
    linesOf(join(root, "runs", `p${index}`, "pipeline.jsonl"))
      .filter(({ type, at }) => type === "slot.fired" && Date.parse(at) >= since)
      .map((line) => Date.parse(line.at) - Date.parse(line["slot"] as string)),
  ).flat();
}

/** The daemon's lateness beside a page with 50 clients, and beside one with none, in turn. */
async function latenessRow(rounds: number, watchMs: number): Promise<Row> {
  return inFolder(async (root) => {
    writeFiles(
      root,
      Object.fromEntries(
        Array.from({ length: FIRING }, (_, index) => [
          `schedules/p${index}.yaml`,
          'schedule: { cron: "* * * * * *" }\noverlap: skip\nsteps: { s: { run: "true" } }\n',
        ]),
      ),
    );
    const [orchd, beside]: [number[], number[]] = [[], []];
    await BenchDaemon.during(root, () =>
      BenchPage.during(root, async (page) => {
        await sleep(3_000);
        for (let round = 0; round < rounds; round += 1) {
          let from = Date.now();
          await sleep(watchMs);
          beside.push(median(lateness(root, from)));
          for (let client = 0; client < CLIENTS; client += 1)
            await page.follow("/api/v1/events?ids=short", () => {});
          await sleep(500);
          from = Date.now();
          await sleep(watchMs);
          orchd.push(median(lateness(root, from)));
          page.hangUp();
          await sleep(500);
        }
      }),
    );
    return {
      what: `lateness of ${FIRING} pipelines every second, with ${CLIENTS} pages open`,
      unit: "ms",
      orchd: { name: "slot.fired, p50", samples: orchd },
      beside: { name: "with none open", samples: beside },
      goal: { of: "ratio", atMost: 1.1 },
    };
  });
}

export async function run({ short, runs }: BenchOptions): Promise<Row[]> {
  const wanted = runs ?? (short ? SHORT_RUNS : RUNS);
  return [
    await readyRow(short ? 8 : 20),
    ...(await historyRows(wanted, short ? 10 : 25)),
    await streamRow(short ? 50 : 200),
    await latenessRow(short ? 3 : 6, short ? 8_000 : 20_000),
  ];
}
