/**
 * A user's module and all that it imports, as one file whose sha256 is the code's identity.
 *
 * What goes into it stands in user-code.ts. Packages stay outside; the hash of the lockfile stands
 * for their content and becomes part of the bundle's text.
 *
 * The same sources give the same bytes, so a bundle is written once and never changed: running runs
 * keep theirs. It is on disk, synced, before its hash is given out, because a run's first line
 * refers to it.
 */
import { existsSync, readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { BuildFailure, Message, Metafile } from "esbuild";
import { lacksDescriptor } from "../disk/disk-error.ts";
import { BundleMemory } from "./bundle-memory.ts";
import { bundlePath, isStored, storeBundle } from "./bundle-store.ts";
import { withBundler } from "./bundler.ts";
import { linkOwnPackage } from "./own-package.ts";
import { sha256 } from "./sha256.ts";
import { BuildFindings, buildOptions, type BundleOptions } from "./user-code.ts";

/** Something wrong with a module, with its place where that is known. */
export interface BundleFault {
  readonly file: string;
  /** Counts from 1. */
  readonly line?: number;
  /** Counts from 1. */
  readonly column?: number;
  readonly message: string;
}

/**
 * A bundle, or what is wrong. `inputs` are the absolute paths of all files whose change would make
 * another bundle.
 */
export type Bundle =
  | {
      readonly ok: true;
      readonly sha: string;
      readonly inputs: readonly string[];
      readonly exports: readonly string[];
      /** Whether it re-exports all names of a package, so that `exports` is not the whole list. */
      readonly open: boolean;
    }
  | {
      readonly ok: false;
      readonly faults: readonly BundleFault[];
      readonly inputs: readonly string[];
    };

type GoodBundle = Bundle & { readonly ok: true };

const LOCKFILES = [
  "package-lock.json",
  "npm-shrinkwrap.json",
  "pnpm-lock.yaml",
  "yarn.lock",
  "bun.lock",
];
/** How many faults of one module are told. */
const FAULTS_TOLD = 5;

const memory = new BundleMemory<GoodBundle>();

/**
 * Bundles a module. Faults in the user's code are values.
 *
 * @throws a Node error for what the disk refuses (a bundles folder that is not writable), and if
 *   too few descriptors are left
 */
export async function bundleModule(entry: string, options: BundleOptions): Promise<Bundle> {
  const { root, bundlesDir, within } = options;
  const key = JSON.stringify([entry, root, bundlesDir, within]);
  const known = memory.recall(key);
  if (known !== undefined && isStored(bundlesDir, known.sha)) {
    linkOwnPackage(bundlesDir);
    return known;
  }
  const began = Date.now();
  return withBundler(async (esbuild) => {
    const findings = new BuildFindings(entry, within);
    try {
      const result = await esbuild.build(buildOptions(entry, options, findings));
      const output = result.outputFiles.find((file) => file.path.endsWith(".mjs"))!;
      const bundle = finish(entry, options, findings, output.text, result.metafile);
      memory.remember(key, [...bundle.inputs, ...findings.files], root, began, bundle);
      return bundle;
    } catch (thrown) {
      const { errors } = thrown as Partial<BuildFailure>;
      if (errors === undefined) throw thrown;
      const lacking = errors.find(({ detail }) => lacksDescriptor(detail));
      if (lacking !== undefined) throw lacking.detail as Error;
      return {
        ok: false,
        faults: errors.slice(0, FAULTS_TOLD).map((error) => bundleFaultOf(error, entry, root)),
        inputs: [...findings.files],
      };
    }
  });
}

/** Completes what esbuild gave, and stores it. */
function finish(
  entry: string,
  { root, bundlesDir }: BundleOptions,
  findings: BuildFindings,
  output: string,
  metafile: Metafile,
): GoodBundle {
  const { exports } = Object.values(metafile.outputs).find(
    ({ entryPoint }) => entryPoint !== undefined,
  )!;
  const inputs = new Set([
    entry,
    ...Object.keys(metafile.inputs).map((path) => resolve(root, path)),
  ]);
  let text = output;
  if (/\b__require\(/.test(text)) text = `${requireFrom(entry)}${text}`;
  if (findings.packages) {
    const lockfile = lockfileOf(dirname(entry), root);
    if (lockfile !== undefined) {
      inputs.add(lockfile);
      text += `// packages: ${sha256(readFileSync(lockfile))}\n`;
    }
  }
  linkOwnPackage(bundlesDir);
  const sha = storeBundle(bundlesDir, text);
  return { ok: true, sha, inputs: [...inputs], exports, open: /^export \* from /m.test(text) };
}

/** Lines that give a bundle of CommonJS modules a `require`, which an ES module lacks. */
function requireFrom(entry: string): string {
  return (
    'import { createRequire as __orchd_createRequire } from "node:module";\n' +
    `const require = __orchd_createRequire(${JSON.stringify(pathToFileURL(entry).href)});\n`
  );
}

/**
 * Finds where in the user's files an error was thrown, for an error that a bundle threw while it
 * was loaded. Builds the bundle a second time, with a source map.
 *
 * @param stack the error's, which names the bundle by its file
 * @returns undefined if no frame is in the bundle, or if the files have changed since
 */
export async function placeInSource(
  stack: string,
  entry: string,
  sha: string,
  options: BundleOptions,
): Promise<Omit<BundleFault, "message"> | undefined> {
  const frame = new RegExp(String.raw`/${sha}\.mjs:(\d+):(\d+)`).exec(stack);
  if (frame === null) return undefined;
  try {
    const { outputFiles } = await withBundler((esbuild) =>
      esbuild.build({
        ...buildOptions(entry, options, new BuildFindings(entry, options.within)),
        sourcemap: "external",
      }),
    );
    const [map, output] = [".mjs.map", ".mjs"].map(
      (ending) => outputFiles.find(({ path }) => path.endsWith(ending))!.text,
    );
    const stored = readFileSync(bundlePath(options.bundlesDir, sha), "utf8");
    const start = stored.indexOf(output!);
    if (start === -1) return undefined;
    const before = stored.slice(0, start).split("\n").length - 1;
    const entryOf = new SourceMap(JSON.parse(map!) as SourceMapPayload).findEntry(
      Number(frame[1]) - 1 - before,
      Number(frame[2]) - 1,
    );
    if (!("originalSource" in entryOf)) return undefined;
    return {
      file: resolve(options.bundlesDir, entryOf.originalSource),
      line: entryOf.originalLine + 1,
      column: entryOf.originalColumn + 1,
    };
  } catch {
    // The error itself is what matters; its place only helps.
    return undefined;
  }
}

function bundleFaultOf({ location, text }: Message, entry: string, root: string): BundleFault {
  const message = text.replace(/\s+/g, " ");
  return location === null
    ? { file: entry, message }
    : {
        file: resolve(root, location.file),
        line: location.line,
        column: location.column + 1,
        message,
      };
}

/**
 * The lockfile that says which packages are installed: the nearest one from the module's folder up,
 * else from the root up.
 */
function lockfileOf(folder: string, root: string): string | undefined {
  for (const start of [folder, root]) {
    for (let at = start; ; at = dirname(at)) {
      for (const name of LOCKFILES) if (existsSync(join(at, name))) return join(at, name);
      if (dirname(at) === at) break;
    }
  }
  return undefined;
}
