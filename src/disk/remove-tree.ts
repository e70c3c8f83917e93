/**
 * Removes a folder that anybody may have filled: many files, deep folders, folders without rights,
 * names of any bytes. It is done by a process of its own (`rm`), because that takes its time and
 * needs no turn of this process, and because `rm` copes with paths of any length.
 */
import { startApart } from "./apart-program.ts";

/** A command may have words of this many bytes also where a stack may not grow much. */
const MOST_BYTES = 65_536;
/** What a word takes beside its text: its end, and where it is. */
const POINTER_BYTES = 9;

/** A folder without rights is opened, and the rest is removed in a second pass. */
const SCRIPT = `rm -rf -- "$@" || { chmod -R u+rwx -- "$@"; rm -rf -- "$@"; }`;

/**
 * Removes files and folders with all that is in them. Links are removed, not followed. Never
 * throws: what cannot be removed (it is immutable, its disk is read-only) is left.
 *
 * @param holdsProcess whether this process lives until the attempt is over. Without it, one that
 *   has nothing else to do ends, and `rm` goes on alone
 * @returns a promise that resolves when the attempt is over
 */
export async function removeTrees(
  paths: readonly string[],
  { holdsProcess = false }: { readonly holdsProcess?: boolean } = {},
): Promise<void> {
  for (const some of lotsOf(paths)) await removeLot(some, holdsProcess);
}

function removeLot(paths: readonly string[], holdsProcess: boolean): Promise<void> {
  return new Promise((resolve) => {
    try {
      const child = startApart("/bin/sh", ["-c", SCRIPT, "orchd-remove", ...paths], {
        cwd: "/",
        env: { PATH: process.env["PATH"] },
        stdio: ["ignore", "ignore", "ignore"],
      });
      child.on("error", () => resolve()).on("close", () => resolve());
      if (!holdsProcess) child.unref();
    } catch {
      // There are no processes or descriptors left.
      resolve();
    }
  });
}

/** Lots that one command takes. */
function* lotsOf(paths: readonly string[]): Generator<readonly string[]> {
  let lot: string[] = [];
  let bytes = 0;
  for (const path of paths) {
    const length = Buffer.byteLength(path) + POINTER_BYTES;
    if (lot.length > 0 && bytes + length > MOST_BYTES) {
      yield lot;
      lot = [];
      bytes = 0;
    }
    lot.push(path);
    bytes += length;
  }
  if (lot.length > 0) yield lot;
}
