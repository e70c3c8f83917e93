/**
 * The condition of a step's `when`: a small language over params and inputs. It can call nothing
 * and change nothing.
 *
 *     params.env == "prod" && (inputs.rows.count > 0 || !inputs.rows.empty)
 *
 * A value is a literal (text in single or double quotes, number, true, false, null) or a path. A
 * path begins with `params` or `inputs` and goes on with `.name`, `["any name"]` or `[0]`. Lists
 * and texts have `.length`. What does not exist is null.
 *
 * `==` and `!=` compare whole values. `<`, `<=`, `>`, `>=` compare two numbers or two texts and are
 * false for anything else. `!`, `&&`, `||` treat null, false, 0 and the empty text as false.
 * Evaluating never fails and reads own members only.
 */
import { canonicalJson } from "./canonical-json.ts";
import { didYouMean } from "./did-you-mean.ts";
import { alteredNumber } from "./exact-json.ts";
import type { Json } from "./snapshot.ts";

const MAX_LENGTH = 2_048;
const MAX_DEPTH = 64;

/** A parsed condition. */
export type Condition =
  | { readonly kind: "value"; readonly value: Json }
  | {
      readonly kind: "path";
      readonly root: "params" | "inputs";
      readonly keys: readonly (string | number)[];
    }
  | { readonly kind: "not"; readonly of: Condition }
  | {
      readonly kind: "and" | "or" | "compare";
      readonly operator: string;
      readonly left: Condition;
      readonly right: Condition;
    };

/** The values that a condition can read. */
export interface ConditionScope {
  /** The run's params; the step's own override them. */
  readonly params: { readonly [name: string]: Json };
  readonly inputs: { readonly [name: string]: Json };
}

/**
 * A parsed condition and the paths that it reads; or what is wrong, as a sentence, and where
 * (counted from 0).
 */
export type ParsedCondition =
  | {
      readonly ok: true;
      readonly condition: Condition;
      readonly reads: readonly Extract<Condition, { kind: "path" }>[];
    }
  | { readonly ok: false; readonly message: string; readonly offset: number };

/** Parses a condition. Pure, and linear in the length of the text. */
export function parseCondition(text: string): ParsedCondition {
  if (text.length > MAX_LENGTH)
    return { ok: false, message: `is longer than ${MAX_LENGTH} characters`, offset: MAX_LENGTH };
  try {
    const parser = new ConditionParser(text);
    const condition = parser.whole();
    return { ok: true, condition, reads: parser.reads };
  } catch (thrown) {
    if (!(thrown instanceof ConditionError)) throw thrown;
    return { ok: false, message: thrown.message, offset: thrown.offset };
  }
}

/** Whether a parsed condition is true. Never throws. */
export function evaluateCondition(condition: Condition, scope: ConditionScope): boolean {
  return isTrue(valueOf(condition, scope));
}

/** Parses and evaluates a condition: whether it is true, or what is wrong with it. */
export function evaluateWhen(
  text: string,
  scope: ConditionScope,
):
  | { readonly ok: true; readonly holds: boolean }
  | { readonly ok: false; readonly message: string } {
  const parsed = parseCondition(text);
  return parsed.ok
    ? { ok: true, holds: evaluateCondition(parsed.condition, scope) }
    : { ok: false, message: parsed.message };
}

function valueOf(condition: Condition, scope: ConditionScope): Json {
  switch (condition.kind) {
    case "value":
      return condition.value;
    case "path":
      return condition.keys.reduce<Json>(memberOf, scope[condition.root]);
    case "not":
      return !isTrue(valueOf(condition.of, scope));
    case "and":
      return isTrue(valueOf(condition.left, scope)) && isTrue(valueOf(condition.right, scope));
    case "or":
      return isTrue(valueOf(condition.left, scope)) || isTrue(valueOf(condition.right, scope));
    case "compare":
      return compare(
        condition.operator,
        valueOf(condition.left, scope),
        valueOf(condition.right, scope),
      );
  }
}

function memberOf(value: Json, key: string | number): Json {
  if (typeof value === "string") return key === "length" ? value.length : null;
  if (value === null || typeof value !== "object") return null;
  if (Array.isArray(value))
    return key === "length"
      ? value.length
      : typeof key === "number"
        ? ((value[key] as Json | undefined) ?? null)
        : null;
  return Object.hasOwn(value, key)
    ? ((value as { readonly [key: string | number]: Json | undefined })[key] ?? null)
    : null;
}

function isTrue(value: Json): boolean {
  return value !== null && value !== false && value !== 0 && value !== "";
}

function compare(operator: string, left: Json, right: Json): boolean {
  if (operator === "==" || operator === "!=")
    return (left === right || canonicalJson(left) === canonicalJson(right)) === (operator === "==");
  const comparable =
    (typeof left === "number" && typeof right === "number") ||
    (typeof left === "string" && typeof right === "string");
  if (!comparable) return false;
  if (operator === "<") return left < right;
  if (operator === "<=") return left <= right;
  return operator === ">" ? left > right : left >= right;
}

class ConditionError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

type Token = {
  readonly kind: "operator" | "word" | "number" | "text" | "end";
  readonly text: string;
  readonly value: Json;
  readonly offset: number;
};

const OPERATOR = /&&|\|\||[=!<>]=|[<>!()[\].-]/.source;
const WORD = /[A-Za-z_$][\w$]*/.source;
const NUMBER = /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/.source;
const TEXT = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/.source;
const TOKEN = new RegExp(`\\s*(?:(${OPERATOR})|(${WORD})|(${NUMBER})|(${TEXT}))`, "y");
/** The words that may stand alone or begin a path. */
const WORDS = ["params", "inputs", "true", "false", "null"];
/** Words from other languages, and how to write them here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  and: "&&",
  or: "||",
  not: "!",
  True: "true",
  False: "false",
  None: "null",
  nil: "null",
  undefined: "null",
};

/** A recursive-descent parser. `||` binds loosest, then `&&`, then a comparison, then `!`. */
class ConditionParser {
  readonly reads: Extract<Condition, { kind: "path" }>[] = [];
  readonly #text: string;
  #token: Token;
  #end = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    this.#token = this.#scan();
  }

  whole(): Condition {
    if (this.#text.trim() === "")
      throw this.#error("is empty; leave `when` out for a step that always runs");
    const condition = this.#or();
    if (this.#token.kind !== "end") throw this.#unexpected("the end");
    return condition;
  }

  #or(): Condition {
    let left = this.#and();
    while (this.#took("||")) left = { kind: "or", operator: "||", left, right: this.#and() };
    return left;
  }

  #and(): Condition {
    let left = this.#comparison();
    while (this.#took("&&"))
      left = { kind: "and", operator: "&&", left, right: this.#comparison() };
    return left;
  }

  #comparison(): Condition {
    const left = this.#unary();
    const operator = this.#token.text;
    if (this.#token.kind !== "operator" || !/^([=!<>]=|[<>])$/.test(operator)) return left;
    this.#next();
    const right = this.#unary();
    if (this.#token.kind === "operator" && /^([=!<>]=|[<>])$/.test(this.#token.text))
      throw this.#error("compares twice in a row; join two comparisons with &&");
    return { kind: "compare", operator, left, right };
  }

  #unary(): Condition {
    if (++this.#depth > MAX_DEPTH) throw this.#error(`is nested more than ${MAX_DEPTH} deep`);
    const condition: Condition = this.#took("!")
      ? { kind: "not", of: this.#unary() }
      : this.#primary();
    this.#depth -= 1;
    return condition;
  }

  #primary(): Condition {
    if (this.#took("(")) {
      const inner = this.#or();
      if (!this.#took(")")) throw this.#unexpected("a closing )");
      return inner;
    }
    const negative = this.#token.text === "-" && this.#token.kind === "operator";
    if (negative) this.#next();
    const { kind, text, value } = this.#token;
    if (kind === "number") {
      this.#next();
      return { kind: "value", value: negative ? -(value as number) : value };
    }
    if (negative) throw this.#unexpected("a number after -");
    if (kind === "text") {
      this.#next();
      return { kind: "value", value };
    }
    if (kind !== "word") throw this.#unexpected("a value");
    if (text === "true" || text === "false" || text === "null") {
      this.#next();
      return { kind: "value", value: text === "null" ? null : text === "true" };
    }
    if (text === "params" || text === "inputs") return this.#path(text);
    const instead = Object.hasOwn(ELSEWHERE, text) ? ELSEWHERE[text] : undefined;
    if (instead !== undefined)
      throw this.#error(`has ${JSON.stringify(text)}, which is written ${instead} here`);
    throw this.#error(
      `has ${JSON.stringify(text)}, but a name begins with params. or inputs., ` +
        `and a text is in quotes${didYouMean(text, WORDS)}`,
    );
  }

  #path(root: "params" | "inputs"): Condition {
    this.#next();
    const keys: (string | number)[] = [];
    for (;;) {
      if (this.#took(".")) {
        if (this.#token.kind !== "word") throw this.#unexpected("a name after the dot");
        keys.push(this.#token.text);
        this.#next();
      } else if (this.#took("[")) {
        if (
          this.#token.kind !== "text" &&
          !(this.#token.kind === "number" && Number.isSafeInteger(this.#token.value))
        )
          throw this.#unexpected("a number or a text in quotes");
        keys.push(this.#token.value as string | number);
        this.#next();
        if (!this.#took("]")) throw this.#unexpected("a closing ]");
      } else {
        break;
      }
    }
    if (this.#token.text === "(" && this.#token.kind === "operator")
      throw this.#error("calls something, but a condition has nothing to call");
    if (keys.length === 0) throw this.#error(`has ${root} alone; name one, as in ${root}.x`);
    const path = { kind: "path", root, keys } as const;
    this.reads.push(path);
    return path;
  }

  #took(operator: string): boolean {
    if (this.#token.kind !== "operator" || this.#token.text !== operator) return false;
    this.#next();
    return true;
  }

  #next(): void {
    this.#token = this.#scan();
  }

  #scan(): Token {
    TOKEN.lastIndex = this.#end;
    const match = TOKEN.exec(this.#text);
    if (match === null) {
      const rest = this.#text.slice(this.#end).trimStart();
      const offset = this.#text.length - rest.length;
      if (rest === "") return { kind: "end", text: "", value: null, offset };
      const character = String.fromCodePoint(rest.codePointAt(0)!);
      if (character === "=")
        throw new ConditionError("has a single =; equality is written ==", offset);
      if (character === "&" || character === "|")
        throw new ConditionError(
          `has a single ${character}; write ${character}${character}`,
          offset,
        );
      if (character === '"' || character === "'")
        throw new ConditionError("has a text whose closing quote is missing", offset);
      throw new ConditionError(
        `has ${JSON.stringify(character)}, which means nothing in a condition`,
        offset,
      );
    }
    this.#end = TOKEN.lastIndex;
    const [all, operator, word, number, text] = match;
    const offset = this.#end - all.trimStart().length;
    if (operator !== undefined) {
      if (/^[=!]=$/.test(operator) && this.#text[this.#end] === "=")
        throw new ConditionError(`has ${operator}=; equality is written ${operator}`, offset);
      return { kind: "operator", text: operator, value: null, offset };
    }
    if (word !== undefined) return { kind: "word", text: word, value: null, offset };
    if (number !== undefined) {
      const altered = /^0\d/.test(number)
        ? `has ${number}, which would be the number ${Number(number)}: ` +
          "put it in quotes for the text"
        : alteredNumber(number);
      if (altered !== undefined) throw new ConditionError(altered, offset);
      return { kind: "number", text: number, value: Number(number), offset };
    }
    const escape = /\\(?:\\|(?![ntr])([A-Za-z0-9]))/g;
    for (const [, letter] of text!.matchAll(escape))
      if (letter !== undefined)
        throw new ConditionError(
          `has \\${letter} in a text, which means nothing here; for a backslash write \\\\`,
          offset,
        );
    return { kind: "text", text: text!, value: unquote(text!), offset };
  }

  #unexpected(wanted: string): ConditionError {
    const found = this.#token.kind === "end" ? "ends" : `has ${JSON.stringify(this.#token.text)}`;
    return this.#error(`${found} where ${wanted} was expected`);
  }

  #error(message: string): ConditionError {
    return new ConditionError(message, this.#token.offset);
  }
}

function unquote(text: string): string {
  return text
    .slice(1, -1)
    .replace(
      /\\(.)/gs,
      (_, escaped: string) => ({ n: "\n", t: "\t", r: "\r" })[escaped] ?? escaped,
    );
}
