/**
 * Reads pipeline files as the daemon does, for commands about files rather than ledgers.
 *
 * Code files are evaluated in a runner (engine/evaluator.ts), which is started only if there are
 * any.
 */
import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { isSameFile, nameHolder, wasInForce, type NameClaim } from "../core/name-holder.ts";
import { nameOfFile } from "../core/pipeline-file-name.ts";
import type { PipelineState } from "../core/pipeline-state.ts";
import { whatLetsWrite } from "../core/read-only.ts";
import type { OrchdSettings } from "../core/settings.ts";
import { RunStore } from "../ledger/run-store.ts";
import { stopBundler } from "../schedules/bundler.ts";
import { CompiledVersions } from "../schedules/compiled-versions.ts";
import { loadPipelineFile } from "../schedules/load-file.ts";
import { loadSettings } from "../schedules/load-settings.ts";
import { formatProblem, type Problem } from "../schedules/problem.ts";
import { mayNamePipeline } from "../views/known-pipeline.ts";
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
      /** The file that holds the name that this one claims; absent where it is refused as such. */
      readonly takenBy?: string;
    };

/** The settings of orchd.yaml, or the defaults. @throws CliError (exit 2) where it is invalid */
export async function readSettings(roots: Roots): Promise<OrchdSettings> {
  const result = await loadSettings(roots.root, new RunStore(roots.runs).bundles);
  if (!result.ok) throw usageError(result.errors.map(formatProblem).join("; "));
  return result.settings;
}

/**
 * Loads pipeline files; default: all files of the drop folder. Where several claim a name, those
 * that do not hold it are refused.
 *
 * @param options `asCompiled`: what the daemon compiled at its start counts where it still holds;
 *   default: every file is compiled
 * @throws CliError (exit 2) where orchd.yaml is invalid or the drop folder is not there; (exit 1)
 *   where orchd's own folders cannot be written
 */
export async function loadPipelines(
  roots: Roots,
  files?: readonly string[],
  { asCompiled = false }: { readonly asCompiled?: boolean } = {},
): Promise<LoadedFile[]> {
  if (files === undefined) requireDropFolder(roots);
  const paths = files?.map((file) => resolve(file)) ?? droppedFiles(roots);
  const settings = await readSettings(roots);
  const { bundles, compiled: kept } = new RunStore(roots.runs);
  const compiled = asCompiled ? new CompiledVersions(kept, settings) : undefined;
  const { Evaluator } = await import("../engine/evaluator.ts");
  const evaluator = new Evaluator({ root: roots.root, bundlesDir: bundles, settings });
  try {
    const load = async (file: string): Promise<LoadedFile> => {
      const result = await loadPipelineFile(file, {
        root: rootOf(roots, file),
        bundlesDir: bundles,
        settings,
        evaluate: (code) => evaluator.evaluate(code),
        refuses: (snapshot, scheduled) => evaluator.refuses(snapshot, scheduled),
        stackEnv: (snapshot) => evaluator.stackEnv(snapshot),
        compiled,
        now: Date.now(),
      });
      if (result.ok) return { ok: true, file, name: result.loaded.name, loaded: result.loaded };
      return {
        ok: false,
        file,
        name: nameOfFile(basename(file)),
        errors: result.errors.map(formatProblem),
        problems: result.errors,
      };
    };
    const results: LoadedFile[] = [];
    for (const path of paths) results.push(await load(path));
    return await refuseTaken(roots, results, load);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EROFS" && code !== "EPERM") throw error;
    throw new CliError(
      EXIT.failed,
      `compiled step code cannot be written (${message}); ` +
        whatLetsWrite(code, `run the command as a user who may write ${roots.runs}`) +
        ", or point --runs at another folder.",
    );
  } finally {
    await evaluator.close();
    await stopBundler();
  }
}

/**
 * Without a drop folder nothing can be said of pipelines: most likely the daemon has another one.
 *
 * @throws CliError (exit 2) where it is not there
 */
export function requireDropFolder({ schedules }: Roots): void {
  if (!existsSync(schedules))
    throw usageError(
      `the folder ${schedules} is not there; name it with --schedules or --root, ` +
        "or make one with `orchd init`.",
    );
}

function droppedFiles(roots: Roots): string[] {
  return pipelineFiles(roots.schedules).map((name) => join(roots.schedules, name));
}

/** The files, of which those are refused that claim the name of another one. */
async function refuseTaken(
  roots: Roots,
  files: readonly LoadedFile[],
  load: (file: string) => Promise<LoadedFile>,
): Promise<LoadedFile[]> {
  const store = new RunStore(roots.runs);
  const dropped = new Map(droppedFiles(roots).map((path) => [basename(path), path]));
  const read = new Map(files.map((file) => [file.file, file]));
  // Where every file is read and good, only files that claim the same name can contest it: the
  // ledgers need not be asked.
  const isContested =
    files.some(({ ok }) => !ok) || [...dropped.values()].some((path) => !read.has(path));
  const holders = new Map<string, string | undefined>();
  for (const [name, own] of claimsByName(files)) {
    if (own.length === 1 && !isContested) continue;
    const inForce = inForceOf(store, name);
    const recorded = dropped.get(basename(inForce?.file ?? ""));
    const claims: NameClaim[] = own;
    if (recorded !== undefined && wasInForce(inForce, recorded)) {
      let held = read.get(recorded);
      // It may hold the name without being among the files that were asked for.
      if (held === undefined && own.some(({ path }) => dropped.get(basename(path)) === path)) {
        held = await load(recorded);
        if (held.ok && held.name === name) claims.push(claimOf(held));
      }
      if (held?.ok === false) claims.push({ path: recorded });
    }
    holders.set(name, nameHolder(claims, inForce)?.path);
  }
  return files.map((file) => {
    const holder = file.ok ? holders.get(file.name) : file.file;
    return holder === undefined || holder === file.file ? file : takenFile(file, holder);
  });
}

/** The good files that claim each name. */
function claimsByName(files: readonly LoadedFile[]): Map<string, NameClaim[]> {
  const claimed = new Map<string, NameClaim[]>();
  for (const file of files) {
    if (!file.ok) continue;
    const claims = claimed.get(file.name);
    if (claims === undefined) claimed.set(file.name, [claimOf(file)]);
    else claims.push(claimOf(file));
  }
  return claimed;
}

function claimOf({ file, loaded }: Extract<LoadedFile, { readonly ok: true }>): NameClaim {
  return { path: file, digest: loaded.digest };
}

/** What the ledger has in force; undefined too where this user may not read it. */
function inForceOf(store: RunStore, name: string): PipelineState | undefined {
  try {
    return readPipeline(store, name)?.state;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}

function takenFile({ file, name }: LoadedFile, holder: string): LoadedFile {
  const taken = `name ${JSON.stringify(name)} is taken by ${holder}`;
  const message = `${taken}; give one of them another name`;
  const problems = [{ file, message }];
  return { ok: false, file, name, errors: problems.map(formatProblem), problems, takenBy: holder };
}

/** A file outside the root is bundled in its own folder, so that its imports are found. */
function rootOf(roots: Roots, file: string): string {
  return file.startsWith(`${roots.root}/`) ? roots.root : dirname(file);
}

/**
 * The files that can be about one pipeline, loaded: the one that holds its name by the ledger, and
 * those that say or seem to say the name too. Without a holder all files are loaded: code may make
 * the name as it runs.
 */
export async function loadFilesAbout(roots: Roots, name: string): Promise<LoadedFile[]> {
  requireDropFolder(roots);
  const inForce = inForceOf(new RunStore(roots.runs), name);
  const dropped = droppedFiles(roots);
  if (!dropped.some((path) => wasInForce(inForce, path))) return loadPipelines(roots);
  const files = await loadPipelines(
    roots,
    dropped.filter(
      (path) =>
        wasInForce(inForce, path) ||
        nameOfFile(basename(path)) === name ||
        mayNamePipeline(path, name),
    ),
  );
  const isHeld = files.some(
    (file) => wasInForce(inForce, file.file) && (!file.ok || file.name === name),
  );
  return isHeld ? files : loadPipelines(roots);
}

/** A pipeline's file, loaded; undefined where it has none now. */
export async function loadPipeline(roots: Roots, name: string): Promise<LoadedFile | undefined> {
  const inForce = readPipeline(new RunStore(roots.runs), name)?.state;
  const dropped = droppedFiles(roots);
  const likely = [
    ...dropped.filter((path) => isSameFile(inForce?.file, path)),
    ...dropped.filter((path) => nameOfFile(basename(path)) === name),
  ];
  for (const path of new Set(likely)) {
    const [loaded] = await loadPipelines(roots, [path]);
    if (loaded === undefined || (!loaded.ok && loaded.takenBy !== undefined)) continue;
    // The file that holds the name keeps it while it is bad.
    if (loaded.name === name || (!loaded.ok && wasInForce(inForce, path))) return loaded;
  }
  // A file may name its pipeline itself.
  const claims = (await loadPipelines(roots)).filter((file) => file.name === name);
  return claims.find((file) => file.ok || file.takenBy === undefined);
}
