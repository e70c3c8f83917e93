/** Text from outside, as a terminal shows it: safe, and of a width that is known. */
import { NEVER_SHOWN, safeText } from "../core/safe-text.ts";

/** JSON.stringify escapes the others itself. */
const UNSAFE_IN_JSON = new RegExp(`[${NEVER_SHOWN}]`, "g");
const STYLES = /\u001b\[[0-9;:]{0,64}m/g;
const TAB_STOP = 8;

/**
 * A line that a step printed: colours are removed and tabs become spaces; the rest is as in
 * {@link safeText}.
 */
export function safeLogLine(line: string): string {
  const [first = "", ...rest] = line.replace(STYLES, "").split("\t");
  let out = safeText(first);
  for (const part of rest)
    out += " ".repeat(TAB_STOP - (textWidth(out) % TAB_STOP)) + safeText(part);
  return out;
}

/**
 * JSON text without an unsafe character: `JSON.stringify` does not escape DEL and the C1 controls.
 */
export function safeJson(value: unknown, indent?: number): string {
  return escapeJson(JSON.stringify(value, null, indent));
}

/** The same JSON text with its unsafe characters written as `\uXXXX`. */
export function escapeJson(json: string): string {
  return json.replace(
    UNSAFE_IN_JSON,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * How many columns a safe text takes: two for a wide East Asian character or an emoji, none for a
 * combining mark.
 */
export function textWidth(text: string): number {
  if (/^[\u0020-\u007e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += characterWidth(character.codePointAt(0)!);
  return width;
}

function characterWidth(code: number): number {
  if (
    (code >= 0x300 && code <= 0x36f) ||
    (code >= 0xfe00 && code <= 0xfe0f) ||
    code === 0x200d ||
    (code >= 0x20d0 && code <= 0x20ff)
  )
    return 0;
  const wide =
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd);
  return wide ? 2 : 1;
}

/** The text, cut to `columns`; a text that was cut ends in `…`. */
export function cutText(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  let width = 0;
  let out = "";
  for (const character of text) {
    width += characterWidth(character.codePointAt(0)!);
    if (width > columns - 1) break;
    out += character;
  }
  return `${out}…`;
}
