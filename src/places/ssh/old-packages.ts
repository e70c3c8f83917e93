/**
 * Removes packages of earlier builds from a machine: each release puts one there, and nobody else
 * removes it. It runs on that machine, when a place is prepared.
 *
 * A package stays while somebody may want it: it was put there last, or within a day, since its
 * daemon may not have come yet; a root's newest daemon runs it (`roots/TOKEN/package`); a process
 * runs from it. What goes gets another name first, and is looked at once more: a daemon that took
 * it in between gets it back. So no package is ever there by half under its own name.
 */
import { readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { DAY_MS } from "../../core/time.ts";
import { namesIn } from "../../disk/names-in.ts";
import { eachProcess } from "../pool/process-stat.ts";

/** How many others than the one that was prepared stay in any case: those that came last. */
const KEPT = 2;
/** A package's folder: its release, and a hash of its files. */
const PACKAGE = /^\d[\w.+-]*-[0-9a-f]{16}$/;
/** What a preparation that was ended left. */
const LEFT = /^\.(?:new|old)-/;

/** The file of a root's folder that names the package of its newest daemon. */
export const USED_PACKAGE = "package";

/**
 * Removes them.
 *
 * @param folder the place's, absolute
 * @param own the package that stays
 * @returns the ids of those that were removed
 */
export function removeOldPackages(folder: string, own: string, now = Date.now()): string[] {
  const age = (name: string): number => ageOf(join(folder, name), now);
  const others = namesIn(folder).filter((name) => PACKAGE.test(name) && name !== own);
  // A day is how long a package stays that nobody uses, and what an end in the middle left.
  const old = others.sort((one, other) => age(one) - age(other)).slice(KEPT);
  const removed = old.filter((id) => age(id) > DAY_MS && remove(folder, id));
  for (const name of namesIn(folder))
    if (LEFT.test(name) && age(name) > DAY_MS) removeTree(join(folder, name));
  const there = new Set(namesIn(folder));
  for (const id of namesIn(join(folder, "files")))
    if (PACKAGE.test(id) && !there.has(id) && !isUsed(folder, id))
      removeTree(join(folder, "files", id));
  return removed;
}

function remove(folder: string, id: string): boolean {
  if (isUsed(folder, id)) return false;
  const [path, aside] = [join(folder, id), join(folder, `.old-${id}-${process.pid}`)];
  try {
    renameSync(path, aside);
    if (!isUsed(folder, id)) {
      removeTree(aside);
      return true;
    }
    renameSync(aside, path);
  } catch {
    // Somebody else removes it, or put it there again.
  }
  return false;
}

function isUsed(folder: string, id: string): boolean {
  const roots = join(folder, "roots");
  const isNamed = namesIn(roots).some(
    (token) => textOf(join(roots, token, USED_PACKAGE)).trim() === id,
  );
  // A process says in its command line which program it runs.
  if (isNamed) return true;
  for (const pid of eachProcess())
    if (textOf(`/proc/${pid}/cmdline`).includes(`/${id}/`)) return true;
  return false;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Infinite, if it is gone. */
function ageOf(path: string, now: number): number {
  return now - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity);
}

/** What cannot be removed stays: the next preparation tries again. */
function removeTree(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // It says nothing of what was prepared.
  }
}
