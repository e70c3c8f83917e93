/**
 * Starts one of the package's programs as a child of the daemon, and hears what it does.
 *
 * - It gets a channel that nobody writes to. When the daemon ends, whatever ended it, the channel
 *   closes, and the program ends (parent-gone.ts).
 * - It leads a process group of its own: a Ctrl-C at the daemon's terminal drains the daemon, and
 *   the page shows that until the last run has ended.
 * - Its environment is made from a list of names. Secrets of steps are in the daemon's environment,
 *   and the program needs none of them.
 * - It yields to the daemon: a lower priority, where that may be set.
 */
import { setPriority } from "node:os";
import { startApart } from "../disk/apart-program.ts";
import type { Clock } from "../clock.ts";
import { ChildLines } from "./child-lines.ts";
import type { Child, ChildListener } from "./supervisor.ts";

/** How much nicer than the daemon the program is. */
const NICENESS = 5;
/** How long the last lines of a program that has ended may take to be read, in milliseconds. */
const LAST_WORDS_MS = 250;
/** The longest line with which a program says that it serves, in characters. */
const LONGEST_ANSWER = 16_384;

/** What of the daemon's environment a program gets. */
const PASSED: ReadonlySet<string> = new Set([
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "LANG",
  "LANGUAGE",
  "TZ",
  "TZDIR",
  "TMPDIR",
  "NODE_ENV",
  "NODE_OPTIONS",
  "NODE_ICU_DATA",
  "LD_LIBRARY_PATH",
  "LD_PRELOAD",
  "ORCHD_LOG_LEVEL",
]);
/** The same, by how the names begin: the locale, and libfaketime's clock. */
const PASSED_FAMILIES = ["LC_", "FAKETIME", "DONT_FAKE_"];

/** A program, and what it is told. */
export interface NodeProgram {
  /** The path of its built JavaScript. */
  readonly path: string;
  readonly words: readonly string[];
  /** Variables beside those that every program gets. */
  readonly env: Readonly<Record<string, string>>;
  /** The texts that the log may not hold. */
  readonly secrets: readonly string[];
}

/**
 * Starts the program. It says on its stdout, in one line, that it serves.
 *
 * @param onAnswer gets that line
 * @throws a Node error where no process can be made
 */
export function startNode(
  program: NodeProgram,
  clock: Clock,
  listener: ChildListener,
  onAnswer: (line: string) => void,
): Child {
  const child = startApart(process.execPath, [program.path, ...program.words], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: { ...environmentFor(process.env), ...program.env },
  });
  const lines = new ChildLines(clock, program.secrets, (line) => listener.said(line));
  child.stderr?.on("data", (chunk: Buffer) => lines.add(chunk)).on("error", () => {});
  hearAnswer(child.stdout, (line) => {
    onAnswer(line);
    listener.serves();
  });
  let over = false;
  const gone = (how: string): void => {
    if (over) return;
    over = true;
    lines.end();
    child.stdout?.destroy();
    child.stderr?.destroy();
    listener.gone(how);
  };
  child.on("error", (error) => {
    if (child.pid === undefined) gone(`could not be started: ${error.message}`);
  });
  // `close` comes once its stdout and stderr have ended too: their last lines say why it ended.
  // Another process may hold them open.
  child.on("exit", (code, signal) => {
    const how = signal === null ? `ended with status ${code}` : `was ended by ${signal}`;
    const timer = clock.after(LAST_WORDS_MS, () => gone(how));
    child.on("close", () => {
      timer.cancel();
      gone(how);
    });
  });
  yieldToDaemon(child.pid);
  return {
    pid: child.pid,
    end: () => void child.kill("SIGTERM"),
    kill: () => void child.kill("SIGKILL"),
  };
}

/** Gives the first line of a stream, and reads on so that the stream never fills. */
function hearAnswer(stdout: NodeJS.ReadableStream | null, give: (line: string) => void): void {
  let text: string | undefined = "";
  stdout?.setEncoding("utf8");
  stdout
    ?.on("data", (chunk: string) => {
      if (text === undefined) return;
      text += chunk;
      const end = text.indexOf("\n");
      if (end === -1 && text.length <= LONGEST_ANSWER) return;
      const line = end === -1 ? undefined : text.slice(0, end);
      text = undefined;
      if (line !== undefined) give(line);
    })
    .on("error", () => {});
}

/** A refusal is no harm: the unit's filter of system calls knows no priorities. */
function yieldToDaemon(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, NICENESS);
  } catch {
    // It runs as the daemon does.
  }
}

/** What a program gets of an environment. */
export function environmentFor(all: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(all).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        (PASSED.has(entry[0]) ||
          PASSED_FAMILIES.some((beginning) => entry[0].startsWith(beginning))),
    ),
  );
}
