import { toStepError, type StepError } from "../core/failure.ts";

/** What is found wrong with a step before it runs, with one of orchd's codes. */
export class PreparationError extends Error {
  readonly code: string;
  constructor(name: string, code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = name;
    this.code = code;
  }
}

/** What the ledger keeps of what made a preparation fail. */
export function asError(error: unknown): StepError {
  // The stack is orchd's own, and says nothing to the user.
  const { stack: _stack, cause, ...rest } = toStepError(error);
  return cause === undefined ? rest : { ...rest, cause: asError(cause) };
}
