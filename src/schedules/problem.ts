/**
 * A problem with a file, ready to be shown: the file, the place in its text, the field, what is
 * wrong and what to do.
 */
import { defined } from "../core/defined.ts";
import { formatPath, type Fault } from "../core/fault.ts";

/** A quoted text. All are matched: what stands between two of them is no quoted text. */
const QUOTED = /"(?:[^"\\]|\\.)*"/gu;
/** The beginning of a quoted text that is longer than a sentence bears. */
const LONG_TEXT = /^("(?:[^"\\]|\\.){100})(?:[^"\\]|\\.)+"$/u;

/** A problem with a file. */
export interface Problem {
  readonly file: string;
  /** Counts from 1. */
  readonly line?: number;
  /** Counts from 1. */
  readonly column?: number;
  /** The place in the value: `steps.read.retry`. */
  readonly field?: string;
  /** A sentence; with `field` the rest of a sentence that begins with it. */
  readonly message: string;
}

/** A place in a text; both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The place of the character at `offset` in a text. */
export function positionIn(text: string, offset: number): Position {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: before[before.length - 1]!.length + 1 };
}

/**
 * A problem as one sentence with file, line and column, and without control characters:
 * `schedules/x.yaml:3:5: schedule.cronn is not known here; did you mean "cron"?`
 */
export function formatProblem(problem: Problem): string {
  const place =
    problem.line === undefined
      ? problem.file
      : `${problem.file}:${problem.line}:${problem.column ?? 1}`;
  const message = problem.message.replace(QUOTED, (text) => text.replace(LONG_TEXT, '$1…"'));
  return printable(`${place}: ${problem.field === undefined ? "" : `${problem.field} `}${message}`);
}

/** Makes a problem of a fault whose position is known. */
export function problemOf(file: string, fault: Fault, position: Position | undefined): Problem {
  const field = formatPath(fault.path);
  return {
    file,
    ...defined({
      line: position?.line,
      column: position?.column,
      field: field === "" ? undefined : field,
    }),
    message: fault.message,
  };
}

/**
 * A text in which control characters are written out and line breaks are blanks, so that it stays
 * one line on any terminal.
 */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (character) =>
      character === "\n" ? " " : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
