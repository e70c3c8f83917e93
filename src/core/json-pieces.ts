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

/**
 * A list as the texts of several lists, which together hold its members.
 *
 * @param textOf the text of a member; default: its JSON
 */
export function* listPieces<T>(
  list: readonly T[],
  textOf: (member: T, index: number) => string = (member) => JSON.stringify(member),
): Generator<string, void> {
  let texts: string[] = [];
  let length = 0;
  for (const [index, member] of list.entries()) {
    const text = textOf(member, index);
    texts.push(text);
    length += text.length;
    if (length < PIECE_LENGTH) continue;
    yield `[${texts.join(",")}]`;
    texts = [];
    length = 0;
  }
  if (texts.length > 0) yield `[${texts.join(",")}]`;
}
