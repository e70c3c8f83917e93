/** orchd's own package: where it lies, and how a bundle finds it by its name. */
import { existsSync, readFileSync, readlinkSync, symlinkSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeOwnersFolder } from "../disk/give-to-owner.ts";
import { moveOutOfTheWay } from "../disk/own-file.ts";

let root: string | undefined;

/** The folder of orchd's own package. @throws Error if the installation has no package.json */
export function packageRoot(): string {
  if (root !== undefined) return root;
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (
      existsSync(file) &&
      (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === "orchd"
    )
      return (root = folder);
    if (dirname(folder) === folder)
      throw new Error("there is no package.json of orchd above its code: install it again");
  }
}

/**
 * Makes `import "orchd"` in a bundle mean this very package: `runs/.orchd/node_modules/orchd` is a
 * link to it.
 *
 * @throws a Node error if the link cannot be made
 */
export function linkOwnPackage(bundlesDir: string): void {
  const link = join(dirname(bundlesDir), "node_modules", "orchd");
  const target = packageRoot();
  try {
    if (readlinkSync(link) === target) return;
    unlinkSync(link);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    // It is no link.
    if (code === "EINVAL") moveOutOfTheWay(link);
    else if (code !== "ENOENT") throw thrown;
  }
  makeOwnersFolder(dirname(link));
  try {
    symlinkSync(target, link, "dir");
  } catch (thrown) {
    // Another process has just made the link.
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
  }
}
