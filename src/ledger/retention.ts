/**
 * Decides which runs to remove, and why the others stay (semantics.md 9 and 24). It is pure:
 * prune-facts.ts collects the facts, and prune.ts removes.
 *
 * A run is removed if it is older than `keepDays`, if there are `keepRuns` newer ones, or if the
 * newer ones fill `keepBytes`. Over all pipelines together, it is removed if the newer runs that
 * are left fill `totalBytes`. Whatever the limits, a run stays
 *
 * - while it is active, or the newest of its pipeline;
 * - while its slot is not durably decided: recovery would fire the slot again. A run that no slot
 *   asked for stays until its pipeline's ledger records its end;
 * - while a run that stays took a result from it.
 *
 * The bytes of a run are those of its ledger and log, of what `orchd repair` kept beside them, and
 * of its artifacts. An artifact that several runs refer to counts once, at the newest of them: it
 * is removed only with the last of them. A pipeline also has files that belong to no run: its
 * rotated ledgers, and evidence of damage. They take their place in the order by their time, and
 * are removed by days and bytes. No line in them is needed to decide a slot (semantics.md 6).
 */
import { countText } from "../core/counted.ts";
import { defined } from "../core/defined.ts";
import type { Retention } from "../core/settings.ts";
import { DAY_MS } from "../core/time.ts";
import { newerFirst, RemovableList, type ArtifactFacts, type Removable } from "./removable-list.ts";

/** How much history is kept. */
export interface RetentionPolicy {
  readonly keepDays: number;
  /** How many runs of one pipeline. */
  readonly keepRuns: number;
  /** How many bytes of ledgers, logs and artifacts of one pipeline; undefined: no limit. */
  readonly keepBytes?: number | undefined;
}

/** The policy of a root without settings. */
export const DEFAULT_RETENTION: RetentionPolicy = { keepDays: 30, keepRuns: 10_000 };

/** The policy of a pipeline from which nothing is removed. */
export const KEEP_ALL: RetentionPolicy = { keepDays: Infinity, keepRuns: Infinity };

/** What the decision needs to know of a run. */
export interface RunFacts {
  readonly run: string;
  /** Its slot, or when it was asked for by hand; in milliseconds since 1970. */
  readonly stampMs: number;
  /** Scheduled or caught up: recovery would create it again if its slot were undecided. */
  readonly scheduled: boolean;
  /** When it ended, in milliseconds since 1970; undefined: not yet, or its end is unreadable. */
  readonly finishedAt?: number | undefined;
  /** Its ledger cannot be read to its end: only `orchd repair` finds out the end. */
  readonly damaged?: boolean | undefined;
  /** The size of its ledger, its log and the evidence beside them. */
  readonly bytes: number;
  /** The artifacts that it refers to. Needed only where a limit in bytes is set. */
  readonly artifacts?: readonly ArtifactFacts[] | undefined;
}

/** Runs by their index: an array, or a list that takes less memory (run-facts-list.ts). */
export interface RunFactsByIndex {
  readonly length: number;
  at(index: number): RunFacts | undefined;
}

/** A file of a pipeline that belongs to no run: a rotated ledger, or evidence of damage. */
export interface FileFacts {
  readonly path: string;
  /** When its last line was written, or when it was set aside, in milliseconds since 1970. */
  readonly stampMs: number;
  readonly bytes: number;
  /** Evidence of damage: it stays for {@link EVIDENCE_DAYS}, whatever the limits. */
  readonly evidence: boolean;
}

/** What the decision needs to know of a pipeline. */
export interface PipelineFacts {
  readonly pipeline: string;
  readonly policy: RetentionPolicy;
  /** The durable watermark, in milliseconds since 1970; undefined: no slot was ever decided. */
  readonly through?: number | undefined;
  /**
   * The time of the last durable line of the pipeline's ledger, in milliseconds since 1970;
   * undefined: it has none.
   */
  readonly recordedUntil?: number | undefined;
  /** Runs whose end the pipeline's ledger does not record. */
  readonly active: ReadonlySet<string>;
  readonly runs: RunFactsByIndex;
  readonly files?: readonly FileFacts[];
}

/** What is removed, and what stays. */
export interface RetentionDecision {
  /** The runs to remove, each with the reason. */
  readonly prune: Map<string, string>;
  /** The runs that a limit would remove and something else keeps, each with what keeps it. */
  readonly kept: Map<string, string>;
  /** The files to remove that belong to no run, by path, each with the reason. */
  readonly files: Map<string, string>;
}

/** A decision on nothing. */
export function noDecision(): RetentionDecision {
  return { prune: new Map(), kept: new Map(), files: new Map() };
}

/** Limits that a command asks for instead of those in the settings. */
export interface AskedLimits {
  readonly keepDays?: number | undefined;
  readonly keepRuns?: number | undefined;
  readonly keepBytes?: number | undefined;
}

/** How long evidence of damage stays at least, in days, so that a person can look at it. */
export const EVIDENCE_DAYS = 7;

/** The policy of the settings, with the limits that were asked for in place of their own. */
export function policyUnder(set: Retention, asked: AskedLimits): RetentionPolicy {
  const keepBytes =
    asked.keepBytes ?? (set.keepMb === undefined ? undefined : set.keepMb * 1_048_576);
  return defined({
    keepDays: asked.keepDays ?? set.keepDays,
    keepRuns: asked.keepRuns ?? set.keepRuns,
    keepBytes,
  });
}

/** The limit for all pipelines together, in bytes; undefined: no limit. */
export function totalBytesOf({ totalMb }: { readonly totalMb?: number }): number | undefined {
  return totalMb === undefined ? undefined : totalMb * 1_048_576;
}

/**
 * Decides which runs are removed. Runs are taken one by one, so that no more of them is in memory
 * than the lists that are given, and names.
 *
 * @param sourcesOf the runs that a run took results from; called only for runs that stay, and only
 *   if any run would be removed
 * @param totalBytes the limit for all pipelines together; undefined: no limit
 * @param decision what is decided on other pipelines already; it is added to
 */
export function decideRetention(
  pipelines: readonly PipelineFacts[],
  nowMs: number,
  sourcesOf: (run: string) => Iterable<string>,
  totalBytes = Infinity,
  decision: RetentionDecision = noDecision(),
): RetentionDecision {
  const { prune, kept, files } = decision;
  const staying: string[] = [];
  const left = new RemovableList();
  const stay = (removable: Removable): void => {
    if (totalBytes !== Infinity) left.add(removable);
    else if (removable.run) staying.push(removable.name);
  };
  const remove = ({ name, run }: Removable, because: string): void =>
    void (run ? prune : files).set(name, because);
  for (const facts of pipelines) {
    const { keepBytes } = facts.policy;
    const limit = { bytes: keepBytes, tooMuch: `newer runs fill ${keepBytes} bytes` };
    takeInTurn(removablesOf(facts, nowMs), limit, { remove, stay, kept });
  }
  if (totalBytes !== Infinity) {
    const tooMuch = `newer runs of all pipelines fill ${totalBytes} bytes`;
    const stayAfterAll = ({ name, run }: Removable): void => void (run && staying.push(name));
    takeInTurn(
      left.newestFirst(),
      { bytes: totalBytes, tooMuch },
      { remove, stay: stayAfterAll, kept },
    );
  }
  if (prune.size > 0) keepSources(staying, prune, kept, sourcesOf);
  return decision;
}

/** A pipeline's runs and files, from the newest to the oldest. */
function* removablesOf(facts: PipelineFacts, nowMs: number): Generator<Removable> {
  const files = removableFiles(facts, nowMs).toSorted(newerFirst);
  let next = 0;
  for (const run of removableRuns(facts, nowMs)) {
    while (next < files.length && newerFirst(files[next]!, run) < 0) yield files[next++]!;
    yield run;
  }
  yield* files.slice(next);
}

/** A pipeline's runs, from the newest to the oldest. */
function* removableRuns(facts: PipelineFacts, nowMs: number): Generator<Removable> {
  const { policy } = facts;
  const runs = oldestFirst(facts.runs);
  let lastFinished: string | undefined;
  let lastEnd = -1;
  for (let index = runs.length - 1; index >= 0; index -= 1) {
    const { run, finishedAt = -1 } = runs.at(index)!;
    if (finishedAt > lastEnd) [lastFinished, lastEnd] = [run, finishedAt];
  }
  // Many runs share these sentences, each of which is one text in memory.
  const { keepRuns } = policy;
  const tooMany = `${countText(keepRuns, "newer run")} ${keepRuns === 1 ? "is" : "are"} kept`;
  const old = tooOldText(policy);
  for (let index = runs.length - 1; index >= 0; index -= 1) {
    const one = runs.at(index)!;
    const newer = runs.length - 1 - index;
    yield {
      name: one.run,
      run: true,
      stampMs: one.stampMs,
      bytes: one.bytes,
      artifacts: one.artifacts,
      stays:
        newer === 0 || one.run === lastFinished
          ? "it is the newest"
          : (whyKept(one, facts) ??
            (policy.keepRuns === Infinity ? "its pipeline is left alone" : undefined)),
      overdue: isTooOld(one.finishedAt ?? one.stampMs, policy, nowMs)
        ? old
        : newer >= policy.keepRuns
          ? tooMany
          : undefined,
    };
  }
}

function oldestFirst(runs: RunFactsByIndex): RunFactsByIndex {
  const older = (a: RunFacts, b: RunFacts): number =>
    a.stampMs - b.stampMs || (a.run < b.run ? -1 : 1);
  let before = runs.at(0);
  for (let index = 1; index < runs.length; index += 1) {
    const one = runs.at(index)!;
    if (older(before!, one) > 0)
      return Array.from({ length: runs.length }, (_, at) => runs.at(at)!).toSorted(older);
    before = one;
  }
  return runs;
}

function removableFiles(
  { files = [], policy, runs, active }: PipelineFacts,
  nowMs: number,
): Removable[] {
  // If a run's own ledger does not tell its end, repairing it looks for the end in the pipeline's.
  const asked = files.length > 0 && hasUntoldEnd(runs, active);
  return files.map(({ path, stampMs, bytes, evidence }) => ({
    name: path,
    run: false,
    stampMs,
    bytes,
    artifacts: undefined,
    stays:
      policy.keepRuns === Infinity
        ? "its pipeline is left alone"
        : evidence && nowMs - stampMs <= EVIDENCE_DAYS * DAY_MS
          ? `evidence of damage stays for ${EVIDENCE_DAYS} days`
          : asked && !evidence
            ? "a run's own ledger does not tell its end"
            : undefined,
    overdue: isTooOld(stampMs, policy, nowMs) ? tooOldText(policy) : undefined,
  }));
}

function hasUntoldEnd(runs: RunFactsByIndex, active: ReadonlySet<string>): boolean {
  for (let index = 0; index < runs.length; index += 1) {
    const { run, finishedAt } = runs.at(index)!;
    if (finishedAt === undefined && !active.has(run)) return true;
  }
  return false;
}

/** What becomes of each in turn. */
interface Outcome {
  readonly remove: (removable: Removable, because: string) => void;
  readonly stay: (removable: Removable) => void;
  /** Gets the runs that would be removed without a reason to stay. */
  readonly kept: Map<string, string>;
}

/** Goes from the newest to the oldest. */
function takeInTurn(
  newestFirst: Iterable<Removable>,
  limit: { readonly bytes: number | undefined; readonly tooMuch: string },
  { remove, stay, kept }: Outcome,
): void {
  const counted = new Set<string>();
  let bytes = 0;
  for (const removable of newestFirst) {
    const { name, run, stays, overdue } = removable;
    // What is removed anyway takes no room from what is older.
    if (overdue !== undefined && stays === undefined) {
      remove(removable, overdue);
      continue;
    }
    bytes += removable.bytes;
    for (const artifact of removable.artifacts ?? []) {
      if (!counted.has(artifact.sha)) bytes += artifact.bytes;
      counted.add(artifact.sha);
    }
    const because = overdue ?? (bytes > (limit.bytes ?? Infinity) ? limit.tooMuch : undefined);
    if (because !== undefined && stays === undefined) {
      remove(removable, because);
    } else {
      stay(removable);
      if (because !== undefined && run) kept.set(name, stays!);
    }
  }
}

function isTooOld(sinceMs: number, { keepDays }: RetentionPolicy, nowMs: number): boolean {
  return nowMs - sinceMs > keepDays * DAY_MS;
}

function tooOldText({ keepDays }: RetentionPolicy): string {
  return `it is older than ${countText(keepDays, "day")}`;
}

function whyKept(
  one: RunFacts,
  { active, through, recordedUntil }: PipelineFacts,
): string | undefined {
  if (one.damaged === true) return `its ledger is damaged: \`orchd repair ${one.run}\` first`;
  if (active.has(one.run)) return "it is active";
  if (one.finishedAt === undefined) return "it has not finished";
  if (one.scheduled)
    return one.stampMs <= (through ?? Number.NEGATIVE_INFINITY)
      ? undefined
      : "its slot is not durably decided";
  // No slot asked for this run, so no slot could fire it again, and the watermark of a pipeline
  // without a schedule never moves. But its request may still be there, and only the run's header,
  // or its line in the pipeline's ledger, shows that the request was carried out.
  return one.finishedAt <= (recordedUntil ?? Number.POSITIVE_INFINITY)
    ? undefined
    : "its pipeline's ledger does not tell its end yet";
}

/**
 * Keeps the runs whose results others use. Those runs may use others' results themselves.
 *
 * @param staying the runs that stay; emptied
 * @param prune the runs that are removed; those that have to stay are taken out
 * @param kept gets those, each with what keeps it
 */
export function keepSources(
  staying: string[],
  prune: Map<string, string>,
  kept: Map<string, string>,
  sourcesOf: (run: string) => Iterable<string>,
): void {
  for (let run = staying.pop(); run !== undefined; run = staying.pop()) {
    for (const source of sourcesOf(run)) {
      if (!prune.delete(source)) continue;
      kept.set(source, `${run} took a result from it`);
      staying.push(source);
    }
  }
}
