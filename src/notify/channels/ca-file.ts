/** The certificates that a channel trusts in place of Node's. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

/**
 * The text of the file that the setting `ca` names, from the root; undefined without the setting.
 *
 * @throws Error, a clause, if it cannot be read
 */
export function readCaFile(ca: string | undefined, root: string): string | undefined {
  if (ca === undefined) return undefined;
  const file = resolve(root, ca);
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`its ca file ${file} cannot be read (${code ?? message})`, { cause: error });
  }
}
