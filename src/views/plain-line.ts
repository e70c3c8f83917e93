/** A ledger line without its checksum, as views read it: fields that are not known stay. */
export type PlainLine = Readonly<Record<string, unknown>>;
