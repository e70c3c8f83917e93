/** What a command is, to the program that finds it and to the command itself. */
import type { Arguments } from "./arguments.ts";
import type { ExitStatus } from "./exit.ts";
import type { Roots } from "../views/roots.ts";
import type { Terminal } from "./terminal.ts";

/** All that a command is given. */
export interface CommandContext {
  readonly args: Arguments;
  readonly roots: Roots;
  readonly terminal: Terminal;
  /** Every command, for the one that describes them. */
  readonly commands: readonly CommandSpec[];
  /** Runs the daemon until it ends; handed in, because the command line knows nothing above it. */
  readonly startDaemon: (options: StartOptions) => Promise<number>;
}

/** What `orchd start` tells the daemon. */
export interface StartOptions extends Roots {
  /** Logs for people rather than JSON. */
  readonly pretty: boolean;
  /** Tells a person at the terminal, in a sentence, why the daemon does not start. */
  readonly tell: (sentence: string) => void;
}

/**
 * A command's own file exports one of these as `run`. Throws a CliError for whatever a person can
 * put right.
 */
export type CommandHandler = (context: CommandContext) => Promise<ExitStatus>;

/** One option, as yargs, the completion script and the docs need it. */
export interface OptionSpec {
  readonly type: "string" | "boolean" | "number";
  readonly describe: string;
  readonly alias?: string;
  readonly array?: boolean;
  readonly choices?: readonly string[];
}

/** One command; `load` brings in its file only when it is called. */
export interface CommandSpec {
  readonly name: string;
  /** The positionals as yargs writes them: `<run> [step]`. */
  readonly positionals: string;
  readonly describe: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** What completion offers for the first positional. */
  readonly completes?: "pipeline" | "run" | "file" | "words";
  readonly words?: readonly string[];
  readonly load: () => Promise<{ readonly run: CommandHandler }>;
}
