/** Files of JSON lines that are no ledgers: nothing is promised of them, so what can be read is. */
import { parseObject } from "../core/json-object.ts";
import { readOwnText } from "../disk/own-file.ts";

/** The objects of the lines that can be read, oldest first; none where there is no file. */
export function readableLines(path: string): Record<string, unknown>[] {
  let text: string;
  try {
    text = readOwnText(path);
  } catch {
    return [];
  }
  const lines = text.split("\n").map((line) => parseObject(line));
  return lines.filter((line) => line !== undefined);
}
