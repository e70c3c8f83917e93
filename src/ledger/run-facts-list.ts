/**
 * Facts of many runs, kept as columns: a run takes some thirty bytes and its name. A pipeline may
 * have hundreds of thousands of runs. They come in parts whose size is known, a month each: columns
 * that grow would leave as much behind as they hold.
 */
import type { ArtifactFacts } from "./removable-list.ts";
import type { RunFacts, RunFactsByIndex } from "./retention.ts";

/** Some runs, in the order in which they were added. */
class Part {
  /** The index of its first run in the whole list. */
  readonly from: number;
  length = 0;
  readonly #names: string[] = [];
  readonly #stamps: Float64Array;
  /** NaN: it has not ended. */
  readonly #ends: Float64Array;
  readonly #bytes: Float64Array;
  readonly #scheduled: Uint8Array;
  readonly #damaged = new Set<number>();
  readonly #artifacts = new Map<number, readonly ArtifactFacts[]>();

  constructor(from: number, size: number) {
    this.from = from;
    this.#stamps = new Float64Array(size);
    this.#ends = new Float64Array(size);
    this.#bytes = new Float64Array(size);
    this.#scheduled = new Uint8Array(size);
  }

  add({ run, stampMs, scheduled, finishedAt, damaged, bytes, artifacts }: RunFacts): void {
    const index = this.length;
    this.length += 1;
    this.#names.push(run);
    this.#stamps[index] = stampMs;
    this.#ends[index] = finishedAt ?? Number.NaN;
    this.#bytes[index] = bytes;
    this.#scheduled[index] = scheduled ? 1 : 0;
    if (damaged === true) this.#damaged.add(index);
    if (artifacts !== undefined && artifacts.length > 0) this.#artifacts.set(index, artifacts);
  }

  at(index: number): RunFacts {
    const end = this.#ends[index]!;
    return {
      run: this.#names[index]!,
      stampMs: this.#stamps[index]!,
      scheduled: this.#scheduled[index] === 1,
      bytes: this.#bytes[index]!,
      finishedAt: Number.isNaN(end) ? undefined : end,
      damaged: this.#damaged.has(index),
      artifacts: this.#artifacts.get(index),
    };
  }
}

/** The runs of one pipeline, in the order in which they were added. */
export class RunFactsList implements RunFactsByIndex {
  readonly #parts: Part[] = [];
  /** The part that was asked for last: runs are asked for in a row. */
  #asked: Part | undefined;

  /** How many there are. */
  get length(): number {
    const last = this.#parts.at(-1);
    return last === undefined ? 0 : last.from + last.length;
  }

  /** Begins a part. @param size how many runs come at most */
  begin(size: number): void {
    this.#parts.push(new Part(this.length, size));
  }

  /** Adds a run to the part that was begun last. */
  add(facts: RunFacts): void {
    this.#parts.at(-1)!.add(facts);
  }

  /** The run at an index, as an object of its own; undefined beyond the last one. */
  at(index: number): RunFacts | undefined {
    const has = (part: Part): boolean => index >= part.from && index < part.from + part.length;
    if (this.#asked === undefined || !has(this.#asked)) this.#asked = this.#parts.find(has);
    return this.#asked?.at(index - this.#asked.from);
  }
}
