/**
 * Why a slot did or did not run (`orchd why`): what the pipeline's ledger says of a time, each
 * answer with its sentence.
 */
import { formatDuration } from "../core/duration.ts";
import { iso } from "../core/time.ts";
import { daemonRuns } from "../ledger/ask.ts";
import { endBefore } from "../ledger/daemon-history.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { unlessDamaged, type NoView } from "./no-view.ts";
import { placeWaits } from "./place-waits.ts";
import { stateOfRun } from "./run-reading.ts";
import { slotDecisions } from "./slot-decisions.ts";
import type { SlotOutcome } from "./slot-outcome.ts";
import { undecidedSlot } from "./undecided-slot.ts";

/** One answer of `orchd why --json`. */
export interface SlotAnswer extends SlotOutcome {
  readonly sentence: string;
}

/** The answers about a time: at least one. */
export interface SlotAnswers {
  readonly ok: true;
  readonly answers: readonly [SlotAnswer, ...SlotAnswer[]];
}

/**
 * What became of the slots from `time` through `until`: a backfill is an answer of its own, after
 * the decision about its slot. Times are milliseconds since 1970.
 *
 * @throws a Node error where a ledger cannot be read
 */
export function slotAnswers(
  store: RunStore,
  pipeline: string,
  time: number,
  until: number,
  now: number,
): SlotAnswers | NoView {
  return unlessDamaged((): SlotAnswers => {
    const told = (outcome: SlotOutcome): SlotAnswer => ({
      ...outcome,
      sentence: sentenceOf(outcome, store, time, now),
    });
    const [first, ...more] = slotDecisions(store, pipeline, time, until);
    return first === undefined
      ? { ok: true, answers: [told(undecidedSlot(store, pipeline, time, until, now))] }
      : { ok: true, answers: [told(first), ...more.map(told)] };
  });
}

function sentenceOf(outcome: SlotOutcome, store: RunStore, time: number, now: number): string {
  const { pipeline, slot, decision, because, decidedAt } = outcome;
  const why = because === null ? "" : `: ${because}${downSince(because, store)}`;
  const what =
    slot === null
      ? `${pipeline} at ${iso(time)}`
      : `the slot ${slot} of ${pipeline}` +
        (outcome.schedule === null ? "" : ` (schedule ${outcome.schedule})`);
  switch (decision) {
    case "fired":
      return `${what} fired at ${decidedAt}${why} and made the run ${runText(outcome, store)}.`;
    case "caught_up": {
      const late = Math.max(0, Date.parse(decidedAt ?? slot!) - Date.parse(slot!));
      return (
        `${what} ran late, at ${decidedAt} (${formatDuration(late)} after it)${why}; ` +
        `its run is ${runText(outcome, store)}.`
      );
    }
    case "backfilled":
      return `${what} was backfilled at ${decidedAt}${why} by the run ${runText(outcome, store)}.`;
    case "skipped":
      return `${what} was skipped${why}.`;
    case "missed":
      return `${what} was missed${why}.`;
    case "coming":
      return `${what} is still to come${why}.`;
    case "pending": {
      const next = daemonRuns(store.runsDir)
        ? (because ?? "the daemon is about to")
        : "no daemon runs; it is decided once `orchd start` runs";
      return `${what} is due and not decided yet: ${next}.`;
    }
    case "none": {
      const mark = because?.startsWith("the one ") === true ? ";" : ":";
      const reason = because === null ? "" : `${mark} ${because}`;
      return `no slot of ${what} ${time > now ? "will be" : "was"} due${reason}.`;
    }
  }
}

/** When the time without a daemon began, for a reason that tells when it ended. */
function downSince(because: string, store: RunStore): string {
  const until = /^no daemon was up until (\S+Z)/.exec(because)?.[1];
  const end = until === undefined ? undefined : endBefore(store.orchdDir, Date.parse(until));
  if (end === undefined) return "";
  return end.type === "daemon.ended"
    ? ` (the one before ended at ${end.at})`
    : ` (the one before was last seen at ${end.at}, and ended without a word)`;
}

function runText({ run, status }: SlotOutcome, store: RunStore): string {
  if (run === null) return "";
  if (status === "running") return `${run}, which is running${waitsText(run, store)}`;
  if (status !== null) return `${run}, which is ${status}`;
  return store.exists(run) ? run : `${run}, whose ledger retention has removed`;
}

/** The first step that waits for a place, and how many more do. */
function waitsText(run: string, store: RunStore): string {
  const state = stateOfRun(store, run);
  const waits = state === undefined ? [] : [...placeWaits(store, state)];
  const [first] = waits;
  if (first === undefined) return "";
  const [step, because] = first;
  const more = waits.length - 1;
  return `; its step ${step} has not begun: ${because}${more > 0 ? ` (and ${more} more)` : ""}`;
}
