/**
 * What other machines get of a bundle, and which bundles they cannot run: a bundle holds the user's
 * own modules, and finds packages, and files of CommonJS, by their place on this machine.
 */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Clock } from "../../clock.ts";

/** How many bundles are remembered. */
const KEPT = 1_024;
/** How long a look at a bundle's files counts, in milliseconds. */
const LOOK_MS = 10;

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

/** A bundle as another machine gets it. */
export interface FarBundle {
  /** What it is called over there: the sha256 of its text there. */
  readonly sha: string;
  /** Why it cannot run there, in a sentence. Undefined: it can. */
  readonly fault: string | undefined;
  /** The sha256 of its source map, as that is sent. Undefined: it has none. */
  readonly map: string | undefined;
  /** Its text over there. */
  sentAs(text: string): string;
}

interface Known {
  /** Tells the files from those that were read before. */
  readonly stamp: string;
  /** Monotonic. */
  lookedAt: number;
  readonly bundle: FarBundle;
}

/**
 * The bundles of one root for other machines.
 *
 * Two roots may have the same bundle of different sources: only the source map knows where these
 * are. A machine or a worker may serve both. So a bundle that is sent names its map in a last line,
 * and is called by the sha256 of the whole: each root's steps then find their own map beside it. A
 * map changes where a comment is edited and the code stays the same, so both files are looked at
 * again and again. A map that changes within {@link LOOK_MS} is missed, as one that changes while a
 * step is on its way: that step runs without it.
 */
export class FarBundles {
  readonly #folder: string;
  readonly #clock: Clock | undefined;
  readonly #faultOf: typeof farBundleFault;
  readonly #known = new Map<string, Known>();

  /**
   * @param folder the folder of bundles here, absolute
   * @param clock tells how old a look is. Undefined: no look counts twice
   */
  constructor(folder: string, faultOf = farBundleFault, clock?: Clock) {
    this.#folder = folder;
    this.#clock = clock;
    this.#faultOf = faultOf;
  }

  /** @param bundle its sha256 here. @throws a Node error if it cannot be read */
  of(bundle: string): FarBundle {
    const known = this.#known.get(bundle);
    const lookedAt = this.#clock?.monotonic() ?? 0;
    const isFresh = known !== undefined && lookedAt - known.lookedAt < LOOK_MS;
    if (this.#clock !== undefined && isFresh) return known.bundle;
    const path = join(this.#folder, `${bundle}.mjs`);
    const stamp = `${stampOf(path)} ${stampOf(`${path}.map`)}`;
    if (known?.stamp === stamp) {
      known.lookedAt = lookedAt;
      return known.bundle;
    }
    const made = this.#read(path);
    this.#known.delete(bundle);
    if (this.#known.size >= KEPT) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(bundle, { stamp, lookedAt, bundle: made });
    return made;
  }

  #read(path: string): FarBundle {
    const text = readFileSync(path, "utf8");
    const map = this.#mapAt(`${path}.map`);
    const sentAs = (given: string): string =>
      map === undefined ? given : `${given}\n// source map: ${map}\n`;
    return { sha: sha256(sentAs(text)), fault: this.#faultOf(text), map, sentAs };
  }

  #mapAt(path: string): string | undefined {
    try {
      return sha256(farSourceMap(readFileSync(path, "utf8"), this.#folder));
    } catch {
      return undefined;
    }
  }
}

function stampOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? "-" : `${stats.ino}:${stats.size}:${stats.mtimeMs}`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
