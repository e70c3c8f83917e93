/**
 * The forms in which a secret's value is looked for. Programs rarely print a value as it is: they
 * quote it, put it into a URL, or encode it.
 *
 * What is not found, because nothing tells it from other text: a part of a value that is not its
 * beginning, a value that was turned round, encrypted, hashed or compressed, and two encodings one
 * over the other (except JSON in JSON).
 */

/** Shorter lines of a secret (a closing brace, a blank) are not masked by themselves. */
const SHORTEST_LINE = 4;
/** Shorter values are not looked for encoded: too much else looks the same. */
const SHORTEST_ENCODED = 4;
/** Fewer characters of base64 are not looked for. */
const SHORTEST_BASE64 = 6;

/** How many values' forms are remembered: the steps of one run mostly have the same secrets. */
const MOST_REMEMBERED = 256;

const remembered = new Map<string, readonly string[]>();

/** The forms of a value, without order; none of a blank one. */
export function formsOf(secret: string): readonly string[] {
  const known = remembered.get(secret);
  if (known !== undefined) return known;
  const forms = secret.trim() === "" ? [] : [...new Set(makeForms(secret))];
  remembered.set(secret, forms);
  if (remembered.size > MOST_REMEMBERED) remembered.delete(remembered.keys().next().value!);
  return forms;
}

function makeForms(secret: string): string[] {
  const forms = [secret, ...quoted(secret)];
  // Output is cut into lines before it is masked.
  if (secret.includes("\n"))
    for (const line of secret.split(/\r?\n/))
      if (line.trim().length >= SHORTEST_LINE) forms.push(line, ...quoted(line));
  if (secret.length >= SHORTEST_ENCODED) forms.push(...encoded(secret));
  return forms;
}

/** In a JSON text, in a JSON text in a JSON text, as `console.log` shows a member, in a shell. */
function quoted(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1);
  const forms = [
    json,
    JSON.stringify(json).slice(1, -1),
    json.replaceAll('\\"', '"'),
    text.replaceAll("'", `'\\''`),
    text.replaceAll("'", `'"'"'`),
  ];
  if (text.includes("'")) forms.push(json.replaceAll('\\"', '"').replaceAll("'", "\\'"));
  return forms;
}

function encoded(secret: string): string[] {
  const bytes = new TextEncoder().encode(secret);
  // A lone half of a character has no URL form.
  const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const url = encodeURIComponent(whole);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [
    url,
    url.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    new URLSearchParams({ "": secret }).toString().slice(1),
    encodeURI(whole),
    hex,
    hex.toUpperCase(),
    ...base64(bytes),
  ];
}

/**
 * The value within a text that was encoded whole (`user:TOKEN` of an HTTP header). Three bytes make
 * four characters, so it depends on how many bytes stand before the value: 0, 1 or 2 over a
 * multiple of three. The characters that also depend on the neighbours are left out.
 */
function base64(bytes: Uint8Array): string[] {
  const forms: string[] = [];
  for (const before of [0, 1, 2]) {
    const text = base64Url([...Array<number>(before).fill(0), ...bytes]);
    const whole = Math.floor(((before + bytes.length) * 8) / 6);
    const form = text.slice(before === 0 ? 0 : before + 1, whole);
    if (form.length < SHORTEST_BASE64) continue;
    forms.push(form, form.replaceAll("-", "+").replaceAll("_", "/"));
  }
  return forms;
}

const BASE64_URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Base64 for URLs, with whole groups at the end: {@link base64} cuts what is too much. */
function base64Url(bytes: readonly number[]): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const group = (bytes[at]! << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    for (const shift of [18, 12, 6, 0]) text += BASE64_URL[(group >> shift) & 63];
  }
  return text;
}
