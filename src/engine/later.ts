/**
 * A value that somebody may wait for. Its promise is made only then: a thousand runs may be
 * reserved in one turn of the event loop, and nobody waits for most of them before they are made.
 */
export class Later<T> {
  #isThere = false;
  #value: T | undefined = undefined;
  #promise: Promise<T> | undefined = undefined;
  #resolve: ((value: T) => void) | undefined = undefined;

  /** Resolves with the value once it is there. */
  get promise(): Promise<T> {
    return (this.#promise ??= this.#isThere
      ? Promise.resolve(this.#value as T)
      : new Promise((resolve) => (this.#resolve = resolve)));
  }

  /** The value is there. Only the first one counts. */
  set(value: T): void {
    if (this.#isThere) return;
    this.#isThere = true;
    this.#value = value;
    this.#resolve?.(value);
  }
}
