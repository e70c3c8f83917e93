/**
 * How a file looks: its inode, size, times, owner and mode. A second look tells whether the file
 * changed. Where these do not decide, the content does.
 */
import { statSync, type BigIntStats } from "node:fs";
import { readSafeFile } from "./safe-file.ts";
import { sha256 } from "../core/sha256.ts";

/**
 * How long a file is young after it was written, in milliseconds: longer than any file system's
 * tick, since a second write within one tick leaves the same time.
 */
export const YOUNG_MS = 2_000;

/** What a file looked like. */
export interface Sight {
  /** Inode, size, times, owner and mode; "" if the file is not there. */
  print: string;
  /** Owner and mode alone: a change of these counts even if the content is the same. */
  rights: string;
  /** The sha256 of the content, if it was needed. */
  hash?: string | undefined;
  /** Whether it was written so recently that the print may hide another write. */
  young: boolean;
}

/** A file as it looks now. Links are followed: the file at their end counts. */
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

/**
 * A file as it looks now, and whether it changed since `before`. A file that looks as before gives
 * `before` itself: what is kept of thousands of files at rest stays the same objects, and the
 * collector has nothing to do with them.
 */
export function lookAgain(
  path: string,
  before: Sight | undefined,
): { readonly sight: Sight; readonly changed: boolean } {
  const sight = sightOf(path);
  if (before !== undefined && sight.print === before.print && !before.young)
    // It is young again only after the clock was set back.
    return { sight: sight.young ? { ...sight, hash: before.hash } : before, changed: false };
  if (before === undefined && !sight.young) return { sight, changed: true };
  if (sight.print !== "" && sight.print !== "unreadable") sight.hash = hashOf(path);
  if (before === undefined) return { sight, changed: true };
  const same =
    sight.hash !== undefined && sight.hash === before.hash && sight.rights === before.rights;
  // Without an earlier hash to compare with, an equal print is believed.
  return { sight, changed: !same && (sight.print !== before.print || before.hash !== undefined) };
}

/** The sha256 of a file's content; undefined if it cannot be read. Loading it will say why. */
export function hashOf(path: string): string | undefined {
  try {
    const file = readSafeFile(path, { maxBytes: 16 * 1_048_576 });
    return file.ok ? sha256(file.bytes) : undefined;
  } catch {
    return undefined;
  }
}
