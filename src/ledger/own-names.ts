/**
 * The names in `.orchd` that are orchd's own, and what each must be. A daemon that finds something
 * else there would wait for ever (a pipe), or fail with the kernel's bare words, each time that it
 * needs the file. So whoever takes the lock looks once, and makes room.
 *
 * - Another kind of thing is moved out of the way. All that stands under these names is derived, is
 *   a help, or can be made again; what is a ledger looks after itself (touched-ledgers).
 * - A link to nothing stands for a disk that is not mounted: nothing is put in its place.
 * - The lock and its epochs decide who may write, so nobody moves what stands there.
 */
import { statSync, type Stats } from "node:fs";
import { join } from "node:path";
import { moveOutOfTheWay } from "../disk/own-file.ts";
import { isLink } from "../disk/path-fault.ts";

const FILES = [
  "cache/index.jsonl",
  "compiled",
  "daemon.jsonl",
  "left",
  "places.jsonl",
  "places/opened.json",
  "set-aside.json",
  "work.json",
] as const;
const FOLDERS = [
  "artifacts",
  "bundles",
  "cache",
  "claims",
  "containers",
  "in-force",
  "node_modules",
  "places",
  "replies",
  "requests",
  "scratch",
] as const;

const NOTHING = "a link to nothing";

/** Something else has a name that orchd needs, and a person has to decide what becomes of it. */
export class OwnNameTaken extends Error {
  override readonly name = "OwnNameTaken";
  constructor(path: string, what: string, wanted: "file" | "folder") {
    super(
      `${path} is ${what}, and orchd keeps a ${wanted} of its own there: ` +
        "move it away or put it right, then start again.",
    );
  }
}

/**
 * Checks what decides who may write, and that no folder's disk is away. Moves nothing: the lock is
 * not held yet.
 *
 * @throws OwnNameTaken where a person has to decide; a Node error
 */
export function checkOwnNames(orchdDir: string): void {
  for (const [name, wanted] of [
    ["daemon.lock", "file"],
    ["epoch", "folder"],
  ] as const) {
    const path = join(orchdDir, name);
    const what = otherKind(path, wanted);
    if (what !== undefined) throw new OwnNameTaken(path, what, wanted);
  }
  for (const name of FOLDERS) {
    const path = join(orchdDir, name);
    if (otherKind(path, "folder") === NOTHING) throw new OwnNameTaken(path, NOTHING, "folder");
  }
}

/**
 * Moves what has one of orchd's other names out of the way; the caller holds the lock.
 *
 * @returns what was moved, a sentence each
 * @throws a Node error
 */
export function clearOwnNames(orchdDir: string): string[] {
  const moved: string[] = [];
  for (const name of FOLDERS) clear(join(orchdDir, name), "folder", moved);
  for (const name of FILES) clear(join(orchdDir, name), "file", moved);
  return moved;
}

function clear(path: string, wanted: "file" | "folder", moved: string[]): void {
  const what = otherKind(path, wanted);
  // A file is made behind its link.
  if (what === undefined || what === NOTHING) return;
  const aside = moveOutOfTheWay(path);
  moved.push(`${path} was ${what}, where orchd keeps a ${wanted}: it is ${aside} now`);
}

/** What has the name, if it is neither nothing nor what it must be. */
function otherKind(path: string, wanted: "file" | "folder"): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return isLink(path) ? NOTHING : undefined;
  const isWanted = wanted === "file" ? stats.isFile() : stats.isDirectory();
  return isWanted ? undefined : kindOf(stats);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isFile()) return "a file";
  return "a pipe, a socket or a device";
}
