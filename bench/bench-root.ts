/**
 * A root for a bench, the built daemon on it, and what its ledgers say. A bench reads the public
 * format, like any other program.
 */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

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

/** Runs a command of orchd. @returns its stdout @throws Error if it does not exit with 0 */
export function orchd(root: string, ...words: string[]): string {
  return execFileSync(process.execPath, [program, ...words], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ORCHD_ROOT: root },
    maxBuffer: 1 << 28,
  });
}

/** A daemon on a root, in a process of its own. */
export class BenchDaemon {
  readonly root: string;
  readonly #child: ChildProcess;
  #log = "";
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
      const status = JSON.parse(orchd(root, "status", "--json")) as {
        daemon: { pid: number } | null;
      };
      return status.daemon?.pid === child.pid && !Number.isNaN(daemon.readyMs);
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

  /** Waits until something holds; looks every `everyMs`. @throws Error after `limitMs` */
  async until(what: string, holds: () => boolean, limitMs = 120_000, everyMs = 20): Promise<void> {
    for (const start = performance.now(); !holds(); await sleep(everyMs)) {
      if (performance.now() - start > limitMs)
        throw new Error(`Waited ${limitMs} ms for ${what}. The daemon's log ends:\n${this.#log}`);
    }
  }

  /** Runs a pipeline once. @returns its ledger @throws Error if the run does not complete */
  async runOnce(pipeline: string): Promise<Line[]> {
    const { run } = JSON.parse(orchd(this.root, "run", pipeline, "--json")) as { run: string };
    const path = ledgerPath(this.root, run);
    let lines: Line[] = [];
    await this.until(
      `the end of ${run}`,
      () => (lines = linesOf(path)).at(-1)?.type === "run.finished",
    );
    const last = lines.at(-1)!;
    if (last["status"] !== "completed")
      throw new Error(`${run} ended ${String(last["status"])}: ${String(last["because"])}`);
    return lines;
  }
}

/** The path of a run's ledger. */
export function ledgerPath(root: string, run: string): string {
  const [pipeline, stamp] = run.split("@") as [string, string];
  return join(root, "runs", pipeline, `${stamp.slice(0, 4)}-${stamp.slice(4, 6)}`, `${run}.jsonl`);
}

/** The ids of a pipeline's runs. */
export function runsOf(root: string, pipeline: string): string[] {
  const folder = join(root, "runs", pipeline);
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.includes("@") && name.endsWith(".jsonl"))
    .map((name) => name.slice(name.lastIndexOf("/") + 1, -".jsonl".length));
}

/** Milliseconds from one line to another; NaN if one is missing. */
export function between(from: Line | undefined, to: Line | undefined): number {
  return Date.parse(to?.at ?? "") - Date.parse(from?.at ?? "");
}
