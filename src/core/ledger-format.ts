/**
 * The ledger format that this release writes. Line 1 of every ledger holds it. A reader refuses a
 * higher one with a sentence.
 */
export const LEDGER_FORMAT = 1;
