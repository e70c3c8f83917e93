/**
 * Finds processes by the token in their environment and ends them.
 *
 * Process groups catch what a step starts in the ordinary way; a child that made a session of its own escapes them, but not its environment:
 * `ORCHD_RUNNER_TOKEN` is inherited through every fork. Its value is `TOKEN.N` for runner N itself and `TOKEN.N/ID` for what the piece of work ID
 * started, so one prefix names a daemon's processes, a runner's, or one attempt's. Linux only: elsewhere there is no /proc and nothing is found.
 */
import { readdirSync, readFileSync } from "node:fs";
import { TOKEN_VARIABLE } from "./protocol.ts";

/** Passes over /proc until one finds nothing new: a process may fork while it is being looked for. */
const PASSES = 5;

/**
 * The processes whose token is `token`, or begins with it and goes on with `.` or `/`. The caller's own process is never among them.
 *
 * @param token a daemon's, a runner's (`TOKEN.N`) or an attempt's (`TOKEN.N/ID`)
 */
export function findByToken(token: string): number[] {
  const wanted = `\0${TOKEN_VARIABLE}=${token}`;
  const found: number[] = [];
  for (const entry of processFolders()) {
    const pid = Number(entry);
    if (pid === process.pid) continue;
    const environment = environmentOf(pid);
    const at = environment.indexOf(wanted);
    if (at === -1) continue;
    const next = environment[at + wanted.length];
    if (next === undefined || next === "\0" || next === "." || next === "/") found.push(pid);
  }
  return found;
}

/**
 * Ends every process that {@link findByToken} finds, with SIGKILL, until none is left.
 *
 * @returns how many were ended
 */
export function killByToken(token: string): number {
  const ended = new Set<number>();
  for (let pass = 0; pass < PASSES; pass += 1) {
    const found = findByToken(token);
    if (found.length === 0) break;
    for (const pid of found) if (killQuietly(pid, "SIGKILL")) ended.add(pid);
  }
  return ended.size;
}

/** Sends a signal to a process, or with a negative number to a process group; false if there is none (any more). */
export function killQuietly(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

function processFolders(): string[] {
  try {
    return readdirSync("/proc").filter((name) => name.charCodeAt(0) >= 0x30 && name.charCodeAt(0) <= 0x39);
  } catch {
    return [];
  }
}

/** The environment as it was at exec, each entry after a NUL; empty where it may not be read, and for what has just ended. */
function environmentOf(pid: number): string {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, "latin1")}`;
  } catch {
    return "";
  }
}
