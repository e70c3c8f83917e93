/** What is wrong with the path of a module, which a pipeline file names. */
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, extname } from "node:path";
import { didYouMean } from "../core/did-you-mean.ts";

/** The endings of modules that are meant where the written one is not there. */
const CODE_ENDINGS = new Set([".ts", ".mts", ".js", ".mjs"]);

/** Why a module is not there, with the file that was probably meant; undefined if it is there. */
export function missingModule(entry: string, written: string): string | undefined {
  if (existsSync(entry) && extname(entry) !== "") return undefined;
  let there: string[] = [];
  try {
    there = readdirSync(dirname(entry));
  } catch {
    // The folder is not there either, so there is nothing to suggest.
  }
  const base = basename(entry);
  const stem = there.find(
    (name) =>
      name !== base &&
      basename(name, extname(name)) === basename(entry, extname(entry)) &&
      CODE_ENDINGS.has(extname(name)),
  );
  const near =
    stem !== undefined
      ? `; did you mean ${JSON.stringify(stem)}?`
      : existsSync(entry)
        ? ""
        : didYouMean(base, there);
  return existsSync(entry)
    ? `names ${written}, which is no module${near}`
    : `names ${written}, but there is no file ${entry}${near}`;
}
