/**
 * A command that is asked in this process: by the words that a person types, with the text that
 * comes of them. A process for each question takes many times as long. What a process alone shows
 * (its environment, its streams, a signal) is asked by `orchd` of daemon.ts.
 */
import { chdir, cwd } from "node:process";
import { safeText } from "../../src/core/safe-text.ts";
import type { CommandContext } from "../../src/cli/command.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { showStatus } from "../../src/cli/commands/status-now.ts";
import { CliError } from "../../src/cli/exit.ts";
import { parseFastStatus } from "../../src/cli/fast-path.ts";
import { parseProgram } from "../../src/cli/program.ts";
import { checkRoots, resolveRoots } from "../../src/cli/roots.ts";
import type { Part } from "../../src/cli/terminal.ts";
import { escapeJson, safeJson } from "../../src/cli/terminal-text.ts";
import { VERSION } from "../../src/version.ts";
import type { CommandResult } from "./daemon.ts";
import { plain, ToldTerminal } from "./told-terminal.ts";

/** What is written to a pipe. */
class Piped extends ToldTerminal {
  stdout = "";
  stderr = "";

  override line(...parts: readonly Part[]): void {
    this.stdout += `${safeText(plain(parts))}\n`;
  }

  override note(...parts: readonly Part[]): void {
    this.stderr += `${safeText(plain(parts))}\n`;
  }

  override error(sentence: string): void {
    this.stderr += `orchd: ${safeText(sentence)}\n`;
  }

  override json(value: unknown): void {
    this.stdout += `${safeJson(value)}\n`;
  }

  override jsonLine(value: unknown): void {
    this.json(value);
  }

  override rawJsonLine(json: string): void {
    this.stdout += `${escapeJson(json)}\n`;
  }

  override ownText(text: string): void {
    this.stdout += text.split("\n").map(safeText).join("\n");
  }
}

// esbuild remembers the working folder of its first import, and a root goes.
await import("esbuild");

/** Commands that look from the working folder, or name files as seen from there. */
const FROM_FOLDER: ReadonlySet<string> = new Set(["import", "init", "validate", "verify"]);

/** The question that was asked last: the working folder is that of one at a time. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Asks a command that starts no program: `ask(root, "status", "--json")`.
 *
 * @throws what is no CliError: of that, `guarded` makes a sentence
 */
export function ask(root: string, ...words: string[]): Promise<CommandResult> {
  const asked = last.then(() => answer(root, words));
  last = asked.catch(() => undefined);
  return asked;
}

async function answer(root: string, words: readonly string[]): Promise<CommandResult> {
  const terminal = new Piped();
  const before = cwd();
  if (FROM_FOLDER.has(words[0] ?? "")) chdir(root);
  let status: number;
  try {
    status = await run(root, words, terminal);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    terminal.error(error.message);
    ({ status } = error);
  } finally {
    chdir(before);
  }
  const { stdout, stderr } = terminal;
  return {
    status,
    signal: null,
    stdout,
    stderr,
    json: <T>() => JSON.parse(stdout) as T,
    jsonLines: <T>() =>
      stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as T),
  };
}

async function run(root: string, words: readonly string[], terminal: Piped): Promise<number> {
  const fast = parseFastStatus(words);
  if (fast !== undefined) {
    const roots = resolveRoots(fast, { ORCHD_ROOT: root }, root);
    checkRoots(roots);
    return showStatus({ args: fast, roots, terminal: terminal.it });
  }
  const parsed = await parseProgram(words, VERSION, undefined);
  if (parsed.kind === "text") {
    terminal.ownText(parsed.text);
    return 0;
  }
  const roots = resolveRoots(parsed.args, { ORCHD_ROOT: root }, root);
  checkRoots(roots);
  const { run: command } = await parsed.command.load();
  const context = { args: parsed.args, roots, terminal: terminal.it, commands: COMMANDS };
  return command(context as CommandContext);
}
