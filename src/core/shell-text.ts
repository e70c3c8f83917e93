/**
 * Finds placeholders in the text of a shell step. Nothing is ever put into that text, and to a
 * shell `${params.name}` is no variable: it ends with "Bad substitution" when the step runs. So it
 * is said when the file is loaded, with what to write.
 *
 * Only what the shell would read as a substitution counts. In single quotes, after a backslash, in
 * a comment and in a here-document whose end is in quotes it is text. In any other here-document
 * quotes and comments are text, and what begins like a placeholder is one.
 */
import type { Fault } from "./fault.ts";

/** Shells that read `${…}` as POSIX says, and have no names with dots. */
const SHELLS = new Set(["sh", "bash", "dash", "ash", "zsh"]);
const PLACEHOLDER = /\$\{\{?\s*([A-Za-z_]\w*)((?:\.[\w-]+)+)\s*\}?\}/y;
const HEREDOC = /<<(-?)[ \t]*((?:'[^'\n]*'|"[^"\n]*"|\\[^\n]|[^\s;&|<>()'"\\])+)/y;

/** Whether a step's text is read by a shell in which placeholders are an error. */
export function readsSubstitutions(shell: readonly string[] | undefined): boolean {
  const program = shell?.[0] ?? "sh";
  return SHELLS.has(program.slice(program.lastIndexOf("/") + 1));
}

/**
 * Every placeholder that the shell would stumble over.
 *
 * @param own the names of the step's params and inputs
 */
export function placeholderFaults(
  text: string,
  own: { readonly params: readonly string[]; readonly inputs: readonly string[] },
): Fault[] {
  const found = new Map<string, string>();
  if (text.includes("${"))
    for (const [all, root, rest] of placeholders(text))
      found.set(all, adviceFor(root, rest.slice(1), own));
  return [...found].map(([all, advice]) => ({
    path: [],
    message: `has ${all.slice(0, 80)}, but nothing is replaced in a shell text: ${advice}`,
  }));
}

function adviceFor(
  root: string,
  name: string,
  own: { readonly params: readonly string[]; readonly inputs: readonly string[] },
): string {
  const dotted = name.includes(".");
  if (root === "params" && !dotted)
    return (
      `write ${variable(`ORCHD_PARAM_${name}`)}` +
      (own.params.includes(name)
        ? ""
        : `, and give the step params: { ${name}: "\${params.${name}}" }`)
    );
  if (root === "inputs" && !dotted)
    return (
      `write ${variable(`ORCHD_INPUT_${name}`)}` +
      (own.inputs.includes(name) ? "" : `, and give the step inputs: { ${name}: STEP }`)
    );
  if (root === "run" && name === "id") return `write ${variable("ORCHD_RUN_ID")}`;
  if (root === "run" && name === "scheduledFor") return `write ${variable("ORCHD_SCHEDULED_FOR")}`;
  if (root === "env" && !dotted) return `write ${variable(name)}`;
  return (
    "params and inputs are in the environment, as $ORCHD_PARAM_name and $ORCHD_INPUT_name, " +
    "and as JSON in the files $ORCHD_PARAMS and $ORCHD_INPUTS"
  );
}

/** How a shell reads a variable. It can name none with a dash in it. */
function variable(name: string): string {
  return name.includes("-") ? `"$(printenv ${name})"` : `"$${name}"`;
}

/** The line that ends a here-document. */
interface DocumentEnd {
  readonly word: string;
  /** Tabs may stand before it (`<<-`). */
  readonly isIndented: boolean;
  /** Nothing in the document is a substitution. */
  readonly isQuoted: boolean;
}

/** Where the text stands: a `$(` begins another one, also in double quotes. */
interface Nesting {
  isDoubleQuoted: boolean;
  /** Parentheses that are open. */
  open: number;
}

/** A placeholder: all of it, its root, and the rest with its first dot. */
type Placeholder = readonly [all: string, root: string, rest: string];

/** The placeholders outside of single quotes, comments and quoted here-documents. */
function* placeholders(text: string): Generator<Placeholder, void> {
  const outer: Nesting[] = [];
  let here: Nesting = { isDoubleQuoted: false, open: 0 };
  /** The ends of here-documents that begin on the next line. */
  const ends: DocumentEnd[] = [];
  const lastClose = text.lastIndexOf("))");
  let arithmeticEnd = -1;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]!;
    if (character === "\\") at += 1;
    else if (character === '"') here.isDoubleQuoted = !here.isDoubleQuoted;
    else if (character === "$") {
      const found = placeholderAt(text, at);
      if (found !== undefined) yield found;
      else if (text[at + 1] === "(" && text[at + 2] !== "(") {
        outer.push(here);
        here = { isDoubleQuoted: false, open: 0 };
        at += 1;
      }
    } else if (here.isDoubleQuoted) continue;
    else if (character === "'") at = after(text, "'", at + 1) - 1;
    else if (character === "#" && /^$|\s|[;&|(]/.test(text[at - 1] ?? ""))
      at = after(text, "\n", at) - 2;
    else if (character === "(") {
      here.open += 1;
      if (text[at + 1] === "(" && at > arithmeticEnd && at < lastClose)
        arithmeticEnd = text.indexOf("))", at);
    } else if (character === ")") {
      if (here.open > 0) here.open -= 1;
      else here = outer.pop() ?? here;
    } else if (character === "<" && at > arithmeticEnd) {
      const [length, end] = redirectionAt(text, at);
      if (end !== undefined) ends.push(end);
      at += length - 1;
    } else if (character === "\n") {
      for (let end = ends.shift(); end !== undefined; end = ends.shift()) {
        const stop = afterDocument(text, at, end);
        if (!end.isQuoted) yield* placeholdersIn(text, at, stop);
        at = stop;
      }
    }
  }
}

/** Those in a here-document: only a backslash keeps one from being read. */
function* placeholdersIn(text: string, from: number, to: number): Generator<Placeholder, void> {
  for (let at = from; at < to; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "$") {
      const found = placeholderAt(text, at);
      if (found !== undefined) yield found;
    }
  }
}

function placeholderAt(text: string, at: number): Placeholder | undefined {
  const match = matchAt(PLACEHOLDER, text, at);
  return match === null ? undefined : [match[0], match[1]!, match[2]!];
}

/** What a `<` begins: how long that is, and the end of the here-document if it is one. */
function redirectionAt(text: string, at: number): readonly [length: number, end?: DocumentEnd] {
  // What follows `<<<` is a word of its own, and no line ends it.
  if (text.startsWith("<<<", at)) return [3];
  const match = matchAt(HEREDOC, text, at);
  if (match === null) return [1];
  const [all, dash, written] = match;
  const word = written!.replace(/\\(.)|['"]/g, "$1");
  const isQuoted = word !== written;
  return [all.length, { word, isIndented: dash === "-", isQuoted }];
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

/** The offset after the next occurrence of a character; the text's end if there is none. */
function after(text: string, character: string, from: number): number {
  const found = text.indexOf(character, from);
  return found === -1 ? text.length + 1 : found + 1;
}

/** The offset of the line feed after the line that ends a here-document. */
function afterDocument(text: string, lineFeed: number, { word, isIndented }: DocumentEnd): number {
  let start = lineFeed + 1;
  while (start < text.length) {
    const next = text.indexOf("\n", start);
    const stop = next === -1 ? text.length : next;
    const line = text.slice(start, stop);
    if ((isIndented ? line.replace(/^\t+/, "") : line) === word) return stop;
    start = stop + 1;
  }
  return text.length;
}
