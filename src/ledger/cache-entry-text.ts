/**
 * The lines of the cache's index, as text. In a fan-out hundreds differ in the step alone, so what
 * the last one had in common with the next is made once: `JSON.stringify` of each whole entry, and
 * counting its bytes, take three times as long.
 */

/** A text as JSON, and how many bytes that takes. */
interface Quoted {
  readonly of: string;
  readonly json: string;
  readonly bytes: number;
}

const quote = (of: string): Quoted => {
  const json = JSON.stringify(of);
  return { of, json, bytes: Buffer.byteLength(json) };
};

/** Makes lines, and keeps what the last one was made of. */
export class CacheEntryText {
  #run = quote("");
  #at = quote("");
  /** How many bytes the last line has. */
  bytes = 0;

  /**
   * The line of an entry, with its line feed.
   *
   * @param key hex digits
   * @param prev the offset of the entry before it with the same key; -1 if there is none
   */
  line(key: string, run: string, step: string, at: string, prev: number): string {
    if (run !== this.#run.of) this.#run = quote(run);
    if (at !== this.#at.of) this.#at = quote(at);
    const name = JSON.stringify(step);
    const [head, tail] = [`{"key":"${key}","run":`, `,"prev":${prev}}\n`];
    this.bytes =
      head.length +
      this.#run.bytes +
      `,"step":`.length +
      Buffer.byteLength(name) +
      `,"at":`.length +
      this.#at.bytes +
      tail.length;
    return `${head}${this.#run.json},"step":${name},"at":${this.#at.json}${tail}`;
  }
}
