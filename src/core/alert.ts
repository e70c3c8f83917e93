/**
 * An alert: something of a pipeline, or of the daemon, that a person is told.
 *
 * For each pipeline and kind there is a state: ok, firing after N causes in a row, and ok again,
 * which is told as `recovered`. docs/alerts.md has the rules.
 */

/** What people can be told. */
export const ALERT_KINDS = [
  /** A run ended `failed`. */
  "failed",
  /** Slots passed without a run: one alert a downtime, with its count. */
  "missed",
  /** A slot did not start within its grace. */
  "late",
  /** A run takes far longer than its history. */
  "overdue",
  /** A pipeline file was refused. */
  "invalid",
  /** What was told is over. */
  "recovered",
  /** A run has waited for its turn for too long. */
  "queued",
  /** The disk of runs/ is full: nothing fires until there is room. */
  "disk_full",
  /** The daemon ended without being told to, and a new one has begun. */
  "restarted",
  /** A ledger is damaged, as `orchd verify` would say. */
  "damaged",
  /** A channel takes no messages: told through the others. */
  "channel_broken",
] as const;

/** One of {@link ALERT_KINDS}. */
export type AlertKind = (typeof ALERT_KINDS)[number];

/** A stretch of missed slots counts as this many at most: from here on a count is a lower bound. */
export const MOST_SLOTS_COUNTED = 1_000;

/** A kind that can be recovered from. */
export type FaultKind = Exclude<AlertKind, "recovered">;

/**
 * What a message says, of one alert or of a group of them. It is recorded whole before it is sent
 * (`notify.due`), so that a crash sends the same again. It holds no log lines and no secrets: those
 * are added when it is sent.
 */
export interface Alert {
  /**
   * The message's name for its receiver: the same at each try, and of no other message. Letters,
   * digits and -, at most 64. Made from the cause, the kind and the channel alone.
   */
  readonly key: string;
  readonly kind: AlertKind;
  /** What was wrong, of a `recovered`. */
  readonly of?: FaultKind;
  /** The name of the channel that it goes to. */
  readonly channel: string;
  /** Undefined for what concerns the daemon as a whole. */
  readonly pipeline?: string;
  readonly run?: string;
  /** The run's status. */
  readonly status?: string;
  /** Why, in a sentence or a clause, as the ledger has it; at most 2,000 characters. */
  readonly because: string;
  /** When it happened; ISO 8601, UTC: the time of the line that is the cause. */
  readonly at: string;
  /** The line that is the cause, or the first: `FILE:SEQ`. Absent where no line tells it. */
  readonly cause?: string;
  /** How many causes it speaks of, at least 1. */
  readonly count: number;
  /** The n-th telling of what still holds, from 1. */
  readonly telling: number;
  /** The others that are told with it: at most 50, the rest are counted in `count` alone. */
  readonly others?: readonly AlertItem[];
}

/** One of a group. */
export interface AlertItem {
  readonly kind: AlertKind;
  /** What was wrong, of a `recovered`. */
  readonly of?: FaultKind;
  readonly pipeline?: string;
  readonly run?: string;
  readonly status?: string;
  readonly because: string;
  readonly at: string;
  readonly count: number;
}
