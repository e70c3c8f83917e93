/** Many moments, in eight bytes each. Most come in order, so that sorting them costs nothing. */
export class Times {
  #list: number[] = [];
  #sorted = true;

  /** Adds a moment, in milliseconds since 1970. */
  add(time: number): void {
    const last = this.#list.at(-1);
    if (last === time) return;
    if (last !== undefined && last > time) this.#sorted = false;
    this.#list.push(time);
  }

  /** Whether a moment was added. */
  has(time: number): boolean {
    if (!this.#sorted) {
      this.#list.sort((a, b) => a - b);
      this.#sorted = true;
    }
    let [low, high] = [0, this.#list.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#list[middle]! < time) low = middle + 1;
      else high = middle;
    }
    return this.#list[low] === time;
  }
}
