/**
 * A system call at which strace kills a process. It is one of the calls that make data durable.
 *
 * A point is one call and its number. strace counts each call of a set by itself: naming the whole
 * set would only hit the call that comes most often.
 */

/** How far the numbers of the calls go. */
export interface KillSpan {
  /** The highest number of a write and of a sync of data. */
  readonly often: number;
  /** The calls that are rare. */
  readonly calls: readonly string[];
  /** The highest number of a rare call. */
  readonly seldom: number;
}

/**
 * The nth point, for `strace --inject`: in turn a write, a sync of data and a rare call. Many
 * points cover each number of each call.
 */
export function killPoint(point: number, { often, calls, seldom }: KillSpan): string {
  const round = Math.floor(point / 3);
  const at = (call: string, number: number): string => `${call}:signal=KILL:when=${number}`;
  if (point % 3 === 2)
    return at(calls[round % calls.length]!, 1 + (Math.floor(round / calls.length) % seldom));
  // 37 shares no factor with a span: a few points are spread over the span, and many cover it.
  return at(["pwrite64", "fdatasync"][point % 3]!, 1 + ((round * 37) % often));
}
