/**
 * What goes wrong, as an answer: RFC 9457, with the command line's sentence and exit status, so
 * that a script which knows the one knows the other.
 */
import { STATUS_CODES } from "node:http";
import type { NoPrice } from "../../views/ledger-price.ts";
import type { NoView } from "../../views/no-view.ts";
import { beginning } from "../../core/whole-characters.ts";

/** The type of the document. */
export const PROBLEM_TYPE = "application/problem+json";

/** `application/problem+json`. */
export interface Problem {
  readonly type: "about:blank";
  /** The status in words. */
  readonly title: string;
  readonly status: number;
  /** One sentence that says what to do: that of the command line, where it has one. */
  readonly detail: string;
  /** What the command line would exit with; docs/command-line.md. */
  readonly exitCode: number;
}

/** The command line's exit status for each answer; 1 for all others. */
const EXIT_CODES: Readonly<Record<number, number>> = {
  400: 2,
  401: 5,
  403: 5,
  404: 3,
  405: 5,
  409: 5,
  413: 2,
  415: 2,
  421: 5,
  422: 5,
  431: 2,
};

/** A problem. @param status of HTTP */
export function problem(status: number, detail: string, exitCode?: number): Problem {
  return {
    type: "about:blank",
    title: STATUS_CODES[status] ?? "Error",
    status,
    detail,
    exitCode: exitCode ?? EXIT_CODES[status] ?? 1,
  };
}

/** Ends the making of an answer with a problem in its place. */
export class Refusal extends Error {
  readonly problem: Problem;

  constructor(given: Problem) {
    super(given.detail);
    this.name = "Refusal";
    this.problem = given;
  }
}

/** A refusal. @param status of HTTP */
export function refusal(status: number, sentence: string, exitCode?: number): Refusal {
  return new Refusal(problem(status, sentence, exitCode));
}

/** The view that was asked for. @throws Refusal where it cannot be given */
export function shown<T extends { readonly ok: true }>(view: T | NoView | NoPrice): T {
  if (view.ok) return view;
  throw new Refusal(problemOfView(view));
}

function problemOfView({ kind, sentence }: NoView | NoPrice): Problem {
  switch (kind) {
    case "unknown":
      return problem(404, sentence);
    case "damaged":
      return problem(500, sentence);
    case "unfit":
      // As bad usage: the command line says it of a file.
      return problem(422, sentence, 2);
    case "refused":
      return problem(422, sentence);
  }
}

/** The problem of whatever was thrown: never a stack. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Refusal) return error.problem;
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const said = typeof message === "string" && message !== "" ? message : "it gave no reason";
  if (code === "EACCES" || code === "EPERM")
    return problem(500, `${said}; let the page's user read the runs folder.`);
  if (code === "ENOTDIR") return problem(500, `${said}; name the folder of ledgers with --runs.`);
  if (code === "ENOSPC" || code === "EDQUOT")
    return problem(503, `${said}; make room on that disk, and ask again.`);
  if (code === "EMFILE" || code === "ENFILE")
    return problem(503, "the page may open no further file; raise its limit (LimitNOFILE=).");
  return problem(
    500,
    `${beginning(said, 500)}; \`orchd verify\` says whether the ledgers are whole.`,
  );
}
