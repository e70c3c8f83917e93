/**
 * One pipeline's part of a scrape. Its ledger's tail is read again only when the file has changed;
 * what is kept in between is small: a root may have thousands of pipelines.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { slotKey, type PipelineState } from "../../core/pipeline-state.ts";
import { timetable, type Timetable } from "../../core/schedule/schedule.ts";
import { iso } from "../../core/time.ts";
import { emptyTally, type Tally } from "../../core/tally.ts";
import type { RunStore } from "../../ledger/run-store.ts";
import { readPipeline } from "../../views/pipeline-reading.ts";
import { viewPipeline } from "../../views/pipeline-view.ts";
import { quickCalculator } from "../../views/quick-calculator.ts";
import { schedulesInForce } from "../../views/recorded-schedule.ts";

const ROTATED = /^pipeline-.+\.jsonl$/;

/** What metrics say of a pipeline. */
export interface PipelineNumbers {
  readonly tally: Tally;
  /** The file is gone: it has counters, and nothing that is of now. */
  readonly removed: boolean;
  readonly valid: boolean;
  readonly paused: boolean;
  readonly active: number;
  readonly queued: number;
  /** When it fires next, in milliseconds since 1970; infinite: never. */
  readonly nextFire: number;
  readonly undecided: number;
  /** The bytes of its own ledgers. */
  readonly bytes: number;
}

/** What is kept of a reading. */
interface Kept extends Omit<PipelineNumbers, "nextFire" | "undecided" | "bytes"> {
  readonly table: Timetable | undefined;
  readonly through: number;
  /** The keys of slots after `through` that have their line already. */
  readonly decided: ReadonlySet<string>;
}

/** A pipeline without a ledger that the daemon cannot use either. */
export const UNUSABLE: PipelineNumbers = {
  tally: emptyTally(),
  removed: false,
  valid: false,
  paused: false,
  active: 0,
  queued: 0,
  nextFire: Number.POSITIVE_INFINITY,
  undecided: 0,
  bytes: 0,
};

/** A pipeline whose slots nobody decides. */
const NO_SCHEDULE = {
  table: undefined,
  through: 0,
  decided: new Set<string>(),
};

/** A pipeline whose ledger cannot be read. */
const UNREADABLE: Kept = { ...UNUSABLE, ...NO_SCHEDULE };

/** The numbers of one pipeline, scrape after scrape. */
export class PipelineMetrics {
  readonly #store: RunStore;
  readonly #name: string;
  readonly #path: string;
  #mark = "";
  /** The moment of the last scrape. */
  #at = 0;
  #kept: Kept | undefined;
  /** When it fires next, and when the first slot is due that was not counted. */
  #nextFire = 0;
  #nextDue = 0;
  /** How many slots are undecided, of those due before `#nextDue`. */
  #undecided = 0;
  #folderMark = 0;
  #rotated = 0;

  constructor(store: RunStore, name: string) {
    this.#store = store;
    this.#name = name;
    this.#path = store.pipelineLedger(name);
  }

  /**
   * The numbers at a moment; undefined without a ledger.
   *
   * @param now milliseconds since 1970
   * @param most the most slots that are counted as undecided
   */
  read(now: number, most: number): PipelineNumbers | undefined {
    const size = this.#look(now);
    if (this.#kept === undefined) return undefined;
    const { tally, removed, valid, paused, active, queued } = this.#kept;
    return {
      tally,
      removed,
      valid,
      paused,
      active,
      queued,
      nextFire: this.#fireAfter(this.#kept, now),
      undecided: this.#undecidedBy(this.#kept, now, most),
      bytes: size + this.#rotatedBytes(),
    };
  }

  /** Reads the ledger if it has changed. @returns its size */
  #look(now: number): number {
    let mark = "";
    let size = 0;
    try {
      const stats = statSync(this.#path, { throwIfNoEntry: false });
      if (stats !== undefined) mark = `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
      size = stats?.size ?? 0;
    } catch {
      mark = "unreadable";
    }
    if (mark !== this.#mark) {
      this.#kept = mark === "" ? undefined : this.#reading(now);
      this.#mark = mark;
      this.#begin();
    } else if (now < this.#at) this.#begin();
    this.#at = now;
    return size;
  }

  /** What was counted is of other lines, or of a clock that was ahead. */
  #begin(): void {
    this.#nextFire = 0;
    this.#nextDue = 0;
    this.#undecided = 0;
  }

  #reading(now: number): Kept | undefined {
    try {
      const reading = readPipeline(this.#store, this.#name);
      if (reading === undefined) return undefined;
      const {
        valid,
        paused,
        removed = false,
        active,
        queued,
      } = viewPipeline(this.#name, reading, now);
      const { tally } = reading.state;
      return {
        tally,
        removed,
        valid,
        paused,
        active: active.length,
        queued: queued.length,
        ...scheduleOf(this.#name, reading.state),
      };
    } catch {
      // `orchd status` says why it cannot be read. Counters that were seen stay.
      return { ...UNREADABLE, tally: this.#kept?.tally ?? UNREADABLE.tally };
    }
  }

  #fireAfter({ table, paused }: Kept, now: number): number {
    if (table === undefined || paused) return Number.POSITIVE_INFINITY;
    if (this.#nextFire <= now) this.#nextFire = table.next(now)?.due ?? Number.POSITIVE_INFINITY;
    return this.#nextFire;
  }

  /** Counts on from where the last scrape ended: without a daemon there are more and more. */
  #undecidedBy({ table, through, decided }: Kept, now: number, most: number): number {
    if (table === undefined) return 0;
    if (this.#nextDue === 0) this.#nextDue = table.next(through)?.due ?? Number.POSITIVE_INFINITY;
    while (this.#nextDue <= now && this.#undecided < most) {
      const due = table.dueSlots(this.#nextDue - 1, now, most);
      for (const { slot, track } of due)
        if (!decided.has(slotKey(iso(slot), track))) this.#undecided += 1;
      this.#nextDue = table.next(due.at(-1)!.due)?.due ?? Number.POSITIVE_INFINITY;
    }
    return Math.min(this.#undecided, most);
  }

  /** The bytes of the rotated ledgers. A file that comes or goes changes the folder's time. */
  #rotatedBytes(): number {
    try {
      return this.#lookForRotated(this.#store.pipelineDir(this.#name));
    } catch {
      return this.#rotated;
    }
  }

  #lookForRotated(folder: string): number {
    const mark = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (mark === this.#folderMark) return this.#rotated;
    this.#rotated = 0;
    for (const name of readdirSync(folder))
      if (ROTATED.test(name))
        this.#rotated += statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0;
    this.#folderMark = mark;
    return this.#rotated;
  }
}

/** What has to be known of the schedules in force to count their slots. */
function scheduleOf(
  name: string,
  state: PipelineState,
): Pick<Kept, "table" | "through" | "decided"> {
  const { removed, through, since } = state;
  const schedules = schedulesInForce(state);
  if (removed || through === undefined || schedules.length === 0) return NO_SCHEDULE;
  const table = timetable(name, schedules, since, quickCalculator);
  return {
    table,
    through,
    decided: new Set([...state.decided.keys(), ...state.firedAhead]),
  };
}
