/**
 * Starting a process or a thread where the machine may have none left, or no memory or descriptor
 * for one. That says nothing of the program, and nothing of it has begun: what needs one waits.
 *
 * Node tells of some of these errors by an event and throws the others, as it does with ENOMEM. A
 * process that was not started may have no pipes.
 */
import type { ChildProcess } from "node:child_process";
import { errorCode, lacksDescriptor, whatRanOut } from "./disk-error.ts";
import { RETRY_MS } from "./until-room.ts";

const LACKS: Readonly<Record<string, string>> = {
  EAGAIN: "the machine starts no more processes (see TasksMax= in the unit, ulimit -u)",
  ENOMEM: "the machine has no memory for another process",
  ERR_WORKER_INIT_FAILED:
    "the machine starts no more threads (see TasksMax= in the unit, ulimit -u)",
};

/** Whether an error of starting a process or a thread may be gone the next time. */
export function startsLater(error: unknown): boolean {
  return (errorCode(error) ?? "") in LACKS || lacksDescriptor(error);
}

/** What the machine lacks, where {@link startsLater} holds: a clause. */
export function whatLacks(error: unknown): string {
  return LACKS[errorCode(error) ?? ""] ?? whatRanOut(error);
}

/** Who waits for a process. */
export interface StartWaiter {
  /** Whether it is still wanted. */
  isWanted(): boolean;
  /** Called once, if it has to be waited for. @param because a clause */
  waits?(because: string): void;
}

/**
 * Starts a process once the machine can. The first try is made at once.
 *
 * @throws what `start` throws, or a Node error, where the fault is another, or where nobody wants
 *   the process any more
 */
export async function startedProcess<T extends ChildProcess>(
  start: () => T,
  waiter: StartWaiter,
): Promise<T> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      const child = start();
      if (child.pid === undefined) await new Promise((_, reject) => void child.on("error", reject));
      return child;
    } catch (error) {
      if (!startsLater(error) || !waiter.isWanted()) throw error;
      if (isFirst) waiter.waits?.(whatLacks(error));
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      if (!waiter.isWanted()) throw error;
    }
  }
}
