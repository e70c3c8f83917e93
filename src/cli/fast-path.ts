/**
 * Reads the command lines of `orchd status` by hand, so that the most frequent question does not
 * pay for yargs (docs/performance.md).
 *
 * It knows a few plain options and nothing else. Any other word gives undefined: then yargs reads
 * the words, with its errors and its help.
 */
import { Arguments } from "./arguments.ts";

const FLAGS: ReadonlySet<string> = new Set(["json"]);
const TEXTS: ReadonlySet<string> = new Set(["root", "schedules", "runs"]);

/** The arguments of `orchd status …`; undefined where yargs has to read the words. */
export function parseFastStatus(words: readonly string[]): Arguments | undefined {
  const values: Record<string, unknown> = {};
  const plain: string[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index]!;
    if (!word.startsWith("-")) {
      plain.push(word);
      continue;
    }
    const [, name = "", inline] = /^--([a-z]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (Object.hasOwn(values, name)) return undefined;
    if (FLAGS.has(name) && inline === undefined) values[name] = true;
    else if (TEXTS.has(name)) {
      const value = inline ?? words[(index += 1)];
      if (value === undefined || value === "" || (inline === undefined && value.startsWith("-")))
        return undefined;
      values[name] = value;
    } else return undefined;
  }
  if (plain[0] !== "status" || plain.length > 2) return undefined;
  if (plain[1] !== undefined) values["target"] = plain[1];
  return new Arguments(values);
}
