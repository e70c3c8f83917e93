/**
 * A user's module and all it imports, as one file whose sha256 is the code's identity.
 *
 * Only the user's own modules go into a bundle. Packages stay outside: each import of one becomes
 * the absolute URL of the file it resolves to from where it was written, so that a bundle runs
 * wherever it lies; what stands for their content is the hash of the lockfile, which becomes part
 * of the bundle's text. `orchd` itself is imported by its name and found through a link beside the
 * bundles. `import.meta.url` and its kin stay those of the source file, whatever was bundled.
 *
 * Every module is read through readSafeFile: code that somebody else may write to is refused like a
 * pipeline file, and the bytes that were checked are the bytes that are bundled.
 *
 * The same sources give the same bytes, so a bundle is written once and never changed: running runs
 * keep theirs. It is on disk, synced, before its hash is given out, since a run's first line refers
 * to it.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { isBuiltin, SourceMap, type SourceMapPayload } from "node:module";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { BuildFailure, BuildOptions, Loader, Message, Plugin, PluginBuild } from "esbuild";
import { requireDescriptors } from "../disk/descriptors.ts";
import { lacksDescriptor } from "../disk/disk-error.ts";
import { makeFolder } from "../disk/make-folder.ts";
import { BundleMemory } from "./bundle-memory.ts";
import { readSafeFile } from "./safe-file.ts";

/** Where bundling happens. */
export interface BundleOptions {
  /** The project's root, absolute. */
  readonly root: string;
  /** Where bundles are kept: `runs/.orchd/bundles`, absolute. Made if it is not there. */
  readonly bundlesDir: string;
  /** The folder that the entry itself must lie in. */
  readonly within?: string | undefined;
}

/**
 * Something wrong with a module, with its place where that is known; line and column count from 1.
 */
export interface BundleFault {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
}

/**
 * A bundle, or what is wrong. `inputs` are the absolute paths of all files whose change would make
 * another one.
 */
export type Bundle =
  | {
      readonly ok: true;
      readonly sha: string;
      readonly inputs: readonly string[];
      readonly exports: readonly string[];
      /** It passes on all names of a package. */ readonly open: boolean;
    }
  | {
      readonly ok: false;
      readonly faults: readonly BundleFault[];
      readonly inputs: readonly string[];
    };

const LOADERS: Readonly<Record<string, Loader>> = {
  ".ts": "ts",
  ".mts": "ts",
  ".cts": "ts",
  ".tsx": "tsx",
  ".js": "js",
  ".mjs": "js",
  ".cjs": "js",
  ".jsx": "jsx",
  ".json": "json",
  ".txt": "text",
  ".sql": "text",
};
const META = {
  "import.meta.url": "__orchd_url",
  "import.meta.filename": "__orchd_filename",
  "import.meta.dirname": "__orchd_dirname",
  __filename: "__orchd_filename",
  __dirname: "__orchd_dirname",
};
const LOCKFILES = [
  "package-lock.json",
  "npm-shrinkwrap.json",
  "pnpm-lock.yaml",
  "yarn.lock",
  "bun.lock",
];
const SOURCE_ENDINGS = ["", ".ts", ".mts", ".js", ".mjs", ".json", "/index.ts", "/index.js"];
/** A module may be larger than a pipeline file. */
const MAX_MODULE_BYTES = 16 * 1_048_576;
/**
 * Packages that come with orchd and that a project need not install: an orchestrator's config is a
 * zod schema.
 */
const OWN_PACKAGES = new Set(["zod"]);
/** esbuild is a process of its own; it is let go when nothing was bundled for so long. */
const IDLE_MS = 5_000;

const memory = new BundleMemory<Bundle & { readonly ok: true }>();
let idle: NodeJS.Timeout | undefined;
let busy = 0;

/**
 * Bundles a module. Faults in the user's code are values.
 *
 * @throws a Node error for what the disk refuses (a bundles folder that is not writable), and where
 *   too few descriptors are left
 */
export async function bundleModule(entry: string, options: BundleOptions): Promise<Bundle> {
  const key = JSON.stringify([entry, options.root, options.bundlesDir, options.within]);
  const known = memory.recall(key);
  if (known !== undefined && isWhole(join(options.bundlesDir, `${known.sha}.mjs`), known.sha)) {
    linkOwnPackage(options.bundlesDir);
    return known;
  }
  const began = Date.now();
  const esbuild = await bundler();
  busy += 1;
  clearTimeout(idle);
  const seen = new Seen(entry, options.within);
  try {
    const result = await esbuild.build(buildOptions(entry, options, seen));
    const output = result.outputFiles.find((file) => file.path.endsWith(".mjs"))!;
    const details = Object.values(result.metafile.outputs).find(
      (one) => one.entryPoint !== undefined,
    )!;
    const inputs = new Set([
      entry,
      ...Object.keys(result.metafile.inputs).map((path) => resolve(options.root, path)),
    ]);
    let text = output.text;
    if (/\b__require\(/.test(text))
      text = `import { createRequire as __orchd_createRequire } from "node:module";\nconst require = __orchd_createRequire(${JSON.stringify(pathToFileURL(entry).href)});\n${text}`;
    if (seen.packages) {
      const lockfile = lockfileOf(dirname(entry), options.root);
      if (lockfile !== undefined) {
        inputs.add(lockfile);
        text += `// packages: ${sha256(readFileSync(lockfile))}\n`;
      }
    }
    const sha = sha256(text);
    linkOwnPackage(options.bundlesDir);
    store(options.bundlesDir, `${sha}.mjs`, Buffer.from(text));
    const bundle = {
      ok: true,
      sha,
      inputs: [...inputs],
      exports: details.exports,
      open: /^export \* from /m.test(text),
    } as const;
    memory.remember(key, [...inputs, ...seen.files], options.root, began, bundle);
    return bundle;
  } catch (thrown) {
    const errors = (thrown as Partial<BuildFailure>).errors;
    if (errors === undefined) throw thrown;
    const lacking = errors.find(({ detail }) => lacksDescriptor(detail));
    if (lacking !== undefined) throw lacking.detail as Error;
    return {
      ok: false,
      faults: errors.slice(0, 5).map((error) => faultOf(error, entry, options.root)),
      inputs: [...seen.files],
    };
  } finally {
    busy -= 1;
    if (busy === 0) idle = setTimeout(() => void esbuild.stop(), IDLE_MS).unref();
  }
}

/**
 * Where in the user's files an error was thrown that a bundle threw as it was loaded: the bundle is
 * built once more, with a map.
 *
 * @param stack the error's, which names the bundle by its file
 * @returns undefined where no frame is in the bundle, or the files have changed since
 */
export async function placeInSource(
  stack: string,
  entry: string,
  sha: string,
  options: BundleOptions,
): Promise<Omit<BundleFault, "message"> | undefined> {
  const frame = new RegExp(String.raw`/${sha}\.mjs:(\d+):(\d+)`).exec(stack);
  if (frame === null) return undefined;
  const esbuild = await bundler().catch(() => undefined);
  if (esbuild === undefined) return undefined;
  busy += 1;
  clearTimeout(idle);
  try {
    const { outputFiles } = await esbuild.build({
      ...buildOptions(entry, options, new Seen(entry, options.within)),
      sourcemap: "external",
    });
    const [map, output] = [".mjs.map", ".mjs"].map(
      (ending) => outputFiles.find(({ path }) => path.endsWith(ending))!.text,
    );
    const stored = readFileSync(join(options.bundlesDir, `${sha}.mjs`), "utf8");
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
    // The error itself is what matters; its place is a help.
    return undefined;
  } finally {
    busy -= 1;
    if (busy === 0) idle = setTimeout(() => void esbuild.stop(), IDLE_MS).unref();
  }
}

/**
 * esbuild, to be called in the same turn: it starts its process when it is first called, and ends
 * this one where that finds too few descriptors.
 *
 * @throws a Node error where there are too few
 */
async function bundler() {
  // Node 20 remembers an import that failed.
  requireDescriptors();
  const esbuild = await import("esbuild");
  // The first import takes a while.
  requireDescriptors();
  return esbuild;
}

/**
 * Lets the bundler's process go now rather than when it has been idle for a while: for tests and
 * for the daemon's end.
 */
export async function stopBundler(): Promise<void> {
  clearTimeout(idle);
  if (busy === 0) await (await import("esbuild")).stop();
}

function buildOptions(entry: string, options: BundleOptions, seen: Seen) {
  return {
    entryPoints: [entry],
    absWorkingDir: options.root,
    bundle: true,
    write: false,
    metafile: true,
    outdir: options.bundlesDir,
    outExtension: { ".js": ".mjs" },
    format: "esm",
    platform: "node",
    target: "node20",
    // No "module" condition: Node itself would not take it, and packages are loaded by Node.
    conditions: [],
    keepNames: true,
    charset: "utf8",
    legalComments: "none",
    logLevel: "silent",
    define: META,
    plugins: [userCode(seen)],
  } as const satisfies BuildOptions;
}

/** What one build has come across. */
class Seen {
  readonly entry: string;
  readonly within: string | undefined;
  /**
   * Every file that was read or looked for: on failure, one of these must change before another try
   * makes sense.
   */
  readonly files = new Set<string>();
  /** Some package is imported. */
  packages = false;

  constructor(entry: string, within: string | undefined) {
    this.entry = entry;
    this.within = within;
    this.files.add(entry);
  }
}

function userCode(seen: Seen): Plugin {
  return {
    name: "orchd",
    setup(build) {
      build.onResolve({ filter: /^[^./]/ }, (args) =>
        args.kind === "entry-point" || args.pluginData === seen
          ? undefined
          : resolvePackage(build, seen, args),
      );
      build.onResolve({ filter: /^\.{0,2}\// }, (args) => {
        if (args.kind === "entry-point") return undefined;
        const path = resolve(args.resolveDir, args.path);
        if (existsSync(path)) seen.files.add(path);
        else for (const ending of SOURCE_ENDINGS) seen.files.add(path + ending);
        return undefined;
      });
      build.onLoad({ filter: /./, namespace: "file" }, (args) => {
        const loader = LOADERS[extname(args.path)];
        if (loader === undefined) return undefined;
        seen.files.add(args.path);
        const file = readSafeFile(args.path, {
          within: args.path === seen.entry ? seen.within : undefined,
          maxBytes: MAX_MODULE_BYTES,
        });
        if (!file.ok) return { errors: [{ text: `${args.path} ${file.message}` }] };
        return {
          contents: withMeta(file.bytes.toString("utf8"), args.path, loader),
          loader,
          resolveDir: dirname(args.path),
        };
      });
    },
  };
}

type ResolveArgs = Parameters<Parameters<PluginBuild["onResolve"]>[1]>[0];

/**
 * A bare import: a package stays outside the bundle, an alias or a linked workspace that leads to
 * the user's own files goes into it.
 */
async function resolvePackage(
  build: PluginBuild,
  seen: Seen,
  args: ResolveArgs,
): Promise<{ path: string; external?: boolean; errors?: { text: string }[] } | undefined> {
  const { path, importer, resolveDir, kind } = args;
  if (
    isBuiltin(path) ||
    path === "orchd" ||
    path.startsWith("orchd/") ||
    /^(node|data|file|https?):/.test(path)
  )
    return { path, external: true };
  const found = await build.resolve(path, { importer, resolveDir, kind, pluginData: seen });
  let file = found.errors.length === 0 ? found.path : undefined;
  if (file === undefined && OWN_PACKAGES.has(path.split("/")[0]!)) {
    const own = await build.resolve(path, { resolveDir: packageRoot(), kind, pluginData: seen });
    if (own.errors.length === 0) file = own.path;
  }
  if (file === undefined)
    return {
      path,
      errors: [
        {
          text: `Could not resolve ${JSON.stringify(path)}: install it with npm install ${packageName(path)}, or begin a path with ./`,
        },
      ],
    };
  if (found.external) return { path: found.path, external: true };
  if (!file.includes("/node_modules/")) return { path: file };
  seen.packages = true;
  return {
    path: kind === "require-call" || kind === "require-resolve" ? file : pathToFileURL(file).href,
    external: true,
  };
}

function packageName(path: string): string {
  return path
    .split("/")
    .slice(0, path.startsWith("@") ? 2 : 1)
    .join("/");
}

/**
 * Puts the source file's own URL and paths where the code asks for them, on the first line so that
 * all lines keep their numbers.
 */
function withMeta(source: string, path: string, loader: Loader): string {
  if (
    loader === "json" ||
    loader === "text" ||
    !/import\s*\.\s*meta|__filename|__dirname/.test(source)
  )
    return source;
  const values = {
    __orchd_url: pathToFileURL(path).href,
    __orchd_filename: path,
    __orchd_dirname: dirname(path),
  };
  const head = Object.entries(values)
    .map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`)
    .join(" ");
  return `${head} ${source.replace(/^\ufeff?(#!)/, "//$1")}`;
}

function faultOf(error: Message, entry: string, root: string): BundleFault {
  const { location, text } = error;
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
 * The lockfile that says which packages are installed: the nearest from the module's folder up, as
 * far as the root's own parents.
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

function isWhole(path: string, sha: string): boolean {
  try {
    return sha256(readFileSync(path)) === sha;
  } catch {
    return false;
  }
}

/** Writes a file that is named by its content, once and whole. */
function store(folder: string, name: string, content: Buffer): void {
  const path = join(folder, name);
  if (
    existsSync(path) &&
    statSync(path).size === content.length &&
    readFileSync(path).equals(content)
  )
    return;
  makeFolder(folder);
  const temporary = join(folder, `.${name}.${randomBytes(6).toString("hex")}`);
  const descriptor = openSync(temporary, "wx", 0o640);
  try {
    for (let written = 0; written < content.length;)
      written += writeSync(descriptor, content, written);
    fsyncSync(descriptor);
  } catch (thrown) {
    rmSync(temporary, { force: true });
    throw thrown;
  } finally {
    closeSync(descriptor);
  }
  renameSync(temporary, path);
  syncFolder(folder);
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Makes `import "orchd"` in a bundle mean this very package: `runs/.orchd/node_modules/orchd` is a
 * link to it.
 */
export function linkOwnPackage(bundlesDir: string): void {
  const link = join(dirname(bundlesDir), "node_modules", "orchd");
  const target = packageRoot();
  try {
    if (readlinkSync(link) === target) return;
    unlinkSync(link);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown;
  }
  makeFolder(dirname(link));
  try {
    symlinkSync(target, link, "dir");
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
  }
}

let root: string | undefined;

/** The folder of orchd's own package. */
export function packageRoot(): string {
  if (root !== undefined) return root;
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (
      existsSync(file) &&
      (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === "orchd"
    )
      return (root = folder);
    if (dirname(folder) === folder)
      throw new Error(
        "orchd's own package.json is not to be found above its code: install it again",
      );
  }
}

function sha256(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
