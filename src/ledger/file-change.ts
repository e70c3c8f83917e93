/**
 * The creation or the rotation of a ledger's file. One is under way at a time, and what is appended
 * meanwhile waits for it. Those who wait hear of no failure: they try again, and meet it then.
 */
export class FileChange {
  #settled: Promise<void> | undefined;

  /** Resolves when the present change is over, however it ends; undefined: there is none. */
  get underWay(): Promise<void> | undefined {
    return this.#settled;
  }

  /** Makes a change. @throws what `act` throws */
  async make(act: () => Promise<void>): Promise<void> {
    const change = act();
    this.#settled = change
      .catch(() => undefined)
      .finally(() => {
        this.#settled = undefined;
      });
    await this.#settled;
    await change;
  }
}
