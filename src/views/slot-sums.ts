/** Slots counted by what became of them, and those that did not run by the reason. */
import { RUN_IDS } from "../core/run-id.ts";
import type { SlotReason, SlotSums, StripMark } from "./overview.ts";

const LATE_MS = 1_000;
const A_RUN = new RegExp(`\\brun ${RUN_IDS.source}`, "g");

/** No slots. */
export const NO_SLOTS: SlotSums = {
  total: 0,
  ran: 0,
  late: 0,
  failed: 0,
  skipped: 0,
  missed: 0,
};

/** The slots among marks, counted. */
export function sumMarks(marks: Iterable<StripMark>): SlotSums {
  const sums: { -readonly [K in keyof SlotSums]: number } = { ...NO_SLOTS };
  for (const mark of marks) {
    const fate = fateOf(mark);
    if (fate === undefined) continue;
    sums.total += 1;
    sums[fate] += 1;
    if (fate !== "ran") continue;
    if (isLate(mark)) sums.late += 1;
    if (mark.status === "failed") sums.failed += 1;
  }
  return sums;
}

/** Two sums as one. */
export function addSums(a: SlotSums, b: SlotSums): SlotSums {
  return {
    total: a.total + b.total,
    ran: a.ran + b.ran,
    late: a.late + b.late,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    missed: a.missed + b.missed,
  };
}

/** What became of a slot; undefined for a run by hand and a backfill. */
export function fateOf(mark: StripMark): "ran" | "skipped" | "missed" | undefined {
  switch (mark.decision) {
    case "fired":
    case "caught_up":
      // A shadow pipeline's slot has no run.
      return mark.run === null ? "skipped" : "ran";
    case "skipped":
    case "missed":
      return mark.decision;
    default:
      return undefined;
  }
}

/** Whether a slot ran late. */
export function isLate({ decision, lateMs }: StripMark): boolean {
  return decision === "caught_up" || (decision === "fired" && (lateMs ?? 0) > LATE_MS);
}

/** The reasons of the slots among a pipeline's marks that did not run. */
export function reasonsOf(pipeline: string, marks: readonly StripMark[]): SlotReason[] {
  const backfilled = new Set(
    marks.flatMap(({ decision, slot, schedule }) =>
      decision === "backfilled" ? [`${slot ?? ""}.${schedule ?? ""}`] : [],
    ),
  );
  const reasons = marks.flatMap((mark): SlotReason[] => {
    const { slot, schedule, because } = mark;
    const decision = fateOf(mark);
    if (slot === null || decision === undefined || decision === "ran") return [];
    return [
      {
        decision,
        because: (because ?? "no reason was recorded").replace(A_RUN, "the run before"),
        slots: 1,
        backfilled: backfilled.has(`${slot}.${schedule ?? ""}`) ? 1 : 0,
        pipelines: [pipeline],
        from: slot,
        to: slot,
      },
    ];
  });
  return mergeReasons(reasons);
}

/** Equal reasons as one; the most frequent first, then those of the newest slots. */
export function mergeReasons(reasons: Iterable<SlotReason>): SlotReason[] {
  const merged = new Map<string, { reason: SlotReason; pipelines: Set<string> }>();
  for (const reason of reasons) {
    const key = `${reason.decision} ${reason.because}`;
    const there = merged.get(key);
    if (there === undefined) {
      merged.set(key, { reason, pipelines: new Set(reason.pipelines) });
      continue;
    }
    for (const pipeline of reason.pipelines) there.pipelines.add(pipeline);
    const before = there.reason;
    there.reason = {
      ...before,
      slots: before.slots + reason.slots,
      backfilled: before.backfilled + reason.backfilled,
      from: reason.from < before.from ? reason.from : before.from,
      to: reason.to > before.to ? reason.to : before.to,
    };
  }
  return [...merged.values()]
    .map(({ reason, pipelines }) => ({ ...reason, pipelines: [...pipelines] }))
    .toSorted((a, b) => b.slots - a.slots || (a.to > b.to ? -1 : a.to < b.to ? 1 : 0));
}
