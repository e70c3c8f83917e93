/**
 * Text from outside, made safe to read: names, logs and reasons may hold characters that show
 * nothing, or that turn the direction of writing round, so that a line reads differently from what
 * it is. Each is shown as a mark. Markup needs no care: text only ever becomes a text node.
 */
const UNSEEN = new RegExp(
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u061c\\u200b-\\u200f\\u2028-\\u202e" +
    "\\u2060-\\u2069\\ufeff\\ufff9-\\ufffb]",
  "g",
);

/** The text with a mark (`␛`, `⟨202E⟩`) in place of each character that would show nothing. */
export function safeText(text: string): string {
  return text.replace(UNSEEN, markOf);
}

function markOf(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "␡" : `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
