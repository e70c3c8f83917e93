/**
 * How a file looks, so that it is seen whether it changed: by its inode, size, times, owner and
 * mode, and by its content where these do not decide.
 */
import { statSync, type BigIntStats } from "node:fs";
import { readSafeFile } from "./safe-file.ts";
import { sha256 } from "./sha256.ts";

/**
 * A file that was written so lately may be written again within the same tick of its time. In
 * milliseconds.
 */
export const YOUNG_MS = 2_000;

/** What a file looked like. */
export interface Sight {
  /** Inode, size, times, owner, mode; "" where the file is not there. */
  print: string;
  /** Owner and mode alone: a change of these counts though the content is the same. */
  rights: string;
  /** sha256 of the content, where it was needed. */
  hash?: string | undefined;
  /** Written so lately that the print may hide another write. */
  young: boolean;
}

/** A file as it is now. Links are followed: where one leads is what counts. */
export function sightOf(path: string): Sight {
  let stats: BigIntStats | undefined;
  try {
    stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return { print: "unreadable", rights: "", young: false };
  }
  if (stats === undefined) return { print: "", rights: "", young: false };
  const { dev, ino, size, mtimeNs, ctimeNs, uid, gid, mode } = stats;
  const rights = `${uid} ${gid} ${mode}`;
  const young = Math.abs(Date.now() - Number(ctimeNs / 1_000_000n)) < YOUNG_MS;
  return { print: `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs} ${rights}`, rights, young };
}

/** A file as it is now, and whether it changed since. */
export function lookAgain(
  path: string,
  before: Sight | undefined,
): { readonly sight: Sight; readonly changed: boolean } {
  const sight = sightOf(path);
  if (before !== undefined && sight.print === before.print && !before.young)
    return { sight: { ...sight, hash: before.hash }, changed: false };
  if (before === undefined && !sight.young) return { sight, changed: true };
  if (sight.print !== "" && sight.print !== "unreadable") sight.hash = hashOf(path);
  if (before === undefined) return { sight, changed: true };
  const same =
    sight.hash !== undefined && sight.hash === before.hash && sight.rights === before.rights;
  // A print that stayed, without a hash to hold it against, is taken at its word.
  return { sight, changed: !same && (sight.print !== before.print || before.hash !== undefined) };
}

/** Undefined where it cannot be read: whoever loads the file finds out why. */
export function hashOf(path: string): string | undefined {
  try {
    const file = readSafeFile(path, { maxBytes: 16 * 1_048_576 });
    return file.ok ? sha256(file.bytes) : undefined;
  } catch {
    return undefined;
  }
}
