/**
 * Which steps had begun when a daemon died: what its runner leaves in one file, and what the next
 * daemon takes from it (semantics.md 20).
 *
 * A step is `step.started` before it begins: it waits for a thread, for the runner, or to be sent.
 * After a crash that is no attempt. The file says of which runs it tells everything ({@link
 * Claims.runs}), and which of their steps had begun ({@link Claims.claimed}). A step of these runs
 * that is not in it had not begun. Of any other run, and without a file, all had.
 *
 * - The daemon makes the file, empty, for the shared runner of steps: `EPOCH.N` for runner N. The
 *   runner can write into it but not make it. So once it is removed, no runner that lives on, or is
 *   about to die, brings it back.
 * - There is one such runner at a time. The next one is told what its forerunners may have begun,
 *   and the forerunner's file is removed.
 * - The runner writes it when its channel to the daemon closes. First it takes back all that no
 *   thread has begun, so that what it writes stays true. A text that is cut off is no JSON.
 * - The next daemon reads the file before it takes over runs. It removes the file, durably, before
 *   it starts its first step. If it is killed in between, the one after it reads the same. A run
 *   that is taken over later, by yet another daemon, is in no file.
 *
 * Rejected: the ids that had *not* begun, since what was on its way when the daemon died is in no
 * list that a runner has; and a line in a ledger for each begin, which is a write more for each
 * step.
 */
import { closeSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../../disk/make-folder.ts";
import { namesIn } from "../../disk/names-in.ts";
import { removeFile } from "../../disk/remove-file.ts";
import { syncPath } from "../../disk/sync-path.ts";

/** The most runs that a runner tells of: the newest. Of all others all had begun. */
const MOST_RUNS = 4_096;
/** How the daemon's files are named. */
const NAME = /^\d+\.\d+$/;

/** What a runner leaves. */
export interface Claims {
  readonly runs: readonly string[];
  /** Ids of tasks, `RUN#SEQ`. */
  readonly claimed: readonly string[];
}

/**
 * The steps that may have begun and whose ends are not known to be durable, and the runs of which
 * that is all.
 */
export class ClaimBook {
  readonly #runs: Set<string>;
  readonly #claimed: Set<string>;

  constructor({ runs, claimed }: Claims = { runs: [], claimed: [] }) {
    this.#runs = new Set(runs);
    this.#claimed = new Set(claimed);
  }

  /** Steps of a run will start: all of them are told to this book. */
  expect(run: string): void {
    this.#runs.add(run);
    if (this.#runs.size > MOST_RUNS) this.#runs.delete(this.#runs.keys().next().value!);
  }

  /** A step may begin from now on. */
  add(id: string): void {
    this.#claimed.add(id);
  }

  /** The ends of steps are durable. */
  settle(ids: readonly string[]): void {
    for (const id of ids) this.#claimed.delete(id);
  }

  /** Whether a step may have begun: false only where it is known that it had not. */
  mayHaveBegun(run: string, id: string): boolean {
    return !this.#runs.has(run) || this.#claimed.has(id);
  }

  /** As it goes to another process. */
  get claims(): Claims {
    return { runs: [...this.#runs], claimed: [...this.#claimed] };
  }
}

/** Writes what a runner leaves, into the file that was made for it. Never throws. */
export function leaveClaims(path: string, claims: object): void {
  try {
    const fd = openSync(path, "r+");
    try {
      writeSync(fd, JSON.stringify(claims));
    } finally {
      closeSync(fd);
    }
  } catch {
    // No file, no room: then all had begun.
  }
}

/** The folder of these files, for one daemon. */
export class ClaimsFolder {
  readonly #folder: string;
  readonly #epoch: number;
  readonly #earlier: ClaimBook | undefined;
  #isCleared = false;

  /** Reads what an earlier daemon's runner left. */
  constructor(folder: string, epoch: number) {
    this.#folder = folder;
    this.#epoch = epoch;
    const claims = readClaims(folder);
    if (claims !== undefined) this.#earlier = new ClaimBook(claims);
  }

  /** Whether a step of an earlier daemon may have begun. */
  mayHaveBegun(run: string, id: string): boolean {
    return this.#earlier?.mayHaveBegun(run, id) ?? true;
  }

  /**
   * Removes what earlier daemons' runners left, durably. Called before a step starts; only the
   * first call does it.
   *
   * @throws a Node error: then no step may start
   */
  clear(): void {
    if (this.#isCleared) return;
    this.#remove();
    this.#isCleared = true;
  }

  /** Makes the file for a runner. Undefined where it cannot: then the runner leaves none. */
  begin(runner: number): string | undefined {
    const path = join(this.#folder, `${this.#epoch}.${runner}`);
    try {
      makeFolder(this.#folder, 0o750);
      this.#remove();
      this.#isCleared = true;
      closeSync(openSync(path, "wx", 0o640));
      syncPath(this.#folder);
      return path;
    } catch {
      return undefined;
    }
  }

  /** Every task has ended, and so has every runner. Never throws. */
  end(): void {
    try {
      if (this.#isCleared) this.#remove();
    } catch {
      // What it says of runs that have ended is asked by nobody.
    }
  }

  #remove(): void {
    const paths = filesIn(this.#folder);
    for (const path of paths) {
      try {
        removeFile(path);
      } catch {
        // An empty one is as good as none.
        truncateSync(path);
        syncPath(path);
      }
    }
    if (paths.length > 0) syncPath(this.#folder);
  }
}

/** What is in the one file. Undefined if there is none or another, or if it is not whole. */
function readClaims(folder: string): Claims | undefined {
  try {
    const paths = filesIn(folder);
    if (paths.length !== 1) return undefined;
    const { runs, claimed } = JSON.parse(readFileSync(paths[0]!, "utf8")) as Claims;
    return Array.isArray(runs) && Array.isArray(claimed) ? { runs, claimed } : undefined;
  } catch {
    return undefined;
  }
}

/** @throws a Node error if the folder cannot be read */
function filesIn(folder: string): string[] {
  return namesIn(folder).flatMap((name) => (NAME.test(name) ? [join(folder, name)] : []));
}
