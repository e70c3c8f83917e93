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
  /** The variables that lines above it set, without those that are cron's own. */
  readonly env: Readonly<Record<string, string>>;
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
const VARIABLE = /^\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*))\s*=\s*(.*?)\s*$/;
/** Variables for cron itself, or of no use to a step. */
const CRONS_OWN = new Set([
  "MAILTO",
  "MAILFROM",
  "CRON_TZ",
  "SHELL",
  "HOME",
  "LOGNAME",
  "USER",
  "RANDOM_DELAY",
  "START_HOURS_RANGE",
  "CONTENT_TYPE",
  "CONTENT_TRANSFER_ENCODING",
]);

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
      variables.set(name, value);
      if (name === "MAILTO" && value !== "") {
        notes.push(
          `line ${line}: orchd sends no mail to ${value}; what a step prints is kept in its ` +
            "run's log, and a hook (hooks.onRunFailure) can tell somebody.",
        );
      }
      if (name === "RANDOM_DELAY")
        notes.push(
          `line ${line}: RANDOM_DELAY is left out; jitterSeconds in a schedule spreads runs.`,
        );
      continue;
    }
    const entry = entryOf(trimmed, line, form, variables);
    if ("reason" in entry) refused.push(entry);
    else entries.push(entry);
  }
  return { entries, refused, notes };
}

function entryOf(
  text: string,
  line: number,
  form: CrontabForm,
  variables: ReadonlyMap<string, string>,
): CronEntry | CronRefusal {
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
  if (whole === "") return refuse("it has no command");
  const { command, stdin } = splitPercent(whole);
  const env = Object.fromEntries([...variables].filter(([name]) => !CRONS_OWN.has(name)));
  const timezone = variables.get("CRON_TZ");
  const shell = variables.get("SHELL");
  const home = variables.get("HOME");
  return {
    line,
    cron: time.join(" "),
    command,
    text: whole,
    env,
    ...defined({
      stdin,
      timezone: timezone === "" ? undefined : timezone,
      shell: shell === "" ? undefined : shell,
      home: home === "" ? undefined : home,
    }),
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

/**
 * crontab(5): the first `%` without a backslash ends the command; the others are line feeds in its
 * input; `\%` is a percent sign.
 */
function splitPercent(text: string): { readonly command: string; readonly stdin?: string } {
  const parts = text.split(/(?<!\\)%/).map((part) => part.replaceAll("\\%", "%"));
  return parts.length === 1
    ? { command: parts[0]! }
    : { command: parts[0]!.trimEnd(), stdin: parts.slice(1).join("\n") };
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
