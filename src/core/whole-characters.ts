/**
 * Cuts of texts between two characters.
 *
 * A character beyond U+FFFF is a pair of UTF-16 code units. Half of a pair is no character: UTF-8
 * has none for it, so what is written after such a cut reads `\ud83d` or `U+FFFD`.
 */

/**
 * Where to cut a text: at `at`, or one before where that is within a pair.
 *
 * @param at in UTF-16 code units, as all lengths here
 */
export function wholeAt(text: string, at: number): number {
  return isWithinPair(text, at) ? at - 1 : at;
}

/** The beginning of a text: at most `most` UTF-16 code units, and whole characters. */
export function beginning(text: string, most: number): string {
  return text.slice(0, wholeAt(text, most));
}

function isWithinPair(text: string, at: number): boolean {
  const before = text.charCodeAt(at - 1);
  const after = text.charCodeAt(at);
  return before >= 0xd800 && before <= 0xdbff && after >= 0xdc00 && after <= 0xdfff;
}
