/**
 * How a user's modules become one text: what is read, what is left outside, what is put in.
 *
 * Only the user's own modules go into a bundle. Packages stay outside: each import of a package
 * becomes the absolute URL of the file that it resolves to from the importing module, so that a
 * bundle runs wherever it lies. `orchd` itself is imported by its name and found through a link
 * (own-package.ts). `import.meta.url` and its kin name the source file, never the bundle.
 *
 * Every module is read through readSafeFile: code that somebody else may write to is refused like a
 * pipeline file, and the bytes that were checked are the bytes that are bundled.
 */
import { existsSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { BuildOptions, Loader, Plugin, PluginBuild } from "esbuild";
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
  __filename: "__orchd_filename",
  __dirname: "__orchd_dirname",
};
const SOURCE_ENDINGS = ["", ".ts", ".mts", ".js", ".mjs", ".json", "/index.ts", "/index.js"];
/** A module may be larger than a pipeline file. */
const MAX_MODULE_BYTES = 16 * 1_048_576;
/**
 * Packages that come with orchd and that a project need not install: an orchestrator's config is a
 * zod schema.
 */
const OWN_PACKAGES = new Set(["zod"]);

/** What one build has come across. */
export class BuildFindings {
  readonly entry: string;
  readonly within: string | undefined;
  /**
   * Every file that was read or looked for. After a failure, another try makes sense only once one
   * of them has changed.
   */
  readonly files = new Set<string>();
  /** Whether a package is imported. */
  packages = false;

  constructor(entry: string, within: string | undefined) {
    this.entry = entry;
    this.within = within;
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
    logLevel: "silent",
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
        if (existsSync(path)) findings.files.add(path);
        else for (const ending of SOURCE_ENDINGS) findings.files.add(path + ending);
        return undefined;
      });
      build.onLoad({ filter: /./, namespace: "file" }, (args) => {
        const loader = LOADERS[extname(args.path)];
        if (loader === undefined) return undefined;
        findings.files.add(args.path);
        const file = readSafeFile(args.path, {
          within: args.path === findings.entry ? findings.within : undefined,
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
 * Resolves a bare import. A package stays outside the bundle. An alias or a linked workspace that
 * leads to the user's own files goes into it.
 */
async function resolvePackage(
  build: PluginBuild,
  findings: BuildFindings,
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
  if (file === undefined) {
    const text =
      `Could not resolve ${JSON.stringify(path)}: install it with ` +
      `npm install ${packageName(path)}, or begin a path with ./`;
    return { path, errors: [{ text }] };
  }
  if (found.external) return { path: found.path, external: true };
  if (!file.includes("/node_modules/")) return { path: file };
  findings.packages = true;
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
 * Puts the source file's own URL and paths where the code asks for them. They go on the first line,
 * so that all lines keep their numbers.
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
