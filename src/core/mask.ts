/**
 * Keeps the values of secrets out of everything that is recorded: texts, the names, texts, numbers
 * and truth values in a JSON text, and errors.
 *
 * A value is looked for in the forms of secret-forms.ts. The beginning of a long value is looked
 * for too, because libraries shorten what they quote. What V8's JSON parser quotes is masked whole:
 * it is a piece from the middle of a text that may be a secret.
 */
import { mapTexts, withoutControls, type StepError } from "./failure.ts";
import type { Json } from "./snapshot.ts";
import { formsOf } from "./secret-forms.ts";
import { beginning, wholeAt } from "./whole-characters.ts";

/** What takes the place of a secret. */
export const MASK = "***";
/** The line that tells that a result was masked. */
export const MASKED_RESULT =
  "[orchd: a secret in the result is masked, since results are recorded; " +
  "a step gets a secret only by its own env and params]";
/** Values of at least this length are masked even where only their beginning is there. */
const LONG = 32;
/** How much of its beginning must be there. */
const BEGINNING = 16;

/** What V8's JSON parser says of a text, with the piece that it quotes; also if it is cut. */
const QUOTED_BY_PARSER = new RegExp(
  String.raw`(?:Unexpected token [^]{1,8}?, (?:\.\.\.)?\\*"|(?:\.\.\.)?"|^)[^]{0,60}?` +
    String.raw`"(?:\.\.\.)? is not valid JSON` +
    String.raw`|Unexpected token [^]{1,8}?, (?:\.\.\.)?\\*"[^]{0,60}$`,
  "g",
);
const NOT_JSON = `"${MASK}" is not valid JSON`;

const NO_SECRETS: readonly string[] = [];

/** Masks the values of a task's secrets. */
export class Masker {
  /** Every form to look for, the longest first. */
  readonly #forms: readonly string[];
  /** The forms of which the beginning is looked for too. */
  readonly #long: readonly string[];
  /** The secrets that are numbers. */
  readonly #numbers: ReadonlySet<number>;
  /** A JSON text that holds none of these holds no secret. */
  readonly #signs: readonly string[];
  /** The length of the longest form; 0 if there are no secrets. */
  readonly longest: number;

  constructor(secrets: readonly string[] = NO_SECRETS) {
    this.#forms =
      secrets.length === 0
        ? NO_SECRETS
        : [...new Set(secrets.flatMap(formsOf))].sort((a, b) => b.length - a.length);
    this.#long =
      secrets.length === 0 ? NO_SECRETS : this.#forms.filter((form) => form.length >= LONG);
    this.#numbers = new Set(
      secrets
        .filter((secret) => secret.trim() !== "")
        .map(Number)
        .filter((number) => Number.isFinite(number)),
    );
    this.longest = this.#forms[0]?.length ?? 0;
    this.#signs = this.longest === 0 ? NO_SECRETS : this.#allSigns();
  }

  /** The text without secrets. */
  text(text: string): string {
    let masked = withoutWhole(text, this.#forms);
    for (const form of this.#long) masked = withoutBeginning(masked, form);
    if (this.longest > 0 && (masked.includes("not valid JSON") || masked.includes("ected token ")))
      masked = masked.replaceAll(QUOTED_BY_PARSER, NOT_JSON);
    return masked;
  }

  /**
   * The beginning of a text without secrets. It is masked before it is cut: no beginning of a
   * secret is left at its end.
   */
  beginning(text: string, most: number): string {
    return beginning(this.text(text.slice(0, most + this.longest)), most);
  }

  /**
   * Where to cut a text, at `limit` or before, so that neither a secret nor a character is cut in
   * two. The text must have at least {@link longest} more characters after `limit`.
   */
  cut(text: string, limit: number): number {
    let at = limit;
    for (let before = -1; before !== at;) {
      before = at;
      // Secrets may overlap: where one begins, another one may be cut.
      for (const form of this.#forms) {
        const found = text.indexOf(form, Math.max(0, at - form.length + 1));
        if (found !== -1 && found < at) at = found;
      }
    }
    return wholeAt(text, at === 0 ? limit : at);
  }

  /** An error without secrets. */
  error(error: StepError): StepError {
    if (this.longest === 0) return error;
    // A sequence in the midst of a secret would hide it now, and be taken out afterwards.
    return mapTexts(error, (text) => this.text(withoutControls(text)));
  }

  /** A JSON text without secrets; undefined if it holds none. */
  json(text: string): string | undefined {
    if (!this.#signs.some((sign) => text.includes(sign))) return undefined;
    const value = JSON.parse(text) as Json;
    const masked = this.#value(value);
    return masked === value ? undefined : JSON.stringify(masked);
  }

  /** The value without secrets; the same value if it holds none. */
  #value(value: Json): Json {
    if (typeof value === "string") return this.text(value);
    if (typeof value === "number")
      return this.#numbers.has(value) || this.#holds(String(value)) ? MASK : value;
    if (value === null || typeof value === "boolean")
      return this.#forms.includes(String(value)) ? MASK : value;
    if (Array.isArray(value)) {
      const copy = (value as readonly Json[]).map((element) => this.#value(element));
      return copy.every((element, index) => element === value[index]) ? value : copy;
    }
    let differs = false;
    const copy = Object.entries(value).map(([name, member]) => {
      const masked = [this.text(name), this.#value(member)] as const;
      differs ||= masked[0] !== name || masked[1] !== member;
      return masked;
    });
    return differs ? Object.fromEntries(copy) : value;
  }

  #allSigns(): string[] {
    const texts = [
      ...this.#forms,
      ...this.#long.map((form) => form.slice(0, BEGINNING)),
      ...[...this.#numbers].map(String),
      "not valid JSON",
      "ected token ",
    ];
    return [...new Set([...texts, ...texts.map((text) => JSON.stringify(text).slice(1, -1))])];
  }

  #holds(text: string): boolean {
    return this.#forms.some((form) => text.includes(form));
  }
}

/**
 * The text without these forms. Where two overlap both are one place: no rest of either may stay.
 */
function withoutWhole(text: string, forms: readonly string[]): string {
  const places: [from: number, to: number][] = [];
  for (const form of forms) {
    let last: [from: number, to: number] | undefined;
    for (let at = text.indexOf(form); at !== -1; at = text.indexOf(form, at + 1)) {
      const to = at + form.length;
      if (last !== undefined && at < last[1]) last[1] = to;
      else places.push((last = [at, to]));
    }
  }
  if (places.length === 0) return text;
  let masked = "";
  let end = 0;
  for (const [from, to] of places.sort(([one], [other]) => one - other)) {
    if (end === 0 || from >= end) masked += text.slice(end, from) + MASK;
    end = Math.max(end, to);
  }
  return masked + text.slice(end);
}

/** The text without what begins like a value and was cut. */
function withoutBeginning(text: string, form: string): string {
  const beginning = form.slice(0, BEGINNING);
  let masked = text;
  for (let at = 0; (at = masked.indexOf(beginning, at)) !== -1; at += MASK.length) {
    let end = at + BEGINNING;
    while (end < masked.length && masked[end] === form[end - at]) end += 1;
    masked = masked.slice(0, at) + MASK + masked.slice(end);
  }
  return masked;
}
