/** A built package of another release: this tree's, with something else in its code. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot, tempRoot } from "./temp-root.ts";

/**
 * Makes one. It is gone when the test is over.
 *
 * @param edits for each file of dist, the text that is replaced, and what by
 * @returns the path of its program
 * @throws Error if a file does not have the text
 */
export function otherRelease(
  edits: Readonly<Record<string, readonly [from: RegExp, to: string]>>,
): string {
  const { root } = tempRoot();
  cpSync(join(projectRoot, "dist"), join(root, "dist"), { recursive: true });
  cpSync(join(projectRoot, "package.json"), join(root, "package.json"));
  symlinkSync(join(projectRoot, "node_modules"), join(root, "node_modules"));
  for (const [file, [from, to]] of Object.entries(edits)) {
    const path = join(root, "dist", file);
    const text = readFileSync(path, "utf8");
    if (!from.test(text)) throw new Error(`${file} has no ${String(from)}`);
    writeFileSync(path, text.replace(from, to));
  }
  return join(root, "dist", "bin", "orchd.js");
}
