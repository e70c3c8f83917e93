/**
 * How a user's modules become one text: what is read, what is left outside, what is put in.
 *
 * Only the user's own modules go into a bundle. Packages stay outside: each import of a package
 * becomes the absolute URL of the file that it resolves to from the importing module, so that a
 * bundle runs wherever it lies. `orchd` itself is imported by its name and found through a link
 * (own-package.ts). `import.meta.url` and its kin name the source file, never the bundle.
 *
 * An import that names a folder and leaves the rest open (`./jobs/${name}.ts`) brings every file
 * that may be meant into the bundle. One whose name is wholly computed is answered when it runs, by
 * the thread (runtime-import.ts), from the source file's place. Only esbuild's parser knows where
 * those are, and it tells; a second build then puts the thread's functions in their places.
 *
 * Every module is read through readSafeFile: code that somebody else may write to is refused like a
 * pipeline file, and the bytes that were checked are the bytes that are bundled.
 */
import { statSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { BuildOptions, Loader, Message, Plugin, PluginBuild } from "esbuild";
import { packageRoot } from "./own-package.ts";
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
  "import.meta.resolve": "__orchd_resolve",
  "require.resolve": "__orchd_require.resolve",
  "require.cache": "__orchd_require.cache",
  __filename: "__orchd_filename",
  __dirname: "__orchd_dirname",
};
/** Messages that are silent by default, and say where a module imports by computed names. */
const LOG = {
  "unsupported-dynamic-import": "warning",
  "unsupported-require-call": "warning",
  "indirect-require": "warning",
} as const;
const WORDS: Readonly<Record<string, RuntimeImport["word"]>> = {
  "unsupported-dynamic-import": "import",
  "unsupported-require-call": "require",
  "indirect-require": "require",
};
/** What a path may end in, where an import leaves that out. */
const ENDINGS = [".tsx", ".ts", ".jsx", ".js", ".json"];
/** A TypeScript module may be imported by the name of the JavaScript that it becomes. */
const WRITTEN_AS: Readonly<Record<string, readonly string[]>> = {
  ".js": [".ts", ".tsx"],
  ".jsx": [".ts", ".tsx"],
  ".mjs": [".mts"],
  ".cjs": [".cts"],
};
/** Where esbuild finds orchd's own package for a `require` of it. */
export const REQUIRED = "orchd-required";
/** A module may be larger than a pipeline file. */
const MAX_MODULE_BYTES = 16 * 1_048_576;
/**
 * Packages that come with orchd and that a project need not install: an orchestrator's config is a
 * zod schema.
 */
const OWN_PACKAGES = new Set(["zod"]);

/** A place in a module where it imports by a name that is known only when it runs. */
export interface RuntimeImport {
  /** Counts from 1. */
  readonly line: number;
  /** Counts bytes, from 0. */
  readonly column: number;
  readonly word: "import" | "require";
}

/** What one build has come across. */
export class BuildFindings {
  readonly entry: string;
  readonly within: string | undefined;
  /**
   * Every file that was read or looked for. After a failure, another try makes sense only once one
   * of them has changed.
   */
  readonly files = new Set<string>();
  /** The files of packages that are imported: real paths. */
  readonly packages = new Set<string>();
  /** The files that imports name. The others that are loaded were found in a folder. */
  readonly named = new Set<string>();
  /** What was put before a module's first line. */
  readonly heads = new Map<string, string>();
  /** Whether some module makes a `require` of its own: what that loads is not in the bundle. */
  makesRequire = false;
  /** By module: where it imports by computed names. A build before this one found them. */
  readonly computed: ReadonlyMap<string, readonly RuntimeImport[]>;

  constructor(
    entry: string,
    within: string | undefined,
    computed: ReadonlyMap<string, readonly RuntimeImport[]> = new Map(),
  ) {
    this.entry = entry;
    this.within = within;
    this.computed = computed;
    this.files.add(entry);
  }
}

/** esbuild's options for one build. */
export function buildOptions(entry: string, options: BundleOptions, findings: BuildFindings) {
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
    // No "module" condition: Node itself ignores it, and packages are loaded by Node.
    conditions: [],
    keepNames: true,
    charset: "utf8",
    legalComments: "none",
    sourcemap: "external",
    sourcesContent: false,
    logLevel: "silent",
    logOverride: LOG,
    define: META,
    plugins: [userCode(findings)],
  } as const satisfies BuildOptions;
}

function userCode(findings: BuildFindings): Plugin {
  return {
    name: "orchd",
    setup(build) {
      build.onResolve({ filter: /^[^./]/ }, (args) =>
        args.kind === "entry-point" || args.pluginData === findings
          ? undefined
          : resolvePackage(build, findings, args),
      );
      build.onResolve({ filter: /^\.{0,2}\// }, (args) => {
        if (args.kind === "entry-point") return undefined;
        const path = resolve(args.resolveDir, args.path);
        findings.named.add(path);
        for (const place of isFile(path) ? [path] : modulePlaces(path)) findings.files.add(place);
        return undefined;
      });
      build.onLoad({ filter: /./, namespace: REQUIRED }, ({ path }) => ({
        contents: ["export", "*", "from", JSON.stringify(path)].join(" "),
      }));
      build.onLoad({ filter: /./, namespace: "file" }, (args) => {
        const loader = LOADERS[extname(args.path)];
        if (loader === undefined)
          return findings.named.has(args.path) ? undefined : { contents: noModule(args.path) };
        findings.files.add(args.path);
        const file = readSafeFile(args.path, {
          within: args.path === findings.entry ? findings.within : undefined,
          maxBytes: MAX_MODULE_BYTES,
        });
        if (!file.ok) return { errors: [{ text: `${args.path} ${file.message}` }] };
        return {
          contents: sourceOf(file.bytes.toString("utf8"), args.path, loader, findings),
          loader,
          resolveDir: dirname(args.path),
        };
      });
    },
  };
}

type ResolveArgs = Parameters<Parameters<PluginBuild["onResolve"]>[1]>[0];

/**
 * Resolves a bare import. A package stays outside the bundle. An alias or a linked workspace that
 * leads to the user's own files goes into it.
 */
async function resolvePackage(
  build: PluginBuild,
  findings: BuildFindings,
  args: ResolveArgs,
): Promise<{ path: string; external?: boolean; namespace?: string } | undefined> {
  const { path, importer, resolveDir, kind } = args;
  // The package is an ES module, which Node 20 does not give to `require`; esbuild does.
  if (kind === "require-call" && /^orchd(?:\/|$)/.test(path)) return { path, namespace: REQUIRED };
  if (
    isBuiltin(path) ||
    path === "orchd" ||
    path.startsWith("orchd/") ||
    /^(node|data|file|https?):/.test(path)
  )
    return { path, external: true };
  const found = await build.resolve(path, { importer, resolveDir, kind, pluginData: findings });
  let file = found.errors.length === 0 ? found.path : undefined;
  if (file === undefined && OWN_PACKAGES.has(path.split("/")[0]!)) {
    const own = await build.resolve(path, {
      resolveDir: packageRoot(),
      kind,
      pluginData: findings,
    });
    if (own.errors.length === 0) file = own.path;
  }
  // esbuild decides: an optional package may be missing, that is one that is required or imported
  // where a failure is caught.
  if (file === undefined) return undefined;
  if (found.external) return { path: found.path, external: true };
  if (!file.includes("/node_modules/")) return { path: file };
  findings.packages.add(file);
  return {
    path: kind === "require-call" || kind === "require-resolve" ? file : pathToFileURL(file).href,
    external: true,
  };
}

/** The files that may answer an import of a path that is no file itself: some may come yet. */
export function modulePlaces(path: string): string[] {
  const ending = extname(path);
  const stem = path.slice(0, path.length - ending.length);
  return [
    path,
    ...(WRITTEN_AS[ending] ?? []).map((own) => stem + own),
    ...ENDINGS.map((own) => path + own),
    ...ENDINGS.map((own) => join(path, `index${own}`)),
  ];
}

function isFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    // What cannot be looked at is no file to esbuild either.
    return false;
  }
}

/** Where an import of a package is answered from: each node_modules from a folder up. */
export function packagePlaces(path: string, folder: string): string[] {
  const places: string[] = [];
  for (let at = folder; ; at = dirname(at)) {
    places.push(join(at, "node_modules", packageName(path)));
    if (dirname(at) === at) return places;
  }
}

/** What to do about a package that was not found; undefined if the message says something else. */
export function adviceOn(message: string): string | undefined {
  const path = /^Could not resolve "([^"./][^"]*)"$/.exec(message)?.[1];
  return path === undefined
    ? undefined
    : `install it with npm install ${packageName(path)}, or begin a path with ./`;
}

function packageName(path: string): string {
  return path
    .split("/")
    .slice(0, path.startsWith("@") ? 2 : 1)
    .join("/");
}

/** Where the modules of a build import by computed names, by the module's path. */
export function runtimeImports(
  warnings: readonly Message[],
  root: string,
  { heads }: BuildFindings,
): Map<string, RuntimeImport[]> {
  const found = new Map<string, RuntimeImport[]>();
  for (const { id, location } of warnings) {
    const word = WORDS[id];
    if (word === undefined || location === null) continue;
    const path = resolve(root, location.file);
    const { line } = location;
    const head = line === 1 ? Buffer.byteLength(heads.get(path) ?? "") : 0;
    const column = location.column - head;
    found.set(path, [...(found.get(path) ?? []), { line, column, word }]);
  }
  return found;
}

/** A file that only lies in a folder that an import names as a whole, and that is no module. */
function noModule(path: string): string {
  const message = `${path} is no module: it cannot be imported`;
  return `throw new Error(${JSON.stringify(message)});`;
}

/**
 * A module's text as it is bundled. What it imports by a computed name is found from the module's
 * own place, as in Node, by what runtime-import.ts provides. The module's own URL and paths stand
 * where the code asks for them. All of that goes on the first line, so that lines keep their
 * numbers.
 */
function sourceOf(source: string, path: string, loader: Loader, findings: BuildFindings): string {
  if (loader === "json" || loader === "text") return source;
  if (/\bcreateRequire\b/.test(source)) findings.makesRequire = true;
  const computed = findings.computed.get(path) ?? [];
  const head = [metaHead(source, path), runtimeHead(source, path, computed)]
    .filter((part) => part !== "")
    .join(" ");
  // The first build must see the same columns as the second one, which puts words before them.
  const plain = head === "" ? source : source.replace(/^\ufeff?(#!)/, "//$1");
  const text = renamed(plain, computed);
  if (head === "") return text;
  findings.heads.set(path, `${head} `);
  return `${head} ${text}`;
}

function metaHead(source: string, path: string): string {
  if (!/import\s*\.\s*meta|__filename|__dirname/.test(source)) return "";
  const values = {
    __orchd_url: pathToFileURL(path).href,
    __orchd_filename: path,
    __orchd_dirname: dirname(path),
  };
  return Object.entries(values)
    .map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`)
    .join(" ");
}

const RUNTIME = 'globalThis[Symbol.for("orchd.runtime")]';

/** What answers imports by computed names: runtime-import.ts puts it into every thread. */
function runtimeHead(source: string, path: string, computed: readonly RuntimeImport[]): string {
  const from = JSON.stringify(path);
  const parts: string[] = [];
  if (computed.some(({ word }) => word === "import"))
    parts.push(`const __orchd_import = (...asked) => ${RUNTIME}.importFrom(${from}, ...asked);`);
  if (/\bimport\s*\.\s*meta\s*\.\s*resolve\b/.test(source))
    parts.push(`const __orchd_resolve = (asked) => ${RUNTIME}.resolveFrom(${from}, asked);`);
  if (
    computed.some(({ word }) => word === "require") ||
    /\brequire\s*\.\s*(?:resolve|cache)\b/.test(source)
  )
    parts.push(`const __orchd_require = ${RUNTIME}?.requireFrom(${from});`);
  return parts.join(" ");
}

/** The text with `import` and `require` in these places named as in {@link runtimeHead}. */
function renamed(text: string, computed: readonly RuntimeImport[]): string {
  if (computed.length === 0) return text;
  const lines = text.split(/(\r\n|[\n\r\u2028\u2029])/);
  // From the end of each line, so that the places before stay where they are.
  for (const { line, column, word } of [...computed].sort((a, b) => b.column - a.column)) {
    const bytes = Buffer.from(lines[(line - 1) * 2] ?? "");
    const before = bytes.subarray(0, column).toString();
    const rest = bytes.subarray(column).toString();
    if (rest.startsWith(word))
      lines[(line - 1) * 2] = `${before}__orchd_${word}${rest.slice(word.length)}`;
  }
  return lines.join("");
}
