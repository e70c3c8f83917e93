/**
 * All the templating there is: `${params.NAME}`, `${run.id}` and `${run.scheduledFor}` in the
 * `params` and `env` of a pipeline file.
 *
 * It has two passes. When a run is made, `${params.…}` is replaced by the run's params, and the
 * result goes into the run's header. When a step starts, `${run.…}` is replaced. A text that is
 * only one placeholder becomes the param's value with its type. Within a longer text, values become
 * text and objects become JSON.
 *
 * `$$` before a brace is a plain `$`: `$${HOME}` gives `${HOME}`. Params from a request or a
 * schedule are data: the first pass doubles the `$` of a `${run.id}` in them, so that the second
 * pass leaves it as it came.
 */
import { didYouMean } from "./did-you-mean.ts";
import type { FieldPath, Fault } from "./fault.ts";
import type { Json } from "./snapshot.ts";

const ANY = /(\$+)\{([^{}]*)\}/g;
const RUN = /(\$+)\{(run\.(?:id|scheduledFor))\}/g;
const PLACEHOLDERS = "${params.NAME}, ${run.id} and ${run.scheduledFor}";
const PARAM = /^params\.([A-Za-z_][A-Za-z0-9_-]*)$/;

/** What the second pass fills in. */
export interface RunWords {
  readonly id: string;
  /**
   * ISO 8601, UTC. Undefined for a run without a slot: then `${run.scheduledFor}` is null, or
   * nothing within a longer text.
   */
  readonly scheduledFor?: string | undefined;
}

/**
 * A param has no value, or its value cannot stand where it is asked for. `message` is a sentence.
 */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

/** Whether a value contains any `${params.…}`. */
export function hasParams(value: Json): boolean {
  let found = false;
  eachText(value, [], (text) => {
    for (const [, dollars, word] of text.matchAll(ANY))
      if (dollars!.length % 2 === 0 || !isRunWord(word!)) found = true;
  });
  return found;
}

/** A text of which nothing is replaced: both passes give `text` again. */
export function literalText(text: string): string {
  return text.replace(/(\$+)(?=\{[^{}]*\})/g, "$1$1");
}

/** Checks every placeholder in a value against the known params. */
export function templateFaults(value: Json, path: FieldPath, known: ReadonlySet<string>): Fault[] {
  const faults: Fault[] = [];
  eachText(value, path, (text, at) => {
    for (const [, dollars, word] of text.matchAll(ANY)) {
      if (dollars!.length % 2 === 0 || isRunWord(word!)) continue;
      const param = PARAM.exec(word!)?.[1];
      if (param !== undefined && known.has(param)) continue;
      const shown = `\${${word!.slice(0, 80)}}`;
      faults.push({
        path: at,
        message:
          param === undefined
            ? `refers to ${shown}, but only ${PLACEHOLDERS} are replaced; ` +
              `for the text itself write $${shown}`
            : `refers to ${shown}, but the pipeline has no param ${JSON.stringify(param)}` +
              didYouMean(param, known),
      });
    }
  });
  return faults;
}

/**
 * The first pass: replaces `${params.NAME}`.
 *
 * @param defaults the pipeline's own params, which may contain `${run.…}`
 * @param given params of a request or a schedule, which override the defaults; they are data, and
 *   nothing in them is replaced
 * @throws TemplateError if a param has no value, or a secret would become part of a text
 */
export function bindParams(
  value: Json,
  defaults: { readonly [key: string]: Json },
  given: { readonly [key: string]: Json } = {},
): Json {
  const lookUp = (name: string): Json => {
    if (Object.hasOwn(given, name))
      return mapTexts(given[name]!, (text) =>
        text.replace(RUN, (_, dollars: string, word: string) => `${dollars}${dollars}{${word}}`),
      );
    if (Object.hasOwn(defaults, name)) return defaults[name]!;
    throw new TemplateError(
      `param ${JSON.stringify(name)} has no value; ` +
        "give one with the run or as the pipeline's default",
    );
  };
  return mapTexts(value, (text) => {
    const whole = /^\$\{([^{}]*)\}$/.exec(text);
    const name = whole === null ? undefined : PARAM.exec(whole[1]!)?.[1];
    if (name !== undefined) return lookUp(name);
    return text.replace(ANY, (all: string, dollars: string, word: string) => {
      if (isRunWord(word)) return all;
      const literal = "$".repeat(Math.floor(dollars.length / 2));
      if (dollars.length % 2 === 0) return `${literal}{${word}}`;
      const param = PARAM.exec(word)?.[1];
      return param === undefined ? all : literal + asText(lookUp(param), param);
    });
  });
}

/** The second pass: replaces `${run.id}` and `${run.scheduledFor}` when a step starts. */
export function bindRun<T extends Json>(value: T, run: RunWords): T {
  return mapTexts(value, (text) => {
    if (text === "${run.scheduledFor}" && run.scheduledFor === undefined) return null;
    return text.replace(RUN, (_, dollars: string, word: string) => {
      const literal = "$".repeat(Math.floor(dollars.length / 2));
      if (dollars.length % 2 === 0) return `${literal}{${word}}`;
      return literal + (word === "run.id" ? run.id : (run.scheduledFor ?? ""));
    });
  }) as T;
}

/** The second pass for environment variables, which stay text. */
export function bindRunEnv<V>(
  env: { readonly [name: string]: V },
  run: RunWords,
): { [name: string]: V } {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [
      name,
      typeof value === "string" ? ((bindRun(value as string, run) ?? "") as V) : value,
    ]),
  );
}

function isRunWord(word: string): boolean {
  return word === "run.id" || word === "run.scheduledFor";
}

function asText(value: Json, name: string): string {
  if (typeof value === "string") return value;
  if (
    value !== null &&
    typeof value === "object" &&
    "secret" in value &&
    Object.keys(value).length === 1
  ) {
    throw new TemplateError(
      `param ${JSON.stringify(name)} is a secret, which cannot be part of a text; ` +
        "use it as the whole value",
    );
  }
  return JSON.stringify(value);
}

function eachText(
  value: Json,
  path: FieldPath,
  visit: (text: string, path: FieldPath) => void,
): void {
  if (typeof value === "string") {
    visit(value, path);
  } else if (Array.isArray(value)) {
    for (const [index, member] of (value as readonly Json[]).entries())
      eachText(member, [...path, index], visit);
  } else if (value !== null && typeof value === "object") {
    for (const [key, member] of Object.entries(value)) eachText(member, [...path, key], visit);
  }
}

/**
 * A copy of a value with every text replaced. Parts that do not change are shared with the
 * original.
 */
function mapTexts(value: Json, replace: (text: string) => Json): Json {
  // It is asked for each step, and most have no placeholder: to find that out makes nothing.
  return mayChange(value) ? replaced(value, replace) : value;
}

function mayChange(value: Json): boolean {
  if (typeof value === "string") return value.includes("${");
  if (value === null || typeof value !== "object") return false;
  const members = value as { readonly [name: string]: Json };
  for (const name in members) if (mayChange(members[name]!)) return true;
  return false;
}

function replaced(value: Json, replace: (text: string) => Json): Json {
  if (typeof value === "string") return value.includes("${") ? replace(value) : value;
  if (Array.isArray(value)) {
    const copy = (value as readonly Json[]).map((member) => replaced(member, replace));
    return copy.every((member, index) => member === value[index]) ? value : copy;
  }
  if (value === null || typeof value !== "object") return value;
  const pairs = Object.entries(value);
  const copy = pairs.map(([key, member]) => [key, replaced(member, replace)] as const);
  return copy.every(([, member], index) => member === pairs[index]![1])
    ? value
    : Object.fromEntries(copy);
}
