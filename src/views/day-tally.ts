/**
 * A pipeline's slots of the last day in little room: counted by ten minutes. A thousand pipelines
 * that fire each minute have 1.4 million slots a day, and a page may not hold them all.
 */
import { DAY_MS, MINUTE_MS } from "../core/time.ts";
import type { SlotReason, SlotSums, StripMark } from "./overview.ts";
import { addSums, mergeReasons, NO_SLOTS, reasonsOf, sumMarks } from "./slot-sums.ts";

const BUCKET_MS = 10 * MINUTE_MS;

/** When the day before `now` begins, to ten minutes. Milliseconds since 1970. */
export function dayStart(now: number): number {
  return Math.floor((now - DAY_MS) / BUCKET_MS) * BUCKET_MS;
}

interface Bucket {
  readonly sums: SlotSums;
  readonly reasons: readonly SlotReason[];
}

/** Slots by ten minutes. */
export class DayTally {
  readonly #buckets = new Map<number, Bucket>();

  /** @param marks by their slot */
  constructor(pipeline: string, marks: readonly StripMark[]) {
    const lists = new Map<number, StripMark[]>();
    for (const mark of marks) {
      const start = bucketOf(mark);
      const list = lists.get(start);
      if (list === undefined) lists.set(start, [mark]);
      else list.push(mark);
    }
    for (const [start, list] of lists)
      this.#buckets.set(start, { sums: sumMarks(list), reasons: reasonsOf(pipeline, list) });
  }

  /** @param from {@link dayStart} of some moment */
  sums(from: number): SlotSums {
    return this.#since(from).reduce((sums, bucket) => addSums(sums, bucket.sums), NO_SLOTS);
  }

  /** @param from {@link dayStart} of some moment */
  reasons(from: number): SlotReason[] {
    return mergeReasons(this.#since(from).flatMap(({ reasons }) => reasons));
  }

  #since(from: number): Bucket[] {
    return [...this.#buckets].flatMap(([start, bucket]) => (start >= from ? [bucket] : []));
  }
}

function bucketOf({ slot }: StripMark): number {
  return Math.floor(Date.parse(slot!) / BUCKET_MS) * BUCKET_MS;
}
