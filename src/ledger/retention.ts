/**
 * Which runs may go, and why the others stay (semantics.md 9 and 24). Pure: prune.ts gathers the facts and does the removing.
 *
 * A run goes if it is older than `keepDays`, or if there are `keepRuns` newer ones, or if the newer ones fill `keepBytes`; and, over all pipelines
 * together, if what is left of the newer ones fills `totalBytes`. Whatever the
 * limits, a run stays while it is active or is its pipeline's newest; while its slot is not durably decided, since recovery would fire it
 * anew, or, where no slot asked for it, its end not told in its pipeline's ledger; and while a run that stays took a result from it.
 */
import type { Retention } from "../core/settings.ts";

/** How much history is kept. */
export interface RetentionPolicy {
  readonly keepDays: number;
  /** A pipeline. */
  readonly keepRuns: number;
  /** A pipeline, ledgers and logs; undefined: no limit. */
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
  /** Of its ledger and its log. */
  readonly bytes: number;
}

/** What has to be known of a pipeline. */
export interface PipelineFacts {
  readonly pipeline: string;
  readonly policy: RetentionPolicy;
  /** The durable watermark, in milliseconds since 1970; undefined: no slot was ever decided. */
  readonly through?: number | undefined;
  /** When the pipeline's ledger got its last durable line, in milliseconds since 1970; undefined: it has none. */
  readonly toldUntil?: number | undefined;
  /** Runs that the pipeline's ledger has not seen the end of. */
  readonly active: ReadonlySet<string>;
  readonly runs: readonly RunFacts[];
}

/** What becomes of the runs. */
export interface RetentionDecision {
  /** The runs to remove, each with the reason. */
  readonly prune: ReadonlyMap<string, string>;
  /** The runs that a limit would remove and something else keeps, each with what. */
  readonly kept: ReadonlyMap<string, string>;
}

/** Limits that somebody asks for in place of those that are set. */
export interface AskedLimits {
  readonly keepDays?: number | undefined;
  readonly keepRuns?: number | undefined;
  readonly keepBytes?: number | undefined;
}

const DAY_MS = 86_400_000;

/** A pipeline's policy as set, each limit replaced by the one that was asked for. */
export function policyUnder(set: Retention, asked: AskedLimits): RetentionPolicy {
  const keepBytes = asked.keepBytes ?? (set.keepMb === undefined ? undefined : set.keepMb * 1_048_576);
  return {
    keepDays: asked.keepDays ?? set.keepDays,
    keepRuns: asked.keepRuns ?? set.keepRuns,
    ...(keepBytes === undefined ? {} : { keepBytes }),
  };
}

/** What all pipelines together may keep, in bytes; undefined: no limit. */
export function totalBytesOf({ totalMb }: { readonly totalMb?: number }): number | undefined {
  return totalMb === undefined ? undefined : totalMb * 1_048_576;
}

/**
 * Decides which runs go.
 *
 * @param sourcesOf the runs that a run took results from; asked only of runs that stay, and only if any would go
 * @param totalBytes of all pipelines together; undefined: no limit
 */
export function decideRetention(
  pipelines: readonly PipelineFacts[],
  nowMs: number,
  sourcesOf: (run: string) => Iterable<string>,
  totalBytes = Number.POSITIVE_INFINITY,
): RetentionDecision {
  const prune = new Map<string, string>();
  const kept = new Map<string, string>();
  const left: { readonly one: RunFacts; readonly stays: string | undefined }[] = [];
  for (const facts of pipelines) {
    const newestFirst = facts.runs.toSorted((a, b) => b.stampMs - a.stampMs || (a.run < b.run ? 1 : -1));
    const lastFinished = newestFirst.reduce<RunFacts | undefined>(
      (last, one) => ((one.finishedAt ?? -1) > (last?.finishedAt ?? -1) ? one : last),
      undefined,
    );
    let bytes = 0;
    newestFirst.forEach((one, index) => {
      bytes += one.bytes;
      const because = overLimit(one, index, bytes, facts.policy, nowMs);
      const stays =
        index === 0 || one === lastFinished
          ? "it is the newest"
          : (whyKept(one, facts) ?? (facts.policy.keepRuns === Infinity ? "its pipeline is left alone" : undefined));
      if (because !== undefined && stays === undefined) {
        prune.set(one.run, because);
      } else {
        left.push({ one, stays });
        if (because !== undefined) kept.set(one.run, stays!);
      }
    });
  }
  if (Number.isFinite(totalBytes)) takeOldest(left, totalBytes, prune, kept);
  const staying = left.map(({ one }) => one.run).filter((run) => !prune.has(run));
  if (prune.size > 0) keepSources(staying, prune, kept, sourcesOf);
  return { prune, kept };
}

/** What all pipelines have left, the newest first, as far as it fills the limit. */
function takeOldest(
  left: readonly { readonly one: RunFacts; readonly stays: string | undefined }[],
  totalBytes: number,
  prune: Map<string, string>,
  kept: Map<string, string>,
): void {
  let bytes = 0;
  for (const { one, stays } of left.toSorted((a, b) => b.one.stampMs - a.one.stampMs || (a.one.run < b.one.run ? 1 : -1))) {
    bytes += one.bytes;
    if (bytes <= totalBytes) continue;
    if (stays === undefined) prune.set(one.run, `newer runs of all pipelines fill ${totalBytes} bytes`);
    else kept.set(one.run, stays);
  }
}

function overLimit(one: RunFacts, newer: number, bytes: number, policy: RetentionPolicy, nowMs: number): string | undefined {
  const age = nowMs - (one.finishedAt ?? one.stampMs);
  if (age > policy.keepDays * DAY_MS) return `it is older than ${policy.keepDays} days`;
  if (newer >= policy.keepRuns) return `${policy.keepRuns} newer runs are kept`;
  if (policy.keepBytes !== undefined && bytes > policy.keepBytes) return `newer runs fill ${policy.keepBytes} bytes`;
  return undefined;
}

function whyKept(one: RunFacts, { active, through, toldUntil }: PipelineFacts): string | undefined {
  if (active.has(one.run)) return "it is active";
  if (one.finishedAt === undefined) return "it has not finished";
  if (one.scheduled) return one.stampMs <= (through ?? Number.NEGATIVE_INFINITY) ? undefined : "its slot is not durably decided";
  // No slot asked for it, so none could fire it again, and the watermark of a pipeline without a schedule never moves. But its request may still lie there,
  // which only its header, or its line, tells was carried out.
  return one.finishedAt <= (toldUntil ?? Number.POSITIVE_INFINITY) ? undefined : "its pipeline's ledger does not tell its end yet";
}

/** A cached step names the run that has the result, and that run may have it from another. */
function keepSources(staying: string[], prune: Map<string, string>, kept: Map<string, string>, sourcesOf: (run: string) => Iterable<string>): void {
  for (let run = staying.pop(); run !== undefined; run = staying.pop()) {
    for (const source of sourcesOf(run)) {
      if (!prune.delete(source)) continue;
      kept.set(source, `${run} took a result from it`);
      staying.push(source);
    }
  }
}
