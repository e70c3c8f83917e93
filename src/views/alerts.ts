/** What `orchd alerts --json` and `GET /api/v1/alerts` say: what fires, waits, was sent. */
import type { AlertKind, FaultKind } from "../core/alert.ts";
import type { Untold } from "../core/notify-state.ts";

/** Times are ISO 8601 in UTC. Lists: newest first, at most 200 of each. */
export interface AlertsView {
  readonly at: string;
  /** Whether orchd.yaml has `notify:`. */
  readonly configured: boolean;
  /** Whether `orchd notify` runs: its lock is held. */
  readonly running: boolean;
  /** When `orchd notify` last recorded what it knows; null: never. */
  readonly asOf: string | null;
  /** What is wrong with `notify.jsonl`, in a clause; null: nothing. */
  readonly fault: string | null;
  /** What holds now, by pipeline and kind. */
  readonly firing: readonly FiringAlert[];
  /** Messages that are due: not sent yet, or to be tried again. */
  readonly waiting: readonly MessageView[];
  readonly sent: readonly MessageView[];
  readonly gaveUp: readonly MessageView[];
  /** How many there are, listed or not. */
  readonly counts: { readonly firing: number; readonly waiting: number };
  /** Pipelines that are silent, and until when. */
  readonly silences: readonly Silence[];
  /** By name. */
  readonly channels: readonly ChannelView[];
}

/** What the Overview says of alerts. */
export interface AlertsSummary {
  /** Messages that were given up since the Overview's `from`; at most 200 are counted. */
  readonly gaveUp: number;
  /** The names of channels that take no messages, at most 20. */
  readonly broken: readonly string[];
}

/** Something that holds. */
export interface FiringAlert {
  readonly kind: FaultKind;
  /** Null for what concerns the daemon. */
  readonly pipeline: string | null;
  readonly since: string;
  readonly count: number;
  readonly because: string;
  /** The newest run that it is about. */
  readonly run: string | null;
  /** Whether people were told; if not, why. */
  readonly told: boolean;
  readonly untold: Untold | null;
}

/** One message. */
export interface MessageView {
  readonly key: string;
  readonly kind: AlertKind;
  /** What was wrong, of a `recovered`. */
  readonly of: FaultKind | null;
  readonly channel: string;
  readonly pipeline: string | null;
  readonly run: string | null;
  readonly because: string;
  readonly count: number;
  /** When it was due, and when it was sent or given up. */
  readonly dueAt: string;
  readonly endedAt: string | null;
  readonly attempts: number;
  /** When it is tried next, and why the last try failed. */
  readonly retryAt: string | null;
  readonly fault: string | null;
}

/** A pipeline that people asked to hear nothing of. */
export interface Silence {
  readonly pipeline: string;
  readonly until: string;
  readonly because: string | null;
  readonly by: string | null;
}

/** A channel, as its last messages tell. */
export interface ChannelView {
  readonly name: string;
  /** `mail`, `slack` …; null of one that orchd.yaml does not have, or not any more. */
  readonly kind: string | null;
  readonly broken: boolean;
  readonly sent: number;
  /** How many tries failed. */
  readonly failed: number;
  readonly gaveUp: number;
  readonly lastSentAt: string | null;
  /** Why the last try failed; null after one that did not. */
  readonly fault: string | null;
}
