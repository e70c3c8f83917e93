/** What a command is, to the program that finds it and to the command itself. */
import type { Roots } from "../views/roots.ts";
import type { Arguments } from "./arguments.ts";
import type { ExitStatus } from "./exit.ts";
import type { Terminal } from "./terminal.ts";

/** What a command gets. */
export interface CommandContext extends Programs {
  readonly args: Arguments;
  readonly roots: Roots;
  readonly terminal: Terminal;
  /** Every command, for the completion script. */
  readonly commands: readonly CommandSpec[];
}

/**
 * The programs that commands start. They are given, because the command line knows none of them.
 * One that gives a number runs until it ends, and the number is the exit status.
 */
export interface Programs {
  /** Reads a root's metrics once. It starts nothing, and loads a package that only it needs. */
  readonly readMetrics: (roots: Roots) => Promise<MetricsAnswer>;
  readonly startDaemon: (options: StartOptions) => Promise<number>;
  readonly servePage: (options: PageOptions) => Promise<number>;
  readonly tellPeople: (options: NotifyOptions) => Promise<number>;
  readonly exportTraces: (options: ExportOptions) => Promise<number>;
  readonly preparePlace: (options: PrepareOptions) => Promise<number>;
  readonly serveWorker: (options: WorkerOptions) => Promise<number>;
}

/** A root's metrics. */
export interface MetricsAnswer {
  /** In Prometheus' text format. */
  readonly text: string;
  /** The same as values: `orchd metrics --json`. */
  readonly values: unknown;
}

/** What `orchd start` tells the daemon. */
export interface StartOptions extends Roots {
  /** Logs for people rather than JSON. */
  readonly pretty: boolean;
  /** A person looks at the log. */
  readonly isTerminal: boolean;
  /** Tells a person at the terminal, in a sentence, why the daemon does not start. */
  readonly tell: (sentence: string) => void;
  /** Shows the page, although orchd.yaml may have none. */
  readonly page?: boolean;
  /** Shows the page's link, which holds its token. Undefined: it would stand in a log. */
  readonly showLink?: ((link: string) => void) | undefined;
}

/** What `orchd page` tells the page. */
export interface PageOptions extends Roots {
  /** `HOST:PORT` or `unix:PATH`; undefined: the socket in the runs folder. */
  readonly listen: string | undefined;
  readonly allowRequests: boolean;
  readonly tokenFile: string | undefined;
  readonly trustProxy: boolean;
  /** The path below which everything is served; undefined: at the top. */
  readonly base: string | undefined;
  /** Called once the page serves. */
  readonly serves: (where: PageAddress) => void;
  /** Tells a person something in a sentence, on stderr. */
  readonly tell: (sentence: string) => void;
}

/** What `orchd export otlp` tells the export. */
export interface ExportOptions extends Roots {
  /** The collector; undefined: as orchd.yaml or the environment says. */
  readonly endpoint: string | undefined;
  /** A position, or `start`; undefined: where the last export ended, or the ledgers' ends. */
  readonly from: string | undefined;
  /** End when all that there is was sent. */
  readonly once: boolean;
  /** Add lines of JSON to this file, or give them, in the place of sending. */
  readonly lines: string | ((text: string) => void) | undefined;
  /** Called once it reads. @param endpoint without what could hold a token */
  readonly begins: (endpoint: string) => void;
  /** Called at the end, with `once`. */
  readonly ends: (count: { readonly spans: number; readonly refused: number }) => void;
  /** Tells a person something in a sentence, on stderr. */
  readonly tell: (sentence: string) => void;
}

/** Where a page serves: `orchd page --json`. */
export interface PageAddress {
  /** What a browser opens, or `unix:PATH`. A token that the page made stands behind `#token=`. */
  readonly url: string;
  /** The path of its unix socket; null where it has none. */
  readonly socket: string | null;
  /** The token that the page made; null where none is needed, or where a file has them. */
  readonly token: string | null;
}

/** What `orchd place prepare` tells the program that prepares a place. */
export interface PrepareOptions extends Roots {
  /** As orchd.yaml names it. */
  readonly place: string;
  /** Called with what was done. */
  readonly done: (what: PreparedPlace) => void;
  /** Tells a person something in a sentence, on stderr. */
  readonly tell: (sentence: string) => void;
}

/** A place that can run steps: `orchd place prepare NAME --json`. */
export interface PreparedPlace {
  readonly place: string;
  /** `orchd@gpu1.lan:2222`. */
  readonly host: string;
  /** `copied`; `replaced`: what was there was not whole; `there`: nothing was to do. */
  readonly did: "copied" | "replaced" | "there";
  /** The package's folder there. */
  readonly folder: string;
  readonly version: string;
  readonly protocol: number;
  readonly node: string;
  readonly platform: string;
  /** The packages of earlier releases that were removed there: nobody used them. */
  readonly removed: readonly string[];
}

/** What `orchd notify` tells the program that tells people. */
export interface NotifyOptions extends Roots {
  /** A person looks at the log. */
  readonly isTerminal: boolean;
  /** The channel to try; undefined: none. */
  readonly test: string | undefined;
  /** The run of which the end is told again; undefined: none. */
  readonly replay: string | undefined;
  /** Show it only. */
  readonly dryRun: boolean;
  /** Called once the ledgers are read. */
  readonly reads: (what: NotifyAnswer) => void;
  /** Called with what a test or a replay comes to, and with why nobody is told: a clause. */
  readonly trial: (messages: readonly TriedMessage[], untold?: string) => void;
  /** Tells a person something in a sentence, on stderr. */
  readonly tell: (sentence: string) => void;
}

/** What `orchd worker` tells the worker. */
export interface WorkerOptions extends Roots {
  /** A person looks at the log. */
  readonly isTerminal: boolean;
  /** The place of orchd.yaml that it serves. */
  readonly place: string;
  /** Its name; undefined: the host's. */
  readonly name: string | undefined;
  readonly labels: readonly string[];
  /** How many modules, and how many shell texts, run at once; undefined: as orchd.yaml says. */
  readonly threads: number | undefined;
  /** Called once the broker is reached and tasks are taken. */
  readonly serves: (what: WorkerAnswer) => void;
  /** Tells a person something in a sentence, on stderr. */
  readonly tell: (sentence: string) => void;
}

/** What a worker serves: `orchd worker --json`. */
export interface WorkerAnswer {
  readonly place: string;
  readonly worker: string;
  readonly labels: readonly string[];
  readonly threads: number;
  /** Where the broker is. */
  readonly urls: readonly string[];
}

/** What `orchd notify` works by: `orchd notify --json`. */
export interface NotifyAnswer {
  /** The channels' names. */
  readonly channels: readonly string[];
  readonly rules: number;
  readonly heartbeat: boolean;
}

/** A message of `--test` or `--replay`. */
export interface TriedMessage {
  readonly channel: string;
  readonly kind: string;
  readonly title: string;
  readonly text: string;
  /** Null where it was only shown. */
  readonly sent: boolean | null;
  /** What the channel answered, or why it did not take it; null where it was only shown. */
  readonly answer: string | null;
}

/**
 * Runs a command. Throws a CliError for everything that a person can correct.
 */
export type CommandHandler = (context: CommandContext) => Promise<ExitStatus>;

/** One option, for yargs, the completion script and the docs. */
export interface OptionSpec {
  readonly type: "string" | "boolean" | "number";
  readonly describe: string;
  readonly alias?: string;
  readonly array?: boolean;
  readonly choices?: readonly string[];
  /** What completion offers for its value. */
  readonly values?: readonly string[] | "file";
}

/** One command. `load` imports its file, when it is called. */
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
