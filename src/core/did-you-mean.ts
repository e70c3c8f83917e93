/**
 * Finds the known word that a misspelt word probably means.
 *
 * A word is near if at most a third of it, or of what was meant, is wrong: `cronn` finds `cron`,
 * `maxRetry` finds `maxRetries`, and `foo` finds nothing.
 * An insertion, a deletion, a replacement and a swap of two neighbours each count as one mistake.
 * Case does not count.
 */

/**
 * The word of `known` that is nearest to `word`; undefined if none is near. Of equally near words,
 * the first.
 */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  if (word.length > 64) return undefined;
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let least = Infinity;
  for (const candidate of known) {
    const longer = Math.max(word.length, candidate.length);
    const most = Math.min(least - 1, Math.max(1, Math.floor(longer / 3)));
    if (Math.abs(candidate.length - word.length) > most) continue;
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance <= most && distance < longer) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/**
 * The end of an error's sentence: `; did you mean "cron"?`, or nothing if no known word is near.
 */
export function didYouMean(word: string, known: Iterable<string>): string {
  const near = nearest(word, known);
  return near === undefined ? "" : `; did you mean ${JSON.stringify(near)}?`;
}

/**
 * The sentence that a file has nothing of this name: what was probably meant, or else what it has.
 *
 * @param what `place`, `channel`
 */
export function hasNone(
  file: string,
  what: string,
  name: string,
  known: readonly string[],
): string {
  const has = known.length === 0 ? "none" : known.join(", ");
  const rest = didYouMean(name, known) || `: it has ${has}.`;
  return `${file} has no ${what} ${JSON.stringify(name)}${rest}`;
}

/** How many insertions, deletions, replacements and swaps of neighbours turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const next = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let least = Math.min(
        last[column]! + 1,
        next[column - 1]! + 1,
        last[column - 1]! + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        least = Math.min(least, before[column - 2]! + 1);
      next.push(least);
    }
    before = last;
    last = next;
  }
  return last[b.length]!;
}
