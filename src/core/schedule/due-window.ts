/**
 * The slots of a track with jitter, in the order in which they are due.
 *
 * A slot is due up to its jitter later than it is. So every slot of that stretch has to be looked
 * at to know which one is due first: with a day of jitter on a schedule of every second, 86,400.
 * The window keeps those that are not due yet, as a heap. Where questions come in the order of
 * time, each slot is looked at once.
 */

/** A slot and when it is due, in milliseconds since 1970. */
interface Timed {
  readonly slot: number;
  readonly due: number;
}

/** The slots that are due after a moment. */
export class DueWindow<T extends Timed> {
  readonly #reach: number;
  readonly #slots: Iterator<T, void>;
  readonly #byDue: (a: T, b: T) => number;
  /** The next slot that is not in the heap. */
  #ahead: T | undefined;
  readonly #heap: T[] = [];
  #after: number;

  /**
   * @param slots the slots in their own order, from the first that can be due after `after`
   * @param reach the longest time from a slot until it is due, in milliseconds
   */
  constructor(
    slots: Iterator<T, void>,
    after: number,
    reach: number,
    byDue: (a: T, b: T) => number,
  ) {
    this.#slots = slots;
    this.#after = after;
    this.#reach = reach;
    this.#byDue = byDue;
    this.#goOn();
  }

  /**
   * Moves on: slots that are due by then do not count any more.
   *
   * @returns false if this window cannot: the moment is past, or so far ahead that a new window
   *   costs less
   */
  moveTo(after: number): boolean {
    if (after < this.#after) return false;
    if (this.#ahead !== undefined && this.#ahead.slot <= after - this.#reach) return false;
    this.#after = after;
    while (this.#heap.length > 0 && this.#heap[0]!.due <= after) this.#pop();
    return true;
  }

  /** The slot that is due first. @param until slots after this instant are not looked at */
  first(until: number): T | undefined {
    for (
      let slot = this.#ahead;
      slot !== undefined && slot.slot <= until && slot.slot <= (this.#heap[0]?.due ?? Infinity);
      slot = this.#goOn()
    )
      if (slot.due > this.#after) this.#push(slot);
    return this.#heap[0];
  }

  /** Takes the first slot out. */
  take(): void {
    this.#after = this.#heap[0]!.due;
    this.#pop();
  }

  #goOn(): T | undefined {
    const { value } = this.#slots.next();
    return (this.#ahead = value ?? undefined);
  }

  #push(slot: T): void {
    const heap = this.#heap;
    let at = heap.push(slot) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (this.#byDue(heap[above]!, slot) <= 0) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = slot;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && this.#byDue(heap[below + 1]!, heap[below]!) < 0) below += 1;
      if (this.#byDue(heap[below]!, last) >= 0) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
  }
}
