/**
 * The cache keys that a run has computed: a key whose parts are all equal is computed once. In a
 * fan-out of one function the keys are often all the same. Comparing the parts costs a fifth of
 * their canonical text and its hash.
 *
 * One key is kept for each function. It is the newest: steps of one function often follow each
 * other. A run has its own, so nothing outlives the run's params.
 */
import { areSameParts, cacheKey, type CacheKeyParts } from "../core/cache-key.ts";

interface Known {
  readonly parts: CacheKeyParts;
  readonly key: string;
}

/** Computes cache keys, and knows the newest of each function. */
export class KnownKeys {
  readonly #newest = new Map<string, Known>();
  /** The one that was asked for last. */
  #last: Known | undefined;

  /** The key of these parts: `cacheKey`. */
  of(parts: CacheKeyParts): string {
    if (this.#last !== undefined && areSameParts(this.#last.parts, parts)) return this.#last.key;
    this.#last = this.#known(parts);
    return this.#last.key;
  }

  #known(parts: CacheKeyParts): Known {
    const { code, export: pick } = parts;
    // A shell step's code is an object, and one without its code in the key has null: they share.
    const name = typeof code === "string" && typeof pick === "string" ? `${code} ${pick}` : "";
    const before = this.#newest.get(name);
    if (before !== undefined && areSameParts(before.parts, parts)) return before;
    const known = { parts, key: cacheKey(parts) };
    this.#newest.set(name, known);
    return known;
  }
}
