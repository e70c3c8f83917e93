/**
 * `orchd validate [FILE or FOLDER…]`: loads files as the daemon does, and says what is wrong and
 * what may surprise. It runs nothing.
 */
import { existsSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { countText } from "../../core/counted.ts";
import { pipelineFiles } from "../../views/pipeline-file-list.ts";
import { scheduleText } from "../../views/recorded-schedule.ts";
import { zoneWarning } from "../../core/schedule/zone-name.ts";
import type { CommandContext } from "../command.ts";
import { formatProblem } from "../../schedules/problem.ts";
import { EXIT, usageError, type ExitStatus } from "../exit.ts";
import {
  loadPipelines,
  readSettings,
  requireDropFolder,
  type LoadedFile,
} from "../load-pipelines.ts";
import { span, type Terminal } from "../terminal.ts";

/** One file of `orchd validate --json`. */
export interface FileCheck {
  readonly file: string;
  readonly name: string;
  readonly valid: boolean;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  readonly schedule: string | null;
  /** How many steps it has; 0 where its function decides them as it runs. */
  readonly steps: number;
  readonly dynamic: boolean;
}

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const wanted = args.list("files");
  // A folder and a file in it may both be named.
  const paths = [...new Set(wanted.flatMap((file) => findFiles(file, roots.schedules)))];
  if (wanted.length === 0) requireDropFolder(roots);
  // orchd.yaml is checked first: every other file is read by it.
  const { timezone } = await readSettings(roots);
  const warning = zoneWarning(timezone, Date.now());
  if (warning !== undefined) terminal.note(span("yellow", "! "), `orchd.yaml: ${warning}`);
  const files = await loadPipelines(roots, wanted.length === 0 ? undefined : paths);
  const checks = files.map(checkOf);
  const invalid = checks.filter(({ valid }) => !valid).length;
  if (args.flag("json")) terminal.json(checks);
  else {
    for (const file of files) printCheck(terminal, file);
    if (checks.length === 0) terminal.note(`no pipeline file is in ${roots.schedules}.`);
  }
  if (invalid > 0)
    terminal.error(
      `${countText(invalid, "file")} of ${checks.length} ${invalid === 1 ? "is" : "are"} ` +
        "invalid; correct what is said above and validate again.",
    );
  return invalid > 0 ? EXIT.usage : EXIT.done;
}

function printCheck(terminal: Terminal, file: LoadedFile): void {
  const check = checkOf(file);
  const steps = check.dynamic ? "dynamic" : countText(check.steps, "step");
  if (file.ok)
    terminal.line(
      span("green", "✓ "),
      shownPath(check.file),
      `: ${check.name}, ${steps}, ${check.schedule ?? "no schedule"}`,
    );
  else
    for (const problem of file.problems)
      terminal.line(
        span("red", "✗ "),
        formatProblem({ ...problem, file: shownPath(problem.file) }),
      );
  for (const warning of check.warnings)
    terminal.line(span("yellow", "! "), `${check.name}: ${warning}`);
}

/** A path as a person would type it here: from the working folder, where it is below that. */
function shownPath(path: string): string {
  const below = relative(process.cwd(), path);
  return below === "" || below.startsWith("../") ? path : below;
}

/**
 * The files that a word names: a path from the working folder, or else a file of the drop folder. A
 * folder stands for the pipeline files in it.
 */
function findFiles(file: string, schedules: string): string[] {
  const path = resolve(existsSync(file) ? file : join(schedules, file));
  if (!existsSync(path)) throw usageError(`there is no file ${file}, here or in ${schedules}.`);
  if (!statSync(path).isDirectory()) return [path];
  const names = pipelineFiles(path);
  if (names.length === 0)
    throw usageError(
      `no pipeline file is in the folder ${path}; ` +
        "one ends in .yaml, .yml, .json, .ts, .mts, .js or .mjs.",
    );
  return names.map((name) => join(path, name));
}

function checkOf(it: LoadedFile): FileCheck {
  const { ok: valid, file, name } = it;
  if (!valid)
    return {
      file,
      name,
      valid,
      errors: it.errors,
      warnings: [],
      schedule: null,
      steps: 0,
      dynamic: false,
    };
  const { warnings, schedules, snapshot } = it.loaded;
  return {
    file,
    name,
    valid,
    errors: [],
    warnings,
    schedule: scheduleText(schedules),
    steps: snapshot.steps.length,
    dynamic: snapshot.dynamic !== undefined,
  };
}
