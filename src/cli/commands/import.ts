/**
 * `orchd import crontab [FILE]`: makes a pipeline file of each line.
 *
 * What cron does is kept: local time unless CRON_TZ says otherwise, the same shell, folder and
 * PATH, no catching up, overlapping runs allowed. With `--shadow` the pipelines record their slots
 * and run nothing, so that cron can go on while one looks; `--compare` then says where the two
 * differ.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, relative, resolve } from "node:path";
import { makeFolder } from "../../disk/make-folder.ts";
import { checkCron } from "../../core/schedule/cron-check.ts";
import { isTimeZone } from "../../core/schedule/zone.ts";
import { RunStore } from "../../ledger/run-store.ts";
import type { CommandContext } from "../command.ts";
import { compareWithCron, parseCronLog, type CronComparison } from "../cron-log.ts";
import {
  parseCrontab,
  pipelineName,
  shellText,
  type CronEntry,
  type CronRefusal,
} from "../crontab.ts";
import { CliError, EXIT, usageError, type ExitStatus } from "../exit.ts";
import { readPipeline } from "../../views/pipeline-reading.ts";
import { countText } from "../../views/counted.ts";
import { linesBackwards } from "../../views/run-history.ts";
import { span } from "../terminal.ts";

/** What program.ts makes of a file named `-`. */
const STANDARD_INPUT = "/dev/stdin";
const DIFFERENCES_SHOWN = 10;
const CRONS_PATH = "/usr/bin:/bin";

interface Made {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly cron: string;
  readonly text: string;
  /** A file of the same text was there already. */
  readonly unchanged: boolean;
}

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const kind = args.text("kind");
  if (kind !== "crontab")
    throw usageError(
      `"${kind}" cannot be imported; \`orchd import crontab [FILE]\` imports a crontab.`,
    );
  const source = args.text("file");
  const system =
    args.flag("system") ||
    args.text("user") !== undefined ||
    (source !== undefined && /^\/etc\/(?:crontab|cron\.d\/)/.test(resolve(source)));
  const { entries, refused, notes } = parseCrontab(readCrontab(source), {
    system,
    user: args.text("user"),
  });
  const log = args.text("compare");
  if (log !== undefined) return compare({ roots, terminal, json: args.flag("json") }, entries, log);
  const { stringify } = await import("yaml");
  const made: Made[] = [];
  const rejected: CronRefusal[] = [...refused];
  for (const entry of entries) {
    const fault = faultOf(entry);
    if (fault === undefined)
      made.push(
        place(
          entry,
          roots.schedules,
          made,
          stringify(pipelineOf(entry, source, args.flag("shadow")), { lineWidth: 0 }),
        ),
      );
    else rejected.push({ line: entry.line, text: `${entry.cron} ${entry.command}`, reason: fault });
  }
  rejected.sort((a, b) => a.line - b.line);
  if (!args.flag("dry-run")) write(roots.schedules, made);
  if (args.flag("json")) {
    terminal.json({
      imported: made.map(({ name, file, line, cron, unchanged }) => ({
        name,
        file,
        line,
        cron,
        unchanged,
      })),
      refused: rejected,
      notes,
    });
  } else {
    for (const { name, file, cron, text, unchanged } of made) {
      if (args.flag("dry-run")) terminal.ownText(`# ${relative(process.cwd(), file)}\n${text}\n`);
      else
        terminal.line(
          span("green", unchanged ? "= " : "+ "),
          span("bold", name),
          `  ${cron}  ${relative(process.cwd(), file)}`,
        );
    }
    for (const note of notes) terminal.note(note);
    for (const { line, text, reason } of rejected)
      terminal.note(span("red", "✗ "), `line ${line} (${text}) was not imported: ${reason}.`);
    const shadow = args.flag("shadow")
      ? "; they run nothing until shadow is taken out of them"
      : "";
    terminal.note(
      `${countText(made.length, "line")} ${args.flag("dry-run") ? "would be imported" : "imported"}, ${rejected.length} not${shadow}.`,
    );
  }
  return rejected.length === 0 ? EXIT.done : EXIT.failed;
}

function readCrontab(source: string | undefined): string {
  try {
    if (source === STANDARD_INPUT) return readFileSync(0, "utf8");
    if (source !== undefined) return readFileSync(source, "utf8");
  } catch (error) {
    throw usageError(
      `the crontab ${source} cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"}); name a file that you may read, or - for standard input.`,
    );
  }
  try {
    return execFileSync("crontab", ["-l"], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const said = ((error as { stderr?: string }).stderr ?? "").trim();
    throw new CliError(
      EXIT.usage,
      `\`crontab -l\` gave nothing${said === "" ? "" : ` (${said})`}; name a crontab: \`orchd import crontab FILE\`.`,
    );
  }
}

/**
 * The pipelines that an import made are found again by the names that it gave, line by line.
 * @returns 1 where cron and orchd differ, or nothing could be compared
 */
function compare(
  context: Pick<CommandContext, "roots" | "terminal"> & { readonly json: boolean },
  entries: readonly CronEntry[],
  log: string,
): ExitStatus {
  const { roots, terminal, json } = context;
  const starts = parseCronLog(readCrontab(log), Date.now());
  if (starts.length === 0)
    throw usageError(
      `${log} holds no line in which cron says that it started a command (CRON[…]: (user) CMD (…)); name its log, such as /var/log/syslog or the output of journalctl -u cron.`,
    );
  const store = new RunStore(roots.runs);
  const taken = new Set<string>();
  const compared: CronComparison[] = [];
  for (const entry of entries.filter((one) => faultOf(one) === undefined)) {
    const wanted = pipelineName(entry.command);
    let name = wanted;
    for (let number = 2; taken.has(name); number += 1) name = `${wanted}-${number}`;
    taken.add(name);
    const slots = existsSync(store.pipelineLedger(name)) ? slotsOf(store, name) : [];
    if (slots.length === 0)
      terminal.note(
        `${name} (line ${entry.line}) has no slots yet: import it with --shadow and let the daemon run beside cron for a while.`,
      );
    else
      compared.push(
        compareWithCron(name, entry.text, starts, slots, readPipeline(store, name)?.state.through),
      );
  }
  if (json) terminal.json(compared);
  else {
    for (const { pipeline, both, onlyCron, onlyOrchd } of compared) {
      const same = onlyCron.length + onlyOrchd.length === 0;
      terminal.line(
        span(same ? "green" : "red", same ? "✓ " : "✗ "),
        span("bold", pipeline),
        `: ${both} alike, ${onlyCron.length} by cron alone, ${onlyOrchd.length} by orchd alone`,
      );
      for (const time of onlyCron.slice(0, DIFFERENCES_SHOWN))
        terminal.line(`    cron alone   ${time}`);
      for (const time of onlyOrchd.slice(0, DIFFERENCES_SHOWN))
        terminal.line(`    orchd alone  ${time}`);
    }
  }
  // That nothing could be compared is not that all is alike.
  return compared.length > 0 &&
    compared.every(({ onlyCron, onlyOrchd }) => onlyCron.length + onlyOrchd.length === 0)
    ? EXIT.done
    : EXIT.failed;
}

function slotsOf(store: RunStore, pipeline: string): number[] {
  const slots: number[] = [];
  for (const { type, slot } of linesBackwards(store, pipeline))
    if (type === "slot.fired" && typeof slot === "string") slots.push(Date.parse(slot));
  return slots;
}

function faultOf(entry: CronEntry): string | undefined {
  const checked = checkCron(entry.cron);
  if (!checked.ok) return checked.message.replace(/[.]$/, "");
  return entry.timezone !== undefined && !isTimeZone(entry.timezone)
    ? `CRON_TZ=${entry.timezone} is no time zone that this Node knows`
    : undefined;
}

function pipelineOf(
  entry: CronEntry,
  source: string | undefined,
  shadow: boolean,
): Readonly<Record<string, unknown>> {
  return {
    description: `Line ${entry.line} of ${source === undefined ? "a user's crontab" : source === STANDARD_INPUT ? "a crontab" : source}`,
    tags: ["crontab"],
    ...(shadow ? { shadow: true } : {}),
    schedule: {
      cron: entry.cron,
      timezone: entry.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
      // cron runs no slot that it slept through.
      catchUp: "none",
    },
    overlap: "allow",
    env: { PATH: CRONS_PATH, HOME: entry.home ?? homedir(), ...entry.env },
    steps: {
      run: {
        // cron's shell does not stop at a command that fails, as orchd's default does.
        shell: entry.shell ?? "/bin/sh",
        cwd: entry.home ?? homedir(),
        run: shellText(entry),
      },
    },
  };
}

/**
 * Gives a pipeline a name and a file that are free; a file of the same text is the one an earlier
 * import made.
 */
function place(entry: CronEntry, schedules: string, made: readonly Made[], text: string): Made {
  const wanted = pipelineName(entry.command);
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? wanted : `${wanted}-${number}`;
    if (made.some((one) => one.name === name)) continue;
    const file = join(schedules, `${name}.yaml`);
    const taken = ["yaml", "yml", "json", "ts", "mts", "js", "mjs"]
      .map((ending) => join(schedules, `${name}.${ending}`))
      .filter((path) => existsSync(path));
    const unchanged =
      taken.length === 1 && taken[0] === file && readFileSync(file, "utf8") === text;
    if (taken.length === 0 || unchanged)
      return { name, file, line: entry.line, cron: entry.cron, text, unchanged };
  }
}

function write(schedules: string, made: readonly Made[]): void {
  if (made.length === 0) return;
  makeFolder(schedules);
  for (const { file, text, unchanged } of made)
    if (!unchanged) writeFileSync(file, text, { flag: "wx", mode: 0o644 });
}
