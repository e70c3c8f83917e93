/** Turns, one after the other: who wants one while another is taken waits in line. */
export class Turns {
  #isTaken = false;
  readonly #line: (() => void)[] = [];

  /** Whether somebody has the turn. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** Does something in a turn of its own, once those before it are over. */
  async take<T>(act: () => Promise<T>): Promise<T> {
    if (this.#isTaken) await new Promise<void>((resolve) => this.#line.push(resolve));
    this.begin();
    try {
      return await act();
    } finally {
      this.end();
    }
  }

  /** Takes the turn, which nobody has. It lasts until {@link end}. */
  begin(): void {
    this.#isTaken = true;
  }

  /** The turn is over. */
  end(): void {
    const next = this.#line.shift();
    if (next === undefined) this.#isTaken = false;
    else next();
  }
}
