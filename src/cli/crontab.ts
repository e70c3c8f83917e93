/**
 * A crontab, read as cron(8) and crontab(5) describe it, in both forms: a user's, and the system's
 * with its user column.
 *
 * Pure: text in, entries out. A line that orchd has no equivalent for is refused with its reason,
 * never guessed.
 */
import { defined } from "../core/defined.ts";

/** A line that can become a pipeline. */
export interface CronEntry {
  /** From 1. */
  readonly line: number;
  /** Five fields, or a nickname such as `@daily`. */
  readonly cron: string;
  /** The zone that a `CRON_TZ` line above it sets. */
  readonly timezone?: string;
  /** The command, with its `%` resolved. */
  readonly command: string;
  /** The command as the crontab, and cron's log, have it. */
  readonly text: string;
  /** The command's input: what follows the first unescaped `%`. */
  readonly stdin?: string;
  /** The variables that lines above it set. `SHELL`, `HOME` and `LOGNAME` are not among them. */
  readonly env: Readonly<Record<string, string>>;
  /** The user of a system crontab's line. */
  readonly user?: string;
  readonly shell?: string;
  readonly home?: string;
}

/** A line that cannot become one. */
export interface CronRefusal {
  readonly line: number;
  readonly text: string;
  readonly reason: string;
}

/** A crontab's lines. */
export interface Crontab {
  readonly entries: readonly CronEntry[];
  readonly refused: readonly CronRefusal[];
  /** What else a person should know, a sentence each. */
  readonly notes: readonly string[];
}

/** How to read a crontab. */
export interface CrontabForm {
  /** Each line has a user after its time, as in /etc/crontab. */
  readonly system: boolean;
  /** Take the lines of this user of a system crontab: orchd's daemon runs as that user. */
  readonly user?: string | undefined;
}

const NICKNAMES = new Set([
  "@yearly",
  "@annually",
  "@monthly",
  "@weekly",
  "@daily",
  "@midnight",
  "@hourly",
]);
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,255}$/;
const VARIABLE = /^\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*))\s*=\s*(.*?)\s*$/;
/** Variables that have a place of their own, or that cron sets whatever the crontab says. */
const OWN_PLACE = new Set(["SHELL", "HOME", "LOGNAME"]);

/** Reads a crontab. Never throws. */
export function parseCrontab(text: string, form: CrontabForm): Crontab {
  const entries: CronEntry[] = [];
  const refused: CronRefusal[] = [];
  const notes: string[] = [];
  const variables = new Map<string, string>();
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = index + 1;
    const trimmed = raw.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const variable = VARIABLE.exec(raw);
    if (variable !== null) {
      const name = variable[1] ?? variable[2] ?? variable[3]!;
      const value = unquoted(variable[4]!);
      const note = variableNote(name, value);
      if (note !== undefined) notes.push(`line ${line}: ${note}.`);
      if (ENV_NAME.test(name)) variables.set(name, value);
      continue;
    }
    const entry = entryOf(trimmed, line, form, variables);
    if ("reason" in entry) refused.push(entry);
    else {
      notes.push(...entry.notes.map((note) => `line ${line}: ${note}.`));
      entries.push(entry.entry);
    }
  }
  return { entries, refused, notes };
}

/** What a person should know of a variable, as a sentence without its end. */
function variableNote(name: string, value: string): string | undefined {
  if (!ENV_NAME.test(name)) return `the variable ${JSON.stringify(name)} is left out: bad name`;
  if (name === "MAILTO" && value !== "")
    return (
      `orchd sends no mail to ${value}; what a step prints is kept in its ` +
      "run's log, and a hook (hooks.onRunFailure) can tell somebody"
    );
  if (name === "RANDOM_DELAY")
    return "RANDOM_DELAY delays nothing here; jitterSeconds in a schedule spreads runs";
  if (name === "LOGNAME") return "LOGNAME stays the user's name, as under cron";
  if (name === "TZ")
    return (
      `TZ=${value} reaches the commands and moves no schedule, as under cron; ` +
      "CRON_TZ moves the schedule"
    );
  return undefined;
}

function entryOf(
  text: string,
  line: number,
  form: CrontabForm,
  variables: ReadonlyMap<string, string>,
): { readonly entry: CronEntry; readonly notes: readonly string[] } | CronRefusal {
  const refuse = (reason: string): CronRefusal => ({ line, text, reason });
  // cronie: a leading dash keeps the line out of syslog.
  const body = text.replace(/^-(?=[\d*@])/, "");
  const nickname = /^@\S+/.exec(body)?.[0];
  if (nickname?.toLowerCase() === "@reboot")
    return refuse(
      "@reboot has no slot: orchd fires by the clock; start it from a systemd unit, " +
        "or run it with `orchd run` there",
    );
  if (nickname !== undefined && !NICKNAMES.has(nickname.toLowerCase()))
    return refuse(`${nickname} is no schedule that orchd knows`);
  const time = nickname !== undefined ? [nickname.toLowerCase()] : body.split(/[ \t]+/, 5);
  const rest =
    nickname !== undefined ? body.slice(nickname.length).trimStart() : afterFields(body, 5);
  if (nickname === undefined && (time.length < 5 || rest === ""))
    return refuse("it is no crontab line: five fields and a command are due");
  const { command: whole, user } = form.system
    ? splitUser(rest)
    : { command: rest, user: undefined };
  if (form.system && user === undefined)
    return refuse("it has no user and command after its time, as a system crontab has");
  if (user !== undefined && user !== form.user) {
    return refuse(
      `it runs as ${user}, and orchd has no run-as: every step has the daemon's rights; ` +
        `run a daemon as ${user} and import with --user ${user}`,
    );
  }
  // cronie: mail only if the command fails.
  const mailsFailures = /^-n[ \t]/.test(whole);
  const words = mailsFailures ? whole.slice(2).trimStart() : whole;
  if (words === "") return refuse("it has no command");
  const { command, stdin, cutWithinQuotes } = splitPercent(words);
  if (command.trim() === "") return refuse("it has no command");
  const ofLine = [...variables].filter(([name]) => !OWN_PLACE.has(name));
  // An empty value is as none.
  const value = (name: string): string | undefined => variables.get(name) || undefined;
  const notes: string[] = [];
  if (mailsFailures) notes.push("-n is left out: orchd sends no mail, after a failure or without");
  if (cutWithinQuotes === true)
    notes.push(
      "cron ends the command at its first %, within quotes, so no shell takes it; " +
        "here each % is taken as it stands (cron wants \\%)",
    );
  return {
    notes,
    entry: {
      line,
      cron: time.join(" "),
      command,
      text: words,
      env: Object.fromEntries(ofLine),
      ...defined({
        stdin,
        user,
        timezone: value("CRON_TZ"),
        shell: value("SHELL"),
        home: value("HOME"),
      }),
    },
  };
}

function afterFields(text: string, count: number): string {
  const match = new RegExp(`^(?:\\S+[ \\t]+){${count}}`).exec(text);
  return match === null ? "" : text.slice(match[0].length);
}

function splitUser(text: string): { readonly user: string | undefined; readonly command: string } {
  const match = /^(\S+)[ \t]+(.*)$/s.exec(text);
  return match === null
    ? { user: undefined, command: "" }
    : { user: match[1]!, command: match[2]! };
}

/** A command and its input. */
interface Split {
  readonly command: string;
  readonly stdin?: string;
  /** cron ends the command within quotes, at a `%` that was meant as itself. */
  readonly cutWithinQuotes?: true;
}

/**
 * crontab(5): the first `%` that no backslash escapes ends the command, and what follows is its
 * input. There every other one is a line feed. `\%` is a percent sign; a backslash before another
 * character stays, and escapes that one: `\\%` ends the command.
 *
 * `stdin` is without its last line feed. cron adds one where there is none.
 *
 * A command that cron ends within quotes is none that a shell takes, so it never ran. There a `%`
 * is taken as it stands.
 */
function splitPercent(text: string): Split {
  const first = firstPercent(text);
  const rest = text.slice(first.at + 1);
  if (isWithinQuotes(first.command))
    return { command: text.replaceAll("\\%", "%"), cutWithinQuotes: true };
  return rest === ""
    ? { command: first.command }
    : { command: first.command.trimEnd(), stdin: inputOf(rest) };
}

/** The text before the first `%` that ends the command, and where that stands. */
function firstPercent(text: string): { readonly command: string; readonly at: number } {
  let command = "";
  let escaped = false;
  let at = 0;
  for (; at < text.length && (escaped || text[at] !== "%"); at += 1) {
    const one = text[at]!;
    command = escaped && one === "%" ? `${command.slice(0, -1)}%` : command + one;
    escaped = !escaped && one === "\\";
  }
  return { command, at };
}

/** Whether a shell finds a quote at the end of the text that nothing closes. */
function isWithinQuotes(text: string): boolean {
  let quote = "";
  for (let at = 0; at < text.length; at += 1) {
    const one = text[at]!;
    if (one === "\\" && quote !== "'") at += 1;
    else if (quote === "" && (one === "'" || one === '"')) quote = one;
    else if (one === quote) quote = "";
  }
  return quote !== "";
}

/** cron's reading of the input: a backslash before a backslash escapes what follows it, too. */
function inputOf(text: string): string {
  let input = "";
  let escaped = false;
  for (const one of text) {
    if (escaped) input += one === "%" ? "" : "\\";
    const written: string = !escaped && one === "%" ? "\n" : one;
    escaped = written === "\\";
    if (!escaped) input += written;
  }
  return (escaped ? `${input}\\` : input).replace(/\n$/, "");
}

function unquoted(value: string): string {
  const match = /^(["'])(.*)\1$/s.exec(value);
  return match === null ? value : match[2]!;
}

/** The shell text that does what cron does: the command, and its input where it has one. */
export function shellText({ command, stdin }: Pick<CronEntry, "command" | "stdin">): string {
  if (stdin === undefined) return `${command}\n`;
  let word = "ORCHD_STDIN";
  while (stdin.split("\n").includes(word)) word += "_";
  return `{\n${command}\n} <<'${word}'\n${stdin}\n${word}\n`;
}

const SHELL_WORDS = new Set([
  "if",
  "then",
  "cd",
  "test",
  "nice",
  "ionice",
  "env",
  "sudo",
  "exec",
  "time",
  "timeout",
  "flock",
  "command",
  "sh",
  "bash",
  "root",
  "true",
  "chronic",
  "run-parts",
]);

/** A pipeline's name, after the command: `/usr/local/bin/backup.sh --all` gives `backup`. */
export function pipelineName(command: string): string {
  const words = command
    .split(/[\s;&|()<>"'`${}[\]]+/)
    .filter((word) => word !== "" && !word.startsWith("-") && !word.includes("="));
  const telling =
    words.find(
      (word) => !SHELL_WORDS.has(word.slice(word.lastIndexOf("/") + 1)) && /[a-z]/i.test(word),
    ) ?? "cron";
  const base = telling
    .slice(telling.lastIndexOf("/") + 1)
    .replace(/\.(?:sh|py|pl|rb|js|php|bash)$/i, "");
  const name = base
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, "-")
    .replaceAll(/^[-_]+|-+$/g, "")
    .slice(0, 48);
  return /^[a-z0-9]/.test(name) ? name : "cron";
}
