/**
 * A line of a ledger is shorter than this, its line feed included: 1 MiB. Bigger fields become
 * artifacts (spill-event.ts).
 */
export const MAX_LINE_BYTES = 1_048_576;
