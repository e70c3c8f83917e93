/**
 * The JSON text of a value in pieces: a large value made into text at once would hold up the
 * daemon's events.
 */

/** How long a piece is at least, in UTF-16 code units; the last one may be shorter. */
export const PIECE_LENGTH = 131_072;
/** Members that lie deeper are made into text whole. */
const DEPTH = 4;

/**
 * Makes a JSON value into text. The pieces together are the text that `JSON.stringify` gives.
 *
 * @param value JSON; members that are undefined are left out
 */
export function* jsonPieces(value: unknown): Generator<string, void> {
  let piece = "";
  for (const part of partsOf(value, 0)) {
    piece += part;
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = "";
  }
  if (piece !== "") yield piece;
}

function* partsOf(value: unknown, depth: number): Generator<string, void> {
  if (depth === DEPTH || value === null || typeof value !== "object" || "toJSON" in value) {
    yield JSON.stringify(value);
    return;
  }
  let before = Array.isArray(value) ? "[" : "{";
  if (Array.isArray(value)) {
    for (const member of value as readonly unknown[]) {
      yield before;
      yield* partsOf(member ?? null, depth + 1);
      before = ",";
    }
    yield before === "[" ? "[]" : "]";
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue;
    yield `${before}${JSON.stringify(name)}:`;
    yield* partsOf(member, depth + 1);
    before = ",";
  }
  yield before === "{" ? "{}" : "}";
}
