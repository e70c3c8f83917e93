/**
 * A fault: something wrong in a file that a person wrote, with its place in the value and a
 * sentence. The pure parts of loading find it. Its line and column are found by the code that read
 * the text (src/schedules/problem.ts).
 */

/** A place in a parsed value: keys and indexes, from the top. */
export type FieldPath = readonly (string | number)[];

/** Something wrong at a place. */
export interface Fault {
  readonly path: FieldPath;
  /**
   * A sentence. The field's name comes before it if it begins with a lower-case verb, such as
   * `must be …`.
   */
  readonly message: string;
  /**
   * The last part of `path` is a key that must not be there: point at the key, not at its value.
   */
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
