import { defined } from "./defined.ts";

/**
 * What a ledger keeps of an error: enough to read it, to match a retry policy, and to see whose
 * fault it was.
 */
export interface StepError {
  readonly name: string;
  readonly message: string;
  /** The error's own code (`ECONNRESET`), or one of orchd's, which begin with `ORCHD_`. */
  readonly code?: string | undefined;
  readonly stack?: string | undefined;
}

/** The codes that orchd itself gives to a step's error. docs/pipeline-files.md documents each. */
export const FAILURE_CODES = {
  timeout: "ORCHD_STEP_TIMEOUT",
  runTimeout: "ORCHD_RUN_TIMEOUT",
  memory: "ORCHD_OUT_OF_MEMORY",
  runnerDied: "ORCHD_RUNNER_DIED",
  workerExit: "ORCHD_WORKER_EXIT",
  exitStatus: "ORCHD_EXIT_STATUS",
  signal: "ORCHD_SIGNAL",
  output: "ORCHD_BAD_OUTPUT",
  input: "ORCHD_BAD_INPUT",
  load: "ORCHD_STEP_LOAD",
  dependency: "ORCHD_FILE_DEPENDENCY",
  nondeterministic: "ORCHD_NONDETERMINISTIC",
  submission: "ORCHD_SUBMISSION",
  hook: "ORCHD_HOOK",
} as const;

/** Turns any thrown value (an Error, a string, null) into a {@link StepError}. Never throws. */
export function toStepError(thrown: unknown): StepError {
  if (thrown !== null && typeof thrown === "object") {
    const { name, message, code, stack } = thrown as Record<string, unknown>;
    return {
      name: typeof name === "string" && name !== "" ? name : "Error",
      message: typeof message === "string" ? message : describeThrown(thrown),
      ...(typeof code === "string" || typeof code === "number" ? { code: String(code) } : {}),
      ...(typeof stack === "string" ? { stack } : {}),
    };
  }
  return { name: "Error", message: `the step threw ${describeThrown(thrown)} instead of an Error` };
}

/** How much of an error's message, and of its stack, a ledger keeps: UTF-16 code units. */
export const ERROR_CHARACTERS = 8_192;

/** Shortens an error's message and stack so that they fit into a ledger's line. */
export function clipError(error: StepError): StepError {
  const { message, stack } = error;
  return {
    ...error,
    message: message.slice(0, ERROR_CHARACTERS),
    ...defined({ stack: stack?.slice(0, ERROR_CHARACTERS) }),
  };
}

function describeThrown(thrown: unknown): string {
  try {
    // Undefined, functions and symbols have no JSON.
    const text = JSON.stringify(thrown) as string | undefined;
    return text ?? String(thrown);
  } catch {
    return Object.prototype.toString.call(thrown);
  }
}
