/**
 * A system call at which strace kills a process, among those that make things durable.
 *
 * strace counts each call of a set by itself, so naming the set would only ever hit what is called
 * most often: a point is one call, and its number.
 */

/** How far the numbers go. */
export interface KillSpan {
  /** Of writes and syncs of data. */
  readonly often: number;
  /** The calls that are made seldom. */
  readonly calls: readonly string[];
  /** Of those. */
  readonly seldom: number;
}

/**
 * The nth point, for `strace --inject`: a write, a sync of data and a seldom call in turn; over
 * many points each number of each.
 */
export function killPoint(point: number, { often, calls, seldom }: KillSpan): string {
  const round = Math.floor(point / 3);
  const at = (call: string, number: number): string => `${call}:signal=KILL:when=${number}`;
  if (point % 3 === 2)
    return at(calls[round % calls.length]!, 1 + (Math.floor(round / calls.length) % seldom));
  // 37 shares no factor with a span, so that a few points are spread over it and many cover it.
  return at(["pwrite64", "fdatasync"][point % 3]!, 1 + ((round * 37) % often));
}
