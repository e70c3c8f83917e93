/**
 * The folder of bundles, `runs/.orchd/bundles`. Each file is named by the sha256 of its content, is
 * written once and never changes: a run that is active keeps its code.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { errorCode } from "../disk/disk-error.ts";
import { readOwnFile, renameOwnFile } from "../disk/own-file.ts";
import { syncPath } from "../disk/sync-path.ts";
import { giveToOwner, makeOwnersFolder } from "../disk/give-to-owner.ts";
import { sha256 } from "../core/sha256.ts";

/** The path of the bundle with this sha256. */
export function bundlePath(folder: string, sha: string): string {
  return join(folder, `${sha}.mjs`);
}

/**
 * The path of a bundle's source map. It is no part of what the bundle is: it only helps to say
 * where an error was thrown, and the newest one counts, since comments may move what stays the
 * same.
 */
function mapPath(folder: string, sha: string): string {
  return `${bundlePath(folder, sha)}.map`;
}

/** Whether a bundle is there and undamaged. It is made young first: it is about to be used. */
export function isStored(folder: string, sha: string): boolean {
  makeYoung(bundlePath(folder, sha));
  try {
    return sha256(readOwnFile(bundlePath(folder, sha))) === sha;
  } catch {
    return false;
  }
}

/**
 * Writes a bundle, unless it is there and undamaged. It is durable when this returns.
 *
 * @returns its sha256
 * @throws a Node error if the folder cannot be written to
 */
export function storeBundle(folder: string, text: string): string {
  const sha = sha256(text);
  const path = bundlePath(folder, sha);
  const content = Buffer.from(text);
  if (holdsYoung(path, content)) return sha;
  makeOwnersFolder(folder);
  writeAside(folder, path, content, true);
  syncPath(folder);
  return sha;
}

/** Writes a bundle's source map. It is not synced. @throws a Node error if it cannot be written */
export function storeMap(folder: string, sha: string, map: string): void {
  const path = mapPath(folder, sha);
  const content = Buffer.from(map);
  if (!holdsYoung(path, content)) writeAside(folder, path, content, false);
}

/** A reader sees the old file or the new one. */
function writeAside(folder: string, path: string, content: Buffer, sync: boolean): void {
  const aside = join(folder, `.${basename(path)}.${randomBytes(6).toString("hex")}`);
  const descriptor = openSync(aside, "wx", 0o640);
  try {
    for (let written = 0; written < content.length;)
      written += writeSync(descriptor, content, written);
    giveToOwner(descriptor, folder);
    if (sync) fsyncSync(descriptor);
  } catch (thrown) {
    rmSync(aside, { force: true });
    throw thrown;
  } finally {
    closeSync(descriptor);
  }
  renameOwnFile(aside, path);
}

/** As {@link holds}, for a file that is about to be used. */
function holdsYoung(path: string, content: Buffer): boolean {
  makeYoung(path);
  return holds(path, content);
}

/** Retention may be under way, and it does not know yet that the file is in use again. */
function makeYoung(path: string): void {
  const now = Date.now() / 1_000;
  try {
    utimesSync(path, now, now);
  } catch {
    // It is gone, or another user's: this is then a command that only checks files.
  }
}

/** Whether the file is there and whole. One that this user may not read counts as missing. */
function holds(path: string, content: Buffer): boolean {
  try {
    return (
      existsSync(path) &&
      statSync(path).size === content.length &&
      readOwnFile(path).equals(content)
    );
  } catch (error) {
    if (errorCode(error) !== "EACCES" && errorCode(error) !== "ENOENT") throw error;
    return false;
  }
}
