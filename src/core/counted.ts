/** Counts and lists as words. */

/** `1 run`, `2 runs`, `2,000 runs`. */
export function countText(count: number, one: string, many: string = `${one}s`): string {
  // Only a long number is left to the locale: asking it takes a thousand times as long.
  const digits = count < 1_000 ? String(count) : count.toLocaleString("en");
  return `${digits} ${count === 1 ? one : many}`;
}

/** `a, b and c`. */
export function listText(words: readonly string[]): string {
  return words.length < 2
    ? (words[0] ?? "")
    : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
