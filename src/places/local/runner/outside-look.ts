/**
 * What a piece of work with a memory limit holds, seen from the runner's main thread.
 *
 * A thread says itself what it holds (steps/memory-watch.ts), as long as it comes to look. One that
 * is blocked in a loop does not; V8 holds its heap to the limit, but not its Buffers. So while it
 * is silent, what the process has grown by since its last word counts as its own, above a slack for
 * what V8 and the allocator need. Others in the process may have grown instead: such an estimate is
 * no proof.
 *
 * A shell step is its process group: what its processes hold of memory that is not a file's.
 */
import { readdirSync, readFileSync } from "node:fs";

/** Growth of the process that is nobody's fault. */
const SLACK_KIB = 64 * 1024;

/** What is known of what it holds. */
export interface Held {
  readonly kib: number;
  /** It is the thread's own word; else an estimate. */
  readonly certain: boolean;
}

/** Looks at one thread again and again. */
export class OutsideLook {
  #looks = -1;
  #base = { heldKib: 0, rssKib: 0 };

  /** @param thread what the thread said last, and how often it has said anything */
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

/**
 * KiB that the processes of a group hold, files and what is shared with them not counted; 0 where
 * there is no /proc.
 */
export function groupHeldKib(group: number): number {
  let held = 0;
  for (const pid of processes()) {
    const stat = textOf(`/proc/${pid}/stat`);
    // The name in parentheses may hold anything: what follows is counted from its end.
    if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]) !== group) continue;
    const status = textOf(`/proc/${pid}/status`);
    for (const name of ["RssAnon", "RssShmem"])
      held += Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  }
  return held;
}

function processes(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d/.test(name));
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
