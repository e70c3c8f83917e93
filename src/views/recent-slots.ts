/**
 * What the newest lines of a pipeline's ledger say of its slots, in little room. Once read, it is
 * brought up to date by the lines that were written since: a page over a thousand pipelines that
 * fire each minute has no time to read a day of each again.
 *
 * Lines that change what older lines mean (a clock that went back, a backfill, a stretch of missed
 * slots, another version of the file) cannot be added: then it is read from scratch.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parseRunId } from "../core/run-id.ts";
import { changesOf } from "./changes.ts";
import { dayStart, DayTally } from "./day-tally.ts";
import { parseObject } from "../core/json-object.ts";
import type { Change, StripMark } from "./overview.ts";
import type { PlainLine } from "./plain-line.ts";
import { recentLines, slotMarks, type LedgerEnd, type MarkedPipeline } from "./slot-marks.ts";

/** The most marks of a strip. */
const STRIP_MARKS = 34;
/** The most changes that are kept. */
const MOST_CHANGES = 20;
/** More than this is read from scratch, in bytes. */
const MOST_NEW_BYTES = 1_048_576;
const LF = 0x0a;
const OPEN: ReadonlySet<string | null> = new Set([null, "running", "initializing"]);

/** One pipeline's recent slots. */
export class RecentSlots {
  #strip: readonly StripMark[];
  readonly #changes: readonly Change[];
  readonly #tally: DayTally;
  /** The slots that a backfill ran: one of them is decided after it where the clock went back. */
  readonly #backfilled: ReadonlySet<string | null>;
  #end: LedgerEnd | undefined;

  /**
   * Reads them. @param now milliseconds since 1970
   *
   * @throws a Node error where the user may not read the ledger
   */
  constructor(marked: MarkedPipeline, now: number) {
    const { store, pipeline } = marked;
    const from = dayStart(now);
    const { lines, end } = recentLines(store, pipeline, { from, least: STRIP_MARKS });
    const to = timeOf(lines, now);
    const marks = slotMarks(marked, lines, { from, to, older: STRIP_MARKS });
    this.#strip = marks.filter(({ decision }) => decision !== "backfilled").slice(-STRIP_MARKS);
    this.#backfilled = new Set(
      marks.flatMap(({ decision, slot }) => (decision === "backfilled" ? [slot] : [])),
    );
    this.#tally = new DayTally(pipeline, marks);
    this.#changes = changesOf(pipeline, lines, from).slice(0, MOST_CHANGES);
    this.#end = end;
  }

  /** Its last slots and runs by hand, at most 34, oldest first. */
  get strip(): readonly StripMark[] {
    return this.#strip;
  }

  /** Its slots of the last day, counted. */
  get tally(): DayTally {
    return this.#tally;
  }

  /** What was done to it in the last day, newest first, at most 20. */
  get changes(): readonly Change[] {
    return this.#changes;
  }

  /** Takes what was written since. @returns false where it has to be read from scratch */
  grow(marked: MarkedPipeline, now: number): boolean {
    const news = this.#end && linesAfter(marked.store.pipelineLedger(marked.pipeline), this.#end);
    if (news === undefined || news.lines.some(changesThePast)) return false;
    const found = slotMarks(marked, news.lines, { from: 0, to: timeOf(news.lines, now) });
    const known = new Set(this.#strip.map(({ run }) => run));
    const added = found.filter(({ decision, run }) => decision !== "by_hand" || !known.has(run));
    // A slot is decided once. What is decided again was written by nobody that keeps the rules.
    const slots = new Set(this.#strip.map(slotKey));
    const isKnown = (mark: StripMark): boolean =>
      slots.has(slotKey(mark)) || this.#backfilled.has(mark.slot);
    if (added.some((mark) => mark.decision !== "by_hand" && isKnown(mark))) return false;
    const marks = new Map(this.#strip.map((mark) => [mark.run ?? mark, mark]));
    const ownRuns = new Set(added.map(({ run }) => run));
    for (const line of news.lines)
      if (line["type"] === "run.finished" && !ownRuns.has(String(line["run"]))) {
        const run = String(line["run"]);
        const mark = marks.get(run);
        if (mark !== undefined) marks.set(run, endedMark(mark, line));
        if (line["status"] === "failed" && isOfSlot(run))
          this.#tally.fail(parseRunId(run)!.stampMs);
      }
    this.#tally.add(added);
    this.#strip = [...marks.values(), ...added]
      .map((mark) => presentMark(mark, marked))
      .toSorted((a, b) => (a.slot! < b.slot! ? -1 : a.slot! > b.slot! ? 1 : 0))
      .slice(-STRIP_MARKS);
    this.#end = news.end;
    return true;
  }
}

/**
 * The present, by the caller's clock and the last line: a line may be written between the look at
 * the clock and the reading. Its slot is there, and the line is not read again.
 */
function timeOf(lines: readonly PlainLine[], now: number): number {
  const at = lines.at(-1)?.["at"];
  return Math.max(now, typeof at === "string" ? Date.parse(at) || 0 : 0);
}

function changesThePast({ type, until }: PlainLine): boolean {
  return (
    type === "clock.stepped" ||
    type === "slot.backfilled" ||
    type === "pipeline.loaded" ||
    type === "pipeline.invalid" ||
    type === "pipeline.removed" ||
    type === "pipeline.paused" ||
    type === "pipeline.resumed" ||
    (type === "slot.missed" && until !== undefined)
  );
}

function slotKey({ slot, schedule }: StripMark): string {
  return `${slot ?? ""}.${schedule ?? ""}`;
}

/** Whether a run is the one of its slot: none by hand, no backfill, no re-run. */
function isOfSlot(run: string): boolean {
  const id = parseRunId(run);
  return id !== undefined && id.suffix === "";
}

function endedMark(mark: StripMark, line: PlainLine): StripMark {
  const { status, durationMs, because } = line;
  return {
    ...mark,
    status: typeof status === "string" ? status : null,
    durationMs: typeof durationMs === "number" ? durationMs : null,
    because: status !== "completed" && typeof because === "string" ? because : mark.because,
  };
}

/** A mark whose run goes on, as it stands now. */
function presentMark(mark: StripMark, { active, queued }: MarkedPipeline): StripMark {
  if (mark.run === null || !OPEN.has(mark.status)) return mark;
  const status = queued.has(mark.run) ? "initializing" : active.has(mark.run) ? "running" : null;
  return status === mark.status ? mark : { ...mark, status };
}

/** The whole lines after the end that was read; undefined where that end is not there any more. */
function linesAfter(
  path: string,
  { inode, offset, seq }: LedgerEnd,
): { readonly lines: readonly PlainLine[]; readonly end: LedgerEnd } | undefined {
  const fd = openSync(path, "r");
  try {
    const { ino, size } = fstatSync(fd);
    if (ino !== inode || size < offset || size - offset > MOST_NEW_BYTES) return undefined;
    const bytes = Buffer.allocUnsafe(size - offset);
    const read = readSync(fd, bytes, 0, bytes.length, offset);
    const whole = bytes.subarray(0, bytes.subarray(0, read).lastIndexOf(LF) + 1);
    const lines: PlainLine[] = [];
    for (const text of whole.toString("utf8").split("\n").slice(0, -1)) {
      const line = parseObject(text);
      // Somebody has mended or replaced the file.
      if (line?.["seq"] !== seq + lines.length + 1) return undefined;
      lines.push(line);
    }
    return {
      lines,
      end: { inode, offset: offset + whole.length, seq: seq + lines.length },
    };
  } finally {
    closeSync(fd);
  }
}
