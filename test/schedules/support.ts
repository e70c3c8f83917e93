/**
 * A loader over a temporary root. It evaluates code files in the tests' own process, since they are
 * the tests' own code.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { LoadedDefinition } from "../../src/core/loaded-definition.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import { DEFAULT_SETTINGS, type OrchdSettings } from "../../src/core/settings.ts";
import type { CodeRef, Json } from "../../src/core/snapshot.ts";
import {
  loadPipelineFile,
  type LoadContext,
  type LoadResult,
} from "../../src/schedules/load-file.ts";
import { formatProblem } from "../../src/schedules/problem.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/**
 * Does what the runner would do: describes a default export `{kind, definition}`, with a mark for
 * each function.
 */
export async function evaluateHere(bundlesDir: string, code: CodeRef): Promise<LoadedDefinition> {
  const module = (await import(pathToFileURL(join(bundlesDir, `${code.bundle}.mjs`)).href)) as {
    default: { kind: "pipeline" | "dynamic"; definition: Record<string, unknown> };
  };
  const marked = JSON.parse(
    JSON.stringify(module.default.definition, (key, value: unknown) =>
      typeof value === "function" ? { $code: `step:${key}`, name: value.name } : value,
    ),
  ) as Record<string, Json>;
  return { kind: module.default.kind, definition: marked };
}

/** A temporary root with a loader. */
export interface Loader extends TempRoot {
  readonly bundlesDir: string;
  readonly context: LoadContext;
  /** Loads `schedules/NAME`. */
  load(name: string): Promise<LoadResult>;
  /** Loads a file that must be good. */
  good(name: string): Promise<LoadedPipeline>;
  /** Loads a file that must be bad. @returns its problems as sentences, without the root's path */
  bad(name: string): Promise<string[]>;
}

/** Makes a root with these files. */
export function loader(
  files: Record<string, string>,
  settings: Partial<OrchdSettings> = {},
): Loader {
  const made = tempRoot(files);
  const bundlesDir = join(made.runs, ".orchd", "bundles");
  const context: LoadContext = {
    root: made.root,
    bundlesDir,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    evaluate: (code) => evaluateHere(bundlesDir, code),
    refuses: () => Promise.resolve(undefined),
    now: Date.UTC(2026, 10, 24),
  };
  const load = (name: string): Promise<LoadResult> =>
    loadPipelineFile(join(made.schedules, name), context);
  return {
    ...made,
    bundlesDir,
    context,
    load,
    async good(name) {
      const result = await load(name);
      if (!result.ok) throw new Error(result.errors.map(formatProblem).join("\n"));
      return result.loaded;
    },
    async bad(name) {
      const result = await load(name);
      if (result.ok) throw new Error(`${name} was loaded`);
      return result.errors.map((problem) => formatProblem(problem).replaceAll(`${made.root}/`, ""));
    },
  };
}
