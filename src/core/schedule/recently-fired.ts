/**
 * The slots of one pipeline that fired lately: thousands, which are seldom asked for. Only a clock
 * that goes back needs them, and each checkpoint repeats them.
 *
 * So they stay packed (slot-list.ts), at three bytes a slot. A slot that is added waits as its key,
 * until 256 wait or somebody asks. Then it is put at the end of the text, and the oldest slots are
 * cut off its front. Neither reads the text in between. A list that was restored is not looked at
 * before that either, so a pipeline of thousands of slots is read as fast as one of none.
 *
 * Rejected: a set of keys. It took more than 60 bytes a slot, and a checkpoint of 2,000 slots took
 * milliseconds, nearly all of them to make texts of times and times of texts.
 */
import { isObject } from "../json-object.ts";
import { slotOfKey, trackOfKey, unpackSlots, type SlotList } from "./slot-list.ts";

/** How many slots wait at most. */
const MOST_WAITING = 256;
const COMMA = 0x2c;
const MINUS = 0x2d;
/** The codes of the digits of base 36. */
const [ZERO, NINE, A, Z] = [0x30, 0x39, 0x61, 0x7a];

/** The slots of one track, in the order in which they fired; times in seconds since 1970. */
interface Track {
  count: number;
  /** The first slot, and after it, each with a comma before it, the differences. */
  first: number;
  rest: string;
  last: number;
  /** The latest: seldom another than the last. */
  latest: number;
}

/** Slots by their keys (`SLOT` or `SLOT.SCHEDULE`), track by track. */
export class RecentlyFired implements Iterable<string> {
  readonly #most: number;
  /** What was restored and has not been looked at. */
  #list: SlotList = {};
  readonly #tracks = new Map<string, Track>();
  #waiting: string[] = [];

  /** @param most how many slots are kept: the newest */
  constructor(most: number) {
    this.#most = most;
  }

  /** Adds a slot, unless it is there. */
  add(key: string): void {
    this.#waiting.push(key);
    if (this.#waiting.length >= MOST_WAITING) this.#settle();
  }

  /** Replaces all by a packed list; by nothing if the value is none. */
  restore(list: unknown): void {
    this.#list = isObject(list) ? (list as SlotList) : {};
    this.#tracks.clear();
    this.#waiting = [];
  }

  /** All of them, packed. */
  pack(): SlotList {
    this.#settle();
    return Object.fromEntries(Array.from(this.#tracks, ([name, track]) => [name, textOf(track)]));
  }

  /** Whether all slots after a time, in milliseconds since 1970, are here. */
  holdsAllAfter(time: number): boolean {
    this.#settle();
    return this.#count < this.#most || this.#oldest()[1].first * 1_000 <= time;
  }

  [Symbol.iterator](): Iterator<string> {
    return unpackSlots(this.pack())[Symbol.iterator]();
  }

  get #count(): number {
    let count = 0;
    for (const track of this.#tracks.values()) count += track.count;
    return count;
  }

  /** The track that begins with the oldest slot. There has to be one. */
  #oldest(): [name: string, track: Track] {
    return [...this.#tracks].reduce((a, b) => (b[1].first < a[1].first ? b : a));
  }

  #settle(): void {
    for (const [name, text] of Object.entries(this.#list)) {
      const track = trackIn(text);
      if (track !== undefined) this.#tracks.set(name, track);
    }
    this.#list = {};
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const key of waiting) this.#put(trackOfKey(key), Math.floor(slotOfKey(key) / 1_000));
    for (let over = this.#count - this.#most; over > 0; over -= 1) {
      const [name, track] = this.#oldest();
      if (track.count === 1) this.#tracks.delete(name);
      else cutFirst(track);
    }
  }

  #put(name: string, second: number): void {
    // A line that says no time fired no slot.
    if (Number.isNaN(second)) return;
    const track = this.#tracks.get(name);
    if (track === undefined) {
      this.#tracks.set(name, { count: 1, first: second, rest: "", last: second, latest: second });
      return;
    }
    if (second <= track.latest && holds(track, second)) return;
    track.rest += `,${(second - track.last).toString(36)}`;
    track.count += 1;
    track.last = second;
    track.latest = Math.max(track.latest, second);
  }
}

function textOf({ first, rest }: Track): string {
  return first.toString(36) + rest;
}

function cutFirst(track: Track): void {
  const end = track.rest.indexOf(",", 1);
  const second = end === -1 ? track.rest.slice(1) : track.rest.slice(1, end);
  track.first += Number.parseInt(second, 36);
  track.rest = end === -1 ? "" : track.rest.slice(end);
  track.count -= 1;
}

/** The track of a packed text; undefined if it is none. */
function trackIn(text: unknown): Track | undefined {
  if (typeof text !== "string" || text === "") return undefined;
  const comma = text.indexOf(",");
  const [first, rest] = comma === -1 ? [text, ""] : [text.slice(0, comma), text.slice(comma)];
  const track = { count: 0, first: Number.parseInt(first, 36), rest, last: 0, latest: 0 };
  eachSecond(text, (second) => {
    track.count += 1;
    track.last = second;
    if (second > track.latest) track.latest = second;
  });
  return Number.isNaN(track.last) ? undefined : track;
}

function holds(track: Track, second: number): boolean {
  let found = false;
  eachSecond(textOf(track), (one) => (found ||= one === second));
  return found;
}

/**
 * Goes over a packed text by its characters: thousands of numbers are made without a string. From
 * the first character on that is none of a packed text they are NaN.
 */
function eachSecond(text: string, act: (second: number) => void): void {
  let second = 0;
  let part = 0;
  let sign = 1;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === COMMA) {
      second += sign * part;
      act(second);
      part = 0;
      sign = 1;
    } else if (code === MINUS) sign = -1;
    else part = part * 36 + digitOf(code);
  }
  act(second + sign * part);
}

function digitOf(code: number): number {
  if (code >= ZERO && code <= NINE) return code - ZERO;
  return code >= A && code <= Z ? code - A + 10 : Number.NaN;
}
