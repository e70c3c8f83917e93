/**
 * How a command ends: the exit statuses of docs/command-line.md, and the one kind of error that a
 * command throws.
 *
 * A command returns a status or throws a {@link CliError}; entry.ts makes a status of either, and
 * daemon/quick.ts exits with it. Everything else that is thrown is a bug or a Node error: even that
 * is told in one sentence, without a stack.
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

/** Ends a command with a status, and with one sentence on stderr that says what to do. */
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

/** An error for a pipeline whose file is invalid. @param errors what is wrong with it */
export function invalidFile(pipeline: string, errors: readonly string[]): CliError {
  return usageError(`correct the file of ${pipeline} first: ${errors.join("; ")}`);
}

/** An error for a run or pipeline that does not exist. */
export function unknownError(sentence: string): CliError {
  return new CliError(EXIT.unknown, sentence);
}

/** An error for a view that cannot be given. */
export function noViewError({ kind, sentence }: NoView): CliError {
  return new CliError(kind === "unknown" ? EXIT.unknown : EXIT.failed, sentence);
}

/** The view that was asked for. @throws CliError where it cannot be given */
export function seen<T extends { readonly ok: true }>(view: T | NoView): T {
  if (view.ok) return view;
  throw noViewError(view);
}
