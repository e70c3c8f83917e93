/**
 * Text from outside (names, logs, errors) made safe to show.
 *
 * A terminal obeys what it receives: an escape sequence in a pipeline's name could change a
 * window's title, hide a line or worse. So every character that a terminal might act on is shown
 * as an escape: the C0 and C1 controls, DEL, line separators, marks that change the direction of
 * writing (with them a line reads differently from what it is), and lone surrogates.
 */

/** Beside the C0 controls, the characters that are never shown: parts of a character class. */
export const NEVER_SHOWN =
  "\\u007f-\\u009f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\ufff9-\\ufffb";
const LONE_SURROGATE =
  "[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]";
const UNSAFE = new RegExp(`[\\u0000-\\u001f${NEVER_SHOWN}]|${LONE_SURROGATE}`, "g");
const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * The text with every unsafe character as an escape (`\x1b`, `\u202e`, `\n`): always one line.
 */
export function safeText(text: string): string {
  return text.replace(UNSAFE, escapeCharacter);
}

function escapeCharacter(character: string): string {
  const named = NAMED[character];
  if (named !== undefined) return named;
  const code = character.charCodeAt(0);
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, "0")}`
    : `\\u${code.toString(16).padStart(4, "0")}`;
}
