/**
 * Reads pipeline files as the daemon does, for commands about files rather than ledgers.
 *
 * Code files are evaluated in a runner (evaluate.ts), which is started only if there are any.
 */
import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { nameOfFile } from "../core/pipeline-file-name.ts";
import type { OrchdSettings } from "../core/settings.ts";
import { RunStore } from "../ledger/run-store.ts";
import { stopBundler } from "../schedules/bundler.ts";
import { loadPipelineFile } from "../schedules/load-file.ts";
import { loadSettings } from "../schedules/load-settings.ts";
import { formatProblem, type Problem } from "../schedules/problem.ts";
import { pipelineFiles } from "../views/pipeline-file-list.ts";
import { readPipeline } from "../views/pipeline-reading.ts";
import type { Roots } from "../views/roots.ts";
import { CliError, EXIT, usageError } from "./exit.ts";

/** One file, loaded or refused. `name` is the pipeline's; where it is not known, the file's. */
export type LoadedFile =
  | {
      readonly ok: true;
      readonly file: string;
      readonly name: string;
      readonly loaded: LoadedPipeline;
    }
  | {
      readonly ok: false;
      readonly file: string;
      readonly name: string;
      readonly errors: readonly string[];
      readonly problems: readonly Problem[];
    };

/** The settings of orchd.yaml, or the defaults. @throws CliError (exit 2) where it is invalid */
export async function readSettings(roots: Roots): Promise<OrchdSettings> {
  const result = await loadSettings(roots.root, new RunStore(roots.runs).bundles);
  if (!result.ok) throw usageError(result.errors.map(formatProblem).join("; "));
  return result.settings;
}

/**
 * Loads pipeline files; default: all files of the drop folder.
 *
 * @throws CliError (exit 2) where orchd.yaml is invalid; (exit 1) where orchd's own folders cannot
 *   be written
 */
export async function loadPipelines(
  roots: Roots,
  files?: readonly string[],
): Promise<LoadedFile[]> {
  const paths = files ?? pipelineFiles(roots.schedules).map((name) => join(roots.schedules, name));
  const settings = await readSettings(roots);
  const { bundles } = new RunStore(roots.runs);
  const { Evaluator } = await import("./evaluate.ts");
  const evaluator = new Evaluator({ root: roots.root, bundlesDir: bundles, settings });
  try {
    const results: LoadedFile[] = [];
    for (const path of paths) {
      const file = resolve(path);
      const result = await loadPipelineFile(file, {
        root: rootOf(roots, file),
        bundlesDir: bundles,
        settings,
        evaluate: (code) => evaluator.evaluate(code),
        refuses: (snapshot, scheduled) => evaluator.refuses(snapshot, scheduled),
        now: Date.now(),
      });
      if (result.ok)
        results.push({ ok: true, file, name: result.loaded.name, loaded: result.loaded });
      else
        results.push({
          ok: false,
          file,
          name: nameOfFile(basename(file)),
          errors: result.errors.map(formatProblem),
          problems: result.errors,
        });
    }
    return results;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EROFS" && code !== "EPERM") throw error;
    throw new CliError(
      EXIT.failed,
      `compiled step code cannot be written (${message}); run the command as a user who may ` +
        `write ${roots.runs}, or point --runs at another folder.`,
    );
  } finally {
    await evaluator.close();
    await stopBundler();
  }
}

/** A file outside the root is bundled in its own folder, so that its imports are found. */
function rootOf(roots: Roots, file: string): string {
  return file.startsWith(`${roots.root}/`) ? roots.root : dirname(file);
}

/** A pipeline's file, loaded; undefined where it has none now. */
export async function loadPipeline(roots: Roots, name: string): Promise<LoadedFile | undefined> {
  const recorded = readPipeline(new RunStore(roots.runs), name)?.state.file;
  const names = pipelineFiles(roots.schedules);
  const likely = [
    ...(recorded === undefined ? [] : [join(roots.schedules, basename(recorded))]),
    ...names.filter((file) => nameOfFile(file) === name).map((file) => join(roots.schedules, file)),
  ].filter((path) => existsSync(path));
  for (const path of new Set(likely)) {
    const [loaded] = await loadPipelines(roots, [path]);
    if (loaded !== undefined && loaded.name === name) return loaded;
  }
  // A file may name its pipeline itself.
  return (await loadPipelines(roots)).find((file) => file.name === name);
}
