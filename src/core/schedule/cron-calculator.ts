/**
 * Cron as a calculator: the next instant that a pattern names in a zone, and nothing else. No
 * timer, no `Date` of its own.
 *
 * croner does the arithmetic (daylight saving included: `fixedTimeRule: "no-wildcard"` makes `30
 * 2,14 * * *` run once in an overlap, and at the first valid instant of a gap). Only `nextRun` is
 * used. Four things are added. One instance a pattern and zone is shared. Its list of years, which
 * in patterns of up to six fields holds every year, is one for all: of the 83 kB of heap that an
 * instance costs it is 80. A fixed time that a gap swallows together with the end of its day (Nuuk
 * sets its clocks from 23:00 to 0:00) is put at the gap's end: croner drops it. And dense patterns
 * are walked without it: between two of the hour's quarters no zone changes its offset, so from a
 * slot of a wildcard pattern on, only the minute and second fields decide until the quarter ends.
 * Fixed-time patterns are never walked so, because a slot moved out of a gap does not match its own
 * pattern.
 */
import { Cron, CronPattern } from "croner";
import { MINUTE_MS } from "../time.ts";
import { gapsOfYear } from "./zone.ts";

const QUARTER_MS = 900_000;
/**
 * Before 2018 some zones changed at one minute past the hour; since then all do so on a quarter.
 */
const QUARTERS_SINCE = Date.UTC(2018, 0, 1);
const INSTANCES = 512;
const REMEMBERED = 64;

/** The slots of one pattern in one zone. */
export interface CronCalculator {
  /**
   * The first slot after `instant` (both in milliseconds since 1970); undefined where there is
   * none.
   */
  next(instant: number): number | undefined;
  /**
   * Whether seconds, minutes and hours are all plain numbers, lists or ranges: such a pattern keeps
   * to the wall clock through daylight saving.
   */
  readonly fixedTime: boolean;
}

const instances = new Map<string, CronCalculator>();

/**
 * The calculator of a pattern of 5 or 6 fields, or a nickname such as `@daily`, in an IANA zone.
 *
 * @throws an error that says what is wrong with the pattern or the zone
 */
export function cronCalculator(pattern: string, timezone: string): CronCalculator {
  const key = `${timezone}\n${pattern}`;
  const known = instances.get(key);
  if (known !== undefined) {
    instances.delete(key);
    instances.set(key, known);
    return known;
  }
  const made = make(pattern, timezone);
  instances.set(key, made);
  if (instances.size > INSTANCES) instances.delete(instances.keys().next().value!);
  return made;
}

function make(pattern: string, timezone: string): CronCalculator {
  const options = { mode: "5-or-6-parts", fixedTimeRule: "no-wildcard" } as const;
  // UTC as an offset: Intl, which knows zones, takes 20 ms to come up, and `orchd status` has 25 in
  // all.
  const cron = new Cron(
    pattern,
    timezone === "UTC" ? { ...options, utcOffset: 0 } : { ...options, timezone },
  );
  const fields = new CronPattern(pattern, timezone, options);
  shareYears(fields);
  // Where croner keeps its own copy; should that change, the saving is lost and nothing else.
  shareYears(
    (cron as unknown as Record<string, { readonly pattern?: { year: number[] } } | undefined>)[
      "_states"
    ]?.pattern,
  );
  const remembered = new Map<number, number | undefined>();
  /**
   * The newest slot that was given: what follows it within its quarter is known from the fields
   * alone.
   */
  let last = Number.NaN;
  /** The minute that clocks in the zone show at `last`. */
  let localMinute = 0;

  const within = (instant: number): number | undefined => {
    if (fields.isFixedTime || !(instant >= last) || last < QUARTERS_SINCE) return undefined;
    const quarterEnd = Math.floor(last / QUARTER_MS) * QUARTER_MS + QUARTER_MS;
    for (let slot = (Math.floor(instant / 1_000) + 1) * 1_000; slot < quarterEnd;) {
      const second = (slot / 1_000) % 60;
      // Zones differ from UTC by whole minutes, and local minutes from UTC's by the same amount all
      // through a quarter.
      const minute =
        (localMinute + (Math.floor(slot / MINUTE_MS) - Math.floor(last / MINUTE_MS))) % 60;
      if (fields.minute[minute] !== 1) slot += (60 - second) * 1_000;
      else if (fields.second[second] !== 1) slot += 1_000;
      else return slot;
    }
    return undefined;
  };

  const ask = (instant: number): number | undefined => {
    const found = cron.nextRun(new Date(instant));
    if (found === null) return undefined;
    // Strictly increasing, whatever the calculator says.
    return found.getTime() > instant ? found.getTime() : undefined;
  };

  /**
   * The end of a gap after `instant` and before `slot` over whose wall times the pattern was
   * passed.
   */
  const outOfGap = (instant: number, slot: number): number | undefined => {
    for (
      let year = new Date(instant).getUTCFullYear();
      year <= new Date(slot).getUTCFullYear();
      year += 1
    ) {
      for (const { at, fromLocal, toLocal } of gapsOfYear(year, timezone)) {
        if (at <= instant || at >= slot) continue;
        const wall = cronCalculator(pattern, "UTC").next(fromLocal - 1_000);
        if (wall !== undefined && wall < toLocal) return at;
      }
    }
    return undefined;
  };

  return {
    fixedTime: fields.isFixedTime,
    next(instant) {
      const quick = within(instant);
      if (quick !== undefined) {
        localMinute =
          (localMinute + (Math.floor(quick / MINUTE_MS) - Math.floor(last / MINUTE_MS))) % 60;
        last = quick;
        return quick;
      }
      if (remembered.has(instant)) return remembered.get(instant);
      let slot = ask(instant);
      if (slot !== undefined && fields.isFixedTime && timezone !== "UTC")
        slot = outOfGap(instant, slot) ?? slot;
      remembered.set(instant, slot);
      if (remembered.size > REMEMBERED) remembered.delete(remembered.keys().next().value!);
      if (slot !== undefined && !fields.isFixedTime) {
        last = slot;
        localMinute = minuteIn(timezone, slot);
      }
      return slot;
    },
  };
}

let everyYear: number[] | undefined;

/** Gives a parsed pattern the list of years that all others have. */
function shareYears(parsed: { year: number[] } | undefined): void {
  if (!Array.isArray(parsed?.year)) return;
  everyYear ??= parsed.year;
  parsed.year = everyYear;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function minuteIn(timezone: string, instant: number): number {
  if (timezone === "UTC") return Math.floor(instant / MINUTE_MS) % 60;
  let format = formats.get(timezone);
  if (format === undefined)
    formats.set(
      timezone,
      (format = new Intl.DateTimeFormat("en-US", { timeZone: timezone, minute: "numeric" })),
    );
  return Number(format.format(instant));
}
