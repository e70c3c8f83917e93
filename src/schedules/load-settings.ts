/** Loads orchd.yaml: reads it safely, checks it strictly, bundles its orchestrators' modules. */
import { basename, extname, join, resolve } from "node:path";
import { isModulePath } from "../core/compile.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import type { Fault } from "../core/fault.ts";
import {
  DEFAULT_SETTINGS,
  orchdSettingsSchema,
  resolveSettings,
  type NamedOrchestrator,
  type OrchdSettings,
  type OrchdSettingsDefinition,
} from "../core/settings.ts";
import { checkShape } from "../core/shape-faults.ts";
import { bundleModule } from "./bundle.ts";
import { problemOf, type Problem } from "./problem.ts";
import { readSafeFile } from "./safe-file.ts";
import { readSettingsFile } from "./settings-file.ts";

/** The settings, or all that is wrong with the file. */
export type SettingsResult =
  | {
      readonly ok: true;
      readonly settings: OrchdSettings;
      /** What is wrong with modules of orchestrators, where that is left to the pipelines. */
      readonly problems: readonly Problem[];
    }
  | { readonly ok: false; readonly errors: readonly Problem[] };

/**
 * Loads `ROOT/orchd.yaml`. Without that file the defaults hold.
 *
 * @param bundlesDir where bundles are kept: `runs/.orchd/bundles`, absolute
 * @param modules `later`: a bad module of an orchestrator makes no bad settings; the pipelines that
 *   name it say what is wrong, each when it is loaded. Default: it does
 * @throws a Node error for what is wrong with orchd's own folders
 */
export async function loadSettings(
  root: string,
  bundlesDir: string,
  { modules = "now" }: { readonly modules?: "now" | "later" } = {},
): Promise<SettingsResult> {
  const path = join(resolve(root), "orchd.yaml");
  const file = readSettingsFile(path);
  if (!file.ok) return { ok: false, errors: file.errors };
  const { source } = file;
  if (source === undefined) return { ok: true, settings: DEFAULT_SETTINGS, problems: [] };
  const problem = (fault: Fault): Problem =>
    problemOf(path, fault, source.locate(fault.path, fault.atKey));
  const shape = checkShape(orchdSettingsSchema, source.value);
  if (!shape.ok) return { ok: false, errors: shape.faults.map(problem) };
  const errors: Problem[] = [];
  const problems: Problem[] = [];
  const orchestrators: Record<string, NamedOrchestrator> = {};
  for (const [name, written] of Object.entries(shape.value.orchestrators ?? {})) {
    const loaded = await loadOrchestrator(name, written, resolve(root), bundlesDir);
    const bad = [...(loaded.faults ?? []).map(problem), ...(loaded.problems ?? [])];
    (modules === "later" && loaded.ref?.uses !== undefined ? problems : errors).push(...bad);
    if (loaded.ref !== undefined) orchestrators[name] = loaded.ref;
  }
  const resolved = resolveSettings(shape.value, orchestrators, (path) => resolve(root, path));
  if (!resolved.ok) errors.push(problem({ path: resolved.path, message: resolved.message }));
  return resolved.ok && errors.length === 0
    ? { ok: true, settings: resolved.settings, problems }
    : { ok: false, errors };
}

/** One entry of `orchestrators`, and what is wrong with it. */
export interface LoadedOrchestrator {
  /** Undefined where it names no module. Without `code` where its module is bad. */
  readonly ref?: NamedOrchestrator;
  /** What is wrong in orchd.yaml. */
  readonly faults?: readonly Fault[];
  /** What is wrong in the module. */
  readonly problems?: readonly Problem[];
  readonly watched: readonly string[];
}

type WrittenOrchestrator = NonNullable<OrchdSettingsDefinition["orchestrators"]>[string];

/** Reads and bundles the module of an orchestrator of orchd.yaml. */
export async function loadOrchestrator(
  name: string,
  written: WrittenOrchestrator,
  root: string,
  bundlesDir: string,
): Promise<LoadedOrchestrator> {
  const { uses, config = {} } = typeof written === "string" ? { uses: written } : written;
  const path = ["orchestrators", name, ...(typeof written === "string" ? [] : ["uses"])];
  if (uses === "local") return { ref: { flavor: "local", config }, watched: [] };
  if (!isModulePath(uses)) {
    const message =
      `names ${JSON.stringify(uses)}, which is neither local nor a module's path ` +
      `(./my-orchestrator.ts)${didYouMean(uses, ["local"])}`;
    return { faults: [{ path, message }], watched: [] };
  }
  const hash = uses.indexOf("#");
  const entry = resolve(root, hash === -1 ? uses : uses.slice(0, hash));
  const exported = hash === -1 ? "default" : uses.slice(hash + 1);
  const bad = { flavor: name, uses, config };
  const file = readSafeFile(entry);
  if (extname(entry) === "" || !file.ok) {
    const why = file.ok ? "is no module" : file.message;
    const message = `names ${uses}, but ${basename(entry)} ${why}`;
    return { ref: bad, faults: [{ path, message }], watched: [entry] };
  }
  const bundle = await bundleModule(entry, { root, bundlesDir });
  const watched = [entry, ...bundle.inputs];
  if (!bundle.ok) return { ref: bad, problems: bundle.faults, watched };
  if (!bundle.exports.includes(exported) && !bundle.open) {
    const message =
      `names ${uses}, which has no ${exported} export; ` +
      "an orchestrator's class is exported by default";
    return { ref: bad, faults: [{ path, message }], watched };
  }
  const code = { bundle: bundle.sha, pick: `export:${exported}`, source: uses };
  return { ref: { flavor: name, code, config }, watched };
}
