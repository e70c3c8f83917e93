/**
 * The steps that wait for room no longer than a limit (`startWithin`), by when their wait is over:
 * a binary heap. A run may have ten thousand of them, and each plan asks which are due.
 *
 * A step whose end changes gets a new entry. The old entry is passed over: `#ends` has another time
 * for that step.
 */

interface Entry {
  readonly end: number;
  readonly step: string;
}

/** How many entries may be old ones, beside as many as there are steps. */
const SPARE = 64;

/** When each wait is over, in milliseconds since 1970. */
export class StartLimits {
  #entries: Entry[] = [];
  readonly #ends = new Map<string, number>();

  /** How many steps wait. */
  get size(): number {
    return this.#ends.size;
  }

  /** A step waits until then. */
  set(step: string, end: number): void {
    this.#ends.set(step, end);
    if (this.#entries.length > 2 * this.#ends.size + SPARE) this.#rebuild();
    else this.#push({ end, step });
  }

  /** A step waits no more. */
  delete(step: string): void {
    this.#ends.delete(step);
  }

  /** The run begins: what waited for that has its whole limit from now on. */
  begin(at: number, limitOf: (step: string) => number): void {
    for (const [step, end] of this.#ends) this.#ends.set(step, Math.max(end, at + limitOf(step)));
    this.#rebuild();
  }

  /**
   * The steps whose wait is over, and when the next one's is. It costs what is due.
   *
   * @returns the earliest first; `next` is Infinity if no other step waits
   */
  over(now: number): { readonly steps: readonly string[]; readonly next: number } {
    this.#dropOld();
    const found: Entry[] = [];
    let next = Number.POSITIVE_INFINITY;
    const look = [0];
    for (const at of look) {
      const entry = this.#entries[at];
      if (entry === undefined) continue;
      if (entry.end > now) next = Math.min(next, entry.end);
      else {
        if (this.#isNewest(entry)) found.push(entry);
        look.push(2 * at + 1, 2 * at + 2);
      }
    }
    return { steps: found.sort((a, b) => a.end - b.end).map(({ step }) => step), next };
  }

  #isNewest({ end, step }: Entry): boolean {
    return this.#ends.get(step) === end;
  }

  #rebuild(): void {
    // A sorted list is a heap.
    this.#entries = Array.from(this.#ends, ([step, end]) => ({ end, step }));
    this.#entries.sort((a, b) => a.end - b.end);
  }

  #dropOld(): void {
    while (this.#entries.length > 0 && !this.#isNewest(this.#entries[0]!)) this.#pop();
  }

  #push(entry: Entry): void {
    const entries = this.#entries;
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (entries[parent]!.end <= entry.end) break;
      entries[at] = entries[parent]!;
      at = parent;
    }
    entries[at] = entry;
  }

  #pop(): void {
    const entries = this.#entries;
    const last = entries.pop()!;
    if (entries.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && entries[child + 1]!.end < entries[child]!.end) child += 1;
      if (entries[child]!.end >= last.end) break;
      entries[at] = entries[child]!;
      at = child;
    }
    entries[at] = last;
  }
}
