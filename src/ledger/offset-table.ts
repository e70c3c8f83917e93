/**
 * A map from 32 bits of a key to offsets in a file, at 8 bytes an entry: an index of a million
 * entries must not cost the daemon 100 MB.
 *
 * It is open addressing over two typed arrays. Different keys can have the same bits, so the caller
 * compares the key in the file.
 */
export class OffsetTable {
  #bits = new Uint32Array(1_024);
  /** The offset plus 1; 0: free. */
  #offsets = new Uint32Array(1_024);
  #size = 0;

  /** How many entries there are. */
  get size(): number {
    return this.#size;
  }

  /** Of the offsets with these bits the one that `matches`, or -1. */
  find(bits: number, matches: (offset: number) => boolean): number {
    const slot = this.#slotOf(bits, matches);
    return this.#offsets[slot]! - 1;
  }

  /**
   * Sets the offset of the key that `matches` recognizes, and replaces its old one. @param offset
   * below 2^32 - 1
   */
  set(bits: number, offset: number, matches: (offset: number) => boolean): void {
    const slot = this.#slotOf(bits, matches);
    if (this.#offsets[slot] === 0) this.#size += 1;
    this.#bits[slot] = bits;
    this.#offsets[slot] = offset + 1;
    if (this.#size * 2 > this.#bits.length) this.#grow();
  }

  #slotOf(bits: number, matches: (offset: number) => boolean): number {
    const mask = this.#bits.length - 1;
    let slot = bits & mask;
    while (
      this.#offsets[slot] !== 0 &&
      !(this.#bits[slot] === bits && matches(this.#offsets[slot]! - 1))
    )
      slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const bits = this.#bits;
    const offsets = this.#offsets;
    this.#bits = new Uint32Array(bits.length * 2);
    this.#offsets = new Uint32Array(bits.length * 2);
    bits.forEach((value, index) => {
      if (offsets[index] === 0) return;
      const slot = this.#slotOf(value, () => false);
      this.#bits[slot] = value;
      this.#offsets[slot] = offsets[index]!;
    });
  }
}
