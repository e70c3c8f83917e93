/**
 * Resolves a schedule from what a person wrote: checks patterns and zones, reads times without an
 * offset in the schedule's zone, and fills in defaults (semantics.md 1 and 9). ZenML's rules decide
 * which of the three ways wins.
 */
import { defined } from "../defined.ts";
import { checkedDuration } from "../duration.ts";
import type { FieldPath, Fault } from "../fault.ts";
import { SCHEDULE_NAME } from "../run-id.ts";
import { MINUTE_MS, iso } from "../time.ts";
import { cronCalculator } from "./cron-calculator.ts";
import { checkCron, cronWarnings, dayWarning } from "./cron-check.ts";
import {
  SCHEDULE_DEFAULTS,
  type Blackout,
  type Schedule,
  type ScheduleDefinition,
} from "./schedule-schema.ts";
import { readZoneName, zoneWarning } from "./zone-name.ts";
import { instantOf } from "./zone.ts";

/** What is known besides the text. */
export interface ScheduleContext {
  /** The zone of schedules that name none. */
  readonly timezone: string;
  /** Milliseconds since 1970. Warnings look ahead from here. */
  readonly now: number;
}

/** The schedules of a pipeline, or what is wrong with them. */
export interface ResolvedSchedules {
  readonly schedules: readonly Schedule[];
  readonly faults: readonly Fault[];
  readonly warnings: readonly string[];
}

/** Resolves the value of `schedule`: nothing, one schedule or a list. */
export function resolveSchedules(
  written: ScheduleDefinition | readonly ScheduleDefinition[] | undefined,
  context: ScheduleContext,
): ResolvedSchedules {
  const faults: Fault[] = [];
  const warnings: string[] = [];
  const schedules: Schedule[] = [];
  const names = new Set<string>();
  const list: readonly ScheduleDefinition[] =
    written === undefined ? [] : isList(written) ? written : [written];
  for (const [index, one] of list.entries()) {
    const path: FieldPath =
      written !== undefined && isList(written) ? ["schedule", index] : ["schedule"];
    if (one.name !== undefined) {
      if (names.has(one.name))
        faults.push({
          path: [...path, "name"],
          message: `another schedule is called ${JSON.stringify(one.name)} already`,
        });
      names.add(one.name);
    }
    const others = list.filter((each) => each !== one && each.name === undefined);
    if (one.stopAfter !== undefined && one.name === undefined && others.length > 0)
      faults.push({
        path: [...path, "stopAfter"],
        message: "counts by the schedule's name, and another schedule has none either: name it",
      });
    const resolved = new Resolution(one, path, context, faults, warnings).resolve();
    if (resolved !== undefined) schedules.push(resolved);
  }
  return { schedules, faults, warnings };
}

function isList(
  written: ScheduleDefinition | readonly ScheduleDefinition[],
): written is readonly ScheduleDefinition[] {
  return Array.isArray(written);
}

/** Resolves one schedule and collects its faults and warnings. */
class Resolution {
  readonly #written: ScheduleDefinition;
  readonly #path: FieldPath;
  readonly #now: number;
  readonly #faults: Fault[];
  readonly #warnings: string[];
  readonly #zone: string;
  readonly #before: number;

  constructor(
    written: ScheduleDefinition,
    path: FieldPath,
    context: ScheduleContext,
    faults: Fault[],
    warnings: string[],
  ) {
    this.#written = written;
    this.#path = path;
    this.#now = context.now;
    this.#faults = faults;
    this.#warnings = warnings;
    this.#before = faults.length;
    this.#zone = this.#zoneOf(written.timezone, context.timezone);
  }

  resolve(): Schedule | undefined {
    const written = this.#written;
    const kind = this.#kind();
    const start = this.#moment("startTime", kind === "interval");
    const end = this.#moment("endTime", false);
    const once = kind === "once" ? this.#moment("runOnceAt", true) : undefined;
    const cron = kind === "cron" ? this.#cron(written.cron!, ["cron"]) : undefined;
    const blackout = this.#blackouts();
    const params = this.#params();
    if (start !== undefined && end !== undefined && end < start)
      this.#fault(["endTime"], "lies before startTime, so the schedule never fires");
    if (this.#faults.length > this.#before || kind === undefined) return undefined;
    if (cron !== undefined) this.#cronAhead(cron, start, end);
    if (once !== undefined && once <= this.#now)
      this.#warn(`runOnceAt ${iso(once)} has passed: this schedule does not fire any more`);
    if (end !== undefined && end <= this.#now)
      this.#warn(`endTime ${iso(end)} has passed: this schedule does not fire any more`);
    if (this.#faults.length > this.#before) return undefined;
    return defined({
      name: written.name,
      cron,
      intervalSeconds: kind === "interval" ? written.intervalSeconds : undefined,
      runOnceAt: once === undefined ? undefined : iso(once),
      timezone: this.#zone,
      startTime: start === undefined ? undefined : iso(start),
      endTime: end === undefined ? undefined : iso(end),
      stopAfter: written.stopAfter,
      jitterSeconds: written.jitterSeconds ?? SCHEDULE_DEFAULTS.jitterSeconds,
      catchUp: written.catchUp ?? SCHEDULE_DEFAULTS.catchUp,
      catchUpWindowMs: checkedDuration(written.catchUpWindow) ?? SCHEDULE_DEFAULTS.catchUpWindowMs,
      maxCatchUp: written.maxCatchUp ?? SCHEDULE_DEFAULTS.maxCatchUp,
      blackout,
      params,
    });
  }

  /** The params of its own, which it needs a name for; undefined if it has none. */
  #params(): ScheduleDefinition["params"] {
    const { name, params } = this.#written;
    if (params === undefined || Object.keys(params).length === 0) return undefined;
    if (name === undefined)
      this.#fault(
        [],
        "has params of its own, so it needs a name, which tells its slots from others",
      );
    else if (!SCHEDULE_NAME.test(name))
      this.#fault(
        ["name"],
        `${JSON.stringify(name)} ends as a run's id does (-m, -b1, -r1): a schedule with ` +
          "params of its own has its name in its run ids, so choose another",
      );
    return params;
  }

  /** Which of the three ways the schedule uses. cron wins, with a warning. */
  #kind(): "cron" | "interval" | "once" | undefined {
    const { cron, intervalSeconds, startTime, runOnceAt } = this.#written;
    if (cron !== undefined) {
      if (intervalSeconds !== undefined)
        this.#warn("has both cron and intervalSeconds: cron wins and intervalSeconds is ignored");
      if (runOnceAt !== undefined)
        this.#warn("has both cron and runOnceAt: cron wins and runOnceAt is ignored");
      return "cron";
    }
    if (intervalSeconds !== undefined) {
      if (runOnceAt !== undefined)
        this.#fault(
          ["runOnceAt"],
          "cannot go with intervalSeconds: a schedule repeats or runs once, so remove one of them",
        );
      if (startTime === undefined)
        this.#fault(["intervalSeconds"], "needs a startTime from which the interval is counted");
      return "interval";
    }
    if (runOnceAt !== undefined) return "once";
    this.#fault([], "is empty: it needs cron, or intervalSeconds with startTime, or runOnceAt");
    return undefined;
  }

  #zoneOf(own: string | undefined, standard: string): string {
    if (own === undefined) return standard;
    const name = readZoneName(own);
    if (!name.ok) {
      this.#fault(["timezone"], name.message);
      return "UTC";
    }
    const warning = zoneWarning(name.zone, this.#now);
    if (warning !== undefined) this.#warn(warning);
    return name.zone;
  }

  /**
   * Reads a moment. `whole` rounds it up to a second: a slot is a whole second and must not come
   * early.
   */
  #moment(key: "startTime" | "endTime" | "runOnceAt", whole: boolean): number | undefined {
    const text = this.#written[key];
    return text === undefined ? undefined : this.#instant(text, [key], whole);
  }

  #instant(text: string, path: FieldPath, whole: boolean): number | undefined {
    const moment = parseMoment(text);
    if (typeof moment === "string") {
      this.#fault(path, moment);
      return undefined;
    }
    let instant: number;
    if (moment.offsetMs === undefined) {
      const local = instantOf(moment.localMs, this.#zone);
      instant = local.instant;
      const name = JSON.stringify(text);
      if (local.note === "gap")
        this.#warn(
          `${name} does not exist in ${this.#zone}, where the clock is set forward over it; ` +
            `${iso(instant)} is used`,
        );
      if (local.note === "overlap")
        this.#warn(
          `${name} exists twice in ${this.#zone}, where the clock is set back over it; ` +
            `the first is used, ${iso(instant)}`,
        );
    } else {
      instant = moment.localMs - moment.offsetMs;
    }
    const second = Math.ceil(instant / 1_000) * 1_000;
    if (!whole || second === instant) return instant;
    this.#warn(
      `${path.join(".")} ${JSON.stringify(text)} has a part of a second, and a slot is a whole ` +
        `second; ${iso(second)} is used`,
    );
    return second;
  }

  #cron(text: string, path: FieldPath): string | undefined {
    const check = checkCron(text);
    if (check.ok) return check.pattern;
    this.#fault(path, check.message);
    return undefined;
  }

  /** Checks when a pattern really fires, within its window and in its zone. */
  #cronAhead(pattern: string, start: number | undefined, end: number | undefined): void {
    const first = cronCalculator(pattern, this.#zone).next((start ?? Date.UTC(2000, 0, 1)) - 1);
    if (first === undefined || (end !== undefined && first > end)) {
      this.#fault(["cron"], `${JSON.stringify(pattern)} never fires between startTime and endTime`);
      return;
    }
    if (end !== undefined && end <= this.#now) return;
    for (const warning of cronWarnings(pattern, this.#zone, Math.max(this.#now, start ?? 0)))
      this.#warn(warning);
  }

  #blackouts(): Blackout[] {
    const written = this.#written.blackout;
    const list = written === undefined ? [] : Array.isArray(written) ? written : [written];
    return list.flatMap((one, index): Blackout[] => {
      const path: FieldPath = Array.isArray(written) ? ["blackout", index] : ["blackout"];
      if (
        one.cron !== undefined &&
        one.duration !== undefined &&
        one.from === undefined &&
        one.to === undefined
      ) {
        const cron = this.#cron(one.cron, [...path, "cron"]);
        const durationMs = checkedDuration(one.duration);
        if (durationMs < 1_000) this.#fault([...path, "duration"], "must be at least 1s");
        if (cron === undefined) return [];
        const days = dayWarning(cron);
        if (days !== undefined) this.#warn(`blackout ${JSON.stringify(cron)} ${days}`);
        return [{ cron, durationMs }];
      }
      if (
        one.from !== undefined &&
        one.to !== undefined &&
        one.cron === undefined &&
        one.duration === undefined
      ) {
        const from = this.#instant(one.from, [...path, "from"], false);
        const to = this.#instant(one.to, [...path, "to"], false);
        if (from === undefined || to === undefined) return [];
        if (to <= from) this.#fault([...path, "to"], "must lie after from");
        return [{ from: iso(from), to: iso(to) }];
      }
      this.#fault(path, "must be either {cron, duration} or {from, to}");
      return [];
    });
  }

  #fault(path: FieldPath, message: string): void {
    this.#faults.push({ path: [...this.#path, ...path], message });
  }

  #warn(message: string): void {
    this.#warnings.push(
      this.#written.name === undefined
        ? `schedule: ${message}`
        : `schedule ${this.#written.name}: ${message}`,
    );
  }
}

/**
 * A moment as written. `localMs` counts as if it were UTC. `offsetMs` is undefined if the text has
 * no offset.
 */
export interface Moment {
  readonly localMs: number;
  readonly offsetMs?: number;
}

const TIME_OF_DAY = /(\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?/.source;
const OFFSET = /[Zz]|[+-]\d{2}:?\d{2}/.source;
const MOMENT = new RegExp(`^(\\d{4})-(\\d{2})-(\\d{2})(?:[Tt ]${TIME_OF_DAY})?(?: ?(${OFFSET}))?$`);

/**
 * Reads an ISO 8601 date, or date and time, with or without an offset.
 *
 * @returns the moment; or what is wrong, as the rest of a sentence
 */
export function parseMoment(text: string): Moment | string {
  const parts = MOMENT.exec(text.trim());
  if (parts === null)
    return (
      'must be a time such as "2026-12-01T02:30:00" or "2026-12-01T02:30:00Z", ' +
      `not ${JSON.stringify(text.slice(0, 64))}`
    );
  const [, year, month, day, hour = "0", minute = "0", second = "0", fraction = "", zone] = parts;
  const localMs = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
    Number(fraction.padEnd(3, "0").slice(0, 3)),
  );
  const back = new Date(localMs);
  const exists =
    Number(year) >= 1970 &&
    back.getUTCMonth() === Number(month) - 1 &&
    back.getUTCDate() === Number(day) &&
    back.getUTCHours() === Number(hour) &&
    back.getUTCMinutes() === Number(minute) &&
    back.getUTCSeconds() === Number(second);
  if (!exists) return `is not a moment that exists since 1970: ${JSON.stringify(text.trim())}`;
  if (zone === undefined) return { localMs };
  if (zone === "Z" || zone === "z") return { localMs, offsetMs: 0 };
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  if (minutes > 24 * 60 || Number(zone.slice(-2)) > 59)
    return `has an offset that does not exist: ${JSON.stringify(text.trim())}`;
  return { localMs, offsetMs: (zone.startsWith("-") ? -minutes : minutes) * MINUTE_MS };
}
