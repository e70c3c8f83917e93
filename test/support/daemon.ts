/**
 * Starts the built program as a user would: `orchd start` as a process of its own, and short-lived
 * `orchd` commands beside it.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readDaemon } from "../../src/ledger/daemon-info.ts";
import { onTestFinished } from "./running-test.ts";
import { projectRoot, tempRoot, type TempRoot } from "./temp-root.ts";

/** The built command line. */
export const orchdProgram = join(projectRoot, "dist/bin/orchd.js");

/** What a command printed, and how it ended. */
export interface CommandResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as one JSON document. */
  json<T = Record<string, unknown>>(): T;
  /** stdout as JSON Lines. */
  jsonLines<T = Record<string, unknown>>(): T[];
}

interface SpawnOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Program and words put before node: `["setpriv", "--reuid=1000"]`. */
  readonly through?: readonly string[];
  /** Written to stdin, which is empty otherwise. */
  readonly input?: string;
  readonly deadlineMs?: number;
  /** Another installation's command line; default: this build's. */
  readonly program?: string;
}

/**
 * The environment of a command: this process's, without variables that would change the command
 * (colours, other roots, a service manager's socket).
 */
function cleanEnv(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: "1", ...extra };
  for (const name of [
    "ORCHD_ROOT",
    "FORCE_COLOR",
    "NODE_OPTIONS",
    "NOTIFY_SOCKET",
    "VITEST",
    "NODE_ENV",
    "NODE_V8_COVERAGE",
  ]) {
    if (!(name in extra)) delete env[name];
  }
  return env;
}

function requireBuild(): void {
  if (!existsSync(orchdProgram))
    throw new Error(`${orchdProgram} is missing: run \`npm run build\` first.`);
}

/** Runs one command to its end: `orchd(root, "status", "--json")`. */
export function orchd(
  root: string,
  ...parameters: (string | SpawnOptions)[]
): Promise<CommandResult> {
  requireBuild();
  const last = parameters.at(-1);
  const options = typeof last === "object" ? last : {};
  const words = parameters.filter((parameter) => typeof parameter === "string");
  const [program, ...before] = [...(options.through ?? []), process.execPath];
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...before, options.program ?? orchdProgram, ...words], {
      cwd: options.cwd ?? root,
      env: cleanEnv({ ORCHD_ROOT: root, ...options.env }),
      stdio: ["pipe", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.stdin.on("error", () => undefined).end(options.input ?? "");
    const deadline = setTimeout(() => {
      child.kill("SIGKILL");
      reject(
        new Error(`orchd ${words.join(" ")} did not end.\nstdout: ${stdout}\nstderr: ${stderr}`),
      );
    }, options.deadlineMs ?? 45_000);
    child.on("error", reject);
    child.on("close", (status, signal) => {
      clearTimeout(deadline);
      resolve({
        status,
        signal,
        stdout,
        stderr,
        json: <T>() => JSON.parse(stdout) as T,
        jsonLines: <T>() =>
          stdout
            .split("\n")
            .filter((line) => line !== "")
            .map((line) => JSON.parse(line) as T),
      });
    });
  });
}

/** A daemon under test. */
export interface Daemon {
  readonly pid: number;
  readonly process: ChildProcess;
  /** Everything it wrote to stderr so far: its log. */
  stderr(): string;
  /** What it wrote to stdout, where that was asked for. */
  stdout(): string;
  /** Its log lines, parsed (pino). Lines that are not JSON are left out. */
  log(): Record<string, unknown>[];
  /** Sends a signal and waits for the end. */
  end(
    signal?: NodeJS.Signals,
    deadlineMs?: number,
  ): Promise<{ status: number | null; signal: NodeJS.Signals | null }>;
  /** kill -9, and waits until it is gone. */
  kill(): Promise<void>;
  /** Resolves when it has ended, whatever ended it. */
  readonly ended: Promise<{ status: number | null; signal: NodeJS.Signals | null }>;
}

/** Options of `startDaemon`. */
export interface DaemonOptions {
  readonly root: string;
  readonly arguments?: readonly string[];
  readonly env?: Record<string, string>;
  /** Program and words put before node: `["strace", "-f"]`. */
  readonly through?: readonly string[];
  /** False: do not wait until it is ready. */
  readonly ready?: boolean;
  readonly deadlineMs?: number;
  /** Another installation's command line; default: this build's. */
  readonly program?: string;
  /** Keeps what it writes to stdout. */
  readonly stdout?: boolean;
}

/**
 * A daemon over a root of these files. Code there can import the project's packages. For a whole
 * `describe`: the caller ends the daemon when that is over.
 */
export async function daemonOver(
  files: Record<string, string>,
): Promise<{ readonly root: TempRoot; readonly daemon: Daemon }> {
  const root = tempRoot(files);
  root.linkPackages();
  return { root, daemon: await startDaemon({ root: root.root }) };
}

/**
 * Starts `orchd start`, and waits until its epoch file says that it is ready: it then holds the
 * lock, has recovered, and has read the drop folder. When the test is over, a daemon that still
 * lives is ended with SIGKILL.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  requireBuild();
  const [program, ...words] = [
    ...(options.through ?? []),
    process.execPath,
    options.program ?? orchdProgram,
    "start",
    ...(options.arguments ?? []),
  ];
  const child = spawn(program!, words, {
    cwd: options.root,
    env: cleanEnv({ ORCHD_ROOT: options.root, ...options.env }),
    stdio: ["ignore", options.stdout === true ? "pipe" : "ignore", "pipe"],
  });
  let stderr = "";
  let stdout = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  let over: { status: number | null; signal: NodeJS.Signals | null } | undefined;
  const ended = new Promise<{ status: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on("error", () => resolve((over = { status: null, signal: null })));
    child.on("exit", (status, signal) => resolve((over = { status, signal })));
  });
  const daemon: Daemon = {
    pid: child.pid ?? -1,
    process: child,
    stderr: () => stderr,
    stdout: () => stdout,
    log: () =>
      stderr.split("\n").flatMap((line) => {
        try {
          return [JSON.parse(line) as Record<string, unknown>];
        } catch {
          return [];
        }
      }),
    async end(signal = "SIGTERM", deadlineMs = 20_000) {
      if (!over) child.kill(signal);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () =>
            reject(
              new Error(
                `The daemon did not end within ${deadlineMs} ms of ${signal}. Its log:\n${stderr}`,
              ),
            ),
          deadlineMs,
        );
      });
      try {
        return await Promise.race([ended, late]);
      } finally {
        clearTimeout(timer);
      }
    },
    async kill() {
      if (!over) child.kill("SIGKILL");
      await ended;
    },
    ended,
  };
  try {
    onTestFinished(() => daemon.kill());
  } catch {
    // Not inside a test: the caller ends the daemon.
  }
  if (options.ready !== false) await untilReady(daemon, options, () => over);
  return daemon;
}

async function untilReady(
  daemon: Daemon,
  { root, arguments: words = [], through, deadlineMs = 45_000 }: DaemonOptions,
  over: () => unknown,
): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  const runs = words.includes("--runs") ? words[words.indexOf("--runs") + 1]! : join(root, "runs");
  for (;;) {
    if (over())
      throw new Error(`The daemon ended before it was ready. Its log:\n${daemon.stderr()}`);
    // What the command would read. As a process it takes the processor from the daemon.
    const there = readDaemon(join(runs, ".orchd"));
    // Through a program like strace the pid is another one: any daemon of this root will do.
    if (there?.ready === true && (through !== undefined || there.pid === daemon.pid)) return;
    if (Date.now() > deadline)
      throw new Error(`The daemon was not ready in time. Its log:\n${daemon.stderr()}`);
    await sleep(10);
  }
}
