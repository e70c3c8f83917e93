/**
 * `.orchd/set-aside.json`: the pipelines whose files the daemon cannot use now, and why. The daemon
 * cannot say so in their ledgers, so `orchd status` reads it here. It is derived: the daemon writes
 * it whenever something changes, and it means nothing while no daemon is up.
 */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readOwnText } from "../disk/own-file.ts";

/** A pipeline that is set aside. */
export interface SetAsideEntry {
  /** ISO 8601, UTC. */
  readonly since: string;
  /** A sentence. */
  readonly because: string;
}

/** What is set aside, by pipeline; nothing where the file cannot be read. */
export function readSetAside(orchdDir: string): ReadonlyMap<string, SetAsideEntry> {
  try {
    const read = JSON.parse(readOwnText(pathIn(orchdDir))) as object;
    return new Map(Object.entries(read) as [string, SetAsideEntry][]);
  } catch {
    return new Map();
  }
}

/** Says what is set aside now. Not synced. @throws a Node error */
export function writeSetAside(orchdDir: string, entries: ReadonlyMap<string, SetAsideEntry>): void {
  const path = pathIn(orchdDir);
  if (entries.size === 0) return rmSync(path, { force: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(Object.fromEntries(entries))}\n`, { mode: 0o640 });
  renameSync(`${path}.new`, path);
}

function pathIn(orchdDir: string): string {
  return join(orchdDir, "set-aside.json");
}
