/**
 * Makes an event short enough for a line by cutting its texts and lists.
 *
 * Long fields become artifacts (spill-event.ts) and errors are clipped where they are made, so this
 * should never be needed. It is here because a line that cannot be written is worse than one that
 * was cut: the run could record nothing more, and would neither end nor stop.
 */
import { MAX_LINE_BYTES } from "./line-limit.ts";
import { beginning } from "../core/whole-characters.ts";

/** How many characters of a text and members of a list are kept: the first that is enough. */
const CUTS: readonly (readonly [characters: number, members: number])[] = [
  [16_384, 10_000],
  [1_024, 1_000],
  [128, 100],
];
/** Room for what the ledger adds to an event. */
const FRAME_BYTES = 1_024;
/** Deeper values are cut away. */
const DEEPEST = 64;

/** The event, with long texts and lists cut where it is too long for a line. Texts say so. */
export function shortened<E extends { readonly type: string }>(event: E): E {
  let short = event;
  for (const [characters, members] of CUTS) {
    if (Buffer.byteLength(JSON.stringify(short)) < MAX_LINE_BYTES - FRAME_BYTES) return short;
    short = cut(event, characters, members, 0) as E;
  }
  return short;
}

/** @param text may be of any length */
export function trim(text: string, characters: number): string {
  if (text.length <= characters) return text;
  const kept = beginning(text, characters);
  return `${kept}… (${text.length - kept.length} characters more)`;
}

function cut(value: unknown, characters: number, members: number, depth: number): unknown {
  if (typeof value === "string") return trim(value, characters);
  if (value === null || typeof value !== "object") return value;
  if (depth === DEEPEST) return null;
  const inner = (member: unknown): unknown => cut(member, characters, members, depth + 1);
  if (Array.isArray(value)) return value.slice(0, members).map(inner);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name.length <= characters)
      .slice(0, members)
      .map(([name, member]) => [name, inner(member)]),
  );
}
