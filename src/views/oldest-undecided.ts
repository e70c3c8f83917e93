/**
 * The slot that was due first of those that no line decides, over all pipelines: what the heartbeat
 * looks at each minute. It costs one look at each ledger's file, and reads a ledger only where its
 * next slot is due and the file has changed since, or after ten minutes.
 */
import { statSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { slotKey } from "../core/pipeline-state.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { timetable } from "../core/schedule/schedule.ts";
import { iso, MINUTE_MS } from "../core/time.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { readPipeline } from "./pipeline-reading.ts";
import { quickCalculator } from "./quick-calculator.ts";
import { schedulesInForce } from "./recorded-schedule.ts";

/** A ledger that changed is read again after this time: its schedule may be another one. */
const READ_AGAIN_MS = 10 * MINUTE_MS;
/** How many pipelines are looked at in one turn of the event loop. */
const AT_ONCE = 20;
/** The most slots behind the watermark that are looked at one by one. */
const MOST_SLOTS = 1_000;

/** A slot that is due. */
export interface UndecidedSlot {
  readonly pipeline: string;
  /** When it was due, in milliseconds since 1970. */
  readonly due: number;
}

interface Looked {
  readonly mark: string;
  readonly readAt: number;
  /** When the first undecided slot is due; infinite: never. */
  readonly due: number;
}

/** Keeps what it needs from look to look. */
export class OldestUndecided {
  readonly #store: RunStore;
  readonly #pipelines = new Map<string, Looked>();

  constructor(store: RunStore) {
    this.#store = store;
  }

  /**
   * The undecided slot that was due first, if one was due at `now`.
   *
   * @throws a Node error where the runs folder cannot be read
   */
  async at(now: number): Promise<UndecidedSlot | undefined> {
    const names = this.#store.pipelines().filter((name) => PIPELINE_NAME.test(name));
    const known = new Set(names);
    for (const name of this.#pipelines.keys()) if (!known.has(name)) this.#pipelines.delete(name);
    let first: UndecidedSlot | undefined;
    for (const [index, pipeline] of names.entries()) {
      if (index % AT_ONCE === AT_ONCE - 1) await nextTurn();
      const { due } = this.#look(pipeline, now);
      if (due <= now && (first === undefined || due < first.due)) first = { pipeline, due };
    }
    return first;
  }

  #look(pipeline: string, now: number): Looked {
    const before = this.#pipelines.get(pipeline);
    const mark = markOf(this.#store.pipelineLedger(pipeline));
    if (before !== undefined) {
      const isOld = Math.abs(now - before.readAt) >= READ_AGAIN_MS;
      if (before.mark === mark || (before.due > now && !isOld)) return before;
    }
    const looked = { mark, readAt: now, due: firstDue(this.#store, pipeline, now) };
    this.#pipelines.set(pipeline, looked);
    return looked;
  }
}

function markOf(path: string): string {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats === undefined ? "" : `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
  } catch {
    return "unreadable";
  }
}

/** When a pipeline's first undecided slot is or was due. */
function firstDue(store: RunStore, pipeline: string, now: number): number {
  try {
    const state = readPipeline(store, pipeline)?.state;
    if (state === undefined || state.removed || state.through === undefined)
      return Number.POSITIVE_INFINITY;
    const schedules = schedulesInForce(state);
    if (schedules.length === 0) return Number.POSITIVE_INFINITY;
    const table = timetable(pipeline, schedules, state.since, quickCalculator);
    for (const { slot, track, due } of table.dueSlots(state.through, now, MOST_SLOTS)) {
      const key = slotKey(iso(slot), track);
      if (!state.decided.has(key) && !state.firedAhead.has(key)) return due;
    }
    return table.next(Math.max(now, state.through))?.due ?? Number.POSITIVE_INFINITY;
  } catch {
    // `orchd status` says why it cannot be read, and the daemon sets it aside.
    return Number.POSITIVE_INFINITY;
  }
}
