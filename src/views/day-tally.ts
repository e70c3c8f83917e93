/**
 * A pipeline's slots of the last day in little room: counted by ten minutes. A thousand pipelines
 * that fire each minute have 1.4 million slots a day, and a page may not hold them all.
 */
import { DAY_MS, MINUTE_MS } from "../core/time.ts";
import type { SlotReason, SlotSums, StripMark } from "./overview.ts";
import { addSums, fateOf, mergeReasons, NO_SLOTS, reasonsOf, sumMarks } from "./slot-sums.ts";

const BUCKET_MS = 10 * MINUTE_MS;

/** When the day before `now` begins, to ten minutes. Milliseconds since 1970. */
export function dayStart(now: number): number {
  return Math.floor((now - DAY_MS) / BUCKET_MS) * BUCKET_MS;
}

interface Bucket {
  readonly sums: SlotSums;
  /** The first of its slots, ISO 8601; undefined where it holds none: backfills are none. */
  readonly first: string | undefined;
  readonly reasons: readonly SlotReason[];
}

const NOTHING: Bucket = { sums: NO_SLOTS, first: undefined, reasons: [] };

/** Slots by ten minutes. */
export class DayTally {
  readonly #pipeline: string;
  readonly #buckets = new Map<number, Bucket>();
  /** The last answer: it holds until a slot comes, or the day begins later. */
  #last: (Bucket & { readonly from: number }) | undefined;

  /** @param marks by their slot */
  constructor(pipeline: string, marks: readonly StripMark[]) {
    this.#pipeline = pipeline;
    this.add(marks);
  }

  /** Counts more slots. */
  add(marks: readonly StripMark[]): void {
    const lists = new Map<number, StripMark[]>();
    for (const mark of marks) {
      const start = bucketOf(Date.parse(mark.slot!));
      const list = lists.get(start);
      if (list === undefined) lists.set(start, [mark]);
      else list.push(mark);
    }
    for (const [start, list] of lists) {
      const { sums, first, reasons } = this.#buckets.get(start) ?? NOTHING;
      this.#buckets.set(start, {
        sums: addSums(sums, sumMarks(list)),
        first: earliest([first, ...list.map((mark) => fateOf(mark) && mark.slot!)]),
        reasons: mergeReasons([...reasons, ...reasonsOf(this.#pipeline, list)]),
      });
    }
    this.#last = undefined;
  }

  /** The run of a slot that was counted has failed. @param slot milliseconds since 1970 */
  fail(slot: number): void {
    const bucket = this.#buckets.get(bucketOf(slot));
    if (bucket === undefined) return;
    const sums = addSums(bucket.sums, { ...NO_SLOTS, failed: 1 });
    this.#buckets.set(bucketOf(slot), { ...bucket, sums });
    this.#last = undefined;
  }

  /** @param from {@link dayStart} of some moment */
  sums(from: number): SlotSums {
    return this.#since(from).sums;
  }

  /** When the first slot that counts was due, ISO 8601; undefined of none. Else as `sums`. */
  first(from: number): string | undefined {
    return this.#since(from).first;
  }

  /** @param from {@link dayStart} of some moment */
  reasons(from: number): readonly SlotReason[] {
    return this.#since(from).reasons;
  }

  #since(from: number): Bucket {
    if (this.#last?.from === from) return this.#last;
    for (const start of this.#buckets.keys()) if (start < from) this.#buckets.delete(start);
    const buckets = [...this.#buckets.values()];
    const last = {
      from,
      first: earliest(buckets.map(({ first }) => first)),
      sums: buckets.reduce((sums, bucket) => addSums(sums, bucket.sums), NO_SLOTS),
      reasons: mergeReasons(buckets.flatMap(({ reasons }) => reasons)),
    };
    this.#last = last;
    return last;
  }
}

/** The first of times in ISO 8601. */
function earliest(times: readonly (string | undefined)[]): string | undefined {
  return times.filter((time) => time !== undefined).toSorted()[0];
}

function bucketOf(slot: number): number {
  return Math.floor(slot / BUCKET_MS) * BUCKET_MS;
}
