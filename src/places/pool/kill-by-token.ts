/**
 * Finds processes by the token in their environment and ends them.
 *
 * A process group catches what a step starts in the ordinary way. A child that makes a session of
 * its own leaves the group, but keeps its environment: each fork inherits `ORCHD_RUNNER_TOKEN`. The
 * value is `TOKEN.N` for runner N itself, and `TOKEN.N/ID` for what task ID started. So one prefix
 * names the processes of a daemon, of a runner, or of one attempt. A process below an attempt's is
 * the attempt's too, even if it cleared its environment. Linux only: elsewhere there is no /proc
 * and nothing is found.
 *
 * A process between two programs has no environment for a moment, and what was sent SIGKILL is
 * there for a moment longer. {@link endByToken} waits for both: whoever tells an end awaits it, so
 * that what starts next meets nothing. {@link killByToken} does not wait.
 */
import { descendantsOf, killDescendant, type Descendant } from "./descendants.ts";
import { eachProcess } from "./process-stat.ts";
import { BECOMING, environmentOf } from "./process-environment.ts";
import { TOKEN_VARIABLE } from "../../core/task.ts";

/** The most looks at /proc: a process may fork while it is looked for. */
const PASSES = 12;
/** When to look again at a process between two programs, and how often: first soon, then later. */
const AGAIN_MS = 20;
const AGAIN = 100;
const LATER_MS = 500;
const LATER = 60;
/** How long an end is waited for, in milliseconds. */
const END_MS = 5_000;
/** How many looks in a row find none before what others fork all the time is not waited for. */
const QUIET_LOOKS = 5;

/** What a look at all processes found. */
interface Found {
  /** Those that carry the token. */
  readonly carriers: readonly Carrier[];
  /** Those between two programs: what they carry cannot be read yet. */
  readonly becoming: readonly number[];
}

/** A process that carries a token. `ofAttempt`: an attempt started it, so it is no runner. */
interface Carrier {
  readonly pid: number;
  readonly ofAttempt: boolean;
}

/** The processes that carry `token`, or one that goes on from it. Never the caller's own. */
function findByToken(token: string): Found {
  const carriers: Carrier[] = [];
  const becoming: number[] = [];
  for (const pid of eachProcess()) {
    const environment = environmentOf(pid);
    if (environment === BECOMING) becoming.push(pid);
    const value = tokenIn(environment, token);
    if (value !== undefined) carriers.push({ pid, ofAttempt: value.includes("/") });
  }
  return { carriers, becoming };
}

/** The token in an environment, where it is `token` or goes on from it with `.` or `/`. */
function tokenIn(environment: ReturnType<typeof environmentOf>, token: string): string | undefined {
  if (typeof environment !== "string") return undefined;
  const entry = `\0${TOKEN_VARIABLE}=`;
  const at = environment.indexOf(entry + token);
  if (at === -1) return undefined;
  const [value = ""] = environment.slice(at + entry.length).split("\0", 1);
  return [undefined, ".", "/"].includes(value[token.length]) ? value : undefined;
}

/**
 * Ends, with SIGKILL, each process whose token is `token`, or begins with it and goes on with `.`
 * or `/`, and what is below the processes of attempts, until none is left. Never the caller's own
 * process.
 *
 * All are stopped before the first is ended. What one forks meanwhile is found below it: a child
 * with a cleared environment is found by its parent alone. What is between two programs is looked
 * at again until it is one.
 *
 * @param token a daemon's, a runner's (`TOKEN.N`) or an attempt's (`TOKEN.N/ID`)
 * @returns how many were ended by now
 */
export function killByToken(token: string): number {
  const { ended, becoming } = killFound(token);
  killOnceKnown(becoming, token);
  return ended;
}

/**
 * Ends what {@link killByToken} does, and resolves when none of it is left: what was ended is gone,
 * and what was between two programs is known.
 *
 * A machine may fork other programs without end. So where look after look ends none, the last ones
 * that are between two programs are another's.
 *
 * @returns how many were ended, and whether all are gone: after some seconds it waits no longer
 */
export async function endByToken(
  token: string,
): Promise<{ readonly ended: number; readonly areGone: boolean }> {
  const until = performance.now() + END_MS;
  let ended = 0;
  for (let quiet = 0; ;) {
    const found = killFound(token);
    ended += found.ended;
    quiet = found.ended === 0 ? quiet + 1 : 0;
    if (quiet > 0 && (found.becoming.length === 0 || quiet === QUIET_LOOKS))
      return { ended, areGone: true };
    let open = found.becoming;
    do {
      if (performance.now() > until) {
        killOnceKnown(open, token);
        return { ended, areGone: quiet > 0 };
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      open = open.filter((pid) => environmentOf(pid) === BECOMING);
    } while (open.length > 0);
  }
}

/** Ends what carries the token. @returns how many, and what is between two programs */
function killFound(token: string): {
  readonly ended: number;
  readonly becoming: readonly number[];
} {
  const ended = new Set<number>();
  const carriers = new Set<number>();
  const below = new Map<number, Descendant>();
  const isKnown = (pid: number): boolean => ended.has(pid) || carriers.has(pid) || below.has(pid);
  const kill = (): void => {
    for (const pid of carriers) if (killQuietly(pid, "SIGKILL")) ended.add(pid);
    for (const process of below.values()) if (killDescendant(process)) ended.add(process.pid);
    carriers.clear();
    below.clear();
  };
  let becoming: readonly number[] = [];
  for (let pass = 0; pass < PASSES; pass += 1) {
    const before = carriers.size + below.size;
    const found = findByToken(token);
    becoming = found.becoming;
    // A runner's guard is below it, and must outlive it.
    const attempts = found.carriers.filter(({ ofAttempt }) => ofAttempt).map(({ pid }) => pid);
    const belowThem = descendantsOf(attempts);
    for (const { pid } of found.carriers)
      if (!isKnown(pid) && killQuietly(pid, "SIGSTOP")) carriers.add(pid);
    for (const process of belowThem)
      if (!isKnown(process.pid) && killQuietly(process.pid, "SIGSTOP"))
        below.set(process.pid, process);
    if (carriers.size + below.size > before) continue;
    if (before === 0) break;
    // One that is told to stop within a fork ends that first. So all are looked for once more.
    kill();
  }
  kill();
  return { ended: ended.size, becoming };
}

/**
 * Ends all that carries the token if one of these processes does, once each of them is a program.
 *
 * @param becoming processes between two programs
 */
export function killOnceKnown(
  becoming: readonly number[],
  token: string,
  looks = AGAIN + LATER,
): void {
  if (becoming.length === 0 || looks === 0) return;
  const soon = Math.max(0, looks - LATER);
  const delayMs = soon > 0 ? AGAIN_MS : LATER_MS;
  setTimeout(() => {
    const still: number[] = [];
    let [isOwn, isGone] = [false, false];
    for (const pid of becoming) {
      const environment = environmentOf(pid);
      if (environment === BECOMING) still.push(pid);
      isOwn ||= tokenIn(environment, token) !== undefined;
      isGone ||= environment === undefined;
    }
    if (isOwn) killByToken(token);
    else if (!isGone) killOnceKnown(still, token, looks - 1);
    else {
      // It may have forked before it was known. Where others come and go, few looks must do.
      const { becoming: more } = killFound(token);
      const fewer = soon > 0 ? LATER + Math.floor(soon / 4) : Math.floor(looks / 4);
      killOnceKnown([...new Set([...still, ...more])], token, fewer);
    }
  }, delayMs).unref();
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
