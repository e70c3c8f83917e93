/**
 * What a worker has heard of tasks, also of those that it does not hold any more: an engine may
 * give a message late, and twice. Ids are never used again, so what is known stays true.
 *
 * It is bounded. What is forgotten was heard so long before that no lease reaches so far.
 */

/** How many tasks are remembered. */
const KEPT = 10_000;

/** Remembers tasks. */
export class KnownTasks {
  /** By id, the one that was heard of first first: whether it was let begin. */
  readonly #known = new Map<string, boolean>();

  /** Something is heard of a task. @returns whether it is the first */
  hear(id: string): boolean {
    if (this.#known.has(id)) return false;
    this.#add(id, false);
    return true;
  }

  /** The daemon let a task begin. */
  begins(id: string): void {
    this.#add(id, true);
  }

  /** Whether the daemon has let a task begin. */
  hasBegun(id: string): boolean {
    return this.#known.get(id) === true;
  }

  #add(id: string, begun: boolean): void {
    if (this.#known.size >= KEPT && !this.#known.has(id))
      this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(id, begun);
  }
}
