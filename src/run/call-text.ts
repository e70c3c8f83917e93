/**
 * The text of a dynamic pipeline's call, as the ledger has it.
 *
 * A line keeps texts of up to 16,384 characters (ledger/spill-event.ts). A longer call is kept as
 * its beginning and a hash of the whole. So a call that was made before is known again, and one
 * that differs anywhere is found. Older ledgers have the beginning alone: there a difference behind
 * it shows only if it changes the length.
 */
import { sha256 } from "../core/sha256.ts";
import { TEXT_CHARACTERS } from "../ledger/spill-event.ts";
import { trim } from "../ledger/short-line.ts";

/** How much of a longer call is kept, in UTF-16 code units. There is room for the hash. */
const BEGINNING_CHARACTERS = 16_000;

/** A call's text, short enough to stay as it is in a line. */
export function keptCall(text: string): string {
  if (text.length <= TEXT_CHARACTERS) return text;
  const hash = sha256(text);
  const left = text.length - BEGINNING_CHARACTERS;
  return `${text.slice(0, BEGINNING_CHARACTERS)}… (${left} characters more, sha256 ${hash})`;
}

/**
 * Whether a call is the one that the ledger has.
 *
 * @param kept what the ledger has of it
 * @param text the whole of a call
 */
export function isKeptCall(kept: string, text: string): boolean {
  return kept === keptCall(text) || kept === trim(text, TEXT_CHARACTERS);
}
