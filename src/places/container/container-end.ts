/** What the end of a container says of the command in it. Pure. */
import type { ContainerSpec, ImageContainer } from "../../core/container.ts";
import { FAILURE_CODES, toStepError, type StepError } from "../../core/failure.ts";
import type { ShellTask, TaskResult } from "../../core/task.ts";
import { NotGivable } from "../shell-environment.ts";
import { exitError, SIGNAL_NAMES, signalError } from "../shell-result.ts";
import { EngineError, type ContainerState } from "./engine.ts";

/**
 * The error of a command that ended with a status that is not 0.
 *
 * A shell says of a process that a signal ended: 128 and the signal's number. So does the small
 * init of a container, and so does a command that chooses this status itself: they cannot be told
 * apart. The error has both, the signal's code and the status.
 *
 * @param said the last line on stderr
 */
export function endError(
  status: number,
  { outOfMemory }: Pick<ContainerState, "outOfMemory">,
  { memoryMb, step = "", container }: Pick<ShellTask, "memoryMb" | "step" | "container">,
  said: string,
): StepError {
  if (outOfMemory)
    return {
      name: "OutOfMemory",
      message:
        memoryMb === undefined
          ? `step "${step}" was ended by the kernel: ${whyNoMemory(container)}`
          : `step "${step}" wants more than its limit of ${memoryMb} MiB (resources.memoryMb): ` +
            "raise the limit, or let it hold less at once",
      code: FAILURE_CODES.memory,
      exitStatus: status,
    };
  const signal = SIGNAL_NAMES.get(status - 128);
  if (signal === undefined) return exitError(status, said);
  const error = { ...signalError(`${signal} (status ${status})`, said), exitStatus: status };
  // Not every engine tells it.
  if (signal !== "SIGKILL" || memoryMb === undefined) return error;
  const perhaps = `; perhaps it wanted more than its ${memoryMb} MiB of memory`;
  return { ...error, message: `${error.message}${perhaps}` };
}

function whyNoMemory(container: ContainerSpec | undefined): string {
  const options = container?.image === undefined ? [] : container.options;
  const limit = options.findIndex((option) => /^(--memory|-m)(=|$)/.test(option));
  if (limit === -1) return "this machine has no memory left";
  const word = /=/.test(options[limit]!)
    ? options[limit]
    : options.slice(limit, limit + 2).join(" ");
  return `it wants more than its container may have (container.options: ${word})`;
}

/** What the small inits of containers say where they cannot begin the program. */
const INIT_FAULT = new RegExp(
  "(?:\\[FATAL tini \\(\\d+\\)\\] exec \\S+ failed|" +
    "ERROR \\(catatonit:\\d+\\): failed to exec pid1): (.+)$",
);

/**
 * Why nothing of a step ran in its container, in a sentence.
 *
 * @param said the last line on stderr
 */
export function initFault(
  said: string,
  { image, entrypoint = [] }: Pick<ImageContainer, "image" | "entrypoint">,
  [shell = "/bin/sh"]: readonly string[],
): string | undefined {
  const [, why] = INIT_FAULT.exec(said) ?? [];
  if (why === undefined) return undefined;
  const [program = shell] = entrypoint;
  if (/exec format/i.test(why)) return otherProcessor(image);
  if (/no such file|not found/i.test(why))
    return `the image ${image} has no ${program}: name another one by shell, or by entrypoint`;
  return `${program} of the image ${image} could not be run: ${why}`;
}

/** That the programs of an image are none of this machine's. */
export function otherProcessor(image: string): string {
  return (
    `the image ${image} is for another kind of processor than this machine has: choose one for ` +
    "this machine, or see container.platform"
  );
}

/** The error of a step whose container could not be started, or was lost. */
export function containerError(message: string): StepError {
  return { name: "ContainerError", message, code: FAILURE_CODES.container };
}

/** That an attempt was told to end. */
export interface Ending {
  readonly outcome: "stopped" | "timeout";
  readonly because: string;
  readonly forced: boolean;
}

/** The result of an attempt that was told to end. */
export function endedResult({ outcome, because }: Ending): TaskResult {
  if (outcome === "stopped")
    return { ok: false, outcome, error: { name: "Stopped", message: because } };
  return {
    ok: false,
    outcome,
    error: {
      name: "TimeoutError",
      message: `${because}: raise it (timeout), or find what holds it up`,
      code: FAILURE_CODES.timeout,
    },
  };
}

/**
 * The result of an attempt that may have been told to end. A command whose time was up was too
 * late, whatever it ended with. One that was stopped and ended well all the same is done.
 */
export function toldResult(result: TaskResult, ending: Ending | undefined): TaskResult {
  if (ending === undefined || (ending.outcome === "stopped" && result.ok)) return result;
  return endedResult(ending);
}

/** What went wrong as an attempt was begun or watched. */
export function errorOf(error: unknown): StepError {
  if (error instanceof EngineError) return containerError(error.message);
  if (error instanceof NotGivable)
    return containerError(`the command could not be started: ${error.message}`);
  return toStepError(error);
}
