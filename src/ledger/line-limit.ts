/**
 * A ledger's line, its line feed included, is shorter than this: 1 MiB. What is bigger becomes an
 * artifact (spill-event.ts).
 */
export const MAX_LINE_BYTES = 1_048_576;
