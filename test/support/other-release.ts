/** A built package of another release: this tree's, with something else in its code. */
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot, tempRoot } from "./temp-root.ts";

/**
 * Makes one. It is gone when the test is over.
 *
 * @param edits texts of its code or its package.json, and what they are replaced by, wherever they
 *   stand
 * @returns the path of its program
 * @throws Error if a text is nowhere
 */
export function otherRelease(edits: readonly (readonly [from: RegExp, to: string])[]): string {
  const { root } = tempRoot();
  const dist = join(root, "dist");
  cpSync(join(projectRoot, "dist"), dist, { recursive: true });
  cpSync(join(projectRoot, "package.json"), join(root, "package.json"));
  symlinkSync(join(projectRoot, "node_modules"), join(root, "node_modules"));
  const paths = readdirSync(dist, { recursive: true, encoding: "utf8" })
    .filter((path) => /\.m?js$/.test(path))
    .map((path) => join(dist, path))
    .concat(join(root, "package.json"));
  for (const [from, to] of edits) {
    const found = paths.filter((path) => from.test(readFileSync(path, "utf8")));
    if (found.length === 0) throw new Error(`no file of dist has ${String(from)}`);
    for (const path of found) writeFileSync(path, readFileSync(path, "utf8").replace(from, to));
  }
  return join(dist, "bin", "orchd.js");
}
