/**
 * A shell as its step sees it, and the plain way to start one: from the runner itself. (The other
 * way is below a small process, spawner.ts.)
 *
 * A shell is heard in this order: `began`, `exited`, `closed`, with `output` before `closed`. Or
 * `failed` ends it, after `began` or without.
 */
import { spawn } from "node:child_process";
import { killQuietly } from "../pool/kill-by-token.ts";

/** What a shell is started with. */
export interface ShellCommand {
  /** The program, and its arguments. */
  readonly words: readonly [program: string, ...words: string[]];
  readonly cwd: string;
  /** The whole environment: nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
}

/** Hears what becomes of a shell. */
export interface ShellListener {
  /** Whether it was sent a signal. */
  readonly isTold: boolean;
  /**
   * There is a process for it. The pid is soon its group's too, and its session's. It is another
   * one than before where that ended and had not become the shell yet.
   */
  began(pid: number): void;
  /** It printed. Nobody else uses the chunk while this takes it, and nobody keeps it. */
  output(stream: "stdout" | "stderr", chunk: Buffer): void;
  /**
   * It cannot be started.
   *
   * @param isSpawners the fault is the spawner's: what it lacks, other shells below it hold
   */
  failed(error: Error, isSpawners?: boolean): void;
  /** It has ended, and so has its process group. What that printed may still come. */
  exited(status: number | null, signal: string | null): void;
  /** Nothing more comes of its output. */
  closed(): void;
}

/** A shell that was started. */
export interface ShellProcess {
  /** Reads no more of its output. */
  mute(): void;
  /** Whether its output is read now. */
  read(isRead: boolean): void;
  /** It was sent SIGKILL, so its end must be told soon. */
  expectEnd(): void;
}

/** Starts a shell as a child of this process. */
export function startShell(command: ShellCommand, listener: ShellListener): ShellProcess {
  const [program, ...words] = command.words;
  let child;
  try {
    child = spawn(program, words, {
      cwd: command.cwd,
      env: command.env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    listener.failed(error as Error);
    return { mute: () => {}, read: () => {}, expectEnd: () => {} };
  }
  const { pid, stdout, stderr } = child;
  child.on("error", (error) => listener.failed(error));
  // With no descriptor left there are no streams, and "error" says so.
  stdout?.on("data", (chunk: Buffer) => listener.output("stdout", chunk));
  stderr?.on("data", (chunk: Buffer) => listener.output("stderr", chunk));
  child.on("exit", (status, signal) => {
    // What it left in the background is ended.
    if (pid !== undefined) killQuietly(-pid, "SIGKILL");
    listener.exited(status, signal);
  });
  child.on("close", () => listener.closed());
  if (pid !== undefined) listener.began(pid);
  return {
    mute() {
      stdout?.destroy();
      stderr?.destroy();
    },
    read(isRead) {
      for (const stream of [stdout, stderr])
        if (isRead) stream?.resume();
        else stream?.pause();
    },
    expectEnd() {},
  };
}
