/**
 * A pipeline's slots and runs by hand as marks on a time axis, by its own ledger alone: no run's
 * ledger is opened, so a mark costs the same whether its run is there or pruned.
 *
 * The newest decision of a slot counts, as in `orchd why`. A backfill is a mark of its own at its
 * slot. A line that covers a stretch of missed slots gives a mark for each of them.
 */
import { closeSync, fstatSync, openSync } from "node:fs";
import { parseRunId } from "../core/run-id.ts";
import {
  timetable,
  type DueSlot,
  type Schedule,
  type Timetable,
} from "../core/schedule/schedule.ts";
import { DAY_MS, iso } from "../core/time.ts";
import { LinesBackwards } from "../ledger/lines-backwards.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { parseObject } from "../core/json-object.ts";
import { wholeSchedule } from "./recorded-schedule.ts";
import type { StripMark } from "./overview.ts";
import type { PlainLine } from "./plain-line.ts";
import { pipelineLedgers } from "./run-history.ts";
import { textAt } from "./schedule-history.ts";
import type { SlotDecision } from "./slot-outcome.ts";

/** How far a ledger was read. */
export interface LedgerEnd {
  readonly inode: number;
  /** Where the last whole line ends, in bytes. */
  readonly offset: number;
  /** That line's number. */
  readonly seq: number;
}

/** What is read of a pipeline's ledger. */
export interface RecentLines {
  /** Oldest first. */
  readonly lines: readonly PlainLine[];
  /** The end of the file in use; undefined where it has no whole line. */
  readonly end: LedgerEnd | undefined;
  /** Older lines of the time that was asked for were left out: they are too many. */
  readonly isCut: boolean;
}

/** The most lines that are kept of one pipeline. */
export const MOST_LINES = 200_000;
/** The most slots that one line about a stretch is counted for. */
const MOST_OF_STRETCH = 10_000;
/**
 * So many lines in a row that are older end the reading. The clock may have been behind for a few:
 * one alone says nothing.
 */
const OLDER_LINES = 64;
const HEAD = /^\{"seq":(\d+),"b":\d+,"at":"([^"]+)","type":"([a-z._]+)"/;
const HEAD_BYTES = 120;
const KEPT = /^(?:slot\.(?!late)|run\.(?!overdue)|clock\.stepped|pipeline\.(?!checkpoint))/;
const DECISIONS: Readonly<Record<string, SlotDecision>> = {
  "slot.fired": "fired",
  "slot.caught_up": "caught_up",
  "slot.skipped": "skipped",
  "slot.missed": "missed",
  "slot.backfilled": "backfilled",
};

/**
 * A pipeline's lines from `from` (milliseconds since 1970) on, and as many older ones as give
 * `least` marks. Checkpoints are left out. Lines that hold no JSON object are skipped.
 *
 * @throws a Node error where the user may not read the ledger
 */
export function recentLines(
  store: RunStore,
  pipeline: string,
  {
    from,
    least = 0,
    most = MOST_LINES,
  }: {
    readonly from: number;
    readonly least?: number;
    readonly most?: number;
  },
): RecentLines {
  const lines: PlainLine[] = [];
  let [older, marks] = [0, 0];
  let end: LedgerEnd | undefined;
  const all = (isCut: boolean): RecentLines => ({ lines: lines.toReversed(), end, isCut });
  for (const { at, type, text, end: itsEnd } of headsBackwards(store, pipeline)) {
    end ??= itsEnd;
    const isOlder = Date.parse(at) < from;
    older = isOlder ? older + 1 : 0;
    if (older > OLDER_LINES && marks >= least) break;
    if (!KEPT.test(type) || (isOlder && marks >= least)) continue;
    if (lines.length >= most) return all(!isOlder);
    const line = parseObject(text());
    if (line === undefined) continue;
    lines.push(line);
    if (type in DECISIONS ? type !== "slot.backfilled" : isByHand(line)) marks += 1;
  }
  return all(false);
}

/** The head of a line, and its text where it is asked for: most lines need not be parsed. */
interface LineHead {
  readonly at: string;
  readonly type: string;
  readonly text: () => string;
  readonly end: LedgerEnd;
}

function* headsBackwards(store: RunStore, pipeline: string): Generator<LineHead> {
  for (const path of pipelineLedgers(store, pipeline)) {
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EACCES" || code === "EPERM") throw error;
      continue;
    }
    try {
      const inode = fstatSync(fd).ino;
      const lines = new LinesBackwards(fd);
      for (let line = lines.previous(); line !== undefined; line = lines.previous()) {
        const bytes = line;
        const [, seq, at, type] = HEAD.exec(bytes.toString("latin1", 0, HEAD_BYTES)) ?? [];
        if (at === undefined || type === undefined) continue;
        const end = { inode, offset: lines.offset + bytes.length + 1, seq: Number(seq) };
        yield { at, type, text: () => bytes.toString("utf8"), end };
      }
    } finally {
      closeSync(fd);
    }
  }
}

function isByHand(line: PlainLine): boolean {
  const { type, run } = line;
  const id = typeof run === "string" && type === "run.started" ? parseRunId(run) : undefined;
  return id !== undefined && (id.manual || id.rerun !== undefined);
}

/** A pipeline whose lines are folded into marks. */
export interface MarkedPipeline {
  readonly store: RunStore;
  readonly pipeline: string;
  /** Its runs that go on, by its ledger. */
  readonly active: ReadonlySet<string>;
  /** Its runs that wait for their turn. */
  readonly queued: ReadonlySet<string>;
}

/** Which marks are wanted. Times are milliseconds since 1970, both included. */
export interface MarkStretch {
  readonly from: number;
  readonly to: number;
  /** How many marks before `from` are wanted too, if the lines have any; default: none. */
  readonly older?: number;
}

/** The marks of a stretch of time, by their slot. */
export function slotMarks(
  marked: MarkedPipeline,
  lines: readonly PlainLine[],
  stretch: MarkStretch,
): StripMark[] {
  const fold = new MarkFold(marked, stretch);
  for (const line of lines) fold.take(line);
  return fold.marks();
}

type Mark = { -readonly [K in keyof StripMark]: StripMark[K] };

/** Lines folded into marks, oldest first. */
class MarkFold {
  readonly #marked: MarkedPipeline;
  readonly #from: number;
  readonly #to: number;
  readonly #older: number;
  readonly #marks = new Map<string, Mark>();
  readonly #ofRun = new Map<string, Mark>();
  /** The schedules in force; undefined until a line or the ledger told them. */
  #schedules: readonly Schedule[] | undefined;

  constructor(marked: MarkedPipeline, { from, to, older = 0 }: MarkStretch) {
    this.#marked = marked;
    this.#from = from;
    this.#to = to;
    this.#older = older;
  }

  take(line: PlainLine): void {
    const type = String(line["type"]);
    const decision = DECISIONS[type];
    if (decision !== undefined) this.#decide(line, decision);
    else if (type === "run.started" || type === "run.queued") this.#begin(line);
    else if (type === "run.finished") this.#end(line);
    else if (type === "clock.stepped") this.#stepBack(line);
    else if (type === "pipeline.loaded" && Array.isArray(line["schedules"]))
      this.#schedules = (line["schedules"] as Schedule[]).map(wholeSchedule);
  }

  marks(): StripMark[] {
    const all = [...this.#marks.values()]
      .filter(({ slot }) => Date.parse(slot!) <= this.#to)
      .toSorted((a, b) => (a.slot! < b.slot! ? -1 : a.slot! > b.slot! ? 1 : 0));
    const first = all.findIndex(({ slot }) => Date.parse(slot!) >= this.#from);
    return all.slice(Math.max(0, (first < 0 ? all.length : first) - this.#older));
  }

  #decide(line: PlainLine, decision: SlotDecision): void {
    const { slot, until } = line;
    if (typeof slot !== "string") return;
    if (typeof until === "string" && until !== slot) return this.#decideStretch(line, slot, until);
    const [run, decidedAt] = [textOf(line["run"]), textOf(line["at"])];
    const schedule = textOf(line["schedule"]);
    const mark: Mark = {
      slot,
      decision,
      because: textOf(line["because"]),
      schedule,
      run,
      status: run === null ? null : this.#statusOf(run),
      decidedAt,
      lateMs: latenessOf(line, decision, slot, decidedAt),
      durationMs: null,
    };
    const key = `${slot}.${schedule ?? ""}`;
    this.#marks.set(decision === "backfilled" ? `${key}.${run ?? ""}` : key, mark);
    if (run !== null) this.#ofRun.set(run, mark);
  }

  #decideStretch(line: PlainLine, first: string, last: string): void {
    for (const { slot, schedule } of this.#slotsOf(Date.parse(first), Date.parse(last), line)) {
      const before = this.#marks.get(`${slot}.${schedule ?? ""}`);
      if (before?.run === undefined || before.run === null)
        this.#decide({ ...line, slot, schedule, until: undefined }, "missed");
    }
  }

  /**
   * The slots of a stretch, by the schedules of that time; the first alone where none are known.
   */
  #slotsOf(
    first: number,
    last: number,
    line: PlainLine,
  ): { readonly slot: string; readonly schedule: string | null }[] {
    const { store, pipeline } = this.#marked;
    const [from, to] = [Math.max(first, this.#from), Math.min(last, this.#to)];
    const isWanted = from <= to || this.#older > 0;
    if (!isWanted) return [];
    if (this.#schedules === undefined) {
      const text = textAt(store, pipeline, first);
      this.#schedules = "since" in text ? text.schedules : [];
    }
    try {
      const slots = stretchSlots(timetable(pipeline, this.#schedules), {
        from,
        to,
        older: first < this.#from ? this.#older : 0,
        first,
      });
      if (slots.length > 0)
        return slots.map(({ slot, track }) => ({ slot: iso(slot), schedule: track ?? null }));
    } catch {
      // A schedule that another release wrote: the line is all that is known.
    }
    const schedule = textOf(line["schedule"]);
    return [{ slot: iso(from <= to ? from : first), schedule }];
  }

  #begin(line: PlainLine): void {
    const run = textOf(line["run"]);
    if (run === null) return;
    const known = this.#ofRun.get(run);
    const id = parseRunId(run);
    if (known !== undefined || id === undefined || (!id.manual && id.rerun === undefined)) return;
    const at = textOf(line["at"]);
    const mark: Mark = {
      slot: id.manual ? iso(id.stampMs) : at,
      decision: "by_hand",
      because: id.rerun === undefined ? null : `a re-run of ${id.first}`,
      schedule: null,
      run,
      status: this.#statusOf(run),
      decidedAt: at,
      lateMs: null,
      durationMs: null,
    };
    if (mark.slot === null) return;
    this.#marks.set(run, mark);
    this.#ofRun.set(run, mark);
  }

  #end(line: PlainLine): void {
    const mark = this.#ofRun.get(String(line["run"]));
    if (mark === undefined) return;
    mark.status = textOf(line["status"]);
    const { durationMs, because } = line;
    mark.durationMs = typeof durationMs === "number" ? durationMs : null;
    // How a run ended says more than why it began.
    if (mark.status !== "completed" && typeof because === "string") mark.because = because;
  }

  /** Slots after this are decided again, except those that fired (semantics.md 8). */
  #stepBack(line: PlainLine): void {
    const { through } = line;
    if (typeof through !== "string") return;
    for (const [key, { slot, decision }] of this.#marks)
      if ((decision === "skipped" || decision === "missed") && slot! > through)
        this.#marks.delete(key);
  }

  #statusOf(run: string): string | null {
    const { active, queued } = this.#marked;
    return queued.has(run) ? "initializing" : active.has(run) ? "running" : null;
  }
}

/** The slots from `from` through `to`, and the newest `older` ones before, from `first` on. */
function stretchSlots(
  table: Timetable,
  { from, to, older, first }: MarkStretch & { readonly first: number },
): DueSlot[] {
  const slots =
    from <= to
      ? table
          .dueSlots(from - 1, to + DAY_MS, MOST_OF_STRETCH)
          .filter(({ slot }) => slot >= from && slot <= to)
      : [];
  let end = Math.min(from - 1, to);
  for (let left = older ?? 0; left > 0 && end >= first; left -= 1) {
    const newest = table.newest(first - 1, end);
    if (newest === undefined) break;
    slots.unshift(newest);
    end = newest.due - 1;
  }
  return slots;
}

function latenessOf(
  line: PlainLine,
  decision: SlotDecision,
  slot: string,
  decidedAt: string | null,
): number | null {
  if (decision !== "fired" && decision !== "caught_up") return null;
  const { latenessMs } = line;
  if (typeof latenessMs === "number") return latenessMs;
  return decidedAt === null ? null : Math.max(0, Date.parse(decidedAt) - Date.parse(slot));
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
