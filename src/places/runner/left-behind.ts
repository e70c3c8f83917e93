/**
 * Ends what a shell step leaves behind, whatever it made of itself: `&`, `nohup`, `setsid`, a
 * daemon. Its process group is ended with its shell. This finds what left the group.
 *
 * A process carries its attempt's token in its environment (kill-by-token.ts). To read the
 * environment of every process costs more than a brief step, tens of milliseconds on a full
 * machine. But the kernel gives pids in order, and `/proc/loadavg` says which it gave last. So what
 * a step left has a pid between the last one before it and the last one now. These are few, and
 * often none. Most of them are shells of other steps: what began as one carries that step's token,
 * and is not looked at. Looks at one that is just becoming its shell, and ends soon, would end in a
 * look at every process.
 *
 * The order tells nothing once the pids have gone round. That takes more forks in a second than a
 * machine can do; for a longer step the kernel's count of forks says it. Where it may have been so,
 * and where `/proc/loadavg` is not what it should be, every process is looked at.
 */
import { openSync, readFileSync, readSync } from "node:fs";
import { killByToken, killOnceKnown } from "../pool/kill-by-token.ts";
import { BECOMING, environmentOf } from "../pool/process-environment.ts";
import { processFolders } from "../pool/process-stat.ts";
import { TOKEN_VARIABLE } from "../../core/task.ts";

/** A shorter step cannot have seen the pids go round, in milliseconds. */
const BRIEF_MS = 1_000;
/** How many pids are tried one by one. For more of them the list of all processes is read. */
const FEW = 64;
/** The lowest pids are not given again. */
const RESERVED = 300;
/** How old the count of forks may be when a step starts, in milliseconds. */
const COUNT_AGE_MS = 1_000;
/** How many shells that began last are known. */
const KNOWN = 64;
/** The most looks: a process may fork while it is looked for. */
const LOOKS = 5;
/** The kernel's loads, and the pid in it. */
const LOADS = "/proc/loadavg";
const LAST_PID = /^[\d.]+ [\d.]+ [\d.]+ \d+\/\d+ (\d+)\s*$/;
/** What was read last of an open file. */
const READ = Buffer.alloc(128);

/** A step's shell, as it was when it began. */
export interface ShellMark {
  /** What it starts has pids that are given after this one. */
  readonly after: number;
  readonly at: number;
  /** How many forks the kernel had done then, or a little before. Undefined where it tells none. */
  readonly forks: number | undefined;
  /** How many shells had begun then, itself included. */
  readonly begun: number;
}

/** Looks for what the shell steps of one runner leave. */
export class LeftBehind {
  readonly #mostPids = numberIn("/proc/sys/kernel/pid_max", /(\d+)/);
  #isOrdered: boolean | undefined;
  /** The kernel's loads, opened. */
  #loads: number | undefined;
  /** How many shells have begun, and the pids of the last of them, the newest last. */
  #begun = 0;
  readonly #newest: number[] = [];
  #counted = { at: Number.NEGATIVE_INFINITY, forks: undefined as number | undefined };

  /** The pid that the kernel gave last. Undefined where it does not say so. */
  lastPid(): number | undefined {
    return this.#lastInOpen() ?? numberIn(LOADS, LAST_PID);
  }

  /** A file that stays open is read in one call. But a step may have closed it. */
  #lastInOpen(): number | undefined {
    try {
      this.#loads ??= openSync(LOADS, "r");
      const length = readSync(this.#loads, READ, 0, READ.length, 0);
      const found = Number(LAST_PID.exec(READ.toString("latin1", 0, length))?.[1]);
      if (found > 0) return found;
    } catch {
      // It is opened again with the next look.
    }
    this.#loads = undefined;
    return undefined;
  }

  /**
   * A shell begins.
   *
   * @param after a pid that was given before, and not long before; the shell's own is one
   */
  began(pid: number, after = pid): ShellMark {
    const at = performance.now();
    if (at - this.#counted.at > COUNT_AGE_MS) this.#counted = { at, forks: forkCount() };
    this.#isOrdered ??= this.#isSoonAfter(this.lastPid(), pid);
    this.#begun += 1;
    this.#newest.push(pid);
    if (this.#newest.length > KNOWN) this.#newest.shift();
    return { after, at, forks: this.#counted.forks, begun: this.#begun };
  }

  /**
   * Ends, with SIGKILL, all that carries the token of a step whose shell has ended.
   *
   * @param others processes that no step started
   */
  end(mark: ShellMark, token: string, others: readonly number[] = []): void {
    if (this.#isOrdered !== true || !this.#sameRound(mark)) {
      killByToken(token);
      return;
    }
    const wanted = `\0${TOKEN_VARIABLE}=${token}\0`;
    // Not those before it: since then their pids may have gone round.
    const since = Math.min(this.#begun - mark.begun, this.#newest.length);
    const shells = new Set(this.#newest.slice(this.#newest.length - since));
    const becoming: number[] = [];
    let from = mark.after;
    for (let look = 0; look < LOOKS; look += 1) {
      const last = this.lastPid();
      // Nobody says any more where to look.
      if (last === undefined) return void killByToken(token);
      if (last === from) break;
      for (const pid of this.#between(from, last)) {
        if (others.includes(pid) || shells.has(pid)) continue;
        const environment = environmentOf(pid);
        if (environment === BECOMING) becoming.push(pid);
        if (typeof environment !== "string" || !environment.includes(wanted)) continue;
        killByToken(token);
        return;
      }
      from = last;
    }
    killOnceKnown(becoming, token);
  }

  /** Whether no pid can have been given twice since the shell began. */
  #sameRound({ at, forks }: ShellMark): boolean {
    if (performance.now() - at < BRIEF_MS) return true;
    const now = forkCount();
    if (forks === undefined || now === undefined || this.#mostPids === undefined) return false;
    // A pid that is in use is passed over, so a round takes fewer forks than there are pids.
    return now - forks < (this.#mostPids - RESERVED) / 2;
  }

  /** The pids that were given after one and up to another, threads' included. */
  #between(from: number, to: number): number[] {
    const isIn = (pid: number): boolean =>
      from < to ? pid > from && pid <= to : pid > from || pid <= to;
    if (to > from && to - from <= FEW)
      return Array.from({ length: to - from }, (_, index) => from + 1 + index);
    return processFolders().map(Number).filter(isIn);
  }

  #isSoonAfter(last: number | undefined, pid: number): boolean {
    if (last === undefined || this.#mostPids === undefined) return false;
    return (last - pid + this.#mostPids) % this.#mostPids < this.#mostPids / 2;
  }
}

function forkCount(): number | undefined {
  return numberIn("/proc/stat", /^processes (\d+)$/m);
}

function numberIn(path: string, pattern: RegExp): number | undefined {
  try {
    const found = Number(pattern.exec(readFileSync(path, "latin1"))?.[1]);
    return found > 0 ? found : undefined;
  } catch {
    return undefined;
  }
}
