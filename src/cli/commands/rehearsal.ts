/**
 * `orchd next --days N`: what the coming days will be like. Seconds in which many pipelines are due
 * at once, runs that will still go on when their next slot comes (by how long they took so far),
 * and slots that daylight saving moves.
 */
import { formatDuration } from "../../core/duration.ts";
import { offsetAt } from "../../core/schedule/zone.ts";
import { DAY_MS, iso } from "../../core/time.ts";
import { RunStore } from "../../ledger/run-store.ts";
import type { CommandContext } from "../command.ts";
import { EXIT, type ExitStatus } from "../exit.ts";
import { describe, type NextSlot, type Planned } from "../../views/next-slot.ts";
import { parseCount } from "../number-text.ts";
import { countText } from "../render.ts";
import { runsBackwards } from "../../views/run-history.ts";
import { span } from "../terminal.ts";
import { timeText } from "../time-text.ts";

/**
 * Slots of one pipeline that are looked at: a pipeline of each second for a week is enough of it.
 */
const MOST_SLOTS = 604_800;
/**
 * Of one pipeline's slots near a change, so many are looked at: one that fires each second has a
 * day of them.
 */
const MOST_MOVED = 5_000;
const HISTORY_RUNS = 100;
const LEAST_HISTORY = 3;
const SHOWN = 20;

/** A second in which many slots are due. */
interface PileUp {
  readonly second: string;
  readonly count: number;
  readonly pipelines: readonly string[];
}

/** A run that will still go on at the next slot. */
interface Overlap {
  readonly pipeline: string;
  /** The first slot of which that is so. */
  readonly slot: string;
  readonly nextSlot: string;
  readonly everyMs: number;
  /** How long its runs take: the median, and the longest of ten (the 90th percentile). */
  readonly medianMs: number;
  readonly longMs: number;
  /** How many slots are so. */
  readonly slots: number;
}

/** Prints the rehearsal. */
export async function rehearse(
  { args, roots, terminal }: CommandContext,
  planned: readonly Planned[],
  from: number,
  days: number,
): Promise<ExitStatus> {
  const most = parseCount(args.text("pile-up"), "--pile-up", 10);
  const to = from + days * DAY_MS;
  const store = new RunStore(roots.runs);
  const seconds = new Map<number, string[]>();
  const overlaps: Overlap[] = [];
  const moved: NextSlot[] = [];
  const cut: { readonly pipeline: string; readonly through: string }[] = [];
  let total = 0;
  for (const it of planned) {
    const slots = it.table.dueSlots(from, to, MOST_SLOTS);
    total += slots.length;
    if (slots.length === MOST_SLOTS)
      cut.push({ pipeline: it.pipeline, through: iso(slots.at(-1)!.due) });
    for (const slot of slots) {
      const second = Math.floor(slot.due / 1_000);
      const there = seconds.get(second);
      if (there === undefined) seconds.set(second, [it.pipeline]);
      else there.push(it.pipeline);
    }
    const overlap = overlapOf(
      store,
      it.pipeline,
      slots.map(({ slot }) => slot),
    );
    if (overlap !== undefined) overlaps.push(overlap);
    // Around a change of offset at most a day is moved or doubled; looking at fixed days alone
    // would miss a zone.
    if (slots.some(({ schedule }) => schedule.timezone !== "UTC")) {
      moved.push(
        ...slots
          .filter(nearTransition())
          .slice(0, MOST_MOVED)
          .map((slot) => describe(it, slot))
          .filter(
            ({ note }) => note?.startsWith("gap") === true || note?.startsWith("overlap") === true,
          ),
      );
    }
  }
  const pileUps: PileUp[] = [...seconds]
    .filter(([, pipelines]) => pipelines.length > most)
    .map(([second, pipelines]) => ({
      second: iso(second * 1_000),
      count: pipelines.length,
      pipelines: [...new Set(pipelines)],
    }))
    .toSorted((a, b) => b.count - a.count || (a.second < b.second ? -1 : 1));
  if (args.flag("json")) {
    terminal.json({
      from: iso(from),
      to: iso(to),
      slots: total,
      cut,
      pileUps,
      overlaps,
      moved,
    });
    return EXIT.done;
  }
  terminal.line(
    `${countText(total, "slot")} of ${countText(planned.length, "pipeline")} from ${timeText(from)} to ${timeText(to)}`,
  );
  for (const { pipeline, through } of cut) {
    terminal.line(
      `${pipeline}: only its first ${countText(MOST_SLOTS, "slot")} are looked at, through ${timeText(Date.parse(through))}`,
    );
  }
  section(
    terminal,
    "pile-ups",
    pileUps,
    ({ second, count, pipelines }) =>
      `${timeText(second)}  ${countText(count, "slot")} at once: ${pipelines.slice(0, 5).join(", ")}${pipelines.length > 5 ? ", …" : ""}; jitterSeconds spreads them`,
  );
  section(
    terminal,
    "runs that will overlap",
    overlaps,
    (it) =>
      `${it.pipeline}: its runs take ${formatDuration(it.medianMs)} (one in ten ${formatDuration(it.longMs)} or more), and ${countText(it.slots, "slot")} come sooner after the one before, first ${timeText(it.nextSlot)}`,
  );
  section(
    terminal,
    "slots that daylight saving changes",
    moved,
    (it) => `${it.pipeline}  ${it.slot}  ${it.local}  ${it.note ?? ""}`,
  );
  return EXIT.done;
}

function section<T>(
  terminal: CommandContext["terminal"],
  title: string,
  found: readonly T[],
  text: (one: T) => string,
): void {
  terminal.line("");
  terminal.line(span("bold", title), found.length === 0 ? ": none" : `: ${found.length}`);
  for (const one of found.slice(0, SHOWN)) terminal.line("  ", text(one));
  if (found.length > SHOWN)
    terminal.line(span("dim", `  and ${found.length - SHOWN} more; --json has them all`));
}

function overlapOf(
  store: RunStore,
  pipeline: string,
  slots: readonly number[],
): Overlap | undefined {
  const durations: number[] = [];
  for (const { durationMs } of runsBackwards(store, pipeline)) {
    if (durationMs !== undefined) durations.push(durationMs);
    if (durations.length === HISTORY_RUNS) break;
  }
  if (durations.length < LEAST_HISTORY) return undefined;
  durations.sort((a, b) => a - b);
  const medianMs = durations[Math.floor((durations.length - 1) / 2)]!;
  const longMs = durations[Math.floor((durations.length - 1) * 0.9)]!;
  let first = -1;
  let count = 0;
  for (let index = 1; index < slots.length; index += 1) {
    if (slots[index]! - slots[index - 1]! >= longMs) continue;
    if (first < 0) first = index;
    count += 1;
  }
  if (first < 0) return undefined;
  return {
    pipeline,
    slot: iso(slots[first - 1]!),
    nextSlot: iso(slots[first]!),
    everyMs: slots[first]! - slots[first - 1]!,
    medianMs,
    longMs,
    slots: count,
  };
}

/**
 * Keeps the slots within a day of a change of their zone's offset: only those can be moved or come
 * twice, and a look at one is dear.
 */
function nearTransition(): (slot: {
  readonly slot: number;
  readonly schedule: { readonly timezone: string };
}) => boolean {
  const days = new Map<string, boolean>();
  return ({ slot, schedule: { timezone } }) => {
    const day = Math.floor(slot / DAY_MS);
    const key = `${timezone} ${day}`;
    let near = days.get(key);
    if (near === undefined) {
      near =
        timezone !== "UTC" &&
        offsetAt((day - 1) * DAY_MS, timezone) !== offsetAt((day + 2) * DAY_MS, timezone);
      days.set(key, near);
    }
    return near;
  };
}
