/**
 * `orchd import crontab [FILE]`: makes a pipeline file of each line (crontab-pipeline.ts). Each
 * file is loaded before it is written: what cannot be loaded, or would be read otherwise, is
 * refused.
 *
 * With `--shadow` the pipelines record their slots and run nothing, so that cron can go on
 * meanwhile. `--compare` then says where the two differ (import-compare.ts).
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { bindRunEnv } from "../../core/template.ts";
import { makeFolder } from "../../disk/make-folder.ts";
import type { LoadResult } from "../../schedules/load-file.ts";
import { decodeUtf8 } from "../../schedules/source-text.ts";
import { countText } from "../../core/counted.ts";
import { mayNamePipeline } from "../../views/known-pipeline.ts";
import { pipelineFiles } from "../../views/pipeline-file-list.ts";
import type { Roots } from "../../views/roots.ts";
import type { Arguments } from "../arguments.ts";
import type { CommandContext } from "../command.ts";
import { accountOf } from "../crontab-account.ts";
import {
  faultOf,
  importedLine,
  type ImportedLine,
  type ImportTarget,
} from "../crontab-pipeline.ts";
import { machineZone } from "../crontab-zone.ts";
import {
  parseCrontab,
  pipelineName,
  shellText,
  type CronEntry,
  type CronRefusal,
} from "../crontab.ts";
import { CliError, EXIT, usageError, type ExitStatus } from "../exit.ts";
import { span, type Terminal } from "../terminal.ts";
import { compareImport } from "./import-compare.ts";

/** What program.ts makes of a file named `-`. */
const STANDARD_INPUT = "/dev/stdin";

/** A pipeline file that an import makes. */
interface Made {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly cron: string;
  readonly text: string;
  /** A file with the same text was there before. */
  readonly unchanged: boolean;
}

/** What came of an import. */
interface Imported {
  readonly made: readonly Made[];
  readonly refused: readonly CronRefusal[];
  readonly notes: readonly string[];
}

/** Runs the command. */
export async function run(context: CommandContext): Promise<ExitStatus> {
  const { args, roots, terminal } = context;
  const kind = args.text("kind");
  if (kind !== "crontab")
    throw usageError(
      `"${kind}" cannot be imported; \`orchd import crontab [FILE]\` imports a crontab.`,
    );
  const source = args.text("file");
  const system = args.flag("system") || args.text("user") !== undefined || isSystemCrontab(source);
  const form = { system, user: args.text("user") };
  const { entries, refused, notes } = parseCrontab(readCrontab(source), form);
  const log = args.text("compare");
  const target = {
    machine: machineZone(),
    account: accountOf(args.text("user")),
    crontab: describe(source),
    shadow: args.flag("shadow"),
    now: Date.now(),
  };
  if (log !== undefined) return compareImport(context, { entries, target }, log, readLog(log));
  const { made, rejected, remarks } = await makeFiles(entries, target, roots);
  const all = [...refused, ...rejected].toSorted((a, b) => a.line - b.line);
  const told = [...notes, ...remarks];
  if (!args.flag("dry-run")) write(roots.schedules, made);
  if (args.flag("json")) printJson(terminal, { made, refused: all, notes: told });
  else print(terminal, args, { made, refused: all, notes: told });
  return all.length === 0 ? EXIT.done : EXIT.failed;
}

/** `/etc/crontabs/USER`, as BusyBox has it, is a user's own. */
function isSystemCrontab(source: string | undefined): boolean {
  return source !== undefined && /^\/etc\/(?:crontab$|cron\.d\/)/.test(resolve(source));
}

function readCrontab(source: string | undefined): string {
  try {
    if (source === STANDARD_INPUT) return crontabText(readFileSync(0));
    if (source !== undefined) return crontabText(readFileSync(source));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw unreadable(`crontab ${source}`, error);
  }
  try {
    return crontabText(execFileSync("crontab", ["-l"], { stdio: ["ignore", "pipe", "pipe"] }));
  } catch (error) {
    if (error instanceof CliError) throw error;
    const stderr = String((error as { stderr?: Buffer }).stderr ?? "").trim();
    const said = stderr === "" ? "" : ` (${stderr})`;
    throw new CliError(
      EXIT.usage,
      `\`crontab -l\` gave nothing${said}; name a crontab: \`orchd import crontab FILE\`.`,
    );
  }
}

/** Cron's log. Programs write into it what they like: what is not UTF-8 is no line of cron's. */
function readLog(source: string): string {
  try {
    return readFileSync(source === STANDARD_INPUT ? 0 : source, "utf8");
  } catch (error) {
    throw unreadable(`log ${source}`, error);
  }
}

function unreadable(what: string, error: unknown): CliError {
  const code = (error as NodeJS.ErrnoException).code ?? "unknown";
  return usageError(
    `the ${what} cannot be read (${code}); name a file that you may read, or - for standard input.`,
  );
}

/** Cron takes any bytes. A file of orchd is UTF-8, and another text would be another command. */
function crontabText(bytes: Buffer): string {
  const decoded = decodeUtf8(bytes);
  if (decoded.ok) return decoded.text;
  const line = decoded.position?.line ?? 1;
  throw usageError(
    `line ${line} of the crontab is not UTF-8; ` +
      "convert it (iconv -f latin1 -t utf8), see that its commands mean the same, " +
      "and import it again.",
  );
}

function describe(source: string | undefined): string {
  if (source === undefined) return "a user's crontab";
  return source === STANDARD_INPUT ? "a crontab" : source;
}

async function makeFiles(
  entries: readonly CronEntry[],
  target: ImportTarget,
  roots: Roots,
): Promise<{
  readonly made: readonly Made[];
  readonly rejected: readonly CronRefusal[];
  readonly remarks: readonly string[];
}> {
  const { stringify } = await import("yaml");
  const { trialLoad } = await import("../trial-load.ts");
  const { readSettings } = await import("../load-pipelines.ts");
  const settings = await readSettings(roots);
  const made: Made[] = [];
  const rejected: CronRefusal[] = [];
  const remarks: string[] = [];
  const { machine, account } = target;
  if (machine.note !== undefined && entries.some(({ timezone }) => timezone === undefined))
    remarks.push(machine.note);
  if (account.note !== undefined && entries.some(({ home }) => home === undefined))
    remarks.push(account.note);
  for (const entry of entries) {
    const reject = (reason: string): void =>
      void rejected.push({ line: entry.line, text: `${entry.cron} ${entry.command}`, reason });
    const fault = faultOf(entry, machine);
    if (fault !== undefined) {
      reject(fault);
      continue;
    }
    const line = importedLine(entry, target);
    const text = stringify(line.definition, { lineWidth: 0 });
    const wrong = unlike(await trialLoad("line.yaml", text, settings), entry, line);
    if (wrong !== undefined) {
      reject(wrong);
      continue;
    }
    made.push(placed({ ...entry, cron: line.cron }, roots.schedules, made, text));
    remarks.push(...line.notes.map((one) => `line ${entry.line}: ${one}.`));
  }
  return { made, rejected, remarks };
}

/** Why a file would not do what its line does; undefined where it does. */
function unlike(result: LoadResult, entry: CronEntry, line: ImportedLine): string | undefined {
  if (!result.ok) {
    const errors = result.errors.map(({ message }) => message).join("; ");
    return `the file for it would be invalid: ${errors}`;
  }
  const { snapshot } = result.loaded;
  const env = bindRunEnv(snapshot.env, { id: "" });
  for (const [name, value] of Object.entries(line.env))
    if (env[name] !== value)
      return `the variable ${name} would reach the command with another value`;
  return snapshot.steps[0]?.run === shellText(entry)
    ? undefined
    : "its command would be read otherwise";
}

/**
 * Gives a pipeline a name and a file that are free; a file with the same text is that of an earlier
 * import.
 */
function placed(entry: CronEntry, schedules: string, made: readonly Made[], text: string): Made {
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
    // A file of another name may claim this one by its text.
    const isClaimed = pipelineFiles(schedules).some((other) =>
      mayNamePipeline(join(schedules, other), name),
    );
    if (unchanged || (taken.length === 0 && !isClaimed))
      return { name, file, line: entry.line, cron: entry.cron, text, unchanged };
  }
}

function write(schedules: string, made: readonly Made[]): void {
  if (made.length === 0) return;
  makeFolder(schedules, 0o755);
  for (const { file, text, unchanged } of made)
    if (!unchanged) writeFileSync(file, text, { flag: "wx", mode: 0o644 });
}

function printJson(terminal: Terminal, { made, refused, notes }: Imported): void {
  const imported = made.map(({ name, file, line, cron, unchanged }) => ({
    name,
    file,
    line,
    cron,
    unchanged,
  }));
  terminal.json({ imported, refused, notes });
}

function print(terminal: Terminal, args: Arguments, { made, refused, notes }: Imported): void {
  const dryRun = args.flag("dry-run");
  for (const { name, file, cron, text, unchanged } of made) {
    const path = relative(process.cwd(), file);
    if (dryRun) terminal.ownText(`# ${path}\n${text}\n`);
    else
      terminal.line(
        span("green", unchanged ? "= " : "+ "),
        span("bold", name),
        `  ${cron}  ${path}`,
      );
  }
  for (const note of notes) terminal.note(note);
  for (const { line, text, reason } of refused)
    terminal.note(span("red", "✗ "), `line ${line} (${text}) was not imported: ${reason}.`);
  const shadow = args.flag("shadow") ? "; they run nothing until shadow is taken out of them" : "";
  terminal.note(
    `${countText(made.length, "line")} ${dryRun ? "would be imported" : "imported"}, ` +
      `${refused.length} not${shadow}.`,
  );
}
