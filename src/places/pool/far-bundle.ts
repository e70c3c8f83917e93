/**
 * What other machines get of a bundle, and which bundles they cannot run: a bundle holds the user's
 * own modules, and finds packages, and files of CommonJS, by their place on this machine.
 */
import { resolve } from "node:path";

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

/**
 * A bundle's source map for another machine. A map names sources from the folder of bundles here,
 * and that folder has another path over there: a stack would name files that nobody has. So the
 * sources get their whole paths.
 *
 * @param bundles the folder of bundles here, absolute
 */
export function farSourceMap(text: string, bundles: string): string {
  let map: { readonly sources?: unknown } | null;
  try {
    map = JSON.parse(text) as typeof map;
  } catch {
    return text;
  }
  if (!Array.isArray(map?.sources)) return text;
  const sources = map.sources.map((source: unknown) =>
    typeof source === "string" ? resolve(bundles, source) : source,
  );
  return JSON.stringify({ ...map, sources });
}
