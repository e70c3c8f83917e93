/**
 * Which bundles other machines cannot run: a bundle holds the user's own modules, and finds
 * packages, and files of CommonJS, by their place on this machine.
 */

/** What follows `from`, `import`, `import(` or `require(` in quotes, where it is a place here. */
const HERE = new RegExp(
  String.raw`(?:\bfrom\s*|\bimport\s*\(?\s*|\b(?:__)?require\s*\(\s*|\bcreateRequire\s*\(\s*)` +
    String.raw`["'](file:[^"'\n]*|/[^"'\n]*)["']`,
);
/** The part of a path that names a package. */
const PACKAGE = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/;

/** Why a bundle cannot run on another machine, in a sentence. Undefined: it can. */
export function farBundleFault(text: string): string | undefined {
  const found = HERE.exec(text)?.[1];
  if (found === undefined) return undefined;
  const name = PACKAGE.exec(found)?.[1];
  return (
    `its code needs ${name === undefined ? found : `the package ${name}`}, which is on this ` +
    "machine only: a step on another machine may import its own modules, Node's and orchd's"
  );
}
