/** What `orchd alerts --json` and `GET /api/v1/alerts` say: what fires, waits, was sent. */
import type { AlertKind, FaultKind } from "../core/alert.ts";

/** Times are ISO 8601 in UTC. Lists: newest first, at most 200 of each. */
export interface AlertsView {
  readonly at: string;
  /** Whether orchd.yaml has `notify:`. */
  readonly configured: boolean;
  /** Whether `orchd notify` runs: its lock is held. */
  readonly running: boolean;
  /** What holds now, by pipeline and kind. */
  readonly firing: readonly FiringAlert[];
  /** Messages that are due: not sent yet, or to be tried again. */
  readonly waiting: readonly MessageView[];
  readonly sent: readonly MessageView[];
  readonly gaveUp: readonly MessageView[];
  /** Pipelines that are silent, and until when. */
  readonly silences: readonly Silence[];
  readonly channels: readonly ChannelView[];
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
  readonly untold: "after" | "quiet" | "group" | "paused" | "silenced" | "no_rule" | null;
}

/** One message. */
export interface MessageView {
  readonly key: string;
  readonly kind: AlertKind;
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
  readonly kind: string | null;
  readonly broken: boolean;
  readonly sent: number;
  readonly failed: number;
  readonly gaveUp: number;
  readonly lastSentAt: string | null;
  readonly fault: string | null;
}
