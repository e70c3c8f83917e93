/** The token by which one place of one root knows its processes on other machines. */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../../disk/make-folder.ts";
import { syncPath } from "../../disk/sync-path.ts";

const FILE = "far-id";

/**
 * The token of a place. Two roots never have the same, although daemons on two machines may have
 * roots of one path, and use one account on a third: a chance text in the root makes it so. It is
 * made once, durably: a later daemon has to know it to find what this one leaves.
 *
 * @param folder a folder of the root that only its daemon writes
 * @param name the place's
 * @throws a Node error if it can be neither read nor made
 */
export function placeToken(folder: string, name: string): string {
  const hash = createHash("sha256")
    .update(`${rootId(folder)}\n${name}`)
    .digest("hex");
  return `orchd-far-${hash.slice(0, 16)}`;
}

function rootId(folder: string): string {
  const path = join(folder, FILE);
  try {
    const known = readFileSync(path, "utf8").trim();
    if (/^[0-9a-f]{32}$/.test(known)) return known;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const made = randomBytes(16).toString("hex");
  makeFolder(folder);
  const aside = join(folder, `.${FILE}.${process.pid}`);
  writeFileSync(aside, `${made}\n`);
  syncPath(aside);
  renameSync(aside, path);
  syncPath(folder);
  return made;
}
