/** What became of a slot. Times are ISO 8601 in UTC. */
export interface SlotOutcome {
  readonly pipeline: string;
  /** Null where no slot is due at the time that was asked for. */
  readonly slot: string | null;
  /** `none`: no slot is due then; `pending`: due and not decided yet; `coming`: in the future. */
  readonly decision: SlotDecision | "none" | "pending" | "coming";
  readonly because: string | null;
  /** The schedule's name, where its slots are its own. */
  readonly schedule: string | null;
  /** The run that was made for it. */
  readonly run: string | null;
  /** That run's status; null where its ledger is gone or cannot be read. */
  readonly status: string | null;
  /** When it was decided. */
  readonly decidedAt: string | null;
}

/** A decision, as a pipeline's ledger records it. */
export type SlotDecision = "fired" | "caught_up" | "skipped" | "missed" | "backfilled";
