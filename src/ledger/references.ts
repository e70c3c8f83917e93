/** What ledgers and spilled fields refer to: artifacts and step code, by sha256. */
import { errorCode } from "../disk/disk-error.ts";
import { readOwnFile } from "../disk/own-file.ts";
import { PathFault } from "../disk/path-fault.ts";
import { SPILLED_FIELDS } from "./spill-event.ts";

/**
 * A reference to an artifact or a bundle, in a ledger or in a spilled field. It comes with the name
 * of the field, if that field may refer to more.
 */
const REFERENCE = new RegExp(
  String.raw`(?:"(${SPILLED_FIELDS.join("|")})":\{)?"(?:\$artifact|bundle)":"([0-9a-f]{64})"`,
  "g",
);

/** What files refer to. */
export interface References {
  /** Artifacts and bundles. */
  readonly shas: Set<string>;
  /**
   * The artifacts that are a whole field of a line (spill-event.ts): these may refer to more. A
   * single output refers to nothing, however long it is.
   */
  readonly fields: Set<string>;
}

/** What each run refers to. With it, no ledger is read twice in one sweep. */
export type ReferencesOfRuns = Map<string, References>;

/** References to nothing. */
export function noReferences(): References {
  return { shas: new Set(), fields: new Set() };
}

/**
 * Adds what a file refers to; nothing if there is no file, or if another thing has its name: a
 * folder refers to nothing, and a pipe holds who opens it. @throws a Node error
 */
export function addReferences(path: string, into: References): void {
  let text: string;
  try {
    text = readOwnFile(path).toString("latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT" || error instanceof PathFault) return;
    throw error;
  }
  for (const [, field, sha] of text.matchAll(REFERENCE)) {
    into.shas.add(sha!);
    if (field !== undefined) into.fields.add(sha!);
  }
}
