/**
 * A second, deliberately naive reading of what the engine owes: which slots a pipeline's texts had, minute by minute, and whether its ledger covers each
 * with exactly one decision. It knows nothing of watermarks, heaps or windows; it shares only the jitter's hash with the engine, written again.
 */
import { createHash } from "node:crypto";
import type { Line } from "../support/await-event.ts";

/** A text that a simulated pipeline may have: minutes past the hour, at these hours, in UTC. */
export interface PlainSchedule {
  readonly minutes: readonly number[];
  /** Undefined: every hour. */
  readonly hours?: readonly number[];
  readonly jitterSeconds: number;
  /** Its own lane. */
  readonly lane?: string;
}

export function cronOf({ minutes, hours }: PlainSchedule): string {
  return `${minutes.join(",")} ${hours === undefined ? "*" : hours.join(",")} * * *`;
}

function matches({ minutes, hours }: PlainSchedule, time: Date): boolean {
  return minutes.includes(time.getUTCMinutes()) && (hours === undefined || hours.includes(time.getUTCHours()));
}

function plainJitter(pipeline: string, slot: number, seconds: number): number {
  if (seconds === 0) return 0;
  const hash = Number.parseInt(createHash("sha256").update(`${pipeline}@${slot}`).digest("hex").slice(0, 8), 16);
  return Math.floor((hash / 4_294_967_296) * (seconds * 1000 + 1));
}

interface Slot {
  readonly key: string;
  readonly slot: number;
  readonly due: number;
}

/** Every slot of these schedules in (from, to], by brute force. */
function slotsOf(pipeline: string, schedules: readonly PlainSchedule[], from: number, to: number): Slot[] {
  const found = new Map<string, Slot>();
  for (let minute = Math.floor(from / 60_000) * 60_000; minute <= to; minute += 60_000) {
    if (minute <= from) continue;
    for (const schedule of schedules) {
      if (!matches(schedule, new Date(minute))) continue;
      const iso = new Date(minute).toISOString();
      const key = schedule.lane === undefined ? iso : `${iso}.${schedule.lane}`;
      const due = minute + plainJitter(pipeline, minute, schedule.jitterSeconds);
      const before = found.get(key);
      if (before === undefined || due < before.due) found.set(key, { key, slot: minute, due });
    }
  }
  return [...found.values()];
}

export interface Verdict {
  readonly problems: string[];
  /** Slots that were due and have their decision. */
  readonly decided: number;
  readonly fired: number;
  readonly byKind: Record<string, number>;
}

/**
 * Reads a pipeline's ledger from its first line.
 *
 * @param textOf what a `pipeline.loaded` line's digest stands for
 */
export function judge(pipeline: string, lines: readonly Line[], textOf: (digest: string) => readonly PlainSchedule[]): Verdict {
  const problems: string[] = [];
  const decisions = new Map<string, { kind: string; due: number; slot: number }>();
  const byKind: Record<string, number> = {};
  const runs = new Set<string>();
  let schedules: readonly PlainSchedule[] = [];
  let since = Number.POSITIVE_INFINITY;
  /** Slots that must have a decision once the text they belong to ends. */
  const owed = new Map<string, Slot>();
  let through = 0;

  const end = (at: number): void => {
    if (since === Number.POSITIVE_INFINITY) return;
    for (const slot of slotsOf(pipeline, schedules, since, at)) owed.set(slot.key, slot);
  };
  const decide = (slot: Slot, kind: string, line: Line): void => {
    const before = decisions.get(slot.key);
    if (before !== undefined) problems.push(`line ${line.seq}: ${slot.key} is ${kind}, and was ${before.kind} already`);
    decisions.set(slot.key, { kind, due: slot.due, slot: slot.slot });
    byKind[kind] = (byKind[kind] ?? 0) + 1;
  };
  for (const line of lines) {
    if (typeof line["through"] === "string" && line.type !== "clock.stepped") through = Math.max(through, Date.parse(line["through"]));
    const slot = typeof line["slot"] === "string" ? Date.parse(line["slot"]) : Number.NaN;
    const lane = typeof line["schedule"] === "string" ? `.${line["schedule"]}` : "";
    switch (line.type) {
      case "pipeline.loaded": {
        const from = Date.parse(String(line["since"]));
        const text = textOf(String(line["digest"]));
        if (from !== since) {
          // Everything of the text before that had come by now has been decided.
          if (since < from) end(from);
          since = from;
        }
        schedules = text;
        break;
      }
      case "pipeline.removed":
        end(Date.parse(line.at));
        since = Number.POSITIVE_INFINITY;
        schedules = [];
        break;
      case "slot.fired":
      case "slot.caught_up":
        if (runs.has(String(line["run"]))) problems.push(`line ${line.seq}: ${String(line["run"])} fired twice`);
        runs.add(String(line["run"]));
        decide({ key: `${String(line["slot"])}${lane}`, slot, due: slot + plainJitter(pipeline, slot, 0) }, line.type.slice(5), line);
        if (Date.parse(line.at) < slot) problems.push(`line ${line.seq}: ${String(line["slot"])} fired before its time`);
        break;
      case "slot.skipped":
        decide({ key: `${String(line["slot"])}${lane}`, slot, due: slot }, "skipped", line);
        break;
      case "slot.missed": {
        if (line["until"] === undefined) decide({ key: `${String(line["slot"])}${lane}`, slot, due: slot }, "missed", line);
        else {
          const until = Date.parse(String(line["until"]));
          for (const one of slotsOf(pipeline, schedules, Math.max(slot - 1, since), until)) decide(one, "missed", line);
        }
        break;
      }
      case "clock.stepped": {
        if (line["through"] === undefined) break;
        const to = Date.parse(String(line["through"]));
        through = to;
        for (const [key, decision] of decisions) {
          const ahead = decision.slot > to - 3_600_000 && decision.slot > since;
          if (ahead && decision.kind !== "fired" && decision.kind !== "caught_up" && dueOf(pipeline, schedules, key) > to) decisions.delete(key);
        }
        break;
      }
    }
  }
  end(through);
  let decided = 0;
  for (const slot of owed.values()) {
    if (slot.due > through) continue;
    if (decisions.has(slot.key)) decided += 1;
    else problems.push(`${slot.key} was due at ${new Date(slot.due).toISOString()} and has no decision`);
  }
  return { problems, decided, fired: runs.size, byKind };
}

/** When a slot that has a decision is due by the text in force; never where that text does not know it, since nobody can decide it anew. */
function dueOf(pipeline: string, schedules: readonly PlainSchedule[], key: string): number {
  const [iso, lane] = [key.slice(0, 24), key.length > 24 ? key.slice(25) : undefined];
  const slot = Date.parse(iso);
  const dues = schedules
    .filter((schedule) => schedule.lane === lane && matches(schedule, new Date(slot)))
    .map((schedule) => slot + plainJitter(pipeline, slot, schedule.jitterSeconds));
  return Math.min(...dues, dues.length === 0 ? 0 : Number.POSITIVE_INFINITY);
}
