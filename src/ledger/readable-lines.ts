/** Files of JSON lines that are no ledgers: nothing is promised of them, so what can be read is. */
import { readFileSync } from "node:fs";
import { parseObject } from "../core/json-object.ts";

/** The objects of the lines that can be read, oldest first; none where there is no file. */
export function readableLines(path: string): Record<string, unknown>[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return [];
  }
  const lines = text.split("\n").map((line) => parseObject(line));
  return lines.filter((line) => line !== undefined);
}
