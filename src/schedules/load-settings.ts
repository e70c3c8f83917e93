/** Reads orchd.yaml: safely, strictly, and with the modules of its orchestrators bundled. */
import { basename, dirname, extname, join, resolve } from "node:path";
import { isModulePath } from "../core/compile.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import type { Fault } from "../core/fault.ts";
import {
  DEFAULT_SETTINGS,
  orchdSettingsSchema,
  resolveSettings,
  type OrchdSettings,
} from "../core/settings.ts";
import { checkShape } from "../core/shape-faults.ts";
import type { OrchestratorRef } from "../core/snapshot.ts";
import { bundleModule } from "./bundle.ts";
import { problemOf, type Problem } from "./problem.ts";
import { readSafeFile } from "./safe-file.ts";
import { decodeUtf8, readSourceText } from "./source-text.ts";

/** The settings, or all that is wrong with the file. */
export type SettingsResult =
  | { readonly ok: true; readonly settings: OrchdSettings; readonly watched: readonly string[] }
  | {
      readonly ok: false;
      readonly errors: readonly Problem[];
      readonly watched: readonly string[];
    };

/** Loads `ROOT/orchd.yaml`; where there is none, the defaults hold. */
export async function loadSettings(root: string, bundlesDir: string): Promise<SettingsResult> {
  const path = join(resolve(root), "orchd.yaml");
  const watched = [path];
  const fail = (...errors: Problem[]): SettingsResult => ({ ok: false, errors, watched });
  const file = readSafeFile(path);
  if (!file.ok)
    return file.missing === true && !file.message.includes("link")
      ? { ok: true, settings: DEFAULT_SETTINGS, watched }
      : fail({ file: path, message: file.message });
  const decoded = decodeUtf8(file.bytes);
  if (!decoded.ok) return fail({ file: path, message: decoded.message });
  if (decoded.text.replace(/^\s*#.*$/gm, "").trim() === "")
    return { ok: true, settings: DEFAULT_SETTINGS, watched };
  const parsed = readSourceText(decoded.text, "yaml");
  if (!parsed.ok)
    return fail(
      ...parsed.faults.map(({ message, position }) => ({ file: path, ...position, message })),
    );
  const problem = (fault: Fault): Problem =>
    problemOf(path, fault, parsed.source.locate(fault.path, fault.atKey));
  const shape = checkShape(orchdSettingsSchema, parsed.source.value);
  if (!shape.ok) return fail(...shape.faults.map(problem));
  const orchestrators: Record<string, OrchestratorRef> = {};
  const errors: Problem[] = [];
  for (const [name, written] of Object.entries(shape.value.orchestrators ?? {})) {
    const { uses, config = {} } = typeof written === "string" ? { uses: written } : written;
    const at = ["orchestrators", name, ...(typeof written === "string" ? [] : ["uses"])];
    if (!isModulePath(uses)) {
      if (uses === "local") orchestrators[name] = { flavor: "local", config };
      else
        errors.push(
          problem({
            path: at,
            message: `names ${JSON.stringify(uses)}, which is neither local nor a module's path (./my-orchestrator.ts)${didYouMean(uses, ["local"])}`,
          }),
        );
      continue;
    }
    const hash = uses.indexOf("#");
    const entry = resolve(dirname(path), hash === -1 ? uses : uses.slice(0, hash));
    const exported = hash === -1 ? "default" : uses.slice(hash + 1);
    watched.push(entry);
    if (extname(entry) === "" || !readSafeFile(entry).ok) {
      const why = readSafeFile(entry);
      errors.push(
        problem({
          path: at,
          message: `names ${uses}, but ${basename(entry)} ${why.ok ? "is no module" : why.message}`,
        }),
      );
      continue;
    }
    const bundle = await bundleModule(entry, { root: resolve(root), bundlesDir });
    watched.push(...bundle.inputs);
    if (!bundle.ok) errors.push(...bundle.faults);
    else if (!bundle.exports.includes(exported) && !bundle.open)
      errors.push(
        problem({
          path: at,
          message: `names ${uses}, which has no ${exported} export; an orchestrator's class is exported by default`,
        }),
      );
    else
      orchestrators[name] = {
        flavor: name,
        code: { bundle: bundle.sha, pick: `export:${exported}`, source: uses },
        config,
      };
  }
  const resolved = resolveSettings(shape.value, orchestrators);
  if (!resolved.ok) errors.push(problem({ path: resolved.path, message: resolved.message }));
  return resolved.ok && errors.length === 0
    ? { ok: true, settings: resolved.settings, watched: [...new Set(watched)] }
    : { ok: false, errors, watched: [...new Set(watched)] };
}
