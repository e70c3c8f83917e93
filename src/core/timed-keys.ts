/**
 * Keys, each with a time: a binary heap, because there may be ten thousand of them. Pipelines wait
 * in one for their next slot, and steps for the end of their wait for room.
 *
 * States of an entry: in force (`#entries` has it under its key) -> old (its key was given another
 * time, or deleted). An old entry stays in the heap until it comes up, or until more than half of
 * the heap is old: then the heap is made again, so it does not grow with the changes.
 *
 * It is not the heap of due-window.ts: one that is given an order costs a fifth more at each step.
 */

interface Entry {
  readonly key: string;
  readonly time: number;
}

/** How many entries may be old, beside as many as there are keys. */
const SPARE = 64;

/** Keys in the order of their times. Times are milliseconds since 1970. */
export class TimedKeys {
  #heap: Entry[] = [];
  readonly #entries = new Map<string, Entry>();

  /** How many keys have a time. */
  get size(): number {
    return this.#entries.size;
  }

  /** Gives a key a time; a time that it had before counts no more. */
  set(key: string, time: number): void {
    if (this.#entries.get(key)?.time === time) return;
    const entry = { key, time };
    this.#entries.set(key, entry);
    if (this.#heap.length > 2 * this.#entries.size + SPARE) this.#rebuild();
    else this.#push(entry);
  }

  /** A key has no time any more. */
  delete(key: string): void {
    this.#entries.delete(key);
  }

  /** Gives every key the time that `later` says. */
  move(later: (key: string, time: number) => number): void {
    for (const { key, time } of this.#entries.values())
      this.#entries.set(key, { key, time: later(key, time) });
    this.#rebuild();
  }

  /** The earliest time; undefined if no key has one. */
  first(): number | undefined {
    this.#dropOld();
    return this.#heap[0]?.time;
  }

  /** Removes and returns every key whose time is at or before `now`, the earliest first. */
  take(now: number): string[] {
    const keys: string[] = [];
    for (;;) {
      this.#dropOld();
      const first = this.#heap[0];
      if (first === undefined || first.time > now) return keys;
      this.#pop();
      this.#entries.delete(first.key);
      keys.push(first.key);
    }
  }

  /**
   * The keys whose time is at or before `now`, which stay, the earliest first. It costs what is
   * over.
   *
   * @returns `next`: no other key has a time before it; Infinity if there is none
   */
  over(now: number): { readonly keys: readonly string[]; readonly next: number } {
    this.#dropOld();
    const found: Entry[] = [];
    let next = Number.POSITIVE_INFINITY;
    const look = [0];
    for (const at of look) {
      const entry = this.#heap[at];
      if (entry === undefined) continue;
      if (entry.time > now) next = Math.min(next, entry.time);
      else {
        if (this.#isInForce(entry)) found.push(entry);
        look.push(2 * at + 1, 2 * at + 2);
      }
    }
    return { keys: found.sort((a, b) => a.time - b.time).map(({ key }) => key), next };
  }

  #isInForce(entry: Entry): boolean {
    return this.#entries.get(entry.key) === entry;
  }

  #dropOld(): void {
    while (this.#heap.length > 0 && !this.#isInForce(this.#heap[0]!)) this.#pop();
  }

  #rebuild(): void {
    // A sorted list is a heap.
    this.#heap = [...this.#entries.values()].sort((a, b) => a.time - b.time);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.time <= entry.time) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.time < heap[child]!.time) child += 1;
      if (heap[child]!.time >= last.time) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
