/**
 * What stands in a bundle and its source map besides the code: written where it is made, read where
 * it runs.
 */

/** Begins the last line of a bundle that imports packages. */
const PACKAGES = "// packages: ";

/** A member of a bundle's source map: how long the text is that was put before each source. */
export const HEADS_MEMBER = "x_orchd_heads";

/** By the folder of each package: a hash of what is installed there. */
export type PackagePrints = { readonly [folder: string]: string };

/** The line that says which packages were installed when a bundle was made. */
export function packagesLine(packages: PackagePrints): string {
  return `${PACKAGES}${JSON.stringify(packages)}\n`;
}

/**
 * What {@link packagesLine} says, from a bundle's text or its end.
 *
 * @returns undefined if the line is not whole; an empty record if there is none
 */
export function packagesIn(text: string): PackagePrints | undefined {
  const start = text.lastIndexOf("\n", text.length - 2) + 1;
  const line = text.slice(start);
  if (start === 0 && !line.startsWith(PACKAGES)) return undefined;
  if (!line.startsWith(PACKAGES)) return {};
  try {
    return JSON.parse(line.slice(PACKAGES.length)) as PackagePrints;
  } catch {
    // An older release wrote a hash there.
    return {};
  }
}
