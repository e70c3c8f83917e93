/**
 * Bundles the command line into a folder's bin/: orchd.js, which answers `orchd status` alone and
 * is one file, since every file that Node opens costs half a millisecond; and commands.js with its
 * chunks, for everything else. What both need is in both.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
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
  // Native code, programs of their own, and packages that load other files of theirs stay packages.
  external: [
    "esbuild",
    "fs-native-extensions",
    "pino",
    "pino-pretty",
    "chokidar",
    "proper-lockfile",
    "yaml",
  ],
};

/** Leaves the import of commands.ts in orchd.ts as one of the file that the second build makes. */
const commandsApart = {
  name: "commands-apart",
  setup(bundler) {
    bundler.onResolve({ filter: /^\.\/commands\.ts$/ }, ({ importer }) =>
      importer.endsWith("orchd.ts") ? { path: "./commands.js", external: true } : undefined,
    );
  },
};

/**
 * node:crypto takes 4 ms to come up, and only jitter and big snapshots need it: in the quick file
 * it comes in with its first call.
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
            `export const ${name} = (...given) => process.getBuiltinModule("node:crypto").${name}(...given);`,
        )
        .join("\n"),
    }));
  },
};

/**
 * picocolors looks at process.stdout as it loads, which brings that stream up; whether there are
 * colours is terminal.ts's to say.
 */
const colorsQuiet = {
  name: "colors-quiet",
  setup(bundler) {
    bundler.onLoad({ filter: /picocolors\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace("(p.stdout || {}).isTTY", "false"),
    }));
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
    splitting: true,
    chunkNames: "chunks/[name]-[hash]",
  });
}
