/** Alerts in words: the same on the command line and on the page. */
import { MOST_SLOTS_COUNTED, type AlertKind } from "./alert.ts";
import type { Untold } from "./notify-state.ts";

const KINDS: Readonly<Record<AlertKind, string>> = {
  failed: "failed",
  missed: "missed",
  late: "late",
  overdue: "overdue",
  invalid: "invalid file",
  recovered: "recovered",
  queued: "queued too long",
  disk_full: "disk full",
  restarted: "daemon restarted",
  damaged: "ledger damaged",
  channel_broken: "channel broken",
};

const REASONS: Readonly<Record<Untold, string>> = {
  after: "its rule waits for more in a row",
  quiet: "it is a quiet hour",
  group: "it is gathered with others",
  paused: "its pipeline is paused",
  silenced: "its pipeline is silent",
  no_rule: "no rule names it",
};

/** A kind in words; one of a newer release as it is written. */
export function kindText(kind: string): string {
  return KINDS[kind as AlertKind] ?? kind;
}

/** Why nobody was told, as a clause. */
export function untoldText(untold: string | null): string {
  if (untold === null) return "it is not sent yet";
  return REASONS[untold as Untold] ?? untold;
}

/** What a message says in few words: `failed, etl, 3 times`. */
export function messageText({
  kind,
  of,
  pipeline,
  count,
}: {
  readonly kind: string;
  /** What was wrong, of a `recovered`. */
  readonly of: string | null;
  readonly pipeline: string | null;
  readonly count: number;
}): string {
  const what = of === null ? kindText(kind) : `${kindText(kind)} from ${kindText(of)}`;
  const least = kind === "missed" && count >= MOST_SLOTS_COUNTED ? "at least " : "";
  const parts = [what, pipeline, count > 1 ? `${least}${count} times` : null];
  return parts.filter((part) => part !== null).join(", ");
}
