/** Lets a few act at a time; the others wait in line. */
export class FewAtOnce {
  #left: number;
  readonly #line: (() => void)[] = [];

  /** @param most how many may act at a time */
  constructor(most: number) {
    this.#left = most;
  }

  /** Does something once it may, and lets the next one act when that is over. */
  async take<T>(act: () => Promise<T>): Promise<T> {
    if (this.#left > 0) this.#left -= 1;
    else await new Promise<void>((resolve) => this.#line.push(resolve));
    try {
      return await act();
    } finally {
      const next = this.#line.shift();
      if (next === undefined) this.#left += 1;
      else next();
    }
  }
}
