/**
 * A user's module and all that it imports, as one file whose sha256 is the code's identity.
 *
 * What goes into it stands in user-code.ts. Packages stay outside; what is installed of them
 * (installed-packages.ts) stands in the bundle's last line, and so is part of its identity. A
 * runner reads that line too: it never runs a bundle in a thread that has another version loaded.
 *
 * The same sources give the same bytes, so a bundle is written once and never changed: running runs
 * keep theirs. It is on disk, synced, before its hash is given out, because a run's first line
 * refers to it.
 */
import { readdirSync } from "node:fs";
import { isBuiltin, type SourceMapPayload } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { BuildFailure, Message, Metafile, OutputFile } from "esbuild";
import { HEADS_MEMBER, packagesLine } from "../core/bundle-text.ts";
import { lacksDescriptor } from "../disk/disk-error.ts";
import { BundleMemory } from "./bundle-memory.ts";
import { isStored, storeBundle, storeMap } from "./bundle-store.ts";
import { withBundler } from "./bundler.ts";
import { installedPackages } from "./installed-packages.ts";
import { linkOwnPackage } from "./own-package.ts";
import {
  adviceOn,
  BuildFindings,
  buildOptions,
  modulePlaces,
  packagePlaces,
  REQUIRED,
  runtimeImports,
  type BundleOptions,
} from "./user-code.ts";

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
      /**
       * Whether `exports` is not the whole list: it re-exports all names of a package, or is a
       * CommonJS module, whose names are known only when it runs.
       */
      readonly open: boolean;
      /** Whether it also loads code that is not in it: imports by computed names. */
      readonly runtimeImports: boolean;
    }
  | {
      readonly ok: false;
      readonly faults: readonly BundleFault[];
      readonly inputs: readonly string[];
    };

/** A bundle that was made. */
export type GoodBundle = Bundle & { readonly ok: true };

/** How many faults of one module are told. */
const FAULTS_TOLD = 5;
/** How many folders below the one that an import names are watched. */
const MOST_FOLDERS = 256;

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
    let findings = new BuildFindings(entry, within);
    try {
      let result = await esbuild.build(buildOptions(entry, options, findings));
      const computed = runtimeImports(result.warnings, root, findings);
      if (computed.size > 0) {
        findings = new BuildFindings(entry, within, computed);
        result = await esbuild.build(buildOptions(entry, options, findings));
      }
      const { bundle, files } = finish(entry, options, findings, result);
      const read = [...bundle.inputs, ...findings.files, ...files];
      memory.remember(key, read, root, began, bundle);
      return bundle;
    } catch (thrown) {
      const { errors } = thrown as Partial<BuildFailure>;
      if (errors === undefined) throw thrown;
      const lacking = errors.find(({ detail }) => lacksDescriptor(detail));
      if (lacking !== undefined) throw lacking.detail as Error;
      return {
        ok: false,
        faults: errors.slice(0, FAULTS_TOLD).map((error) => bundleFaultOf(error, root, findings)),
        inputs: [...findings.files],
      };
    }
  });
}

/** Completes what esbuild gave, and stores it. @returns also the files that it looked at */
function finish(
  entry: string,
  { root, bundlesDir }: BundleOptions,
  findings: BuildFindings,
  { outputFiles, metafile }: { outputFiles: OutputFile[]; metafile: Metafile },
): { readonly bundle: GoodBundle; readonly files: readonly string[] } {
  const [output, map] = [".mjs", ".mjs.map"].map(
    (ending) => outputFiles.find(({ path }) => path.endsWith(ending))!.text,
  );
  const { exports } = Object.values(metafile.outputs).find(
    ({ entryPoint }) => entryPoint !== undefined,
  )!;
  const runtime = findings.computed.size > 0 || findings.makesRequire;
  const installed = installedPackages(findings.packages, runtime, dirname(entry));
  const head = /\b__require\(/.test(output!) ? requireFrom(entry) : "";
  const tail = Object.keys(installed.packages).length === 0 ? "" : packagesLine(installed.packages);
  linkOwnPackage(bundlesDir);
  const sha = storeBundle(bundlesDir, `${head}${output!}${tail}`);
  storeMap(bundlesDir, sha, placedMap(map!, head, bundlesDir, findings));
  const bundle: GoodBundle = {
    ok: true,
    sha,
    inputs: [...inputsOf(entry, root, metafile), ...installed.watched],
    exports,
    open: /^export \* from /m.test(output!) || isCommonJs(entry, root, metafile),
    runtimeImports: runtime,
  };
  return { bundle, files: installed.files };
}

function isCommonJs(entry: string, root: string, { inputs }: Metafile): boolean {
  return Object.entries(inputs).some(
    ([path, { format }]) => format === "cjs" && resolve(root, path) === entry,
  );
}

/** The files, and the folders, whose change would make another bundle. */
function inputsOf(entry: string, root: string, { inputs }: Metafile): Set<string> {
  const found = new Set([entry]);
  for (const [input, { imports }] of Object.entries(inputs)) {
    if (input.startsWith(`${REQUIRED}:`)) continue;
    const path = resolve(root, input);
    found.add(path);
    for (const { path: asked, external } of imports) {
      if (external !== true || isBuiltin(asked)) continue;
      // What a module asks for and what is not there: it may come.
      if (/^\.{1,2}\//.test(asked))
        for (const each of asked.includes("*")
          ? foldersOf(dirname(path), asked)
          : modulePlaces(resolve(dirname(path), asked)))
          found.add(each);
      else if (/^[\w@]/.test(asked) && !/^(?:orchd(?:\/|$)|\w+:)/.test(asked))
        for (const each of packagePlaces(asked, dirname(path))) found.add(each);
    }
  }
  return found;
}

/** The folders in which an import with an open end looks for files. */
function foldersOf(folder: string, pattern: string): string[] {
  const top = resolve(folder, dirname(`${pattern.slice(0, pattern.indexOf("*"))}x`));
  if (!pattern.includes("**")) return [top];
  try {
    const below = readdirSync(top, { withFileTypes: true, recursive: true });
    return [
      top,
      ...below
        .filter((each) => each.isDirectory())
        .map((each) => join(each.parentPath, each.name))
        .slice(0, MOST_FOLDERS),
    ];
  } catch {
    return [top];
  }
}

/** A bundle's source map, with what stands before each module's own first line and before all. */
function placedMap(
  map: string,
  head: string,
  bundlesDir: string,
  { heads }: BuildFindings,
): string {
  const { sources, ...rest } = JSON.parse(map) as SourceMapPayload;
  const shift = ";".repeat(head.split("\n").length - 1);
  return JSON.stringify({
    ...rest,
    sources,
    mappings: shift + rest.mappings,
    [HEADS_MEMBER]: sources.map((source) => heads.get(resolve(bundlesDir, source))?.length ?? 0),
  });
}

/** Lines that give a bundle of CommonJS modules a `require`, which an ES module lacks. */
function requireFrom(entry: string): string {
  return (
    'import { createRequire as __orchd_createRequire } from "node:module";\n' +
    `const require = __orchd_createRequire(${JSON.stringify(pathToFileURL(entry).href)});\n`
  );
}

/**
 * Where in the user's files an error was thrown, for an error that a bundle threw while it was
 * loaded.
 *
 * @param stack the error's, in terms of the sources
 * @param inputs the bundle's files
 * @returns undefined if no frame is in one of them
 */
export function placeInSource(
  stack: string,
  inputs: readonly string[],
): Omit<BundleFault, "message"> | undefined {
  const files = new Set(inputs);
  for (const [, file, line, column] of stack.matchAll(/(\/[^\n()]*?):(\d+):(\d+)\)?$/gm))
    if (files.has(file!)) return { file: file!, line: Number(line), column: Number(column) };
  return undefined;
}

function bundleFaultOf(
  { location, text }: Message,
  root: string,
  { entry, heads }: BuildFindings,
): BundleFault {
  const said = text.replace(/\s+/g, " ");
  const advice = adviceOn(said);
  const message = advice === undefined ? said : `${said}: ${advice}`;
  if (location === null) return { file: entry, message };
  const { line, lineText } = location;
  const file = resolve(root, location.file);
  // It counts bytes, from 0, and what was put before the first line too.
  const before = Buffer.from(lineText).subarray(0, location.column).toString();
  const head = line === 1 ? (heads.get(file)?.length ?? 0) : 0;
  return { file, line, column: Math.max(0, before.length - head) + 1, message };
}
