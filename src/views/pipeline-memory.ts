/**
 * What a page remembers of each pipeline's ledger, so that it reads again only what has changed.
 *
 * A pipeline is read again when its ledger's file is another one, or has another length or time:
 * that costs one look at the file. What is kept is small and made from the ledger alone. It is
 * never wrong for long and never written anywhere: a reader without a memory gives the same
 * answers.
 */
import { statSync } from "node:fs";
import { defined } from "../core/defined.ts";
import type { PipelineAbout } from "../core/pipeline-about.ts";
import type { Backfill, PipelineSilence, PipelineState } from "../core/pipeline-state.ts";
import { PIPELINE_NAME } from "../core/run-id.ts";
import { runStatus } from "../core/run-status.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { DayTally } from "./day-tally.ts";
import type { Change, StripMark } from "./overview.ts";
import { readPipeline } from "./pipeline-reading.ts";
import {
  nextFire,
  silenceAt,
  viewPipeline,
  type FiringState,
  type PipelineView,
} from "./pipeline-view.ts";
import { stepsWithoutPlace } from "./place-waits.ts";
import { RecentSlots } from "./recent-slots.ts";
import { zonesOf } from "./recorded-schedule.ts";
import { stateOfRun } from "./run-reading.ts";
import type { MarkedPipeline } from "./slot-marks.ts";

/** What the newest state of a pipeline says beside its view. */
interface StateFacts {
  readonly about: PipelineAbout;
  readonly timezones: readonly string[];
  readonly pausedBecause?: string;
  /** Nobody is told of it until then; it may have passed. */
  readonly silence?: PipelineSilence;
  /** The median of its last completed runs, in milliseconds; null without any. */
  readonly usualMs: number | null;
  /** Runs that take far longer than its history. */
  readonly overdue: readonly string[];
  /** When each active run started, ISO 8601. */
  readonly startedAt: ReadonlyMap<string, string>;
  /** Backfills that are under way, the oldest first. */
  readonly backfills: readonly Backfill[];
}

/** What is remembered of one pipeline beside its view. */
export interface PipelineFacts extends StateFacts {
  /** Its last slots and runs by hand, oldest first. */
  readonly strip: readonly StripMark[];
  readonly tally: DayTally;
  /** Newest first. */
  readonly changes: readonly Change[];
}

/** How far a run that goes on has come. */
export interface RunProgress {
  readonly status: string;
  readonly done: number;
  readonly steps: number;
  readonly waiting: number;
}

interface Remembered {
  readonly stamp: string;
  readonly firing: FiringState;
  readonly facts: StateFacts;
  view: PipelineView;
  /** The moment of the view, in milliseconds since 1970. */
  at: number;
  /** Read when it is first asked for. */
  slots: RecentSlots | undefined;
  /** The slots are as they were before the ledger grew. */
  isBehind: boolean;
}

/** The memory of one runs folder. */
export class PipelineMemory {
  readonly store: RunStore;
  readonly #pipelines = new Map<string, Remembered>();
  readonly #runs = new Map<string, { readonly size: number; readonly progress: RunProgress }>();

  constructor(store: RunStore) {
    this.store = store;
  }

  /**
   * A pipeline as `orchd status` shows it; undefined where it has no ledger.
   *
   * @param now milliseconds since 1970
   * @throws as {@link readPipeline} does
   */
  view(name: string, now: number): PipelineView | undefined {
    return this.#look(name, now)?.view;
  }

  /** What else there is to know of it; undefined where it has no ledger. Throws as `view` does. */
  facts(name: string, now: number): PipelineFacts | undefined {
    const there = this.#look(name, now);
    if (there === undefined) return undefined;
    const { active, queued } = there.view;
    const marked: MarkedPipeline = {
      store: this.store,
      pipeline: name,
      active: new Set(active),
      queued: new Set(queued),
    };
    if (there.isBehind && there.slots?.grow(marked, now) === false) there.slots = undefined;
    there.slots ??= new RecentSlots(marked, now);
    there.isBehind = false;
    const { strip, tally, changes } = there.slots;
    return { ...there.facts, strip, tally, changes };
  }

  /** What decides when it fires next; undefined where it has no ledger. Throws as `view` does. */
  firing(name: string, now: number): FiringState | undefined {
    return this.#look(name, now)?.firing;
  }

  /** Until when nobody is told of it; undefined where people are. Throws as `view` does. */
  silence(name: string, now: number): PipelineSilence | undefined {
    return this.#look(name, now)?.facts.silence;
  }

  /** How far a run that goes on has come; undefined where its ledger cannot be read. */
  progress(run: string): RunProgress | undefined {
    const size = sizeOf(this.store.runLedger(run));
    const before = this.#runs.get(run);
    if (before?.size === size) return before?.progress;
    const state = stateOfRun(this.store, run);
    if (state === undefined || size === undefined) return undefined;
    const { status } = runStatus(state);
    const waiting = stepsWithoutPlace(state);
    const progress = { status, done: state.ended, steps: state.steps.size, waiting };
    this.#runs.set(run, { size, progress });
    return progress;
  }

  /** Forgets runs other than these: they have ended. */
  keepRuns(active: ReadonlySet<string>): void {
    for (const run of this.#runs.keys()) if (!active.has(run)) this.#runs.delete(run);
  }

  #look(name: string, now: number): Remembered | undefined {
    const stamp = PIPELINE_NAME.test(name) ? stampOf(this.store.pipelineLedger(name)) : undefined;
    const before = this.#pipelines.get(name);
    if (before !== undefined && before.stamp === stamp) {
      before.view = viewAt(name, before, now);
      before.at = now;
      return before;
    }
    this.#pipelines.delete(name);
    // The stamp is from before the reading: what is written meanwhile has another.
    const reading = readPipeline(this.store, name);
    if (reading === undefined) return undefined;
    const { paused, removed, schedules, since, ran } = reading.state;
    const remembered: Remembered = {
      stamp: stamp ?? "",
      firing: { paused, removed, schedules, ran, ...defined({ since }) },
      facts: factsOf(reading.state),
      view: viewPipeline(name, reading, now),
      at: now,
      slots: before?.slots,
      isBehind: true,
    };
    if (stamp !== undefined) this.#pipelines.set(name, remembered);
    return remembered;
  }
}

/** The view at another moment: what it says of the time to come may have passed. */
function viewAt(name: string, { view, firing, facts, at }: Remembered, now: number): PipelineView {
  const { silence: _before, ...rest } = view;
  const { nextFire: next } = view;
  // A clock that was set back has the slots before the next one ahead again.
  const isOver = now < at || (next !== null && Date.parse(next) <= now);
  return {
    ...rest,
    ...(isOver ? { nextFire: nextFire(name, firing, now) } : {}),
    ...silenceAt(facts.silence, now),
  };
}

function factsOf(state: PipelineState): StateFacts {
  const active = [...state.active.values()];
  return {
    about: state.about,
    timezones: zonesOf(state),
    ...defined({ pausedBecause: state.pausedBecause, silence: state.silence }),
    usualMs: medianOf(state.durations),
    overdue: active.flatMap(({ run, overdue }) => (overdue === true ? [run] : [])),
    startedAt: new Map(
      active.flatMap(({ run, startedAt }) => (startedAt === undefined ? [] : [[run, startedAt]])),
    ),
    backfills: [...state.backfills.values()],
  };
}

/** The median, in milliseconds; null of nothing. */
export function medianOf(durations: readonly number[]): number | null {
  return durations.toSorted((a, b) => a - b)[Math.floor((durations.length - 1) / 2)] ?? null;
}

function stampOf(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats && `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
