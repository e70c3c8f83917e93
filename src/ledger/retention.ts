/**
 * Which runs may go, and why the others stay (semantics.md 9 and 24). Pure: prune.ts gathers the
 * facts and does the removing.
 *
 * A run goes if it is older than `keepDays`, or if there are `keepRuns` newer ones, or if the newer
 * ones fill `keepBytes`; and, over all pipelines together, if what is left of the newer ones fills
 * `totalBytes`. Whatever the limits, a run stays while it is active or is its pipeline's newest;
 * while its slot is not durably decided, since recovery would fire it anew, or, where no slot asked
 * for it, its end not told in its pipeline's ledger; and while a run that stays took a result from
 * it.
 *
 * Bytes are those of a run's ledger and log, of what `orchd repair` kept beside them, and of its
 * artifacts: one that several runs refer to counts once, at the newest of them, since only with the
 * last of them it goes. Files of a pipeline that are no run's (its rotated ledgers, and evidence of
 * damage) have their place in the order by their time, go by days and bytes, and no line in them is
 * needed to decide a slot (semantics.md 6).
 */
import { defined } from "../core/defined.ts";
import type { Retention } from "../core/settings.ts";
import { DAY_MS } from "../core/time.ts";

/** How much history is kept. */
export interface RetentionPolicy {
  readonly keepDays: number;
  /** A pipeline. */
  readonly keepRuns: number;
  /** A pipeline: ledgers, logs and artifacts; undefined: no limit. */
  readonly keepBytes?: number | undefined;
}

/** The policy of a root that sets none. */
export const DEFAULT_RETENTION: RetentionPolicy = { keepDays: 30, keepRuns: 10_000 };

/** The policy of a pipeline of which nothing may go. */
export const KEEP_ALL: RetentionPolicy = { keepDays: Infinity, keepRuns: Infinity };

/** What has to be known of a run. */
export interface RunFacts {
  readonly run: string;
  /** The slot, or the moment of a run by hand, in milliseconds since 1970. */
  readonly stampMs: number;
  /** Scheduled or caught up: recovery would create it again if its slot were undecided. */
  readonly scheduled: boolean;
  /** When it ended, in milliseconds since 1970; undefined: it has not, or cannot be read. */
  readonly finishedAt?: number | undefined;
  /** Its ledger cannot be read to its end: only `orchd repair` brings that out. */
  readonly damaged?: boolean | undefined;
  /** Of its ledger, its log and the evidence beside them. */
  readonly bytes: number;
  /** The artifacts that it refers to. Needed only where a limit in bytes is set. */
  readonly artifacts?: readonly ArtifactFacts[] | undefined;
}

/** A value that lies in a file of its own, and maybe in several runs. */
export interface ArtifactFacts {
  readonly sha: string;
  readonly bytes: number;
}

/** A file of a pipeline's history that is no run's: a rotated ledger, or evidence of damage. */
export interface FileFacts {
  readonly path: string;
  /** When its last line was written, or when it was set aside, in milliseconds since 1970. */
  readonly stampMs: number;
  readonly bytes: number;
  /** Evidence of damage: it stays for {@link EVIDENCE_DAYS}, whatever the limits. */
  readonly evidence: boolean;
}

/** What has to be known of a pipeline. */
export interface PipelineFacts {
  readonly pipeline: string;
  readonly policy: RetentionPolicy;
  /** The durable watermark, in milliseconds since 1970; undefined: no slot was ever decided. */
  readonly through?: number | undefined;
  /**
   * When the pipeline's ledger got its last durable line, in milliseconds since 1970; undefined: it
   * has none.
   */
  readonly recordedUntil?: number | undefined;
  /** Runs that the pipeline's ledger has not seen the end of. */
  readonly active: ReadonlySet<string>;
  readonly runs: readonly RunFacts[];
  readonly files?: readonly FileFacts[];
}

/** What becomes of the runs. */
export interface RetentionDecision {
  /** The runs to remove, each with the reason. */
  readonly prune: ReadonlyMap<string, string>;
  /** The runs that a limit would remove and something else keeps, each with what. */
  readonly kept: ReadonlyMap<string, string>;
  /** The files that are no run's to remove, by path, each with the reason. */
  readonly files: ReadonlyMap<string, string>;
}

/** Limits that somebody asks for in place of those that are set. */
export interface AskedLimits {
  readonly keepDays?: number | undefined;
  readonly keepRuns?: number | undefined;
  readonly keepBytes?: number | undefined;
}

/** What was kept of a damaged ledger stays for so long at least, that somebody can look at it. */
export const EVIDENCE_DAYS = 7;

/** A run or a file, in the one order that bytes are counted in. */
interface Removable {
  readonly name: string;
  readonly run: boolean;
  readonly stampMs: number;
  readonly bytes: number;
  readonly artifacts: readonly ArtifactFacts[];
  /** Where the removal is noted. */
  readonly removal: Map<string, string>;
  /** Why it stays whatever the limits; undefined: it may go. */
  readonly stays: string | undefined;
  /** Why it goes whatever its size; undefined: it need not. */
  readonly overdue: string | undefined;
}

/** A pipeline's policy as set, each limit replaced by the one that was asked for. */
export function policyUnder(set: Retention, asked: AskedLimits): RetentionPolicy {
  const keepBytes =
    asked.keepBytes ?? (set.keepMb === undefined ? undefined : set.keepMb * 1_048_576);
  return defined({
    keepDays: asked.keepDays ?? set.keepDays,
    keepRuns: asked.keepRuns ?? set.keepRuns,
    keepBytes,
  });
}

/** What all pipelines together may keep, in bytes; undefined: no limit. */
export function totalBytesOf({ totalMb }: { readonly totalMb?: number }): number | undefined {
  return totalMb === undefined ? undefined : totalMb * 1_048_576;
}

/**
 * Decides which runs go.
 *
 * @param sourcesOf the runs that a run took results from; asked only of runs that stay, and only if
 *   any would go
 * @param totalBytes of all pipelines together; undefined: no limit
 */
export function decideRetention(
  pipelines: readonly PipelineFacts[],
  nowMs: number,
  sourcesOf: (run: string) => Iterable<string>,
  totalBytes = Infinity,
): RetentionDecision {
  const prune = new Map<string, string>();
  const kept = new Map<string, string>();
  const files = new Map<string, string>();
  const left: Removable[] = [];
  for (const facts of pipelines) {
    const removables = [
      ...removableRuns(facts, nowMs, prune),
      ...removableFiles(facts, nowMs, files),
    ];
    const { keepBytes } = facts.policy;
    left.push(...takeInTurn(removables, keepBytes, `newer runs fill ${keepBytes} bytes`, kept));
  }
  if (totalBytes !== Infinity) {
    const byBytes = left.map((removable) => ({ ...removable, overdue: undefined }));
    takeInTurn(byBytes, totalBytes, `newer runs of all pipelines fill ${totalBytes} bytes`, kept);
  }
  const staying = left.filter(({ name, run }) => run && !prune.has(name)).map(({ name }) => name);
  if (prune.size > 0) keepSources(staying, prune, kept, sourcesOf);
  return { prune, kept, files };
}

function removableRuns(
  facts: PipelineFacts,
  nowMs: number,
  removal: Map<string, string>,
): Removable[] {
  const { policy } = facts;
  const newestFirst = facts.runs.toSorted(
    (a, b) => b.stampMs - a.stampMs || (a.run < b.run ? 1 : -1),
  );
  const lastFinished = newestFirst.reduce<RunFacts | undefined>(
    (last, one) => ((one.finishedAt ?? -1) > (last?.finishedAt ?? -1) ? one : last),
    undefined,
  );
  return newestFirst.map((one, index) => ({
    name: one.run,
    run: true,
    stampMs: one.stampMs,
    bytes: one.bytes,
    artifacts: one.artifacts ?? [],
    removal,
    stays:
      index === 0 || one === lastFinished
        ? "it is the newest"
        : (whyKept(one, facts) ??
          (policy.keepRuns === Infinity ? "its pipeline is left alone" : undefined)),
    overdue:
      tooOld(one.finishedAt ?? one.stampMs, policy, nowMs) ??
      (index >= policy.keepRuns ? `${policy.keepRuns} newer runs are kept` : undefined),
  }));
}

function removableFiles(
  { files = [], policy, runs, active }: PipelineFacts,
  nowMs: number,
  removal: Map<string, string>,
): Removable[] {
  // How a run ended whose own ledger does not tell it is what repairing it asks the pipeline's.
  const asked = runs.some(({ run, finishedAt }) => finishedAt === undefined && !active.has(run));
  return files.map(({ path, stampMs, bytes, evidence }) => ({
    name: path,
    run: false,
    stampMs,
    bytes,
    artifacts: [],
    removal,
    stays:
      policy.keepRuns === Infinity
        ? "its pipeline is left alone"
        : evidence && nowMs - stampMs <= EVIDENCE_DAYS * DAY_MS
          ? `evidence of damage stays for ${EVIDENCE_DAYS} days`
          : asked && !evidence
            ? "a run's own ledger does not tell its end"
            : undefined,
    overdue: tooOld(stampMs, policy, nowMs),
  }));
}

/**
 * Goes from the newest to the oldest: notes what goes, and what would but for a reason to stay.
 * @returns what is left
 */
function takeInTurn(
  removables: readonly Removable[],
  limit: number | undefined,
  tooMuch: string,
  kept: Map<string, string>,
): Removable[] {
  const left: Removable[] = [];
  const counted = new Set<string>();
  let bytes = 0;
  for (const removable of removables.toSorted(
    (a, b) => b.stampMs - a.stampMs || (a.name < b.name ? 1 : -1),
  )) {
    const { name, run, removal, stays, overdue } = removable;
    // What goes anyway takes no room from what is older.
    if (overdue !== undefined && stays === undefined) {
      removal.set(name, overdue);
      continue;
    }
    bytes += removable.bytes;
    for (const artifact of removable.artifacts) {
      if (!counted.has(artifact.sha)) bytes += artifact.bytes;
      counted.add(artifact.sha);
    }
    const because = overdue ?? (bytes > (limit ?? Infinity) ? tooMuch : undefined);
    if (because !== undefined && stays === undefined) {
      removal.set(name, because);
    } else {
      left.push(removable);
      if (because !== undefined && run) kept.set(name, stays!);
    }
  }
  return left;
}

function tooOld(sinceMs: number, { keepDays }: RetentionPolicy, nowMs: number): string | undefined {
  return nowMs - sinceMs > keepDays * DAY_MS ? `it is older than ${keepDays} days` : undefined;
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
  // No slot asked for it, so none could fire it again, and the watermark of a pipeline without a
  // schedule never moves. But its request may still lie there, which only its header, or its line,
  // tells was carried out.
  return one.finishedAt <= (recordedUntil ?? Number.POSITIVE_INFINITY)
    ? undefined
    : "its pipeline's ledger does not tell its end yet";
}

/** A cached step names the run that has the result, and that run may have it from another. */
function keepSources(
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
