/** Reads what the page's Overview shows. */
import { hostname } from "node:os";
import { iso } from "../core/time.ts";
import { RunStore } from "../ledger/run-store.ts";
import { daemonChanges } from "./changes.ts";
import { comingSlots, type NextSlot } from "./coming-slots.ts";
import { dayStart } from "./day-tally.ts";
import { readDowntimes } from "./downtimes.ts";
import type {
  Change,
  Overview,
  PipelineRow,
  PipelineStrip,
  RunningRun,
  SlotReason,
  SlotSums,
} from "./overview.ts";
import { PipelineMemory, type PipelineFacts } from "./pipeline-memory.ts";
import { pipelineRow } from "./pipeline-row.ts";
import type { PipelineView } from "./pipeline-view.ts";
import { plannedByLedger } from "./planned.ts";
import type { Roots } from "./roots.ts";
import { addSums, mergeReasons, NO_SLOTS } from "./slot-sums.ts";
import { readStatus, type StatusView } from "./status-view.ts";

const MOST_NEXT = 5;
const MOST_CHANGES = 20;
const MOST_RUNNING = 50;

/**
 * The Overview of a root.
 *
 * @param now milliseconds since 1970
 * @param memory what was read before: only what has changed is read again
 * @param strips how many rows get their strip, from the first; default: all
 * @throws a Node error where this user may read none of the ledgers
 */
export function readOverview(
  roots: Roots,
  now: number,
  memory: PipelineMemory = new PipelineMemory(new RunStore(roots.runs)),
  strips = Number.POSITIVE_INFINITY,
): Overview {
  const { daemon, pipelines } = readAll(roots, now, memory);
  const start = dayStart(now);
  let sums: SlotSums = NO_SLOTS;
  const reasons: SlotReason[] = [];
  const changes: Change[] = daemonChanges(memory.store.orchdDir, start);
  const known = new Map<string, PipelineFacts>();
  let first = now;
  const rows = pipelines.map((view): PipelineRow => {
    const facts = factsOf(memory, view, now);
    if (facts === undefined) return pipelineRow(view, undefined, []);
    known.set(view.name, facts);
    const own = facts.tally.reasons(start);
    sums = addSums(sums, facts.tally.sums(start));
    reasons.push(...own);
    changes.push(...facts.changes.filter(({ at }) => at >= iso(start)));
    const oldest = facts.strip.find(({ slot }) => slot !== null)?.slot;
    // A strip is short: of a pipeline that fires often it does not reach back to the first slot.
    for (const time of [oldest, facts.tally.first(start)])
      if (time !== undefined && time !== null) first = Math.min(first, Date.parse(time));
    return pipelineRow(view, facts, own);
  });
  const from = first >= now ? start : Math.max(start, first);
  return {
    at: iso(now),
    host: hostname(),
    root: roots.root,
    daemon,
    from: iso(from),
    slots: sums,
    downtimes: readDowntimes(memory.store.orchdDir, { from, to: now }),
    reasons: mergeReasons(reasons),
    running: runningRuns(memory, pipelines, known),
    next: nextSlots(memory, pipelines, now),
    changes: changes.toSorted(byTime).slice(0, MOST_CHANGES),
    pipelines: rows
      .toSorted(byNeed)
      .map((row, index) => (index < strips ? row : { ...row, strip: null })),
  };
}

/** The strips of some pipelines; those that there are not are left out. */
export function readStrips(
  names: readonly string[],
  now: number,
  memory: PipelineMemory,
): PipelineStrip[] {
  return names.flatMap((pipeline) => {
    const strip = memory.view(pipeline, now) && memory.facts(pipeline, now)?.strip;
    return strip === undefined ? [] : [{ pipeline, strip }];
  });
}

/** The status of all pipelines. Throws as {@link readOverview} does. */
function readAll(roots: Roots, now: number, memory: PipelineMemory): StatusView {
  const answer = readStatus(roots, undefined, now, (name) => memory.view(name, now));
  // Without a target there is always a view.
  return answer.ok ? answer.view : { daemon: null, pipelines: [] };
}

function factsOf(
  memory: PipelineMemory,
  view: PipelineView,
  now: number,
): PipelineFacts | undefined {
  try {
    return memory.facts(view.name, now);
  } catch {
    // The row says what is wrong with its ledger.
    return undefined;
  }
}

function runningRuns(
  memory: PipelineMemory,
  views: readonly PipelineView[],
  known: ReadonlyMap<string, PipelineFacts>,
): RunningRun[] {
  const runs = views.flatMap(({ name, active }) => {
    const facts = known.get(name);
    return active.map((run) => ({
      run,
      pipeline: name,
      startedAt: facts?.startedAt.get(run) ?? null,
      usualMs: facts?.usualMs ?? null,
    }));
  });
  const longest = runs
    .toSorted((a, b) => ((a.startedAt ?? "~") < (b.startedAt ?? "~") ? -1 : 1))
    .slice(0, MOST_RUNNING);
  memory.keepRuns(new Set(longest.map(({ run }) => run)));
  return longest.map((it) => {
    const { done = 0, steps = 0, waiting = 0 } = memory.progress(it.run) ?? {};
    return { ...it, done, steps, waiting };
  });
}

/** The first slots of all pipelines. Only pipelines that fire soonest can have one of them. */
function nextSlots(
  memory: PipelineMemory,
  views: readonly PipelineView[],
  now: number,
): NextSlot[] {
  const soonest = views
    .flatMap(({ name, nextFire }) => (nextFire === null ? [] : [{ name, nextFire }]))
    .toSorted((a, b) => (a.nextFire < b.nextFire ? -1 : 1))
    .slice(0, 2 * MOST_NEXT);
  const planned = soonest.flatMap(({ name }) => {
    const firing = memory.firing(name, now);
    return firing === undefined ? [] : [plannedByLedger(name, firing, now)];
  });
  return comingSlots(planned, now, MOST_NEXT);
}

function byTime(a: Change, b: Change): number {
  return a.at < b.at ? 1 : a.at > b.at ? -1 : 0;
}

function byNeed(a: PipelineRow, b: PipelineRow): number {
  if (a.needsYou !== b.needsYou) return a.needsYou ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}
