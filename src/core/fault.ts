/**
 * Something wrong in a file that a person wrote, as the pure parts of loading find it: where in the
 * value, and the sentence. Where that is in the text (line and column) is found by who read the
 * text (src/schedules/problem.ts).
 */

/** A place in a parsed value: keys and indexes from the top. */
export type FieldPath = readonly (string | number)[];

/** Something wrong at a place. */
export interface Fault {
  readonly path: FieldPath;
  /**
   * A sentence, or the rest of one that begins with the field's name where it starts with a small
   * verb (`must be …`, `is …`).
   */
  readonly message: string;
  /** The last of `path` is a key that should not be there: point at the key, not at its value. */
  readonly atKey?: boolean;
}

/** A place as people write it: `steps.read.retry.on[1]`. */
export function formatPath(path: FieldPath): string {
  return path
    .map((part, index) =>
      typeof part === "number" ? `[${part}]` : index === 0 ? part : `.${part}`,
    )
    .join("");
}
