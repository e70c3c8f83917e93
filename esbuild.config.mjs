/**
 * Bundles the command line into a folder's bin/, the programs in which steps run into its daemon/,
 * and the page's app into its page/. orchd.js runs the quick program, which answers `orchd
 * status` alone, and is one CommonJS file: every file that Node opens costs time, and its loader of
 * modules 3 ms. commands.mjs and its chunks are for everything else, but for `orchd page`:
 * page-alone.mjs is for that. Code that several need is in each.
 */
import { spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
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
  // The package has its modules as CommonJS for Node, seventy files; these are the same as modules,
  // of which only what is used gets into the bundle.
  alias: { yaml: "./node_modules/yaml/browser/dist/index.js" },
  // These stay packages: native code, separate programs, and packages that load their own files.
  external: [
    "@nats-io/*",
    "@opentelemetry/otlp-transformer",
    "@redis/client",
    "esbuild",
    "fs-native-extensions",
    "pino",
    "pino-pretty",
    "chokidar",
    "prom-client",
    "proper-lockfile",
  ],
};

/** Leaves what orchd.ts imports as it runs alone: other builds make those files. */
const commandsApart = {
  name: "commands-apart",
  setup(bundler) {
    bundler.onResolve({ filter: /^\.\/(?:commands|page-alone)\.ts$/ }, ({ importer, path }) =>
      importer.endsWith("orchd.ts")
        ? { path: path.replace(/ts$/, "mjs"), external: true }
        : undefined,
    );
  },
};

/**
 * Gives @hono/node-server what it names of node:http2 without that module, which takes 10 ms to
 * load: the page speaks HTTP/1.1 alone.
 */
const withoutHttp2 = {
  name: "without-http2",
  setup(bundler) {
    bundler.onResolve({ filter: /^node:http2$/ }, () => ({ path: "http2", namespace: "none" }));
    bundler.onLoad({ filter: /.*/, namespace: "none" }, () => ({
      contents: "export class Http2ServerRequest {}\nexport const constants = {};",
    }));
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
    bundler.onLoad({ filter: /^node:crypto$/, namespace: "late" }, () => ({
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
 * Loads croner with its first call in the quick file, of which it would be a quarter. Few patterns
 * and moments need it (src/views/quick-calculator.ts).
 */
const cronerLate = {
  name: "croner-late",
  setup(bundler) {
    bundler.onResolve({ filter: /^croner$/ }, ({ namespace }) =>
      namespace === "late"
        ? { path: "croner", external: true }
        : { path: "croner", namespace: "late" },
    );
    bundler.onLoad({ filter: /^croner$/, namespace: "late" }, () => ({
      contents: ["Cron", "CronPattern"]
        .map(
          (name) =>
            `export function ${name}(...given) ` +
            `{ return new (require("croner").${name})(...given); }`,
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

/**
 * Makes what string-width (there are several versions) measures texts with as it is first needed:
 * what cuts them into graphemes, and patterns of all emoji. Each command and each daemon made them
 * as it started, which took 20 ms of processor time. Only the help is in columns.
 */
const widthsLate = {
  name: "widths-late",
  setup(bundler) {
    bundler.onLoad({ filter: /\/string-width\/index\.js$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const made = /^const (\w+) = (new Intl\.Segmenter\(\)|\/.*\\p\{.*\/[a-z]+);$/gm;
      const names = [...text.matchAll(made)].map(([, name]) => name);
      if (!names.includes("segmenter")) throw new Error(`${path} cuts texts in another way now`);
      const asked = new RegExp(`\\b(?:${names.join("|")})\\b(?! = )`, "g");
      const late = "const late = (make) => { let made; return () => (made ??= make()); };\n";
      return {
        contents: late + text.replace(asked, "$&()").replace(made, "const $1 = late(() => $2);"),
      };
    });
  },
};

/**
 * Leaves what a program imports as it runs in files of their own: few threads load a definition or
 * run a dynamic pipeline. Program and file each have a copy of the modules that both need, so they
 * share no state of a module, and no class by which `instanceof` could tell.
 */
const importedLate = {
  name: "imported-late",
  setup(bundler) {
    bundler.onResolve({ filter: /^\..*\.ts$/ }, ({ path, resolveDir, kind }) => {
      if (kind !== "dynamic-import") return undefined;
      const program = relative(resolve("daemon"), resolve(resolveDir, path));
      return { path: program.replace(/ts$/, "js"), external: true };
    });
  },
};

/**
 * Writes the quick program as an expression, a function of `require` and `module`, and its bytecode
 * beside it. Both have a name that holds a hash of the text, so they are of one build.
 *
 * @returns its path
 */
async function buildQuick(outdir) {
  const { metafile } = await build({
    ...shared,
    outdir,
    format: "cjs",
    banner: { js: "(function(require,module){" },
    footer: { js: "})" },
    supported: { "dynamic-import": false },
    // Names are a quarter of what V8 has to read.
    minifyIdentifiers: true,
    metafile: true,
    entryPoints: ["daemon/quick.ts"],
    entryNames: "chunks/[name]-[hash]",
    plugins: [cryptoLate, cronerLate, colorsQuiet],
  });
  const [program] = Object.keys(metafile.outputs);
  const { NODE_OPTIONS: _, ...env } = process.env;
  const made = spawnSync(process.execPath, ["code-cache.mjs", resolve(program)], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (made.status !== 0) throw new Error(`${program} did not run: ${made.stdout}`);
  return program;
}

/**
 * Writes FOLDER/bin, and of FOLDER/daemon the runner and its threads as one file each: a thread of
 * 36 files takes 20 ms more of processor time to start.
 */
export async function bundle(folder) {
  const outdir = join(folder, "bin");
  const quick = await buildQuick(outdir);
  await build({
    ...shared,
    outdir,
    format: "cjs",
    entryPoints: ["daemon/orchd.ts"],
    define: { QUICK_PROGRAM: JSON.stringify(relative(outdir, quick)) },
    plugins: [commandsApart],
  });
  // Of this folder alone: the package's modules are ECMAScript modules.
  await writeFile(join(outdir, "package.json"), '{ "type": "commonjs" }\n');
  const modules = {
    ...shared,
    outdir,
    outExtension: { ".js": ".mjs" },
    splitting: true,
    chunkNames: "chunks/[name]-[hash]",
  };
  await build({
    ...modules,
    entryPoints: ["daemon/commands.ts"],
    plugins: [helpLate, widthsLate, withoutHttp2],
  });
  await build({ ...modules, entryPoints: ["daemon/page-alone.ts"], plugins: [withoutHttp2] });
  await build({
    ...shared,
    outdir: join(folder, "daemon"),
    entryPoints: ["daemon/runner.ts", "daemon/worker.ts"],
    plugins: [importedLate],
    // An import as it runs, of a path and options that are known only then.
    logOverride: { "unsupported-dynamic-import": "silent" },
  });
}

const APP = "src/page/app";

/**
 * Writes FOLDER/page: index.html, and in assets/ what it loads, under names that hold a hash of
 * their content. So a browser may keep each of them for ever.
 */
export async function bundlePage(folder) {
  const outdir = join(folder, "page/assets");
  const page = {
    bundle: true,
    platform: "browser",
    format: "esm",
    target: ["es2022", "chrome120", "firefox121", "safari17"],
    minify: true,
    legalComments: "none",
    logLevel: "warning",
    metafile: true,
    outdir,
    entryNames: "[name]-[hash]",
  };
  const { metafile } = await build({
    ...page,
    jsx: "automatic",
    jsxImportSource: "preact",
    splitting: true,
    loader: { ".svg": "copy" },
    entryPoints: [join(APP, "main.tsx"), join(APP, "style.css"), join(APP, "icon.svg")],
    chunkNames: "[name]-[hash]",
  });
  // Without a share in the others' chunks: it asks again for what a browser drops of them.
  const start = await build({
    ...page,
    entryPoints: [join(APP, "start.ts")],
    // The path of main.tsx, which index.html names.
    logOverride: { "unsupported-dynamic-import": "silent" },
  });
  const outputs = { ...metafile.outputs, ...start.metafile.outputs };
  const made = Object.entries(outputs).map(([path, output]) => ({
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
    .replace("START", madeOf("start.ts"))
    .replace("MAIN", main.path)
    .replace("  </head>", [...preloads.map((link) => `    ${link}`), "  </head>"].join("\n"));
  await mkdir(outdir, { recursive: true });
  await writeFile(join(folder, "page/index.html"), html);
}
