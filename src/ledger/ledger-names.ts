/** The name that a ledger gets when rotation puts a new file in its place. */
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { iso } from "../core/time.ts";
import { newestFirst, numberOf } from "./rotated-ledgers.ts";

/**
 * The name of a file that rotation puts aside: its day, and a number where the day has several.
 *
 * @param isRotated whether rotation gave a name
 */
export function rotatedName(
  path: string,
  nowMs: number,
  isRotated: (name: string) => boolean,
): string {
  // After a crash the file may already have its second name, with an earlier date. With a third
  // name its lines would be read twice.
  const own = statSync(path).ino;
  const names = readdirSync(dirname(path)).filter(isRotated);
  const given = names.find((name) => statSync(join(dirname(path), name)).ino === own);
  if (given !== undefined) return join(dirname(path), given);
  const stem = `${basename(path, ".jsonl")}-${iso(nowMs).slice(0, 10)}`;
  // Not a number that is free below another: a pruned one must not come back as the newest.
  const [newest] = newestFirst(names.filter((name) => name.startsWith(stem)));
  const nth = newest === undefined ? 1 : numberOf(newest) + 1;
  return join(dirname(path), nth === 1 ? `${stem}.jsonl` : `${stem}-${nth}.jsonl`);
}
