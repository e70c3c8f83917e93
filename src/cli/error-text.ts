import type { StepError } from "../core/failure.ts";

/**
 * An error with its stack and its causes, line by line, as Node prints them. A cause whose stack
 * stands in the one above it already is left out.
 */
export function errorLines(error: StepError): string[] {
  const said = error.stack ?? `${error.name}: ${error.message}`;
  const lines = said.split("\n");
  const below = [...(error.cause === undefined ? [] : [error.cause]), ...(error.errors ?? [])];
  for (const cause of below) {
    if (cause.stack !== undefined && said.includes(cause.stack)) continue;
    const [first = "", ...rest] = errorLines(cause);
    lines.push(`  [cause] ${first}`, ...rest.map((line) => `  ${line}`));
  }
  return lines;
}
