/**
 * Reads a JSON text whose value stays what was written, or says why that is impossible.
 *
 * `JSON.parse` alone alters values without a word: a whole number beyond 2^53 is rounded, 1e400
 * becomes an infinity (and null when it is written), -0 becomes 0, and of two members with one name
 * the first is lost. Such texts are refused here. A number counts as kept if it is written back
 * with the same decimal value: `1.10` is kept as 1.1, and `1e3` as 1000.
 */
import type { Json } from "./snapshot.ts";

/** The value of a JSON text, or why there is none. `message` continues "it": "holds -0, …". */
export type ReadJson =
  | { readonly ok: true; readonly value: Json }
  /**
   * `altered`: the value would not stay what was written. `message` never quotes a part of the
   * text, except a whole number or a whole name.
   */
  | { readonly ok: false; readonly kind: "syntax" | "altered"; readonly message: string };

/**
 * A longer number or name is not shown. A part of it is never shown: masks look for whole texts.
 */
const SHOWN = 64;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const MINUS = 0x2d;
const OPEN_MAP = 0x7b;
const CLOSE_MAP = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
/** Numbers of this length have 15 digits at most, and so stay what they are; -0 apart. */
const SAFE_LENGTH = 15;

/** Reads a JSON text. A byte order mark before it is no part of it. */
export function readJson(text: string): ReadJson {
  const body = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  let value: Json;
  try {
    value = JSON.parse(body) as Json;
  } catch {
    return { ok: false, kind: "syntax", message: "is not JSON" };
  }
  const altered = firstAltered(body);
  return altered === undefined
    ? { ok: true, value }
    : { ok: false, kind: "altered", message: altered };
}

/**
 * Why a number does not stay what was written; undefined if it does.
 *
 * @param written a decimal number as JSON or YAML has it
 */
export function alteredNumber(written: string): string | undefined {
  if (written.length <= SAFE_LENGTH && !/[eE]|^-0/.test(written)) return undefined;
  const value = Number(written);
  if (String(value) === written) return undefined;
  if (Object.is(value, -0) && isZero(written))
    return `holds ${shown(written, "a -0")}, which would become 0: write 0, or put it in quotes`;
  if (Number.isFinite(value) && decimalOf(written) === decimalOf(String(value))) return undefined;
  const becomes = Number.isFinite(value) ? String(value) : "no number at all";
  return (
    `holds the number ${shown(written, `of ${written.length} characters`)}, ` +
    `which would become ${becomes}: put it in quotes, so that it is kept as a text`
  );
}

function shown(written: string, otherwise: string): string {
  return written.length <= SHOWN ? written : otherwise;
}

function isZero(written: string): boolean {
  return /^[+-]?[0.]*(?:[eE]|$)/.test(written);
}

/** Digits and exponent, one text for each decimal value; the sign included. */
function decimalOf(written: string): string {
  const [, sign, whole, fraction = "", exponent = "0"] =
    /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(written) ?? [];
  if (whole === undefined) return written;
  const all = `${whole}${fraction}`.replace(/^0+/, "");
  const digits = all.replace(/0+$/, "");
  if (digits === "") return "0";
  const shift = Number(exponent) - fraction.length + (all.length - digits.length);
  return `${sign === "-" ? "-" : ""}${digits}e${shift}`;
}

/**
 * The first part of a valid JSON text that would be altered. It walks over the text once: a value
 * does not tell any more what it was made from.
 */
function firstAltered(text: string): string | undefined {
  /** The names of each map around; null for a list. */
  const around: (Names | null)[] = [];
  let names = null as Names | null;
  let wantsName = false;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const end = endOfText(text, at);
        if (wantsName) {
          const name = unescaped(text.slice(at + 1, end - 1));
          if (names?.isNew(name) === false) return twice(name);
          wantsName = false;
        }
        at = end - 1;
        break;
      }
      case OPEN_MAP:
      case OPEN_LIST:
        around.push(names);
        wantsName = text.charCodeAt(at) === OPEN_MAP;
        names = wantsName ? new Names() : null;
        break;
      case CLOSE_MAP:
      case CLOSE_LIST:
        names = around.pop() ?? null;
        wantsName = false;
        break;
      case COMMA:
        wantsName = names !== null;
        break;
      default: {
        if (!isOfNumber(text.charCodeAt(at))) break;
        const end = endOfNumber(text, at);
        const altered = alteredNumber(text.slice(at, end));
        if (altered !== undefined) return altered;
        at = end - 1;
      }
    }
  }
  return undefined;
}

/** The names of one map. Most maps have few, and then a list is faster than a set. */
class Names {
  readonly #few: string[] = [];
  #many: Set<string> | undefined;

  /** Whether a name was not there yet; it is added. */
  isNew(name: string): boolean {
    if (this.#many === undefined && this.#few.length < 16)
      return !this.#few.includes(name) && this.#few.push(name) > 0;
    this.#many ??= new Set(this.#few);
    return this.#many.size < this.#many.add(name).size;
  }
}

/** Whether a character can begin a number or go on with it; `true` has an e as well. */
function isOfNumber(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || code === MINUS;
}

function endOfNumber(text: string, start: number): number {
  let at = start + 1;
  // Digits, a point, a sign, or e: nothing else of a valid text follows a number directly.
  for (let code = text.charCodeAt(at); isOfNumber(code) || isInNumber(code);)
    code = text.charCodeAt((at += 1));
  return at;
}

function isInNumber(code: number): boolean {
  return code === 0x2e || code === 0x2b || code === 0x65 || code === 0x45;
}

function unescaped(inQuotes: string): string {
  return inQuotes.includes("\\") ? (JSON.parse(`"${inQuotes}"`) as string) : inQuotes;
}

/** Where the text in quotes that begins at an offset ends. */
function endOfText(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

function twice(name: string): string {
  const which = name.length <= SHOWN ? JSON.stringify(name) : `a key of ${name.length} characters`;
  return `has the key ${which} twice in one map; only one of them could count`;
}
