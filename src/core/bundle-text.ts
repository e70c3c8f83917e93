/**
 * What stands in a bundle and its source map besides the code. It is written where a bundle is made
 * and read where one runs.
 */

/** Begins the last line of a bundle that imports packages. */
const PACKAGES = "// packages: ";

/** A member of a bundle's source map: how long the text is that was put before each source. */
export const HEADS_MEMBER = "x_orchd_heads";

/** What is installed: a hash for each package's folder, and for each file that counts by itself. */
export type PackagePrints = { readonly [path: string]: string };

const NONE: PackagePrints = {};

/** The line that says what was installed when a bundle was made. */
export function packagesLine(packages: PackagePrints): string {
  return `${PACKAGES}${JSON.stringify(packages)}\n`;
}

/** What {@link packagesLine} says, from a bundle's last line. Empty if it says nothing. */
export function packagesIn(lastLine: string): PackagePrints {
  if (!lastLine.startsWith(PACKAGES)) return NONE;
  try {
    return JSON.parse(lastLine.slice(PACKAGES.length)) as PackagePrints;
  } catch {
    // An older release wrote a hash there.
    return NONE;
  }
}
