/**
 * How much memory a task with a memory limit holds, seen from the runner's main thread.
 *
 * A thread itself says what it holds (steps/memory-watch.ts), as long as it can. A thread that is
 * blocked in a loop cannot, and V8 holds its heap to the limit, but not its Buffers. So while a
 * thread is silent, the growth of the process since its last word counts as the thread's own. A
 * slack is taken off for what V8 and the allocator need. Another task in the process may have grown
 * instead: an estimate is no proof.
 *
 * A shell step is its process group: the memory of its processes that is not a file's.
 */
import { readFileSync } from "node:fs";
import { processFolders, processStat } from "../pool/process-stat.ts";

/** Where the group stands in what is said of a process. */
const GROUP = 2;
/** Growth of the process that is no task's fault, in KiB. */
const SLACK_KIB = 64 * 1024;

/** How much a task holds, as far as that is known. */
export interface Held {
  readonly kib: number;
  /** The thread itself said so. Otherwise it is an estimate. */
  readonly certain: boolean;
}

/** Looks at one thread, again and again. */
export class OutsideLook {
  #looks = -1;
  #base = { heldKib: 0, rssKib: 0 };

  /** @param thread what the thread said last, and how often it has spoken */
  look(thread: { readonly heldKib: number; readonly looks: number }, rssKib: number): Held {
    if (thread.looks !== this.#looks) {
      this.#looks = thread.looks;
      this.#base = { heldKib: thread.heldKib, rssKib };
      return { kib: thread.heldKib, certain: true };
    }
    return {
      kib: this.#base.heldKib + Math.max(0, rssKib - this.#base.rssKib - SLACK_KIB),
      certain: false,
    };
  }
}

/** The KiB that the processes of a group hold, files not counted. 0 where there is no /proc. */
export function groupHeldKib(group: number): number {
  let held = 0;
  for (const pid of processFolders()) {
    if (Number(processStat(pid)?.[GROUP]) !== group) continue;
    const status = textOf(`/proc/${pid}/status`);
    for (const name of ["RssAnon", "RssShmem"])
      held += Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  }
  return held;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
