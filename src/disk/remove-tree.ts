/**
 * Removes a folder that anybody may have filled: many files, deep folders, folders without rights,
 * names of any bytes. It is done by a process of its own (`rm`), because that takes its time and
 * needs no turn of this process, and because `rm` copes with paths of any length.
 */
import { startApart } from "./apart-program.ts";

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
export function removeTrees(
  paths: readonly string[],
  { holdsProcess = false }: { readonly holdsProcess?: boolean } = {},
): Promise<void> {
  return new Promise((resolve) => {
    if (paths.length === 0) return resolve();
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
