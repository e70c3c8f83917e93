/** The copy of a load that a new ledger begins with, told from a load. */
import type { PlainLine } from "./plain-line.ts";

/**
 * Whether a line is the copy of the last load that a rotated ledger's successor begins with. A load
 * says since when its schedules count. The copy leaves that to the checkpoint after it.
 *
 * @param newer the line after it; undefined: there is none
 */
export function isRepeatedLoad(line: PlainLine, newer: PlainLine | undefined): boolean {
  return (
    line["type"] === "pipeline.loaded" &&
    line["since"] === undefined &&
    newer?.["type"] === "pipeline.checkpoint"
  );
}
