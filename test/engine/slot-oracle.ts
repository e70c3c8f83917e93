/**
 * A second, deliberately naive reading of what the engine owes: which slots a pipeline's texts had,
 * minute by minute on the wall clock, and whether its ledger covers each slot with exactly one
 * decision that its text allows. It has no watermark, no heap and no window of work, and shares no
 * line with src/. Its clocks come from wall-clock-oracle.ts, and the hash of the jitter is written
 * a second time.
 */
import { createHash } from "node:crypto";
import type { Line } from "../support/await-event.ts";
import { offsetIn, transitionsOf, type Transition } from "../core/schedule/wall-clock-oracle.ts";

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;

/** A schedule that a simulated pipeline may have. */
export interface PlainSchedule {
  /** Minutes past the hour; unused where there is an interval. */
  readonly minutes: readonly number[];
  /** Undefined: every hour, which follows real time; named hours keep to the wall clock. */
  readonly hours?: readonly number[];
  /**
   * Instead of minutes and hours: the seconds from slot to slot, counted from {@link
   * INTERVAL_START}.
   */
  readonly everySeconds?: number;
  readonly zone: string;
  readonly jitterSeconds: number;
  readonly catchUp: "none" | "latest" | "all";
  readonly catchUpWindowMs: number;
  readonly maxCatchUp: number;
  /** Slots in this hour of UTC are blacked out; only with the zone UTC. */
  readonly blackoutHour?: number;
  /** Its own track. */
  readonly track?: string;
}

/** The moment from which intervals count. */
export const INTERVAL_START = Date.UTC(2026, 0, 1);

export function cronOf({ minutes, hours }: PlainSchedule): string {
  return `${minutes.join(",")} ${hours === undefined ? "*" : hours.join(",")} * * *`;
}

function plainJitter(pipeline: string, slot: number, seconds: number): number {
  if (seconds === 0) return 0;
  const hash = Number.parseInt(
    createHash("sha256").update(`${pipeline}@${slot}`).digest("hex").slice(0, 8),
    16,
  );
  return Math.floor((hash / 4_294_967_296) * (seconds * 1000 + 1));
}

const FIRST = Date.UTC(2025, 0, 1);
const clocks = new Map<
  string,
  { readonly offset: number; readonly transitions: readonly Transition[] }
>();

/** All changes of a zone's clocks in the simulated years. */
function clockOf(zone: string): {
  readonly offset: number;
  readonly transitions: readonly Transition[];
} {
  let known = clocks.get(zone);
  if (known === undefined) {
    known =
      zone === "UTC"
        ? { offset: 0, transitions: [] }
        : {
            offset: offsetIn(zone, FIRST),
            transitions: transitionsOf(zone, FIRST, Date.UTC(2030, 0, 1)),
          };
    clocks.set(zone, known);
  }
  return known;
}

/** The instants in (from, to] that a schedule names, in order. */
function instantsOf(schedule: PlainSchedule, from: number, to: number): number[] {
  const { minutes, hours, everySeconds, zone } = schedule;
  const found: number[] = [];
  if (everySeconds !== undefined) {
    const step = everySeconds * 1_000;
    for (let slot = INTERVAL_START; slot <= to; slot += step) {
      if (slot <= from) slot += Math.max(0, Math.floor((from - slot) / step) - 1) * step;
      if (slot > from && slot <= to) found.push(slot);
    }
    return found;
  }
  const named = (wall: number): boolean =>
    minutes.includes(Math.floor((wall % HOUR) / MINUTE)) &&
    (hours === undefined || hours.includes(Math.floor((wall % DAY) / HOUR)));
  const { offset, transitions } = clockOf(zone);
  for (let minute = Math.floor(from / MINUTE) * MINUTE; minute <= to; minute += MINUTE) {
    if (minute <= from) continue;
    let last: Transition | undefined;
    for (const transition of transitions) if (transition.at <= minute) last = transition;
    const wall = minute + (last?.after ?? offset);
    const again = last !== undefined && minute - last.at < last.before - last.after;
    let fires = named(wall) && !(hours !== undefined && again);
    if (hours !== undefined && last?.at === minute) {
      for (let skipped = minute + last.before; skipped < wall; skipped += MINUTE)
        if (named(skipped)) fires = true;
    }
    if (fires) found.push(minute);
  }
  return found;
}

/** A slot, its due time, and the schedule whose rules count: the first that names the slot. */
interface Slot {
  readonly key: string;
  readonly slot: number;
  readonly due: number;
  readonly rules: PlainSchedule;
}

/** Every slot of these schedules in (from, to], by brute force. */
function slotsOf(
  pipeline: string,
  schedules: readonly PlainSchedule[],
  from: number,
  to: number,
): Slot[] {
  const found = new Map<string, Slot>();
  for (const schedule of schedules) {
    for (const slot of instantsOf(schedule, from, to)) {
      const iso = new Date(slot).toISOString();
      const key = schedule.track === undefined ? iso : `${iso}.${schedule.track}`;
      const due = slot + plainJitter(pipeline, slot, schedule.jitterSeconds);
      const before = found.get(key);
      found.set(key, {
        key,
        slot,
        due: Math.min(due, before?.due ?? due),
        rules: before?.rules ?? schedule,
      });
    }
  }
  return [...found.values()];
}

export interface Verdict {
  readonly problems: string[];
  /** Slots that were due and have their decision. */
  readonly decided: number;
  readonly byKind: Record<string, number>;
}

interface Decision {
  readonly kind: string;
  readonly slot: number;
}

/** The reading of one pipeline's ledger, line by line. */
class Judge {
  readonly problems: string[] = [];
  readonly byKind: Record<string, number> = {};
  decided = 0;
  readonly #pipeline: string;
  readonly #decisions = new Map<string, Decision>();
  readonly #runs = new Set<string>();
  #schedules: readonly PlainSchedule[] = [];
  #text = "";
  /** Slots of the text in force count after this instant; infinite while none is in force. */
  #since = Number.POSITIVE_INFINITY;
  #through = Number.NEGATIVE_INFINITY;
  /** All slots that were due up to here have their decision. */
  #seen = Number.NEGATIVE_INFINITY;
  #paused = false;
  /** The runs that are caught up at one moment, by track. */
  readonly #late = new Map<string, number>();
  /** Slots for which others were passed over, and the line that said so. */
  readonly #instead: { readonly key: string; readonly by: number }[] = [];

  constructor(pipeline: string) {
    this.#pipeline = pipeline;
  }

  read(line: Line, textOf: (digest: string) => readonly PlainSchedule[]): void {
    const at = Date.parse(line.at);
    if (line.type.startsWith("slot.") && String(line["because"] ?? "").length < 4)
      this.#wrong(line, "it has no reason");
    const before = this.#through;
    if (typeof line["through"] === "string") this.#watermark(line, at);
    switch (line.type) {
      case "pipeline.loaded":
        this.#load(line, at, textOf(String(line["digest"])));
        break;
      case "pipeline.removed":
        this.#owed(at, at);
        this.#since = Number.POSITIVE_INFINITY;
        this.#schedules = [];
        this.#text = "";
        break;
      case "pipeline.paused":
        this.#paused = true;
        break;
      case "pipeline.resumed":
        this.#paused = false;
        break;
      case "slot.fired":
      case "slot.caught_up":
      case "slot.skipped":
      case "slot.missed":
        this.#slot(line, at);
        break;
      case "clock.stepped":
        this.#step(line, before);
        break;
    }
  }

  /** The history ended at this instant, with a daemon up for a while. */
  end(now: number): void {
    this.#owed(now, Number.NEGATIVE_INFINITY);
    for (const { key, by } of this.#instead) {
      const kind = this.#decisions.get(key)?.kind;
      if (kind !== "caught_up" && kind !== "fired")
        this.problems.push(
          `line ${by}: it was passed over for ${key}, which is ${kind ?? "undecided"}`,
        );
    }
  }

  #wrong(line: Line, what: string): void {
    this.problems.push(`line ${line.seq} (${line.type} ${String(line["slot"] ?? "")}): ${what}`);
  }

  #watermark(line: Line, at: number): void {
    const to = Date.parse(String(line["through"]));
    if (line.type !== "clock.stepped" && to < this.#through)
      this.#wrong(line, "the watermark goes back");
    // A clock that went back unnoticed leaves the watermark ahead for a moment. Only a load writes
    // that watermark again.
    if (to > at && line.type !== "pipeline.loaded")
      this.#wrong(line, "the watermark is ahead of the clock");
    this.#through = to;
  }

  #load(line: Line, at: number, schedules: readonly PlainSchedule[]): void {
    const from = Date.parse(String(line["since"]));
    const text = JSON.stringify(schedules);
    if (text !== this.#text) {
      if (from > at || at - from > 1_000)
        this.#wrong(line, `a new schedule counts from ${String(line["since"])}, not from its load`);
      this.#owed(from, from);
      this.#seen = from;
    } else if (from !== this.#since)
      this.#wrong(line, "its schedules are the same, and count from another moment");
    this.#since = from;
    this.#schedules = schedules;
    this.#text = text;
  }

  /**
   * Every slot of the text in force must have its decision if it was due by `due`, or if it lies at
   * or before `slot` and only jitter held it back.
   */
  #owed(due: number, slot: number): void {
    const reach = Math.max(0, ...this.#schedules.map(({ jitterSeconds }) => jitterSeconds * 1_000));
    const last = Math.max(due, slot);
    if (this.#since === Number.POSITIVE_INFINITY || last <= this.#seen) return;
    for (const one of slotsOf(
      this.#pipeline,
      this.#schedules,
      Math.max(this.#since, this.#seen - reach),
      last,
    )) {
      if (one.due <= this.#seen || (one.due > due && one.slot > slot)) continue;
      if (this.#decisions.has(one.key)) this.decided += 1;
      else
        this.problems.push(
          `${one.key} was due at ${new Date(one.due).toISOString()} and has no decision`,
        );
    }
    this.#seen = due;
  }

  #slot(line: Line, at: number): void {
    const kind = line.type.slice(5);
    const slot = Date.parse(String(line["slot"]));
    const track = line["schedule"] === undefined ? undefined : String(line["schedule"]);
    if (line["until"] !== undefined) {
      const until = Date.parse(String(line["until"]));
      const window = Math.max(...this.#schedules.map(({ catchUpWindowMs }) => catchUpWindowMs));
      if (at - until < window)
        this.#wrong(line, "it covers slots that are not older than the window");
      for (const one of slotsOf(
        this.#pipeline,
        this.#schedules,
        Math.max(slot - 1, this.#since),
        until,
      ))
        this.#decide(line, one, kind);
      return;
    }
    const own = slotsOf(this.#pipeline, this.#schedules, slot - 1, slot).find(
      ({ rules }) => rules.track === track,
    );
    if (own === undefined) return this.#wrong(line, "the text in force has no such slot");
    this.#decide(line, own, kind);
    // A slot whose run was there already was decided by the rules of another moment.
    if (kind === "missed" && String(line["because"]).includes("which runs the newer slot")) {
      const newer = /newer slot (\S+)$/.exec(String(line["because"]))![1]!;
      this.#instead.push({ key: track === undefined ? newer : `${newer}.${track}`, by: line.seq });
    }
    if (
      (kind !== "fired" && kind !== "caught_up") ||
      String(line["because"]).startsWith("its run was there already")
    )
      return;
    const { rules, due } = own;
    if (this.#paused) this.#wrong(line, "it ran while the pipeline was paused");
    // An edit decides at once the slots that only jitter held back. That moves no watermark.
    if (at < slot || (at < due && line["through"] !== undefined))
      this.#wrong(line, "it ran before it was due");
    if (rules.blackoutHour !== undefined && new Date(slot).getUTCHours() === rules.blackoutHour)
      this.#wrong(line, "it ran in a blackout");
    if (kind === "fired") {
      if (at - due > 61_000) this.#wrong(line, "it fired more than a minute late");
      return;
    }
    if (rules.catchUp === "none") this.#wrong(line, "it was caught up, and catchUp is none");
    if (at - due > rules.catchUpWindowMs)
      this.#wrong(line, "it was caught up, and is older than its window");
    const together = `${line.at} ${track ?? ""} ${rules.catchUp}`;
    const count = (this.#late.get(together) ?? 0) + 1;
    this.#late.set(together, count);
    const most =
      rules.catchUp === "latest"
        ? 1
        : Math.max(...this.#schedules.map(({ maxCatchUp }) => maxCatchUp));
    if (count > most)
      this.#wrong(
        line,
        `it is number ${count} that was caught up at once; no more than ${most} may`,
      );
  }

  #decide(line: Line, { key, slot }: Slot, kind: string): void {
    const before = this.#decisions.get(key);
    if (before !== undefined)
      this.#wrong(line, `it decides ${key}, which was ${before.kind} already`);
    this.#decisions.set(key, { kind, slot });
    this.byKind[kind] = (this.byKind[kind] ?? 0) + 1;
    if (kind !== "fired" && kind !== "caught_up") return;
    const run = String(line["run"]);
    if (this.#runs.has(run)) this.#wrong(line, `${run} is made twice`);
    this.#runs.add(run);
  }

  /** Slots that are in the future again are decided again, except those that ran. */
  #step(line: Line, before: number): void {
    if (line["through"] === undefined) return;
    const to = Date.parse(String(line["through"]));
    this.#owed(Math.min(before, to), Number.NEGATIVE_INFINITY);
    // A text that was loaded by the wrong clock counts from the step: that clock's time may not
    // come again.
    if (this.#since !== Number.POSITIVE_INFINITY) this.#since = Math.min(this.#since, to);
    this.#seen = Math.min(this.#seen, to);
    for (const [key, { kind, slot }] of this.#decisions)
      if (slot > to && !ran(kind)) this.#decisions.delete(key);
    // Slots that had passed, and that jitter holds back beyond the step: those that the text in
    // force knows.
    const reach = Math.max(0, ...this.#schedules.map(({ jitterSeconds }) => jitterSeconds * 1_000));
    for (const { key, slot, due } of slotsOf(
      this.#pipeline,
      this.#schedules,
      Math.max(this.#since, to - reach),
      to,
    )) {
      const decision = this.#decisions.get(key);
      if (decision !== undefined && slot > this.#since && due > to && !ran(decision.kind))
        this.#decisions.delete(key);
    }
  }
}

function ran(kind: string): boolean {
  return kind === "fired" || kind === "caught_up";
}

/**
 * Reads a pipeline's ledger from its first line.
 *
 * @param textOf what a `pipeline.loaded` line's digest stands for
 * @param now when the history ended; the daemon had been up for a few minutes
 */
export function judge(
  pipeline: string,
  lines: readonly Line[],
  textOf: (digest: string) => readonly PlainSchedule[],
  now: number,
): Verdict {
  const judging = new Judge(pipeline);
  for (const line of lines) judging.read(line, textOf);
  judging.end(now);
  const { problems, decided, byKind } = judging;
  return { problems, decided, byKind };
}
