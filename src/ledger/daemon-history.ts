/**
 * When each daemon of a root began and ended: `runs/.orchd/daemon.jsonl`, a line each, for people
 * and for `orchd why`. It also says how long a killed daemon worked on its runs. It is not synced.
 *
 * A daemon that is killed writes no end. So its file is touched every few seconds, and the next
 * daemon writes when the one before was last seen.
 */
import { appendFileSync, statSync, utimes, utimesSync } from "node:fs";
import { join } from "node:path";
import { untilLook, type Clock, type Timer } from "../clock.ts";
import { iso } from "../core/time.ts";
import { writeFileAtomically } from "../disk/atomic-file.ts";
import { endsWithinLine } from "../disk/own-file.ts";
import { readableLines } from "./readable-lines.ts";

const TOUCH_MS = 5_000;
/** Ends that are longer ago are not counted together, in milliseconds. */
const TOGETHER_MS = 600_000;
/** A longer file is cut to its newest lines when a daemon begins. */
const MOST_LINES = 2_000;

/** One line. `at` of an end without a word is when that daemon was last seen. */
export interface DaemonLine {
  readonly at: string;
  readonly type: "daemon.began" | "daemon.ended" | "daemon.lost";
  readonly pid: number;
  readonly epoch: number;
  readonly version: string;
}

/** The history as the daemon that is up writes it. Never throws: it is a help and nothing more. */
export class DaemonHistory {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #own: Pick<DaemonLine, "pid" | "epoch" | "version">;
  #timer: Timer | undefined;
  /** A touch is under way. It is off the thread: a file system that is frozen holds it. */
  #touching = false;

  constructor(orchdDir: string, clock: Clock, own: Pick<DaemonLine, "pid" | "epoch" | "version">) {
    this.#path = historyPath(orchdDir);
    this.#clock = clock;
    this.#own = own;
  }

  /**
   * Writes that this daemon began.
   *
   * @param at milliseconds since 1970
   * @returns how many daemons in a row ended without a word within the last ten minutes
   */
  async began(at: number): Promise<number> {
    try {
      const lost = await this.#closeLast(at - TOGETHER_MS);
      this.#append("daemon.began", at);
      this.#touch();
      return lost;
    } catch {
      // A disk without room: the next daemon writes its own lines.
      return 0;
    }
  }

  /** Writes that this daemon ended as it was told to. */
  ended(): void {
    this.#timer?.cancel();
    try {
      this.#append("daemon.ended", this.#clock.now());
    } catch {
      // As above.
    }
  }

  async #closeLast(since: number): Promise<number> {
    const lines = readDaemonLines(this.#path);
    const last = lines.at(-1);
    if (lines.length > MOST_LINES) {
      const newest = lines.slice(-MOST_LINES / 2).map((line) => `${JSON.stringify(line)}\n`);
      const seen = statSync(this.#path).mtime;
      await writeFileAtomically(this.#path, newest.join(""), { mode: 0o640 });
      utimesSync(this.#path, seen, seen);
    }
    const before = lostSince(lines, since);
    if (last?.type !== "daemon.began") return before;
    const { type: _began, at: _at, ...of } = last;
    const seen = Math.max(Date.parse(last.at), statSync(this.#path).mtimeMs);
    this.#write({ at: iso(Math.floor(seen)), type: "daemon.lost", ...of });
    return seen < since ? 0 : before + 1;
  }

  #append(type: DaemonLine["type"], at: number): void {
    this.#write({ at: iso(at), type, ...this.#own });
  }

  #write(line: DaemonLine): void {
    // A crash or a full disk may have cut the line before: this one is not glued to it.
    const start = endsWithinLine(this.#path) ? "\n" : "";
    appendFileSync(this.#path, `${start}${JSON.stringify(line)}\n`, { mode: 0o640 });
  }

  #touch(): void {
    this.#timer = this.#clock.after(untilLook(this.#clock, TOUCH_MS), () => {
      this.#touch();
      if (this.#touching) return;
      this.#touching = true;
      const now = this.#clock.now() / 1_000;
      // It fails where somebody removed the file.
      utimes(this.#path, now, now, () => (this.#touching = false));
    });
  }
}

/** How many of the last ends, from a moment on, came without a word. */
function lostSince(lines: readonly DaemonLine[], since: number): number {
  let count = 0;
  for (const { type, at } of lines.toReversed()) {
    if (type === "daemon.ended" || Date.parse(at) < since) return count;
    if (type === "daemon.lost") count += 1;
  }
  return count;
}

/** The end of the daemon before the one that began at a moment; undefined where it is not known. */
export function endBefore(orchdDir: string, began: number): DaemonLine | undefined {
  const ends = readDaemonLines(historyPath(orchdDir)).filter(({ type }) => type !== "daemon.began");
  return ends.findLast(({ at }) => Date.parse(at) <= began);
}

/**
 * Reads the history once. @returns until when the daemon was seen that was up at a moment (both ISO
 * 8601); undefined if that is not known
 */
export function daemonsSeen(orchdDir: string): (moment: string) => string | undefined {
  const lines = readDaemonLines(historyPath(orchdDir));
  return (moment) => {
    const began = lines.findLastIndex(({ type, at }) => type === "daemon.began" && at <= moment);
    const end = began === -1 ? undefined : lines[began + 1];
    return end === undefined || end.type === "daemon.began" ? undefined : end.at;
  };
}

/**
 * How long no daemon was up before the daemons that began in a stretch of time, all together, in
 * milliseconds; the stretch is in milliseconds since 1970. A clock that was set while no daemon was
 * up is in it.
 */
export function downtimeBefore(orchdDir: string, after: number, until: number): number {
  let sum = 0;
  let end: number | undefined;
  for (const { type, at } of readDaemonLines(historyPath(orchdDir))) {
    const moment = Date.parse(at);
    if (type !== "daemon.began") end = moment;
    else {
      if (end !== undefined && moment > after && moment <= until) sum += Math.max(0, moment - end);
      end = undefined;
    }
  }
  return sum;
}

/** The history of a root's daemons. */
export interface DaemonPast {
  /** Oldest first. */
  readonly lines: readonly DaemonLine[];
  /** When a daemon was last seen, in milliseconds since 1970; undefined where none ever was. */
  readonly seenMs: number | undefined;
}

/** Reads the history; no lines where there is no file. */
export function readDaemonPast(orchdDir: string): DaemonPast {
  const path = historyPath(orchdDir);
  const seenMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  return { lines: readDaemonLines(path), seenMs };
}

/** The lines, oldest first, each time that there are others; undefined: they are the same. */
export function changedDaemonLines(orchdDir: string): () => readonly DaemonLine[] | undefined {
  const path = historyPath(orchdDir);
  let mark = "";
  return () => {
    // Its time changes every few seconds.
    const stats = statSync(path, { throwIfNoEntry: false });
    const now = stats === undefined ? "" : `${stats.ino} ${stats.size}`;
    if (now === mark) return undefined;
    mark = now;
    return readDaemonLines(path);
  };
}

function historyPath(orchdDir: string): string {
  return join(orchdDir, "daemon.jsonl");
}

function readDaemonLines(path: string): DaemonLine[] {
  return readableLines(path).filter(({ at }) => typeof at === "string") as unknown as DaemonLine[];
}
