/**
 * Runs that exist and have not started: what `late` and `queued` are about.
 *
 * A wait is over the limit when its run starts later than that, or when a tick finds it there. Both
 * are the same cause: it has the line that told the wait, and the time at which the limit passed.
 */
import { formatDuration } from "../core/duration.ts";
import { defined } from "../core/defined.ts";
import type { AlertKind } from "../core/alert.ts";
import type { PipelineAlerts, Variant, Wait } from "../core/notify-state.ts";
import { iso } from "../core/time.ts";
import { limitOf, variantOf, type AlertTurn } from "./alert-turn.ts";

/** The most runs of a pipeline that are watched: those that wait longest. */
const MOST_WAITS = 1_000;
/** A tick may be ahead of a line by so much. */
const SLACK_MS = 2_000;

/** A run exists. */
export function beginWait(
  turn: AlertTurn,
  name: string,
  run: string,
  wait: Pick<Wait, "slot" | "queued" | "because" | "cause" | "at">,
): void {
  const entry = turn.pipeline(name);
  const before = entry.waits.get(run);
  if (before === undefined && entry.waits.size >= MOST_WAITS) return;
  entry.waits.set(run, { ...before, ...defined(wait) });
  for (const [, deadline] of deadlinesOf(turn, name, entry.waits.get(run)!))
    turn.lookFrom(deadline + SLACK_MS);
}

/** The run waits no longer. @param startedAt when it started; undefined: it ended without that */
export function endWait(
  turn: AlertTurn,
  name: string,
  run: string,
  startedAt: number | undefined,
  cause: { readonly at: string; readonly cause: string },
): void {
  const entry = turn.state.pipelines.get(name);
  const wait = entry?.waits.get(run);
  if (entry === undefined || wait === undefined) return;
  countOver(turn, name, run, wait, startedAt ?? Date.parse(cause.at));
  entry.waits.delete(run);
  for (const [variant, { kind }] of entry.firing) {
    if (kind === "queued" && !isCounted(entry, variant))
      turn.recover(name, variant, { ...cause, run, because: "no run waits that long any more" });
    if (kind === "late" && startedAt !== undefined && wait.slot !== undefined)
      if (wait.counted?.includes(variant) !== true)
        turn.recover(name, variant, { ...cause, run, because: `${run} started in its time` });
  }
}

/** The ledger says that the slot's run is late. */
export function noteLate(turn: AlertTurn, name: string, run: string | undefined): void {
  const wait = run === undefined ? undefined : turn.state.pipelines.get(name)?.waits.get(run);
  if (wait !== undefined) wait.counted = [...(wait.counted ?? []), "late"];
}

/** A tick looks at all waits of a pipeline. */
export function lookAtWaits(turn: AlertTurn, name: string, entry: PipelineAlerts): void {
  for (const [run, wait] of entry.waits) countOver(turn, name, run, wait, turn.now - SLACK_MS);
}

/** Counts a wait under each limit that it is over, once. */
function countOver(turn: AlertTurn, name: string, run: string, wait: Wait, until: number): void {
  for (const [variant, deadline] of deadlinesOf(turn, name, wait)) {
    if (wait.counted?.includes(variant) === true) continue;
    if (until < deadline) {
      turn.lookFrom(deadline + SLACK_MS);
      continue;
    }
    wait.counted = [...(wait.counted ?? []), variant];
    const isLate = variant.startsWith("late@");
    const limit = formatDuration(limitOf(variant)!);
    const what = isLate
      ? `its slot ${iso(wait.slot!)} had not started after ${limit}`
      : `it has waited for ${limit}`;
    turn.cause(name, variant, isLate ? "late" : "queued", {
      at: iso(deadline),
      because: wait.because === undefined ? what : `${what}: ${wait.because}`,
      cause: wait.cause,
      run,
    });
  }
}

/** The limits that rules set for a wait, and when each passes. */
function* deadlinesOf(turn: AlertTurn, name: string, wait: Wait): Generator<[Variant, number]> {
  const entry = turn.pipeline(name);
  const seen = new Set<Variant>();
  for (const kind of ["late", "queued"] satisfies AlertKind[])
    for (const { rule } of turn.book.recipients(name, entry, kind)) {
      const variant = variantOf(kind, rule);
      const limit = limitOf(variant);
      const from = kind === "late" ? wait.slot : wait.queued;
      if (limit === undefined || from === undefined || seen.has(variant)) continue;
      seen.add(variant);
      yield [variant, from + limit];
    }
}

function isCounted({ waits }: PipelineAlerts, variant: Variant): boolean {
  for (const { counted } of waits.values()) if (counted?.includes(variant) === true) return true;
  return false;
}
