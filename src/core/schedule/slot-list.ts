/**
 * Packs many slots into few bytes, for a checkpoint. Each schedule has a list of seconds since 1970
 * in base 36: the first in full, each other one as the difference to the one before. A slot of a
 * minutely schedule takes three bytes; its key takes thirty.
 */

import { isObject } from "../json-object.ts";
import { iso } from "../time.ts";

/** Packed slots, by the schedule whose track they are in. `` stands for the shared track. */
export type SlotList = Readonly<Record<string, string>>;

/** `2026-11-23T02:00:00.000Z` */
const ISO_LENGTH = 24;

/** The slot that a key (`SLOT` or `SLOT.SCHEDULE`) names, in milliseconds since 1970. */
export function slotOfKey(key: string): number {
  return Date.parse(key.slice(0, ISO_LENGTH));
}

/** The name of the schedule whose track a slot is in, by its key; `` is the shared track. */
export function trackOfKey(key: string): string {
  return key.slice(ISO_LENGTH + 1);
}

/** Packs the keys of slots. Within a track their order is kept. */
export function packSlots(keys: Iterable<string>): SlotList {
  const tracks = new Map<string, { last: number; text: string[] }>();
  for (const key of keys) {
    const track = trackOfKey(key);
    const second = slotOfKey(key) / 1_000;
    const known = tracks.get(track);
    if (known === undefined) tracks.set(track, { last: second, text: [second.toString(36)] });
    else {
      known.text.push((second - known.last).toString(36));
      known.last = second;
    }
  }
  return Object.fromEntries([...tracks].map(([track, { text }]) => [track, text.join(",")]));
}

/**
 * The keys of packed slots, schedule by schedule. Empty if the value is not such a list; of a
 * track, those before the first that is no time.
 */
export function unpackSlots(list: unknown): string[] {
  if (!isObject(list)) return [];
  return Object.entries(list).flatMap(([track, text]) => {
    const keys: string[] = [];
    if (typeof text !== "string") return keys;
    let second = 0;
    for (const part of text.split(",")) {
      second += Number.parseInt(part, 36);
      if (Number.isNaN(new Date(second * 1_000).getTime())) break;
      const slot = iso(second * 1_000);
      keys.push(track === "" ? slot : `${slot}.${track}`);
    }
    return keys;
  });
}
