/**
 * The cache keys that a run has computed: a key whose parts are all equal is computed once. In a
 * fan-out of one function the keys are often all the same. Comparing the parts costs a fifth of
 * their canonical text and its hash.
 *
 * One key is kept for each function. It is the newest: steps of one function often follow each
 * other. A run has its own, so nothing outlives the run's params.
 */
import { cacheKey, type CacheKeyParts } from "../core/cache-key.ts";
import { isSameJson } from "../core/canonical-json.ts";

interface Known {
  readonly parts: CacheKeyParts;
  readonly key: string;
}

/** Computes cache keys, and knows the newest of each function. */
export class KnownKeys {
  readonly #newest = new Map<string, Known>();

  /** The key of these parts: `cacheKey`. */
  of(parts: CacheKeyParts): string {
    const { code, export: pick } = parts;
    // A shell step's code is an object, and one without its code in the key has null: they share.
    const name = typeof code === "string" && typeof pick === "string" ? `${code} ${pick}` : "";
    const known = this.#newest.get(name);
    if (known !== undefined && isSameJson(known.parts, parts)) return known.key;
    const key = cacheKey(parts);
    this.#newest.set(name, { parts, key });
    return key;
  }
}
