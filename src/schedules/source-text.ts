/**
 * The text of a declared pipeline (YAML or JSON) as a value, and the place of each part in the
 * text.
 *
 * Any text must give a value or a problem, quickly. So the number of words, the depth of nesting
 * and the number of aliases are limited before the text is composed: composing is recursive (30,000
 * open braces end the process). Some checks of the composer are quadratic, so duplicate keys are
 * looked for here. JSON is read by `JSON.parse`, and by the YAML parser only to find positions.
 */
import {
  Composer,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  Parser,
  type Document,
  type Node,
  type ParsedNode,
  visit,
  type YAMLMap,
} from "yaml";
import type { FieldPath } from "../core/fault.ts";
import { positionIn, type Position } from "./problem.ts";
import { keepWritten } from "./written-values.ts";

/** How deep a definition may be nested. No pipeline that a person reads is deeper. */
export const MAX_DEPTH = 64;
/** How many words a text may have. A file of 10,000 steps stays below. */
const MAX_WORDS = 400_000;
/** A character gives fewer words than this: four at most (`|` alone) of 300,000 texts tried. */
const WORDS_A_CHARACTER = 8;
const MAX_ALIASES = 100;
const START: Position = { line: 1, column: 1 };
const EMPTY = "is empty; a pipeline needs at least steps";

/** What is wrong with a text, and where. */
export interface TextFault {
  readonly message: string;
  readonly position?: Position | undefined;
}

/** A text's value. */
export interface SourceText {
  /** Environment variables are in it as the texts that stand in the file (written-values.ts). */
  readonly value: unknown;
  /** What may be otherwise than it was meant, each with its line. */
  readonly remarks: readonly string[];
  /**
   * The place of a part of the value: of its key if `atKey` or if the part is a map or a list, else
   * of its value. If the part is not in the text, the place of the nearest part around it.
   */
  locate(path: FieldPath, atKey?: boolean): Position | undefined;
}

/** A text is beyond a limit. Thrown through the parser's generators to end them early. */
class TooMuch extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** Reads a decoded text (see {@link decodeUtf8}). What is wrong with it is a value. */
export function readSourceText(
  text: string,
  format: "yaml" | "json",
):
  | { readonly ok: true; readonly source: SourceText }
  | { readonly ok: false; readonly faults: readonly TextFault[] } {
  if (text.trim() === "") return refuse([{ message: EMPTY, position: START }]);
  let json: unknown;
  if (format === "json") {
    try {
      json = JSON.parse(text);
    } catch (thrown) {
      return refuse([jsonFault(text, (thrown as Error).message)]);
    }
  }
  const lines = new LineCounter();
  const at = (offset: number): Position => positionAt(lines, Math.min(offset, text.length));
  const control =
    format === "yaml" ? /[\0-\u0008\u000b\u000c\u000e-\u001f\u007f]/.exec(text) : null;
  if (control !== null) {
    const code = control[0].charCodeAt(0).toString(16).padStart(2, "0");
    const message =
      `holds the control character U+00${code.toUpperCase()}, which YAML does not allow; ` +
      `within quotes write \\x${code}`;
    return refuse([{ message, position: positionIn(text, control.index) }]);
  }
  try {
    const document = compose(text, lines);
    if ("second" in document)
      return refuse([
        {
          message: "holds more than one document (---); a file is one pipeline",
          position: at(document.second),
        },
      ]);
    const faults = documentFaults(document, text, at);
    if (faults.length > 0) return refuse(faults);
    if (document.contents === null) return refuse([{ message: EMPTY, position: START }]);
    const value = format === "json" ? { value: json } : documentValue(document, at);
    if ("fault" in value) return refuse([value.fault]);
    const written = keepWritten(document, value.value);
    if (written.faults.length > 0)
      return refuse(
        written.faults.map(({ message, offset }) => ({ message, position: at(offset) })),
      );
    return {
      ok: true,
      source: {
        value: written.value,
        remarks: written.remarks.map(
          ({ message, offset }) => `line ${at(offset).line}: ${message}`,
        ),
        locate: (path, atKey) => locate(document, path, atKey === true, at),
      },
    };
  } catch (thrown) {
    if (thrown instanceof TooMuch)
      return refuse([{ message: thrown.message, position: at(thrown.offset) }]);
    if (thrown instanceof RangeError) return refuse([{ message: "is nested too deeply" }]);
    throw thrown;
  }
}

/**
 * Decodes bytes as strict UTF-8 and drops a byte order mark. The fault has the place of the first
 * bad byte.
 */
export function decodeUtf8(
  bytes: Uint8Array,
): { readonly ok: true; readonly text: string } | ({ readonly ok: false } & TextFault) {
  try {
    return { ok: true, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    // A forgiving decoder puts a replacement character in the place of a bad byte. The text may
    // hold that character itself, so the first one whose bytes are not that character's is the bad
    // one.
    const forgiven = new TextDecoder("utf-8").decode(bytes);
    let offset = forgiven.indexOf(REPLACEMENT);
    for (; offset !== -1; offset = forgiven.indexOf(REPLACEMENT, offset + 1)) {
      const from =
        Buffer.byteLength(forgiven.slice(0, offset)) +
        (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0);
      if (!(bytes[from] === 0xef && bytes[from + 1] === 0xbf && bytes[from + 2] === 0xbd)) break;
    }
    return {
      ok: false,
      message: "is not UTF-8; save it in that encoding",
      position: positionIn(forgiven, Math.max(0, offset)),
    };
  }
}

const REPLACEMENT = "\ufffd";

type Fail = { readonly ok: false; readonly faults: readonly TextFault[] };

function refuse(faults: readonly TextFault[]): Fail {
  return { ok: false, faults };
}

/** The one document of a text, or the offset at which a second one begins. */
function compose(text: string, lines: LineCounter): Document.Parsed | { readonly second: number } {
  // A text that is too long is not composed. Walking through it finds which limit comes first.
  if (isTooLong(text)) for (const _ of limited(text, lines));
  const composer = new Composer({
    strict: true,
    uniqueKeys: false,
    prettyErrors: false,
    version: "1.2",
    merge: true,
    logLevel: "silent",
  });
  const before = Error.stackTraceLimit;
  // A text of nothing but errors makes many Errors, and their stacks are most of the cost.
  Error.stackTraceLimit = 0;
  try {
    let document: Document.Parsed | undefined;
    for (const next of composer.compose(limited(text, lines), true, text.length)) {
      if (document !== undefined) return { second: document.range[2] };
      document = next;
      if (document.errors.length > 0) break;
    }
    // With `forceDoc` (the `true` above) the composer gives a document for any text.
    return document!;
  } finally {
    Error.stackTraceLimit = before;
  }
}

/**
 * Whether a text has more words than are read. Splitting a text into words is cheap compared with
 * composing it. A text with fewer characters is not split: a character gives few words.
 */
function isTooLong(text: string): boolean {
  if (text.length * WORDS_A_CHARACTER < MAX_WORDS) return false;
  let words = 0;
  for (const _ of new Lexer().lex(text)) if (++words > MAX_WORDS) return true;
  return false;
}

function* limited(
  text: string,
  lines: LineCounter,
): Generator<Parameters<Composer["next"]>[0], void> {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  let words = 0;
  let aliases = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++words > MAX_WORDS)
      throw new TooMuch(
        `holds more than ${MAX_WORDS} words, which is more than any pipeline needs`,
        parser.offset,
      );
    if (lexeme.startsWith("*") && ++aliases > MAX_ALIASES && !/\s/.test(lexeme)) {
      throw new TooMuch(
        `holds more than ${MAX_ALIASES} aliases (*name); texts that start with * must be quoted`,
        parser.offset,
      );
    }
    yield* parser.next(lexeme);
    if (parser.stack.length > MAX_DEPTH)
      throw new TooMuch(`is nested more than ${MAX_DEPTH} deep`, parser.offset);
  }
  yield* parser.end();
}

/** The value of a document without faults. Its aliases and merges may still be wrong. */
function documentValue(
  document: Document.Parsed,
  at: (offset: number) => Position,
): { readonly value: unknown } | { readonly fault: TextFault } {
  let position: Position | undefined;
  try {
    visit(document, {
      Alias(_key, alias) {
        position = at(alias.range![0]);
        if (alias.resolve(document) === undefined)
          throw new Error(
            `the alias *${alias.source} names no anchor (&${alias.source}) before it`,
          );
      },
    });
    return { value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown };
  } catch (thrown) {
    if (thrown instanceof RangeError) throw thrown;
    const { message } = thrown as Error;
    return {
      fault: {
        message:
          thrown instanceof ReferenceError && /excessive/i.test(message)
            ? "repeats itself through aliases more often than any pipeline needs to"
            : `is not valid YAML: ${message}`,
        position,
      },
    };
  }
}

function documentFaults(
  document: Document.Parsed,
  text: string,
  at: (offset: number) => Position,
): TextFault[] {
  const faults: TextFault[] = [];
  // Only the first: the others are mostly its consequences.
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined)
    return [
      {
        message: hinted(error.message, error.code, text, error.pos[0]),
        position: at(error.pos[0]),
      },
    ];
  const { yaml } = document.directives;
  if (yaml.version !== "1.2")
    return [{ message: `asks for YAML ${yaml.version}; only 1.2 is read here`, position: at(0) }];
  checkKeys(document.contents, at, faults);
  return faults;
}

/** Checks every key: it is text, stands once in its map, and is not `__proto__`. */
function checkKeys(top: Node | null, at: (offset: number) => Position, faults: TextFault[]): void {
  const open: (Node | null | undefined)[] = [top];
  for (let node = open.pop(); open.length > 0 || node !== undefined; node = open.pop()) {
    if (isSeq(node)) open.push(...(node.items as Node[]));
    if (!isMap(node)) continue;
    const seen = new Set<string>();
    for (const pair of (node as YAMLMap<ParsedNode, ParsedNode | null>).items) {
      const position = pair.key?.range ? at(pair.key.range[0]) : undefined;
      // A merge (<<) is a symbol, and a map may have several.
      if (isScalar(pair.key) && typeof pair.key.value === "symbol") continue;
      if (
        !isScalar(pair.key) ||
        (typeof pair.key.value !== "string" &&
          typeof pair.key.value !== "number" &&
          typeof pair.key.value !== "boolean")
      ) {
        faults.push({ message: "has a key that is not text", position });
        continue;
      }
      const key = String(pair.key.value);
      if (typeof pair.key.value !== "string" && pair.key.source !== key)
        faults.push({
          message: `has the key ${pair.key.source}, which would become ${key}: put it in quotes`,
          position,
        });
      if (key === "__proto__")
        faults.push({ message: 'has the key "__proto__", which is refused', position });
      if (seen.has(key)) {
        const shown = JSON.stringify(key.slice(0, 64));
        const message = `has the key ${shown} twice in one map; only one of them could count`;
        faults.push({ message, position });
      }
      seen.add(key);
      open.push(pair.value);
    }
  }
}

function locate(
  document: Document.Parsed,
  path: FieldPath,
  atKey: boolean,
  at: (offset: number) => Position,
): Position | undefined {
  let node: Node | null | undefined = document.contents;
  let best: number | undefined = node?.range?.[0];
  let key: number | undefined;
  let found = true;
  for (const part of path) {
    if (isAlias(node)) node = node.resolve(document);
    key = undefined;
    if (isMap(node)) {
      const pair: unknown = node.items.find(
        (one) => isPair(one) && isScalar(one.key) && String(one.key.value) === String(part),
      );
      if (!isPair<ParsedNode, ParsedNode | null>(pair)) {
        found = false;
        break;
      }
      key = pair.key.range?.[0];
      node = pair.value;
    } else if (isSeq(node) && typeof part === "number" && part < node.items.length) {
      node = node.items[part] as Node;
    } else {
      found = false;
      break;
    }
    best = key ?? node?.range?.[0] ?? best;
  }
  const wantsKey = atKey || !found || node === null || isMap(node) || isSeq(node);
  const offset = wantsKey ? best : (node?.range?.[0] ?? best);
  return offset === undefined ? undefined : at(offset);
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** What the parser says of an unquoted text with a colon and a blank, alone and within braces. */
const COLON_FAULTS = [
  "Nested mappings are not allowed",
  "Block collections are not allowed within flow",
];

/** The parser's message, with what to do: for unquoted patterns, texts with colons, and tabs. */
function hinted(message: string, code: string, text: string, offset: number): string {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", offset);
  const line = text.slice(start, end === -1 ? undefined : end);
  const plain = message.replace(/\s+/g, " ").replace(/[.:]? ?$/, "");
  const pattern = /(?:^|[\s{,])(?:- +|[\w-]+: +)(\*[^#{},]*|@[a-z]+)/.exec(line)?.[1]?.trim();
  if (
    pattern !== undefined &&
    (code === "BAD_ALIAS" ||
      code === "BAD_SCALAR_START" ||
      code === "UNEXPECTED_TOKEN" ||
      /alias/i.test(message))
  ) {
    return `a text that starts with ${pattern[0]} must be quoted: write "${pattern}" (${plain})`;
  }
  if (COLON_FAULTS.some((fault) => plain.startsWith(fault)))
    return (
      "a text that holds a colon and a blank must be in quotes, " +
      `or stand on lines of its own below |: ${plain}`
    );
  if (code === "TAG_RESOLVE_FAILED") return `has a tag (!) that is not known here: ${plain}`;
  if (/^\s*\t/.test(line)) return `${plain} (YAML is indented with blanks, never tabs)`;
  return `is not valid YAML: ${plain}`;
}

function jsonFault(text: string, message: string): TextFault {
  const found = /at position (\d+)/.exec(message)?.[1];
  const plain = message
    .replace(/ in JSON at position.*$/, "")
    .replace(/, ".*" is not valid JSON$/s, "")
    .replace(/ \(line.*$/, "");
  // If the engine does not say the place, it shows the text around it, or the text ended too early.
  const token = /^Unexpected token '(.)'/su.exec(message)?.[1];
  const offset =
    found !== undefined
      ? Number(found)
      : token === undefined
        ? text.length
        : firstUnparsed(text, token);
  return { message: `is not valid JSON: ${plain}`, position: positionIn(text, offset) };
}

/**
 * The place at which the engine stumbled over a character. It stumbles over each beginning of the
 * text that holds the place, and over none that does not: so the place is found by halving.
 */
function firstUnparsed(text: string, token: string): number {
  const stumbles = (length: number): boolean => {
    try {
      JSON.parse(text.slice(0, length));
      return false;
    } catch (thrown) {
      return (thrown as Error).message.startsWith(`Unexpected token '${token}'`);
    }
  };
  let whole = 0;
  let broken = text.length;
  while (broken - whole > 1) {
    const middle = Math.floor((whole + broken) / 2);
    if (stumbles(middle)) broken = middle;
    else whole = middle;
  }
  return whole;
}
