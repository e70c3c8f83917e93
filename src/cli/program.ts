/**
 * The command line as yargs parses it. It is used where the fast path (fast-path.ts) does not know
 * the words.
 *
 * yargs runs a handler even after `.fail()` returns, so failing throws. Here yargs never writes or
 * exits by itself, because errors go through the terminal, which makes them safe.
 */
import yargs, { type Argv, type Options } from "yargs";
import { defined } from "../core/defined.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import { VERSION } from "../version.ts";
import { Arguments } from "./arguments.ts";
import type { CommandSpec, OptionSpec, Programs } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import { COMMON_OPTIONS } from "./common-options.ts";
import { guarded, rootsOf } from "./entry.ts";
import { CliError, EXIT, usageError } from "./exit.ts";
import { checkRoots } from "./roots.ts";

/**
 * Runs one command to its end. Never throws: everything that goes wrong is one sentence on stderr.
 *
 * @returns the exit status
 */
export function runCommandLine(words: readonly string[], programs: Programs): Promise<number> {
  return guarded(async (terminal) => {
    const parsed = await parseProgram(words, VERSION, terminal.columns);
    if (parsed.kind === "text") {
      terminal.ownText(parsed.text);
      return EXIT.done;
    }
    const roots = rootsOf(parsed.args);
    if (!WITHOUT_ROOT.has(parsed.command.name)) checkRoots(roots);
    const { run } = await parsed.command.load();
    return run({ args: parsed.args, roots, terminal, commands: COMMANDS, ...programs });
  });
}

/** Commands that need no project. */
const WITHOUT_ROOT: ReadonlySet<string> = new Set(["init", "schema", "completion"]);

/** The path that stands for a file named `-`. */
const STANDARD_INPUT = "/dev/stdin";

/** A command line that was parsed. */
export type Parsed =
  | { readonly kind: "command"; readonly command: CommandSpec; readonly args: Arguments }
  /** `--help` or `--version`: text to print. */
  | { readonly kind: "text"; readonly text: string };

/**
 * Parses the words after `orchd`.
 *
 * @throws CliError with a sentence where they are no command
 */
export async function parseProgram(
  given: readonly string[],
  version: string,
  columns: number | undefined,
): Promise<Parsed> {
  // yargs loses a single dash among the positionals.
  const words = given.map((word) => (word === "-" ? STANDARD_INPUT : word));
  if (words.length === 0)
    return { kind: "text", text: await helpText(["--help"], version, columns) };
  let parsed: Parsed | undefined;
  const program = build(words, version, columns, (command, values) => {
    parsed = { kind: "command", command, args: new Arguments(values) };
  });
  let text = "";
  await program.parseAsync([...words], {}, (_error: unknown, _argv: unknown, output: string) => {
    text = output;
  });
  if (parsed !== undefined) return parsed;
  if (text !== "") return { kind: "text", text: `${text}\n` };
  throw usageError("no command was given; `orchd --help` lists them.");
}

async function helpText(
  words: readonly string[],
  version: string,
  columns: number | undefined,
): Promise<string> {
  let text = "";
  await build(words, version, columns, () => undefined).parseAsync(
    [...words],
    {},
    (_error: unknown, _argv: unknown, output: string) => {
      text = output;
    },
  );
  return `${text}\n`;
}

function build(
  words: readonly string[],
  version: string,
  columns: number | undefined,
  chosen: (command: CommandSpec, values: Readonly<Record<string, unknown>>) => void,
): Argv {
  const program = yargs()
    .scriptName("orchd")
    .usage(
      "$0 COMMAND\n\nRuns pipelines on a schedule; everything it knows is in append-only ledgers.",
    )
    .locale("en")
    .exitProcess(false)
    .parserConfiguration({
      "boolean-negation": false,
      "camel-case-expansion": false,
      "dot-notation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "greedy-arrays": false,
      "strip-aliased": true,
    })
    .options(optionsOf(COMMON_OPTIONS))
    .version(version)
    .help()
    .alias("help", "h")
    .wrap(Math.min(columns ?? 100, 120))
    .demandCommand(1, 1, "no command was given; `orchd --help` lists them.")
    .strict()
    .fail((message, error) => {
      throw error instanceof CliError
        ? error
        : usageError(sentence(message ?? error?.message, words));
    });
  for (const command of COMMANDS) {
    program.command(
      command.positionals === "" ? command.name : `${command.name} ${command.positionals}`,
      command.describe,
      (own: Argv) => own.options(optionsOf(command.options)),
      (values) => chosen(command, values as Readonly<Record<string, unknown>>),
    );
  }
  return program;
}

function optionsOf(specs: Readonly<Record<string, OptionSpec>>): Record<string, Options> {
  return Object.fromEntries(
    Object.entries(specs).map(
      ([name, { type, describe, alias, array, choices }]): [string, Options] => [
        name,
        {
          type,
          describe,
          requiresArg: type !== "boolean",
          ...defined({ alias, array, choices }),
        },
      ],
    ),
  );
}

/** Makes a sentence that says what to do of the few words in which yargs says what is wrong. */
function sentence(said: string | null | undefined, words: readonly string[]): string {
  const name = words.find((word, index) => !word.startsWith("-") && !takesValue(words[index - 1]));
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined && name !== undefined) {
    const names = COMMANDS.map((one) => one.name);
    const near = didYouMean(name, names) || ".";
    return `there is no command "${name}"${near} \`orchd --help\` lists the commands.`;
  }
  const message = (said ?? "the command line makes no sense").trim().replaceAll(/\s*\n\s*/g, " ");
  const own = command === undefined ? "" : `${command.name} `;
  const help = `\`orchd ${own}--help\` shows what there is.`;
  const unknown = /^Unknown arguments?: (.+)$/.exec(message)?.[1]?.split(", ");
  if (command !== undefined && unknown !== undefined) {
    const options = Object.keys({ ...command.options, ...COMMON_OPTIONS });
    const near = unknown.length === 1 ? didYouMean(unknown[0]!, options).replace('"', '"--') : "";
    const quoted = unknown.map((word) => `"${word}"`).join(", ");
    return `orchd ${command.name} does not know ${quoted}${near || "."} ${help}`;
  }
  if (command !== undefined && message.startsWith("Not enough non-option arguments"))
    return `orchd ${command.name} needs ${command.positionals}. ${help}`;
  const needed = /^Not enough arguments following: (.+)$/.exec(message)?.[1];
  if (needed !== undefined) return `--${needed} needs a value. ${help}`;
  const choice = /^Invalid values: Argument: (\S+), Given: (.+), Choices: (.+)$/.exec(message);
  if (choice !== null) return `--${choice[1]}: ${choice[2]} is none of ${choice[3]}. ${help}`;
  const full = /[.!?]$/.test(message) ? message : `${message}.`;
  return full.includes("--help") ? full : `${full} ${help}`;
}

function takesValue(word: string | undefined): boolean {
  return word !== undefined && /^--(?:root|schedules|runs)$/.test(word);
}
