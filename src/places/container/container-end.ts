/** What the end of a container says of the command in it. Pure. */
import { constants } from "node:os";
import { FAILURE_CODES, type StepError } from "../../core/failure.ts";
import type { ShellTask } from "../../core/task.ts";
import { exitError, signalError } from "../shell-result.ts";
import type { ContainerState } from "./engine.ts";

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, value]) => [value, name]));

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
  { memoryMb, step = "" }: Pick<ShellTask, "memoryMb" | "step">,
  said: string,
): StepError {
  if (outOfMemory)
    return {
      name: "OutOfMemory",
      message:
        memoryMb === undefined
          ? `step "${step}" was ended by the kernel: this machine has no memory left`
          : `step "${step}" wants more than its limit of ${memoryMb} MiB (resources.memoryMb): ` +
            "raise the limit, or let it hold less at once",
      code: FAILURE_CODES.memory,
      exitStatus: status,
    };
  const signal = SIGNALS.get(status - 128);
  if (signal === undefined) return exitError(status, said);
  const error = { ...signalError(`${signal} (status ${status})`, said), exitStatus: status };
  // Not every engine tells it.
  if (signal !== "SIGKILL" || memoryMb === undefined) return error;
  const perhaps = `; perhaps it wanted more than its ${memoryMb} MiB of memory`;
  return { ...error, message: `${error.message}${perhaps}` };
}

/** The error of a step whose container could not be started, or was lost. */
export function containerError(message: string): StepError {
  return { name: "ContainerError", message, code: FAILURE_CODES.container };
}
