/**
 * Finds processes by the token in their environment and ends them.
 *
 * A process group catches what a step starts in the ordinary way. A child that makes a session of
 * its own leaves the group, but keeps its environment: each fork inherits `ORCHD_RUNNER_TOKEN`. The
 * value is `TOKEN.N` for runner N itself, and `TOKEN.N/ID` for what task ID started. So one prefix
 * names the processes of a daemon, of a runner, or of one attempt. A process below an attempt's is
 * the attempt's too, even if it cleared its environment. Linux only: elsewhere there is no /proc
 * and nothing is found.
 */
import { readFileSync } from "node:fs";
import { descendantsOf, killDescendant, processFolders } from "./descendants.ts";
import { TOKEN_VARIABLE } from "../../core/task.ts";

/** The most looks at /proc: a process may fork while it is looked for. */
const PASSES = 5;

/** A process that carries a token. `ofAttempt`: an attempt started it, so it is no runner. */
interface Found {
  readonly pid: number;
  readonly ofAttempt: boolean;
}

/**
 * The processes whose token is `token`, or begins with it and goes on with `.` or `/`. Never the
 * caller's own process.
 *
 * @param token a daemon's, a runner's (`TOKEN.N`) or an attempt's (`TOKEN.N/ID`)
 */
function findByToken(token: string): Found[] {
  const wanted = `\0${TOKEN_VARIABLE}=${token}`;
  const found: Found[] = [];
  for (const entry of processFolders()) {
    const pid = Number(entry);
    if (pid === process.pid) continue;
    const environment = environmentOf(pid);
    const at = environment.indexOf(wanted);
    if (at === -1) continue;
    const next = environment[at + wanted.length];
    if (next !== undefined && next !== "\0" && next !== "." && next !== "/") continue;
    const [value = ""] = environment.slice(at + wanted.length - token.length).split("\0", 1);
    found.push({ pid, ofAttempt: value.includes("/") });
  }
  return found;
}

/**
 * Ends, with SIGKILL, each process whose token is `token`, or begins with it and goes on with `.`
 * or `/`, and what is below the processes of attempts, until none is left. Never the caller's own
 * process.
 *
 * @param token a daemon's, a runner's (`TOKEN.N`) or an attempt's (`TOKEN.N/ID`)
 * @returns how many were ended
 */
export function killByToken(token: string): number {
  const ended = new Set<number>();
  for (let pass = 0; pass < PASSES; pass += 1) {
    const found = findByToken(token);
    // A runner's guard is below it, and must outlive it.
    const below = descendantsOf(found.filter(({ ofAttempt }) => ofAttempt).map(({ pid }) => pid));
    if (found.length === 0) break;
    for (const { pid } of found) if (killQuietly(pid, "SIGKILL")) ended.add(pid);
    for (const process of below) if (killDescendant(process)) ended.add(process.pid);
  }
  return ended.size;
}

/**
 * Sends a signal to a process, or with a negative number to a process group.
 *
 * @returns false if there is none, or none any more
 */
export function killQuietly(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/**
 * The environment as it was at exec, a NUL before each entry. Empty where it may not be read, and
 * for a process that has just ended.
 */
function environmentOf(pid: number): string {
  try {
    return `\0${readFileSync(`/proc/${pid}/environ`, "latin1")}`;
  } catch {
    return "";
  }
}
