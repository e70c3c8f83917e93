/** The pipeline that does what a crontab's line does, as a pipeline file has it. */
import { checkCron } from "../core/schedule/cron-check.ts";
import { literalText } from "../core/template.ts";
import type { Account } from "./crontab-account.ts";
import { crontabTime, timeFault } from "./crontab-time.ts";
import { zoneOfVariable, type CrontabZone, type MachineZone } from "./crontab-zone.ts";
import { shellText, type CronEntry } from "./crontab.ts";

const CRONS_PATH = "/usr/bin:/bin";
const CRONS_SHELL = "/bin/sh";
/** Shells that take a command's input from a here-document. */
const BOURNE = /\/(?:sh|bash|dash|ash|ksh|ksh93|mksh|zsh|busybox)$/;

/** What a line is imported to. */
export interface ImportTarget {
  /** The zone of lines without `CRON_TZ`. */
  readonly machine: MachineZone;
  readonly account: Account;
  /** The crontab in words, for the description. */
  readonly crontab: string;
  /** The pipeline records its slots and runs nothing. */
  readonly shadow: boolean;
  readonly now: number;
}

/** A pipeline's definition, and what a person should know of it, as sentences without an end. */
export interface ImportedLine {
  readonly definition: Readonly<Record<string, unknown>>;
  /** The pattern that is written. */
  readonly cron: string;
  /** The variables of the command. */
  readonly env: Readonly<Record<string, string>>;
  readonly notes: readonly string[];
}

/** Why a line cannot become a pipeline; undefined where it can. */
export function faultOf(entry: CronEntry, machine: MachineZone): string | undefined {
  const time = timeFault(entry.cron);
  if (time !== undefined) return time;
  const checked = checkCron(entry.cron);
  if (!checked.ok) return checked.message.replace(/[.]$/, "");
  const zone = zoneOf(entry, machine);
  if (!zone.ok) return entry.timezone === undefined ? zone.message : `its CRON_TZ ${zone.message}`;
  const { home, shell = CRONS_SHELL, stdin } = entry;
  if (home !== undefined && !home.startsWith("/"))
    return `its HOME ${home} is no absolute path, and cron does not start a command there`;
  if (/\s/.test(shell) || !shell.startsWith("/"))
    return `its SHELL ${shell} is no absolute path without blanks, and cron finds no such shell`;
  if (stdin !== undefined && !BOURNE.test(shell))
    return `its command has an input (%), which cannot be given to the shell ${shell}`;
  return undefined;
}

/**
 * The pipeline's definition. What cron does is kept: its slots, the same shell, folder and
 * variables, no catching up, overlapping runs.
 *
 * @param entry one without a fault
 */
export function importedLine(entry: CronEntry, target: ImportTarget): ImportedLine {
  const { account, crontab, shadow } = target;
  const zone = zoneOf(entry, target.machine);
  const timezone = zone.ok ? zone.zone : "UTC";
  const { pattern, notes } = crontabTime(
    entry.cron,
    timezone,
    new Date(target.now).getUTCFullYear(),
  );
  const home = entry.home ?? account.home;
  const shell = entry.shell ?? CRONS_SHELL;
  const user = entry.user ?? account.user;
  const env: Record<string, string> = {
    PATH: CRONS_PATH,
    ...(user === undefined ? {} : { USER: user }),
    ...entry.env,
    SHELL: shell,
    HOME: home,
    ...(user === undefined ? {} : { LOGNAME: user }),
  };
  // cron takes every variable as it stands.
  const written = Object.entries(env).map(([name, value]) => [name, literalText(value)] as const);
  const definition = {
    description: `Line ${entry.line} of ${crontab}`,
    tags: ["crontab"],
    ...(shadow ? { shadow: true } : {}),
    schedule: {
      cron: pattern,
      timezone,
      // cron runs no slot that it slept through.
      catchUp: "none",
    },
    overlap: "allow",
    env: Object.fromEntries(written),
    steps: {
      run: {
        // cron's shell does not stop at a command that fails, as orchd's default does.
        shell,
        cwd: home,
        run: shellText(entry),
      },
    },
  };
  return { definition, cron: pattern, env, notes };
}

function zoneOf(entry: CronEntry, machine: MachineZone): CrontabZone {
  if (entry.timezone === undefined) return machine.zone;
  // A bad zone of the machine is no fault of a line that does not go by it.
  return zoneOfVariable(entry.timezone, machine.zone.ok ? machine.zone.zone : undefined);
}
