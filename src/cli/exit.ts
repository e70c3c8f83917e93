/**
 * How a command ends: the exit statuses of docs/command-line.md, and the one kind of error that a
 * command throws.
 *
 * A command returns a status or throws a {@link CliError}; daemon/orchd.ts turns either into the
 * process's exit. Whatever else is thrown is a bug, and even that is told in one sentence, without
 * a stack.
 */
import type { NoView } from "../views/no-view.ts";

/** The exit statuses. They are a promise to scripts. */
export const EXIT = {
  /** Done. */
  done: 0,
  /** The work failed: a run ended failed or stopped, a check found faults. */
  failed: 1,
  /** Bad usage, or an invalid file. */
  usage: 2,
  /** No such run or pipeline. */
  unknown: 3,
  /** A daemon is needed and none runs. */
  noDaemon: 4,
  /** The daemon refused, and said why. */
  refused: 5,
} as const;

/** One of {@link EXIT}'s values. */
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a status and one sentence on stderr that says what to do. */
export class CliError extends Error {
  readonly status: ExitStatus;

  constructor(status: ExitStatus, sentence: string) {
    super(sentence);
    this.name = "CliError";
    this.status = status;
  }
}

/** An error for bad usage. */
export function usageError(sentence: string): CliError {
  return new CliError(EXIT.usage, sentence);
}

/** An error for a run or pipeline that does not exist. */
export function unknownError(sentence: string): CliError {
  return new CliError(EXIT.unknown, sentence);
}

/** A view that was given. @throws CliError where there is none, with the status for its kind */
export function seen<T extends { readonly ok: true }>(view: T | NoView): T {
  if (view.ok) return view;
  throw new CliError(view.kind === "unknown" ? EXIT.unknown : EXIT.failed, view.sentence);
}
