/** A terminal that keeps what it is told, as plain text. So a command is tested in this process. */
import { Arguments } from "../../src/cli/arguments.ts";
import { CliError, type ExitStatus } from "../../src/cli/exit.ts";
import type { CommandContext, CommandHandler } from "../../src/cli/command.ts";
import type { Part, Span, Style, Terminal } from "../../src/cli/terminal.ts";

/** A part's text without its styles. */
export function plain(part: Part): string {
  if (typeof part === "string") return part;
  return Array.isArray(part) ? part.map(plain).join("") : (part as Span).text;
}

/** The styles of a part, in order, each with its text. */
export function styled(part: Part): [Style, string][] {
  if (typeof part === "string") return [];
  if (Array.isArray(part)) return part.flatMap(styled);
  const { style, text } = part as Span;
  return style === undefined ? [] : [[style, text]];
}

/** What a command told. */
export class ToldTerminal {
  readonly columns: number | undefined;
  readonly interactive: boolean = false;
  readonly rows = 24;
  readonly lines: string[] = [];
  readonly parts: Part[] = [];
  readonly notes: string[] = [];
  readonly errors: string[] = [];
  readonly values: unknown[] = [];
  text = "";

  constructor(columns?: number) {
    this.columns = columns;
  }

  line(...parts: readonly Part[]): void {
    this.lines.push(plain(parts));
    this.parts.push(parts);
  }

  note(...parts: readonly Part[]): void {
    this.notes.push(plain(parts));
  }

  error(sentence: string): void {
    this.errors.push(sentence);
  }

  json(value: unknown): void {
    this.values.push(structuredClone(value));
  }

  jsonLine(value: unknown): void {
    this.values.push(structuredClone(value));
  }

  rawJsonLine(json: string): void {
    this.values.push(JSON.parse(json));
  }

  ownText(text: string): void {
    this.text += text;
  }

  settle(): void {}

  /** For a function that takes a terminal. */
  get it(): Terminal {
    return this as unknown as Terminal;
  }

  /** Every line, its cells apart: two spaces or more stand between two of them. */
  get cells(): string[][] {
    return this.lines.map((line) => line.trimEnd().split(/ {2,}/));
  }
}

/** What came of a command. */
export interface Told {
  readonly terminal: ToldTerminal;
  readonly status: ExitStatus;
  /** The sentence of the error that it threw. */
  readonly sentence: string | undefined;
}

/**
 * Runs a command in this process.
 *
 * @param values its options and positionals, by name
 * @param columns of the terminal; default: it is none
 */
export async function command(
  run: CommandHandler,
  roots: CommandContext["roots"],
  values: Readonly<Record<string, unknown>> = {},
  columns?: number,
): Promise<Told> {
  const terminal = new ToldTerminal(columns);
  const context: CommandContext = {
    args: new Arguments(values),
    roots,
    terminal: terminal.it,
    commands: [],
    startDaemon: () => Promise.reject(new Error("no daemon is started here")),
    readMetrics: () => Promise.reject(new Error("no metrics are read here")),
    exportTraces: () => Promise.reject(new Error("no traces are exported here")),
    servePage: () => Promise.reject(new Error("no page is served here")),
    serveWorker: () => Promise.reject(new Error("no worker is started here")),
    tellPeople: () => Promise.reject(new Error("no page is served here")),
    preparePlace: () => Promise.reject(new Error("no place is prepared here")),
  };
  try {
    return { terminal, status: await run(context), sentence: undefined };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { terminal, status: error.status, sentence: error.message };
  }
}
