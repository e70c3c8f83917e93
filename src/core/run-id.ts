/**
 * A run's id, which is also the name of its ledger: `PIPELINE@SLOT` (docs/ledger.md, semantics.md
 * 2).
 *
 *     log-digest@20261123T020000Z          scheduled or caught up
 *     log-digest@20261123T020000Z.weekly   the same, of a schedule with params of its own
 *     log-digest@20261123T101512.481Z-m    by hand, with milliseconds
 *     log-digest@20261123T020000Z-b1       a backfill of that slot
 *     log-digest@20261123T020000Z-b1-r2    the second re-run of that backfill
 *
 * An id becomes part of a path, so every id from outside is checked strictly: none that passes can
 * leave its folder.
 */

import { iso } from "./time.ts";

/** A pipeline's name. `.orchd` and every other name that begins with a dot is not one. */
export const PIPELINE_NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/**
 * A schedule's name, as it may stand in a run's id. A name that ends in `-m`, `-b1` or `-r1` is
 * refused: it looks like the end of an id.
 */
export const SCHEDULE_NAME = /^(?!.*-(?:m|[br]\d+)$)[a-z0-9][a-z0-9_-]{0,63}$/;

const STAMP = /(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?:\.(\d{3}))?Z/.source;
const ANY_SUFFIX = /(?:-m)?(?:-b\d{1,9})?(?:-r\d{1,9})?/.source;
const RUN_ID = new RegExp(`^([^@]+)@${STAMP}(?:\\.([a-z0-9_-]+?))?(${ANY_SUFFIX})$`);
const SUFFIX = /^(-m)?(?:-b([1-9]\d{0,8}))?(?:-r([1-9]\d{0,8}))?$/;
const LAST_STAMP_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Finds what looks like a run's id within a text. */
export const RUN_IDS: RegExp = /[a-z0-9][a-z0-9_-]*@\d{8}T[\w.-]*[\w-]/g;

/** A run's id in its parts. */
export interface RunId {
  readonly pipeline: string;
  /** The slot in ISO 8601. Undefined for a run by hand, which has none. */
  readonly slot?: string;
  /** The slot, or the moment of a run by hand, in milliseconds since 1970. */
  readonly stampMs: number;
  /** The name of the schedule that the slot belongs to. */
  readonly schedule?: string;
  /** The folder of its ledger: the id's own month, `YYYY-MM`. */
  readonly month: string;
  /** What follows the stamp and the schedule's name: ``, `-m`, `-b1`, `-r2`, `-b1-r2`… */
  readonly suffix: string;
  readonly manual: boolean;
  readonly backfill?: number;
  readonly rerun?: number;
  /** The id without `-rN`: the run that a re-run repeats. */
  readonly first: string;
}

/** Takes a run's id apart. Undefined if the text is not one. Never throws. */
export function parseRunId(id: string): RunId | undefined {
  if (id.length > 200) return undefined;
  const match = RUN_ID.exec(id);
  if (match === null) return undefined;
  const [pipeline, day, hour, milliseconds, schedule, suffix] = [
    match[1]!,
    match[4]!,
    match[5]!,
    match[8],
    match[9],
    match[10]!,
  ];
  const parts = suffix === "" ? [] : SUFFIX.exec(suffix);
  if (
    parts === null ||
    !PIPELINE_NAME.test(pipeline) ||
    (schedule !== undefined && !SCHEDULE_NAME.test(schedule))
  )
    return undefined;
  const month = `${match[2]!}-${match[3]!}`;
  const text = `${month}-${day}T${hour}:${match[6]!}:${match[7]!}.${milliseconds ?? "000"}Z`;
  // A field out of its range makes this NaN, with two exceptions: the 31st of a short month and the
  // hour 24 run over into the next day.
  const stampMs = Date.parse(text);
  if (new Date(stampMs).getUTCDate() !== Number(day)) return undefined;
  const manual = parts[1] !== undefined;
  // A run by hand has milliseconds and no slot. Every other run has a slot, which is a whole
  // second.
  if (
    manual !== (milliseconds !== undefined) ||
    (manual && (schedule !== undefined || parts[2] !== undefined))
  )
    return undefined;
  // Built member by member: a start with a long history parses many ids.
  const first = parts[3] === undefined ? id : id.slice(0, id.lastIndexOf("-r"));
  const parsed: { -readonly [Key in keyof RunId]: RunId[Key] } = {
    pipeline,
    stampMs,
    month,
    suffix,
    manual,
    first,
  };
  if (!manual) parsed.slot = text;
  if (schedule !== undefined) parsed.schedule = schedule;
  if (parts[2] !== undefined) parsed.backfill = Number(parts[2]);
  if (parts[3] !== undefined) parsed.rerun = Number(parts[3]);
  return parsed;
}

/**
 * The id of the scheduled or caught-up run of a slot. A slot can have only one, ever.
 *
 * @param slotMs a whole second, in milliseconds since 1970
 * @param schedule the schedule's name, only if it has params of its own (semantics.md 1)
 * @throws RangeError if a name is invalid, or the time is not a whole second of the years 0 to 9999
 */
export function runIdForSlot(pipeline: string, slotMs: number, schedule?: string): string {
  if (slotMs % 1_000 !== 0)
    throw new RangeError(`A slot is a whole second, and ${slotMs} ms is none.`);
  if (schedule !== undefined && !SCHEDULE_NAME.test(schedule))
    throw new RangeError(`${JSON.stringify(schedule)} is no name of a schedule.`);
  const id = checkedPipeline(pipeline) + slotStamp(slotMs);
  return schedule === undefined ? id : `${id}.${schedule}`;
}

/** The slot that was asked for last, and its text: a thousand pipelines may have it in common. */
let lastSlot = Number.NaN;
let lastStamp = "";

function slotStamp(slotMs: number): string {
  if (slotMs !== lastSlot) {
    lastStamp = `@${stamp(slotMs).slice(0, -5)}Z`;
    lastSlot = slotMs;
  }
  return lastStamp;
}

/**
 * The id of a run that is asked for by hand at this moment. If it is taken, the next free id is the
 * next millisecond's.
 *
 * @param nowMs milliseconds since 1970
 */
export function manualRunId(pipeline: string, nowMs: number): string {
  return `${checkedPipeline(pipeline)}@${stamp(Math.floor(nowMs))}-m`;
}

/**
 * The id of the Nth backfill of a slot.
 *
 * @param n from 1
 */
export function backfillRunId(
  pipeline: string,
  slotMs: number,
  n: number,
  schedule?: string,
): string {
  return `${runIdForSlot(pipeline, slotMs, schedule)}-b${n}`;
}

/**
 * The id of the Nth re-run of a run. A re-run of a re-run counts on from the first run.
 *
 * @param n from 1
 * @throws RangeError if `run` is not a run's id
 */
export function rerunRunId(run: string, n: number): string {
  const parsed = parseRunId(run);
  if (parsed === undefined) throw new RangeError(`${JSON.stringify(run)} is no run's id.`);
  return `${parsed.first}-r${n}`;
}

/**
 * Where a run stands among those of its slot, by its id alone: the backfills come after the run
 * itself, and a re-run after what it re-ran.
 */
export function rankInSlot(run: string): number {
  const id = parseRunId(run);
  return (id?.backfill ?? 0) * 1_000_000 + (id?.rerun ?? 0);
}

/** Orders run ids by their stamp, older first, then by name. Texts that are not ids come first. */
export function compareRunIds(a: string, b: string): number {
  const byStamp = (parseRunId(a)?.stampMs ?? -1) - (parseRunId(b)?.stampMs ?? -1);
  return byStamp === 0 ? (a < b ? -1 : a > b ? 1 : 0) : byStamp;
}

function checkedPipeline(pipeline: string): string {
  if (!PIPELINE_NAME.test(pipeline))
    throw new RangeError(`${JSON.stringify(pipeline)} is no name of a pipeline.`);
  return pipeline;
}

/** `20261123T101512.481Z` */
function stamp(milliseconds: number): string {
  if (!(milliseconds >= 0 && milliseconds <= LAST_STAMP_MS))
    throw new RangeError(`${milliseconds} ms is outside the years that a run's id can name.`);
  const text = iso(milliseconds);
  const day = text.slice(0, 4) + text.slice(5, 7) + text.slice(8, 10);
  return day + text.slice(10, 13) + text.slice(14, 16) + text.slice(17);
}
