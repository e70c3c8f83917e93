/**
 * Keeps the values of secrets out of everything that is recorded.
 *
 * A value is looked for as it is, and in the form that it has inside a JSON text. A value of
 * several lines is also looked for line by line, because output is cut into lines before it is
 * masked.
 */
import { mapTexts, type StepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";

/** What takes the place of a secret. */
export const MASK = "***";
/** The line that tells that a result was masked. */
export const MASKED_RESULT =
  "[orchd: a secret in the result is masked, since results are recorded; " +
  "a step gets a secret only by its own env and params]";
/** Shorter lines of a secret (a closing brace, a blank) are not masked by themselves. */
const SHORTEST_LINE = 4;

const NO_SECRETS: readonly string[] = [];

/** Masks the values of a task's secrets. */
export class Masker {
  /**
   * Every form to look for, the longest first: if a secret is part of another one, the rest of the
   * longer one must not stay.
   */
  readonly #forms: readonly string[];
  /** The length of the longest form; 0 if there are no secrets. */
  readonly longest: number;

  constructor(secrets: readonly string[] = NO_SECRETS) {
    if (secrets.length === 0) {
      this.#forms = NO_SECRETS;
      this.longest = 0;
      return;
    }
    const forms = new Set<string>();
    for (const secret of secrets) {
      if (secret.trim() === "") continue;
      forms.add(secret);
      forms.add(JSON.stringify(secret).slice(1, -1));
      if (secret.includes("\n"))
        for (const line of secret.split(/\r?\n/))
          if (line.trim().length >= SHORTEST_LINE) forms.add(line);
    }
    this.#forms = [...forms].sort((a, b) => b.length - a.length);
    this.longest = this.#forms[0]?.length ?? 0;
  }

  /** The text without secrets. */
  text(text: string): string {
    let masked = text;
    for (const form of this.#forms)
      if (masked.includes(form)) masked = masked.replaceAll(form, MASK);
    return masked;
  }

  /**
   * Where to cut a text, at `limit` or before, so that no secret is cut in two. The text must have
   * at least {@link longest} more characters after `limit`.
   */
  cut(text: string, limit: number): number {
    let at = limit;
    for (const form of this.#forms) {
      const found = text.indexOf(form, Math.max(0, at - form.length + 1));
      if (found !== -1 && found < at) at = found;
    }
    return at === 0 ? limit : at;
  }

  /** An error without secrets. */
  error(error: StepError): StepError {
    if (this.longest === 0) return error;
    return mapTexts(error, (text) => this.text(text));
  }

  /** A JSON text without secrets in its strings and names; undefined if it holds none. */
  json(text: string): string | undefined {
    if (!this.#forms.some((form) => text.includes(form))) return undefined;
    return JSON.stringify(this.#value(JSON.parse(text) as Json));
  }

  #value(value: Json): Json {
    if (typeof value === "string") return this.text(value);
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) return value.map((element: Json) => this.#value(element));
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [this.text(name), this.#value(member)]),
    );
  }
}
