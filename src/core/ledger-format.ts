/**
 * The ledger format that this release writes: line 1 of every ledger carries it. A reader refuses a
 * greater one with a sentence.
 */
export const LEDGER_FORMAT = 1;
