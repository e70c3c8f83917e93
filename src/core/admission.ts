/**
 * Whether a run may start now, and what happens to it if not: pure decisions about overlap and
 * limits, each with its reason.
 *
 * There are two questions. {@link decideOverlap}: a slot is due while its own pipeline is busy. Is
 * it skipped, does it wait, or is room made for it? {@link admit}: which of all waiting runs, of
 * any pipeline, may start now under `maxActiveRuns` and the limits of the concurrency groups?
 *
 * Waiting runs start by priority, then by slot. A run that may not start yet holds up the runs
 * behind it in its own pipeline and group, and no others. Backfills count against their own
 * `maxActive`. They never make a slot wait or skip it: a backfill changes no decision (semantics.md
 * 2).
 */
import { countText } from "./counted.ts";
import type { Overlap } from "./pipeline.ts";
import { rankInSlot } from "./run-id.ts";

/** The active runs of one pipeline, oldest first, without backfills. */
export interface Busy {
  readonly running: readonly string[];
  readonly queued: readonly string[];
}

/** What happens to a slot that is due. */
export type OverlapDecision =
  | { readonly kind: "start" }
  | { readonly kind: "skip"; readonly because: string }
  | { readonly kind: "queue"; readonly because: string }
  /**
   * The slot waits until these runs have ended. They are stopped: gracefully and then by force, or
   * by force at once.
   */
  | {
      readonly kind: "replace";
      readonly stop: readonly string[];
      readonly mode: "graceful" | "force";
      readonly because: string;
    };

const START: OverlapDecision = { kind: "start" };

/**
 * How many runs may be active at the same time: `maxActiveRuns`; without it 1, or no limit under
 * `allow` (semantics.md 9).
 */
export function activeLimit(overlap: Overlap, maxActiveRuns: number | undefined): number {
  return maxActiveRuns ?? (overlap === "allow" ? Number.POSITIVE_INFINITY : 1);
}

/**
 * What happens to a slot, by its pipeline's policy.
 *
 * @param maxActiveRuns undefined: the policy's default
 * @param maxQueued the most runs that may wait under `queue_all` and `allow`
 */
export function decideOverlap(
  overlap: Overlap,
  maxActiveRuns: number | undefined,
  busy: Busy,
  maxQueued = Number.POSITIVE_INFINITY,
): OverlapDecision {
  const limit = activeLimit(overlap, maxActiveRuns);
  const { running, queued } = busy;
  if (running.length + queued.length < limit) return START;
  const older = describeBusy(busy);
  switch (overlap) {
    case "skip":
      return { kind: "skip", because: `${older}; overlap is skip` };
    case "queue":
      if (queued.length > 0)
        return { kind: "skip", because: `run ${queued[0]!} waits already; overlap is queue` };
      return { kind: "queue", because: `${older}; overlap is queue` };
    case "queue_all":
    case "allow":
      if (queued.length >= maxQueued)
        return { kind: "skip", because: `${waitText(queued.length)} already, the most that may` };
      return {
        kind: "queue",
        because:
          overlap === "allow"
            ? `${older}; maxActiveRuns is ${limit}`
            : `${older}; overlap is queue_all`,
      };
    case "cancel":
    case "terminate":
      return {
        kind: "replace",
        // Waiting runs are older than this slot too, so they go first. Of the running ones, only as
        // many as must make room.
        stop: [...queued, ...running.slice(0, Math.max(0, running.length - limit + 1))],
        mode: overlap === "cancel" ? "graceful" : "force",
        because: `${older}; overlap is ${overlap}`,
      };
  }
}

function describeBusy({ running, queued }: Busy): string {
  if (running.length === 1) return `run ${running[0]!} still goes on`;
  if (running.length > 1) return `${running.length} runs still go on, the oldest is ${running[0]!}`;
  return queued.length === 1
    ? `run ${queued[0]!} waits to start`
    : `${waitText(queued.length)} to start`;
}

function waitText(runs: number): string {
  return countText(runs, "run waits", "runs wait");
}

/** A run that waits to start. */
export interface Waiting {
  readonly run: string;
  readonly pipeline: string;
  /**
   * The most runs of its lane that may be active at once. A lane is the pipeline's slots and runs
   * by hand, or one backfill.
   */
  readonly limit: number;
  /** Whose limit that is: the pipeline's, or a backfill's. */
  readonly lane: string;
  /** Higher starts first. Default: 0. */
  readonly priority: number;
  /**
   * Among equals the lower starts first: a slot, or the moment at which a run by hand or a re-run
   * was asked for, in milliseconds since 1970.
   */
  readonly order: number;
  /** The concurrency group that it shares with other pipelines. */
  readonly group?: string | undefined;
}

/** What is active already. */
export interface Load {
  /** Active runs, by lane. */
  readonly lanes: ReadonlyMap<string, number>;
  /** Active runs, by concurrency group. */
  readonly groups: ReadonlyMap<string, number>;
  readonly total: number;
}

/** The limits that pipelines share. */
export interface Limits {
  readonly groups: Readonly<Record<string, number>>;
  /** The most runs of all pipelines together. */
  readonly maxActiveRuns?: number | undefined;
}

/** The answer to a waiting run. */
export type Admission =
  | { readonly run: string; readonly start: true }
  | { readonly run: string; readonly start: false; readonly because: string };

/** What a run waits for. Undefined: it may start. */
export function waitsFor(entry: Waiting, load: Load, limits: Limits): string | undefined {
  const inLane = load.lanes.get(entry.lane) ?? 0;
  if (inLane >= entry.limit) return `${inLane} of ${entry.limit} runs of ${entry.lane} go on`;
  if (entry.group !== undefined) {
    const inGroup = load.groups.get(entry.group) ?? 0;
    const limit = limits.groups[entry.group] ?? Number.POSITIVE_INFINITY;
    if (inGroup >= limit)
      return `the concurrency group "${entry.group}" is full: ${inGroup} of ${limit}`;
  }
  if (load.total >= (limits.maxActiveRuns ?? Number.POSITIVE_INFINITY))
    return `${countText(load.total, "run goes", "runs go")} on, the most that orchd.yaml allows`;
  return undefined;
}

/**
 * Which of the waiting runs start now, and what the others wait for, in the order in which they are
 * served.
 *
 * A place that one run cannot have is not given to a later run of its lane or group either: the
 * later run stays behind it.
 */
export function admit(waiting: readonly Waiting[], load: Load, limits: Limits): Admission[] {
  const lanes = new Map(load.lanes);
  const groups = new Map(load.groups);
  let { total } = load;
  return [...waiting].sort(byTurn).map((entry): Admission => {
    const because = waitsFor(entry, { lanes, groups, total }, limits);
    if (because !== undefined) return { run: entry.run, start: false, because };
    lanes.set(entry.lane, (lanes.get(entry.lane) ?? 0) + 1);
    if (entry.group !== undefined) groups.set(entry.group, (groups.get(entry.group) ?? 0) + 1);
    total += 1;
    return { run: entry.run, start: true };
  });
}

function byTurn(a: Waiting, b: Waiting): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  if (a.order !== b.order) return a.order - b.order;
  // The tenth re-run comes after the second. To read an id takes time, and many pipelines share a
  // slot.
  const rank = a.pipeline === b.pipeline ? rankInSlot(a.run) - rankInSlot(b.run) : 0;
  if (rank !== 0) return rank;
  return a.run < b.run ? -1 : a.run > b.run ? 1 : 0;
}
