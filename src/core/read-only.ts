/** What a person is told to do where something cannot be written. */

/**
 * What helps where something cannot be written: a part of a sentence.
 *
 * @param right what gives the right to write, which no file system that is read-only asks for
 */
export function whatLetsWrite(code: string | undefined, right: string): string {
  return code === "EROFS" ? "its file system is read-only: mount it for writing" : right;
}
