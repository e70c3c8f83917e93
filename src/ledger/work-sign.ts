/**
 * The daemon's sign that it is at work on requests that take long: `runs/.orchd/work.json`. Whoever
 * waits for an answer goes on waiting while the sign is fresh. It is derived, and nothing is lost
 * with it.
 */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { iso } from "../core/time.ts";
import { readOwnText } from "../disk/own-file.ts";

/** What the daemon is at work on. */
export interface WorkSign {
  /** When the sign was given; ISO 8601, UTC. */
  readonly at: string;
  /** How many requests wait for their turn. */
  readonly waiting: number;
  /** The ids of those that are under way. */
  readonly underWay: readonly string[];
}

/** How often the sign is given, in milliseconds. */
export const SIGN_MS = 5_000;
/** How old a sign may be, in milliseconds: a daemon that stands still gives none. */
const FRESH_MS = 30_000;

/** Gives the sign. @throws a Node error */
export function giveWorkSign(orchdDir: string, nowMs: number, sign: Omit<WorkSign, "at">): void {
  const path = pathOf(orchdDir);
  writeFileSync(`${path}.new`, JSON.stringify({ at: iso(nowMs), ...sign }), { mode: 0o644 });
  renameSync(`${path}.new`, path);
}

/** Takes the sign back: nothing takes long any more. */
export function removeWorkSign(orchdDir: string): void {
  rmSync(pathOf(orchdDir), { force: true });
}

/** The daemon's sign; undefined if there is none, or none that is fresh. */
export function readWorkSign(orchdDir: string, nowMs: number): WorkSign | undefined {
  let sign: Partial<WorkSign>;
  try {
    sign = JSON.parse(readOwnText(pathOf(orchdDir))) as Partial<WorkSign>;
  } catch {
    return undefined;
  }
  const { at = "", waiting = 0, underWay = [] } = sign;
  return Math.abs(nowMs - Date.parse(at)) <= FRESH_MS ? { at, waiting, underWay } : undefined;
}

const pathOf = (orchdDir: string): string => join(orchdDir, "work.json");
