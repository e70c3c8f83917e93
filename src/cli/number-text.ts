/** Counts, as people type them. */
import { usageError } from "./exit.ts";

const MOST = 1_000_000;

/**
 * Reads a whole number.
 *
 * @param what the option's name, for the error
 * @param otherwise the number where there is no text
 * @param least the smallest number that is allowed
 * @throws CliError where the text is no whole number, or is out of bounds
 */
export function parseCount(
  text: string | undefined,
  what: string,
  otherwise: number,
  least = 1,
): number {
  if (text === undefined) return otherwise;
  const number = Number(text);
  if (!/^\d{1,7}$/.test(text) || number < least || number > MOST)
    throw usageError(
      `${what}: "${text}" is no count; give a whole number from ${least} to ${MOST}.`,
    );
  return number;
}
