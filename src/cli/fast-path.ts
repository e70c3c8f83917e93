/**
 * Reads the command lines of `orchd status` and `orchd page` by hand, so that the most frequent
 * question and the start of the page do not pay for yargs (docs/performance.md).
 *
 * It knows a few plain options and nothing else. Any other word gives undefined: then yargs reads
 * the words, with its errors and its help.
 */
import { Arguments } from "./arguments.ts";

/** What a command line may hold beside the options of every command. */
interface PlainCommand {
  readonly name: string;
  readonly flags: ReadonlySet<string>;
  readonly texts: ReadonlySet<string>;
  /** The name of the one positional that it takes; undefined: none. */
  readonly positional?: string;
}

const ROOTS = ["root", "schedules", "runs"] as const;
const STATUS: PlainCommand = {
  name: "status",
  flags: new Set(["json"]),
  texts: new Set(ROOTS),
  positional: "target",
};
const PAGE: PlainCommand = {
  name: "page",
  flags: new Set(["json", "allow-requests", "trust-proxy"]),
  texts: new Set([...ROOTS, "listen", "token-file", "base"]),
};

/** The arguments of `orchd status …`; undefined where yargs has to read the words. */
export function parseFastStatus(words: readonly string[]): Arguments | undefined {
  return parsePlain(STATUS, words);
}

/** The arguments of `orchd page …`; undefined where yargs has to read the words. */
export function parseFastPage(words: readonly string[]): Arguments | undefined {
  return parsePlain(PAGE, words);
}

function parsePlain(command: PlainCommand, words: readonly string[]): Arguments | undefined {
  const values: Record<string, unknown> = {};
  const plain: string[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index]!;
    if (!word.startsWith("-")) {
      plain.push(word);
      continue;
    }
    const [, name = "", inline] = /^--([a-z]+(?:-[a-z]+)*)(?:=(.*))?$/s.exec(word) ?? [];
    if (Object.hasOwn(values, name)) return undefined;
    if (command.flags.has(name) && inline === undefined) values[name] = true;
    else if (command.texts.has(name)) {
      const value = inline ?? words[(index += 1)];
      if (value === undefined || value === "" || (inline === undefined && value.startsWith("-")))
        return undefined;
      values[name] = value;
    } else return undefined;
  }
  const { name, positional } = command;
  if (plain[0] !== name || plain.length > (positional === undefined ? 1 : 2)) return undefined;
  if (positional !== undefined && plain[1] !== undefined) values[positional] = plain[1];
  return new Arguments(values);
}
