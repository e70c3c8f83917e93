import type { DeathInfo } from "../place.ts";

/** A task whose runner died. */
interface Lost {
  /** Defined for a step that was begun ahead of a free thread. */
  readonly ahead?: number | undefined;
  /** Its thread had come to it, as the runner said last. */
  readonly begun?: boolean;
}

/**
 * Those of a dead runner's tasks that may be to blame, in the order in which they were given.
 *
 * A step that was begun ahead waits in its thread, and only the first of a thread works. The runner
 * said with its last answers which these are. What its threads came to after that nobody knows. So
 * where fewer are known than there are threads for such steps, the oldest count too. The others
 * start again singly, and if one of them ends its runner there, all in that are suspects: so what
 * is not known here costs one more death, and never a step that did nothing.
 *
 * @param threads how many threads work on steps that were begun ahead
 */
export function suspectsAmong<T extends Lost>(lost: readonly T[], threads: number): Set<T> {
  const suspects = new Set(lost.filter(({ ahead, begun }) => ahead === undefined || begun));
  let known = lost.filter(({ ahead, begun }) => ahead !== undefined && begun).length;
  for (const task of lost) {
    if (known >= threads) break;
    if (suspects.has(task)) continue;
    suspects.add(task);
    known += 1;
  }
  return suspects;
}

/** What each of a dead runner's tasks is told of blame ({@link suspectsAmong}). */
export function blameAmong<T extends Lost>(
  lost: readonly T[],
  threads: number,
  inFlight: readonly string[],
): (task: T) => Pick<DeathInfo, "inFlight" | "behind"> {
  const suspects = suspectsAmong(lost, threads);
  return (task) => (suspects.has(task) ? { inFlight } : { inFlight, behind: true });
}
