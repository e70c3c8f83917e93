/**
 * `orchd validate [FILE or FOLDER…]`: loads files as the daemon would, and says what is wrong and
 * what is surprising; nothing is run.
 */
import { existsSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import type { CommandContext } from "../command.ts";
import { EXIT, usageError, type ExitStatus } from "../exit.ts";
import { loadPipelines, readSettings, type LoadedFile } from "../load-pipelines.ts";
import { pipelineFiles } from "../../views/pipeline-file-list.ts";
import { scheduleText } from "../../views/recorded-schedule.ts";
import { countText, listText } from "../../views/counted.ts";
import { span } from "../terminal.ts";

/** One file of `orchd validate --json`. */
export interface FileCheck {
  readonly file: string;
  readonly name: string;
  readonly valid: boolean;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  readonly schedule: string | null;
  /** How many steps it has; 0 where its function decides that as it runs. */
  readonly steps: number;
  readonly dynamic: boolean;
}

/** Runs the command. */
export async function run({ args, roots, terminal }: CommandContext): Promise<ExitStatus> {
  const wanted = args.list("files");
  const paths = wanted.flatMap((file) => findFiles(file, roots.schedules));
  if (wanted.length === 0 && !existsSync(roots.schedules))
    throw usageError(
      `the folder ${roots.schedules} is not there; name it with --schedules or --root, or make one with \`orchd init\`.`,
    );
  // Its own file is checked first: everything else is read by it.
  await readSettings(roots);
  const checks = withDuplicates(
    await loadPipelines(roots, wanted.length === 0 ? undefined : paths),
  );
  const invalid = checks.filter(({ valid }) => !valid).length;
  if (args.flag("json")) terminal.json(checks);
  else {
    for (const check of checks) {
      if (check.valid)
        terminal.line(
          span("green", "✓ "),
          relative(process.cwd(), check.file) || check.file,
          `: ${check.name}, ${check.dynamic ? "dynamic" : countText(check.steps, "step")}${check.schedule === null ? ", no schedule" : `, ${check.schedule}`}`,
        );
      else for (const error of check.errors) terminal.line(span("red", "✗ "), error);
      for (const warning of check.warnings)
        terminal.line(span("yellow", "! "), `${check.name}: ${warning}`);
    }
    if (checks.length === 0) terminal.note(`no pipeline file is in ${roots.schedules}.`);
  }
  if (invalid > 0)
    terminal.error(
      `${countText(invalid, "file")} of ${checks.length} ${invalid === 1 ? "is" : "are"} invalid; correct what is said above and validate again.`,
    );
  return invalid > 0 ? EXIT.usage : EXIT.done;
}

/**
 * A path as it is from here, or else a file of the drop folder by its name; of a folder, the
 * pipeline files in it.
 */
function findFiles(file: string, schedules: string): string[] {
  const path = existsSync(file) ? resolve(file) : join(schedules, file);
  if (!existsSync(path)) throw usageError(`there is no file ${file}, here or in ${schedules}.`);
  if (!statSync(path).isDirectory()) return [path];
  const names = pipelineFiles(path);
  if (names.length === 0)
    throw usageError(
      `no pipeline file is in the folder ${path}; one ends in .yaml, .yml, .json, .ts, .mts, .js or .mjs.`,
    );
  return names.map((name) => join(path, name));
}

/**
 * Of several files that claim a name the first has it, as it does in the daemon; the others are
 * refused.
 */
function withDuplicates(files: readonly LoadedFile[]): FileCheck[] {
  const owners = new Map<string, string>();
  return files.map((it) => {
    if (!it.ok)
      return {
        file: it.file,
        name: it.name,
        valid: false,
        errors: it.errors,
        warnings: [],
        schedule: null,
        steps: 0,
        dynamic: false,
      };
    const { loaded, file, name } = it;
    const owner = owners.get(name);
    if (owner === undefined) owners.set(name, file);
    const errors =
      owner === undefined
        ? []
        : [
            `${file}: name ${JSON.stringify(name)} is taken by ${listText([owner])}; give one of them another name`,
          ];
    return {
      file,
      name,
      valid: owner === undefined,
      errors,
      warnings: loaded.warnings,
      schedule: scheduleText(loaded.schedules),
      steps: loaded.snapshot.steps.length,
      dynamic: loaded.snapshot.dynamic !== undefined,
    };
  });
}
