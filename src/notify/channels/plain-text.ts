/** Texts as receivers take them: of whole characters, and no longer than a limit. */

const HALVES = /\p{Surrogate}/gu;

/** Half of a surrogate pair is no character: many a receiver refuses JSON that has one. */
export const wellFormed = (text: string): string => text.replaceAll(HALVES, "\uFFFD");

/** A value as JSON in which every text is of whole characters. */
export const wellFormedJson = (value: unknown): string =>
  JSON.stringify(value, (_, member: unknown) =>
    typeof member === "string" ? wellFormed(member) : member,
  );

/**
 * The beginning of a text, with `…` where it was cut. Never half of a surrogate pair.
 *
 * @param limit in UTF-16 code units, as most receivers count, the `…` included
 */
export function clipped(text: string, limit: number): string {
  if (text.length <= limit) return wellFormed(text);
  const cut = text.slice(0, limit - 1).replace(/[\uD800-\uDBFF]$/, "");
  return `${wellFormed(cut)}…`;
}

/** The beginning of a text that has at most `limit` bytes in UTF-8, the `…` included. */
export function clippedBytes(text: string, limit: number): string {
  const whole = wellFormed(text);
  const bytes = Buffer.from(whole);
  if (bytes.length <= limit) return whole;
  // A cut within a character leaves bytes that are none: they are decoded as U+FFFD at the end.
  const room = limit - Buffer.byteLength("…");
  let end = room;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end -= 1;
  return `${bytes.toString("utf8", 0, end)}…`;
}

/**
 * A message's text for a receiver that shows the title by itself: without its first line where that
 * is the title, and without blank lines at its ends.
 */
export function belowTitle({
  title,
  text,
}: {
  readonly title: string;
  readonly text: string;
}): string {
  const rest = text.startsWith(`${title}\n`) ? text.slice(title.length) : text;
  return rest.replaceAll(/^\n+|\s+$/g, "");
}

/** A text on one line, without blanks at its ends; at most `limit` UTF-16 code units. */
export const oneLine = (text: string, limit: number): string =>
  clipped(text.replaceAll(/\s+/g, " ").trim(), limit);

/**
 * A text in which nobody is called: a zero-width blank stands between each @ and the name of a
 * group. Addresses of mail stay as they are.
 */
export const unmentioned = (text: string): string =>
  text.replaceAll(/@(?=(?:all|channel|everyone|here)\b)/gi, "@\u200B");

/**
 * A text cut into pieces of at most `limit` UTF-16 code units, at line feeds where there are any.
 */
export function pieces(text: string, limit: number, most: number): string[] {
  const found: string[] = [];
  let rest = wellFormed(text);
  while (rest !== "" && found.length < most - 1 && rest.length > limit) {
    const line = rest.lastIndexOf("\n", limit);
    const half = /[\uD800-\uDBFF]$/.test(rest.slice(0, limit)) ? limit - 1 : limit;
    found.push(rest.slice(0, line > 0 ? line : half));
    rest = rest.slice(line > 0 ? line + 1 : half);
  }
  if (rest !== "") found.push(clipped(rest, limit));
  return found;
}
