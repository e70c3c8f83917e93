/**
 * Which steps had begun in a runner on another machine when the way to it was lost, or its daemon
 * died: what the runner leaves in a file over there, and what is read of it later.
 *
 * As on this machine (claims.ts), a runner that hears no more from its daemon first takes back what
 * no thread has begun, then writes which steps had begun, and ends. Whoever makes sure that it is
 * gone, over a new connection, brings the file's text along (ssh/far-side.ts): the same daemon,
 * which knows what it gave that runner, or the next one.
 *
 * - Nothing more is said between them for it. A step that was on its way and never came had not
 *   begun: what is not in the file had not.
 * - The next daemon does not know what was given to which runner. So the file says for each run
 *   **from** which line on it tells everything: of the first step of that run that this runner was
 *   given. Lines come in the order in which steps are given. What stands before it an earlier
 *   runner had, or an earlier daemon: that may have begun.
 * - A step that moved here from a runner that was replaced is older than that. It counts as begun,
 *   and the run is told from its next step on.
 * - The file is made by the process in front, empty, before the runner takes steps, and those of
 *   earlier runners go with that. So what a file tells was given by the daemon of its name, and no
 *   later daemon has given this machine anything. A runner that lives on cannot bring it back.
 * - A runner that is killed or hangs writes nothing, and no text or half a one is no JSON. Then all
 *   may have begun.
 *
 * Rejected: to say over the wire whose ends are durable, which is a word more for each step. The
 * file tells of the newest that had begun, ended or not, and what is older counts as begun.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeFolder } from "../../disk/make-folder.ts";
import { namesIn } from "../../disk/names-in.ts";
import { removeFile } from "../../disk/remove-file.ts";
import { syncPath } from "../../disk/sync-path.ts";

/** How many steps and runs a runner remembers: the newest. */
const MOST_HELD = 4_096;
/**
 * How many steps it forgets at a time. A map remembers the places of what it lost: to look for the
 * oldest one with each new step would cost more than all else here.
 */
const FORGOTTEN_AT_ONCE = 512;
/** How many of these steps it writes down. */
const MOST_LEFT = 512;
/**
 * How long what is told of runs may be, in characters: the answer that brings it along is cut
 * (ssh-connection.ts).
 */
const MOST_TEXT = 12_000;

/** What a runner leaves of one run. */
interface RunClaims {
  /** Of steps that were started at this line or later, all that had begun are told. */
  readonly from: number;
  /** The lines at which these were started. */
  readonly begun: readonly number[];
}

/** What a runner leaves. */
export interface FarClaims {
  readonly runs: { readonly [run: string]: RunClaims };
}

/** What was left. */
export interface LeftClaims extends FarClaims {
  /** The name of the file: the epoch of the runner's daemon, a dot, and its number. */
  readonly runner: string;
}

/** The steps that may have begun in one runner. */
export class FarClaimBook {
  /** From which line on each run is told: the run of the newest step last. */
  readonly #from = new Map<string, number>();
  /** The newest one last. */
  readonly #begun = new Map<string, StepId>();
  #newest: string | undefined;

  /** A step may begin from now on. @param isMoved an earlier runner had it */
  add(id: string, isMoved = false): void {
    const step = stepOf(id);
    if (step === undefined) return;
    this.#begun.set(id, step);
    if (!isMoved) this.#tells(step);
    if (this.#begun.size >= MOST_HELD + FORGOTTEN_AT_ONCE) this.#keepNewest(MOST_HELD);
  }

  /** These have not begun, and will not. */
  settle(ids: readonly string[]): void {
    for (const id of ids) this.#begun.delete(id);
  }

  /** As it is written down. */
  get claims(): FarClaims {
    this.#keepNewest(MOST_LEFT);
    const begun = new Map<string, number[]>();
    for (const { run, line } of this.#begun.values()) {
      const lines = begun.get(run);
      if (lines === undefined) begun.set(run, [line]);
      else lines.push(line);
    }
    const runs: [string, RunClaims][] = [];
    let length = 0;
    for (const [run, from] of [...this.#from].toReversed()) {
      const claims = { from, begun: begun.get(run) ?? [] };
      length += run.length + JSON.stringify(claims).length;
      if (length > MOST_TEXT) break;
      runs.push([run, claims]);
    }
    return { runs: Object.fromEntries(runs) };
  }

  #tells({ run, line }: StepId): void {
    if (run === this.#newest) return;
    this.#newest = run;
    const from = this.#from.get(run) ?? line;
    this.#from.delete(run);
    this.#from.set(run, from);
    if (this.#from.size > MOST_HELD) this.#from.delete(this.#from.keys().next().value!);
  }

  #keepNewest(most: number): void {
    let over = this.#begun.size - most;
    for (const [id, { run, line }] of this.#begun) {
      if (over <= 0) return;
      over -= 1;
      this.#begun.delete(id);
      const from = this.#from.get(run);
      if (from !== undefined && from <= line) this.#from.set(run, line + 1);
    }
  }
}

/**
 * Makes the file that a runner may leave its claims in, and removes those of earlier ones, durably.
 *
 * @returns the path. Undefined where it cannot be made: then the runner leaves none
 * @throws a Node error if one of an earlier runner cannot be removed: then no step may start
 */
export function makeClaimsFile(path: string): string | undefined {
  const folder = dirname(path);
  makeFolder(folder, 0o700);
  for (const name of namesIn(folder)) removeFile(join(folder, name));
  let made: string | undefined;
  try {
    closeSync(openSync(path, "wx", 0o600));
    made = path;
  } catch {
    made = undefined;
  }
  syncPath(folder);
  return made;
}

/** What the last runner left in this folder. Undefined: nothing, or it is not whole. */
export function readLeftClaims(folder: string): LeftClaims | undefined {
  try {
    const [name, ...others] = namesIn(folder);
    if (name === undefined || others.length > 0) return undefined;
    const claims = JSON.parse(readFileSync(join(folder, name), "utf8")) as object;
    return leftClaims({ ...claims, runner: name });
  } catch {
    return undefined;
  }
}

/** What another machine says that was left. Undefined: it says nothing that can be used. */
export function leftClaims(said: unknown): LeftClaims | undefined {
  const { runner, runs } = (said ?? {}) as Partial<LeftClaims>;
  if (typeof runner !== "string" || typeof runs !== "object" || runs === null) return undefined;
  const areClaims = Object.values(runs).every(
    (one: unknown) =>
      Number.isInteger((one as Partial<RunClaims> | null)?.from) &&
      Array.isArray((one as RunClaims).begun),
  );
  return areClaims ? { runner, runs } : undefined;
}

/** Whether a step may have begun there: false only where it is known that it had not. */
export function mayHaveBegun({ runs }: FarClaims, id: string): boolean {
  const step = stepOf(id);
  if (step === undefined || !Object.hasOwn(runs, step.run)) return true;
  const { from, begun } = runs[step.run]!;
  return step.line < from || begun.includes(step.line);
}

/** A task that is a step: its run, and the line of the run's ledger at which it was started. */
interface StepId {
  readonly run: string;
  readonly line: number;
}

/** Undefined: it is none. */
function stepOf(id: string): StepId | undefined {
  const at = id.lastIndexOf("#");
  const line = at === -1 ? Number.NaN : Number(id.slice(at + 1));
  return Number.isSafeInteger(line) ? { run: id.slice(0, at), line } : undefined;
}
