/** A promise that is made only when somebody waits for it. */
export class Lazy<T> implements Promise<T> {
  readonly [Symbol.toStringTag] = "Promise";
  readonly #get: () => Promise<T>;

  constructor(get: () => Promise<T>) {
    this.#get = get;
  }

  then<A = T, B = never>(
    onValue?: ((value: T) => A | PromiseLike<A>) | null,
    onError?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#get().then(onValue, onError);
  }

  catch<B = never>(onError?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#get().catch(onError);
  }

  finally(onEnd?: (() => void) | null): Promise<T> {
    return this.#get().finally(onEnd);
  }
}
