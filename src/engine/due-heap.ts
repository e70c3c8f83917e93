/**
 * Which pipeline is due next: a binary heap, because there may be ten thousand pipelines. It is not
 * the heap of due-window.ts: one that is given an order costs a fifth more at each step.
 *
 * A pipeline whose due time changes gets a new entry. The old entry is dropped when it comes up:
 * `#due` has another time for that pipeline.
 */
export class DueHeap {
  readonly #entries: { readonly due: number; readonly key: string }[] = [];
  readonly #due = new Map<string, number>();

  /** How many keys have a due time. */
  get size(): number {
    return this.#due.size;
  }

  /** Sets when a key is due, in milliseconds since 1970; undefined: never. */
  set(key: string, due: number | undefined): void {
    if (due === undefined) {
      this.#due.delete(key);
      return;
    }
    if (this.#due.get(key) === due) return;
    this.#due.set(key, due);
    this.#push({ due, key });
  }

  /** When the first key is due; undefined if none is. */
  first(): number | undefined {
    this.#dropStale();
    return this.#entries[0]?.due;
  }

  /** Removes and returns every key that is due at or before `now`, the earliest first. */
  take(now: number): string[] {
    const keys: string[] = [];
    for (;;) {
      this.#dropStale();
      const first = this.#entries[0];
      if (first === undefined || first.due > now) return keys;
      this.#pop();
      this.#due.delete(first.key);
      keys.push(first.key);
    }
  }

  #dropStale(): void {
    for (
      let first = this.#entries[0];
      first !== undefined && this.#due.get(first.key) !== first.due;
      first = this.#entries[0]
    )
      this.#pop();
  }

  #push(entry: { readonly due: number; readonly key: string }): void {
    const entries = this.#entries;
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (entries[parent]!.due <= entry.due) break;
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
      if (child + 1 < entries.length && entries[child + 1]!.due < entries[child]!.due) child += 1;
      if (entries[child]!.due >= last.due) break;
      entries[at] = entries[child]!;
      at = child;
    }
    entries[at] = last;
  }
}
