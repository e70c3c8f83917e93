/** What completion offers for commands of every kind, as its two scripts say it. */
import { afterEach, expect, it, vi } from "vitest";
import { Arguments } from "../../src/cli/arguments.ts";
import type { CommandContext, CommandSpec } from "../../src/cli/command.ts";
import { run } from "../../src/cli/commands/completion.ts";
import { CliError } from "../../src/cli/exit.ts";
import { expectKept } from "../support/kept-text.ts";
import { ToldTerminal } from "../support/told-terminal.ts";

afterEach(() => void vi.unstubAllEnvs());

const spec = (name: string, more: Partial<CommandSpec> = {}): CommandSpec => ({
  name,
  positionals: "",
  describe: `What ${name} does.`,
  options: {},
  load: () => Promise.reject(new Error("it is not called")),
  ...more,
});

const COMMANDS: readonly CommandSpec[] = [
  spec("plain", { describe: "A run's end: what it's for." }),
  spec("pipeline", {
    positionals: "<pipeline>",
    completes: "pipeline",
    options: {
      json: { type: "boolean", describe: "", alias: "j" },
      number: { type: "number", describe: "", alias: "n" },
      since: { type: "string", describe: "" },
    },
  }),
  spec("run", {
    positionals: "[run]",
    completes: "run",
    options: {
      status: { type: "string", describe: "", choices: ["failed", "stopped"] },
      step: { type: "string", describe: "", values: ["one", "two"], alias: "s" },
    },
  }),
  spec("words", { positionals: "<kind> [file]", completes: "words", words: ["crontab", "other"] }),
  spec("files", {
    positionals: "[files..]",
    completes: "file",
    options: { into: { type: "string", describe: "", values: "file", alias: "o" } },
  }),
];

/** What it prints, or its refusal. */
async function completion(values: Record<string, unknown>): Promise<string> {
  const terminal = new ToldTerminal();
  const context = { args: new Arguments(values), terminal: terminal.it, commands: COMMANDS };
  try {
    await run(context as unknown as CommandContext);
    return terminal.text;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return error.message;
  }
}

it.each(["bash", "zsh"])("for %s", async (shell) => {
  const text = await completion({ shell });
  expectKept(`screens/completion-${shell}.txt`, text);
  // Without a name, it is for the shell that one has.
  vi.stubEnv("SHELL", `/usr/bin/${shell}`);
  expect(await completion({})).toBe(text);
});

it("for no other shell, and for bash where none is known", async () => {
  const refusal = "there is no completion for fish; there is one for bash and one for zsh.";
  expect(await completion({ shell: "fish" })).toBe(refusal);
  vi.stubEnv("SHELL", "/bin/fish");
  expect(await completion({})).toBe(refusal);
  vi.stubEnv("SHELL", undefined);
  expect(await completion({})).toBe(await completion({ shell: "bash" }));
});
