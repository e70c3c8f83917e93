/**
 * A root for a bench, the built daemon on it, and what its ledgers say. A bench reads the public
 * format, like any other program.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { LONG_TURN_MS } from "../src/observe/loop-watch.ts";
import { familyUs } from "./processor.ts";
import type { Took } from "./rounds.ts";
import type { Row } from "./row.ts";

/** The built command line. A bench runs in dist/bench/. */
export const program = join(import.meta.dirname, "../bin/orchd.js");

/** A line of a ledger. */
export type Line = Record<string, unknown> & { readonly type: string; readonly at: string };

/** The lines of a ledger; none if the ledger is not there. */
export function linesOf(path: string): Line[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
}

/** How much of a ledger's end is read to see whether its run is over. */
const TAIL_BYTES = 8_192;

/** The last whole lines of a ledger, as text; empty if the ledger is not there. */
function tailOf(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return "";
  }
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const length = readSync(fd, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString("utf8", 0, bytes.lastIndexOf(10, length - 1) + 1);
  } finally {
    closeSync(fd);
  }
}

/** Whether a run's ledger has its last line. The rest of the ledger is not read. */
export function hasEnded(path: string): boolean {
  return tailOf(path).includes('"type":"run.finished"');
}

/**
 * Gives `use` a new folder, and removes it afterwards. The folder lies in BENCH_FOLDER, or on Linux
 * under /var/tmp: that is a disk, where /tmp may be memory.
 */
export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(
    join(
      process.env["BENCH_FOLDER"] ?? (process.platform === "linux" ? "/var/tmp" : tmpdir()),
      "orchd-bench-",
    ),
  );
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Writes files below a folder. */
export function writeFiles(folder: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** How long a daemon has for what a run leaves behind, such as the cache's index. */
const AFTERWARDS_MS = 150;

/** A daemon on a root, in a process of its own. */
export class BenchDaemon {
  readonly root: string;
  readonly #child: ChildProcess;
  #log = "";
  #asked = 0;
  /** From the lock until ready, in milliseconds, as the daemon's log says. */
  readyMs = Number.NaN;

  private constructor(root: string, child: ChildProcess) {
    this.root = root;
    this.#child = child;
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
      if (Number.isNaN(this.readyMs)) this.readyMs = Number(/"readyMs":(\d+)/.exec(this.#log)?.[1]);
      this.#log = this.#log.slice(-20_000);
    });
  }

  /** Starts a daemon and waits until it is ready. */
  static async start(root: string): Promise<BenchDaemon> {
    mkdirSync(join(root, "schedules"), { recursive: true });
    const child = spawn(process.execPath, [program, "start"], {
      cwd: root,
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ORCHD_ROOT: root },
    });
    const daemon = new BenchDaemon(root, child);
    await daemon.until("its start", () => {
      if (child.exitCode !== null) throw new Error(`The daemon ended:\n${daemon.#log}`);
      return !Number.isNaN(daemon.readyMs);
    });
    return daemon;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Runs `use` with a daemon on `root`, and ends the daemon afterwards. */
  static async during<T>(root: string, use: (daemon: BenchDaemon) => Promise<T>): Promise<T> {
    const daemon = await BenchDaemon.start(root);
    try {
      return await use(daemon);
    } finally {
      daemon.#child.kill("SIGTERM");
      await new Promise((resolve) =>
        daemon.#child.exitCode === null && daemon.#child.signalCode === null
          ? daemon.#child.once("close", resolve)
          : resolve(undefined),
      );
    }
  }

  /** The last figure of this name in the log, once {@link during} is over; NaN: there is none. */
  figure(name: string): number {
    return Number([...this.#log.matchAll(new RegExp(`"${name}":([\\d.]+)`, "g"))].at(-1)?.[1]);
  }

  /** The longest turn of the event loop (promise 37), once {@link during} is over. */
  turnRow(meanwhile: string): Row {
    return {
      what: `the longest turn of the daemon's event loop in ${meanwhile}`,
      unit: "ms",
      orchd: { name: "the daemon's own watch", samples: [this.figure("longestTurnMs")] },
      goal: { of: "orchd", atMost: LONG_TURN_MS },
    };
  }

  /** Waits until something holds; looks every `everyMs`. @throws Error after `limitMs` */
  async until(what: string, holds: () => boolean, limitMs = 120_000, everyMs = 20): Promise<void> {
    for (const start = performance.now(); !holds(); await sleep(everyMs)) {
      if (performance.now() - start > limitMs)
        throw new Error(`Waited ${limitMs} ms for ${what}. The daemon's log ends:\n${this.#log}`);
    }
  }

  /**
   * Asks for a run as any process may (docs/requests.md). So no process of a command runs beside
   * what is measured.
   *
   * @returns the run's id @throws Error if the daemon refuses
   */
  async submit(pipeline: string): Promise<string> {
    const id = `bench-${(this.#asked += 1)}`;
    const requests = join(this.root, "runs/.orchd/requests");
    writeFileSync(
      join(requests, `.${id}`),
      JSON.stringify({ type: "submit", pipeline, by: "bench" }),
    );
    renameSync(join(requests, `.${id}`), join(requests, `${id}.json`));
    const reply = join(this.root, "runs/.orchd/replies", `${id}.json`);
    let text = "";
    const isAnswered = (): boolean => {
      try {
        text = readFileSync(reply, "utf8");
      } catch {
        return false;
      }
      return true;
    };
    await this.until(`the answer to ${id}`, isAnswered, 120_000, 2);
    const { run, reason } = JSON.parse(text) as { run?: string; reason?: string };
    if (run === undefined) throw new Error(`The daemon refused ${pipeline}: ${reason}`);
    return run;
  }

  /**
   * Runs a pipeline once and waits for its end, which is seen in the ledger's tail.
   *
   * @throws Error if the run does not complete
   */
  async runOnce(pipeline: string): Promise<RanOnce> {
    const before = familyUs(this.pid);
    const run = await this.submit(pipeline);
    const path = ledgerPath(this.root, run);
    await this.until(`the end of ${run}`, () => hasEnded(path));
    // What the run leaves to be done afterwards is part of its cost.
    await sleep(AFTERWARDS_MS);
    const cpuUs = familyUs(this.pid) - before;
    const lines = linesOf(path);
    const last = lines.at(-1)!;
    if (last["status"] !== "completed")
      throw new Error(`${run} ended ${String(last["status"])}: ${String(last["because"])}`);
    const started = lines.find(({ type }) => type === "run.started");
    return { lines, ms: between(started, last), cpuUs };
  }
}

/**
 * What {@link BenchDaemon.runOnce} saw: the milliseconds from `run.started` to `run.finished`, and
 * the processor time of the daemon, its runners and their children.
 */
export interface RanOnce extends Took {
  /** The run's ledger. */
  readonly lines: readonly Line[];
}

/** The path of a run's ledger. */
export function ledgerPath(root: string, run: string): string {
  const [pipeline, stamp] = run.split("@") as [string, string];
  return join(root, "runs", pipeline, `${stamp.slice(0, 4)}-${stamp.slice(4, 6)}`, `${run}.jsonl`);
}

/** Milliseconds from one line to another; NaN if one is missing. */
export function between(from: Line | undefined, to: Line | undefined): number {
  return Date.parse(to?.at ?? "") - Date.parse(from?.at ?? "");
}
