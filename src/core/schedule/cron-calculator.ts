/**
 * Cron as a calculator: it computes the next instant that a pattern names in a zone, and nothing
 * else. It has no timer and does not ask for the time.
 *
 * croner does the arithmetic, daylight saving included. cron-reading.ts says how a text is read.
 * With `fixedTimeRule: "no-wildcard"`, the
 * pattern `30 2,14 * * *` runs once in an overlap, and at the first valid instant of a gap. Only
 * croner's `nextRun` is used. Four things are added:
 *
 * - Each pattern and zone has one shared instance.
 * - All instances share one list of years. In patterns of up to six fields it holds every year, and
 *   it takes 80 of the 83 kB of heap of an instance.
 * - A gap can swallow a fixed time together with the end of its day (Nuuk sets its clocks from
 *   23:00 to 0:00). croner drops this time; here it moves to the end of the gap.
 * - Dense patterns are walked without croner. Zones change their offset only at a quarter of an
 *   hour. So after a slot of a wildcard pattern, only the minute and second fields decide until the
 *   quarter ends. Fixed-time patterns are never walked this way, because a slot that moved out of a
 *   gap does not match its own pattern.
 */
import { Cron, CronPattern, type CronOptions } from "croner";
import { MINUTE_MS } from "../time.ts";
import { cronerText, cronFields, daysJoin } from "./cron-reading.ts";
import { gapsOfYear } from "./zone.ts";

const CRON_OPTIONS = { mode: "5-or-6-parts", fixedTimeRule: "no-wildcard" } as const;

const QUARTER_MS = 900_000;
/**
 * Before 2018 some zones changed at one minute past the hour. Since then all change on a quarter.
 */
const QUARTERS_SINCE = Date.UTC(2018, 0, 1);
const INSTANCES = 512;
const REMEMBERED = 64;

/** The slots of one pattern in one zone. */
export interface CronCalculator {
  /**
   * The first slot after `instant`, both in milliseconds since 1970. Undefined if there is none.
   */
  next(instant: number): number | undefined;
  /**
   * Whether seconds, minutes and hours are all plain numbers, lists or ranges. Such a pattern
   * follows the wall clock through daylight saving.
   */
  readonly fixedTime: boolean;
}

const instances = new Map<string, PatternInZone>();
/** The one that was asked for last: a thousand pipelines of one pattern may be due in a row. */
let newest: PatternInZone | undefined;

/**
 * The calculator of a pattern in an IANA zone. A pattern has 5 or 6 fields or is a nickname such as
 * `@daily`.
 *
 * @throws an error that says what is wrong with the pattern or the zone
 */
export function cronCalculator(pattern: string, timezone: string): CronCalculator {
  if (newest?.pattern === pattern && newest.timezone === timezone) return newest;
  const key = `${timezone}\n${pattern}`;
  const known = instances.get(key);
  if (known !== undefined) {
    instances.delete(key);
    instances.set(key, known);
    newest = known;
    return known;
  }
  const made = new PatternInZone(pattern, timezone);
  newest = made;
  instances.set(key, made);
  if (instances.size > INSTANCES) instances.delete(instances.keys().next().value!);
  return made;
}

/** The fields of a pattern. @throws an error that says what is wrong with the pattern */
function parsedFields(pattern: string): CronPattern {
  return new CronPattern(cronerText(pattern), "UTC", CRON_OPTIONS);
}

/**
 * A pattern in an IANA zone, for croner.
 *
 * UTC is given as an offset: loading the zones of Intl takes 20 ms, and `orchd status` has 25 in
 * all.
 */
function cronerOf(pattern: string, timezone: string): Cron {
  const options: CronOptions = {
    ...CRON_OPTIONS,
    domAndDow: daysJoin(cronFields(pattern)) === "both",
  };
  return new Cron(
    cronerText(pattern),
    timezone === "UTC" ? { ...options, utcOffset: 0 } : { ...options, timezone },
  );
}

/**
 * The first instant of a pattern in this century, by UTC. Undefined if no date matches it.
 *
 * @throws an error that says what is wrong with the pattern
 */
export function firstOfPattern(pattern: string): number | undefined {
  // Cron takes a text with a colon for a date, so the text is first read as a pattern only.
  void parsedFields(pattern);
  return cronerOf(pattern, "UTC")
    .nextRun(new Date(Date.UTC(2000, 0, 1) - 1_000))
    ?.getTime();
}

/** A pattern in a zone. It remembers its last answers, since callers go from slot to slot. */
class PatternInZone implements CronCalculator {
  readonly fixedTime: boolean;
  readonly pattern: string;
  readonly timezone: string;
  readonly #cron: Cron;
  readonly #fields: CronPattern;
  readonly #remembered = new Map<number, number | undefined>();
  /**
   * The newest slot that was returned. The fields alone tell what follows it within its quarter.
   */
  #last = Number.NaN;
  /** The minute that clocks in the zone show at `#last`. */
  #localMinute = 0;

  constructor(pattern: string, timezone: string) {
    this.pattern = pattern;
    this.timezone = timezone;
    this.#cron = cronerOf(pattern, timezone);
    this.#fields = parsedFields(pattern);
    this.fixedTime = this.#fields.isFixedTime;
    shareYears(this.#fields);
    // croner keeps its own copy here. If that changes, only the saving is lost.
    shareYears((this.#cron as unknown as CronInside)["_states"]?.pattern);
  }

  next(instant: number): number | undefined {
    const quick = this.#within(instant);
    if (quick !== undefined) {
      this.#localMinute = this.#minuteAt(quick);
      this.#last = quick;
      return quick;
    }
    if (this.#remembered.has(instant)) return this.#remembered.get(instant);
    let slot = this.#ask(instant);
    if (slot !== undefined && this.fixedTime && this.timezone !== "UTC")
      slot = this.#outOfGap(instant, slot) ?? slot;
    this.#remembered.set(instant, slot);
    if (this.#remembered.size > REMEMBERED)
      this.#remembered.delete(this.#remembered.keys().next().value!);
    if (slot !== undefined && !this.fixedTime) {
      this.#last = slot;
      this.#localMinute = minuteIn(this.timezone, slot);
    }
    return slot;
  }

  /** The next slot within the quarter of the newest one. Undefined if the fields cannot tell. */
  #within(instant: number): number | undefined {
    if (this.fixedTime || !(instant >= this.#last) || this.#last < QUARTERS_SINCE) return undefined;
    const { minute, second } = this.#fields;
    const quarterEnd = Math.floor(this.#last / QUARTER_MS) * QUARTER_MS + QUARTER_MS;
    for (let slot = (Math.floor(instant / 1_000) + 1) * 1_000; slot < quarterEnd;) {
      const at = (slot / 1_000) % 60;
      if (minute[this.#minuteAt(slot)] !== 1) slot += (60 - at) * 1_000;
      else if (second[at] !== 1) slot += 1_000;
      else return slot;
    }
    return undefined;
  }

  /**
   * The minute that clocks in the zone show at a slot in the quarter of `#last`. Zones differ from
   * UTC by whole minutes, and the difference is the same all through a quarter.
   */
  #minuteAt(slot: number): number {
    const minutes = Math.floor(slot / MINUTE_MS) - Math.floor(this.#last / MINUTE_MS);
    return (this.#localMinute + minutes) % 60;
  }

  #ask(instant: number): number | undefined {
    const found = this.#cron.nextRun(new Date(instant));
    if (found === null) return undefined;
    // Always later than `instant`, whatever croner returns.
    return found.getTime() > instant ? found.getTime() : undefined;
  }

  /** The end of a gap between `instant` and `slot` that contains wall times of the pattern. */
  #outOfGap(instant: number, slot: number): number | undefined {
    for (
      let year = new Date(instant).getUTCFullYear();
      year <= new Date(slot).getUTCFullYear();
      year += 1
    ) {
      for (const { at, fromLocal, toLocal } of gapsOfYear(year, this.timezone)) {
        if (at <= instant || at >= slot) continue;
        const wall = cronCalculator(this.pattern, "UTC").next(fromLocal - 1_000);
        if (wall !== undefined && wall < toLocal) return at;
      }
    }
    return undefined;
  }
}

let everyYear: number[] | undefined;

/** The one member of croner's internal state that is used. */
interface CronInside {
  readonly [name: string]: { readonly pattern?: ParsedYears } | undefined;
}

interface ParsedYears {
  year: number[];
}

/** Gives a parsed pattern the list of years that all others share. */
function shareYears(parsed: ParsedYears | undefined): void {
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
