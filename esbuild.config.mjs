/**
 * Bundles the command line into a folder's bin/, and the page's app into its page/. orchd.js
 * answers `orchd status` alone, and is one file: every file that Node opens costs half a
 * millisecond. commands.js and its chunks are for everything else. Code that both need is in both.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { build } from "esbuild";

const shared = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: "none",
  logLevel: "warning",
  // These stay packages: native code, separate programs, and packages that load their own files.
  external: [
    "esbuild",
    "fs-native-extensions",
    "pino",
    "pino-pretty",
    "chokidar",
    "prom-client",
    "proper-lockfile",
    "yaml",
  ],
};

/** Leaves the import of commands.ts in orchd.ts alone: the second build makes that file. */
const commandsApart = {
  name: "commands-apart",
  setup(bundler) {
    bundler.onResolve({ filter: /^\.\/commands\.ts$/ }, ({ importer }) =>
      importer.endsWith("orchd.ts") ? { path: "./commands.js", external: true } : undefined,
    );
  },
};

/**
 * Loads node:crypto with its first call in the quick file. It takes 4 ms to load, and only jitter
 * and big snapshots need it.
 */
const cryptoLate = {
  name: "crypto-late",
  setup(bundler) {
    bundler.onResolve({ filter: /^node:crypto$/ }, () => ({
      path: "node:crypto",
      namespace: "late",
    }));
    bundler.onLoad({ filter: /.*/, namespace: "late" }, () => ({
      contents: ["createHash", "randomBytes"]
        .map(
          (name) =>
            `export const ${name} = (...given) => ` +
            `process.getBuiltinModule("node:crypto").${name}(...given);`,
        )
        .join("\n"),
    }));
  },
};

/**
 * Keeps picocolors from looking at process.stdout as it loads, which would open that stream.
 * terminal.ts decides whether there are colours.
 */
const colorsQuiet = {
  name: "colors-quiet",
  setup(bundler) {
    bundler.onLoad({ filter: /picocolors\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace("(p.stdout || {}).isTTY", "false"),
    }));
  },
};

/**
 * Keeps yargs from writing the whole help, in columns, before each command, for a caller that may
 * ask for it later. Nobody does, and it takes 12 ms of every command.
 */
const helpLate = {
  name: "help-late",
  setup(bundler) {
    bundler.onLoad({ filter: /yargs\/build\/lib\/usage\.js$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const contents = text.replace("cachedHelpMessage = this.help();", "");
      if (contents === text) throw new Error(`${path} keeps its help in another way now`);
      return { contents };
    });
  },
};

/** Writes FOLDER/bin. */
export async function bundle(folder) {
  const outdir = join(folder, "bin");
  await build({
    ...shared,
    outdir,
    entryPoints: ["daemon/orchd.ts"],
    plugins: [commandsApart, cryptoLate, colorsQuiet],
  });
  await build({
    ...shared,
    outdir,
    entryPoints: ["daemon/commands.ts"],
    plugins: [helpLate],
    splitting: true,
    chunkNames: "chunks/[name]-[hash]",
  });
}

const APP = "src/page/app";

/**
 * Writes FOLDER/page: index.html, and in assets/ what it loads, under names that hold a hash of
 * their content. So a browser may keep each of them for ever.
 */
export async function bundlePage(folder) {
  const outdir = join(folder, "page/assets");
  const { metafile } = await build({
    bundle: true,
    platform: "browser",
    format: "esm",
    target: ["es2022", "chrome120", "firefox121", "safari17"],
    jsx: "automatic",
    jsxImportSource: "preact",
    minify: true,
    legalComments: "none",
    logLevel: "warning",
    splitting: true,
    metafile: true,
    outdir,
    loader: { ".svg": "copy" },
    entryPoints: [join(APP, "main.tsx"), join(APP, "style.css"), join(APP, "icon.svg")],
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
  });
  const made = Object.entries(metafile.outputs).map(([path, output]) => ({
    path: `assets/${basename(path)}`,
    ...output,
  }));
  const madeOf = (source) =>
    made.find(({ path, entryPoint }) =>
      source.endsWith(".svg") ? path.endsWith(".svg") : entryPoint === join(APP, source),
    ).path;
  const main = made.find(({ entryPoint }) => entryPoint === join(APP, "main.tsx"));
  // What main.tsx imports is fetched at once with it, not after it.
  const preloads = main.imports
    .filter(({ kind }) => kind === "import-statement")
    .map(({ path }) => `<link rel="modulepreload" href="assets/${basename(path)}" />`);
  const html = (await readFile(join(APP, "index.html"), "utf8"))
    .replace("ICON", madeOf("icon.svg"))
    .replace("STYLE", madeOf("style.css"))
    .replace("MAIN", main.path)
    .replace("  </head>", [...preloads.map((link) => `    ${link}`), "  </head>"].join("\n"));
  await mkdir(outdir, { recursive: true });
  await writeFile(join(folder, "page/index.html"), html);
}
