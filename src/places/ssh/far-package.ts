/**
 * What another machine needs to run steps: the built runner, what `import "orchd"` in a step loads,
 * and zod. It has no native code, so any platform can take it.
 *
 * Its id has a hash of its files. So a folder of this name holds these bytes and no others, and a
 * daemon of another build never runs in it.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { builtProgram } from "../../disk/built-program.ts";

/** One file of it. */
export interface FarFile {
  /** Below the package's folder there, with `/`. */
  readonly path: string;
  readonly bytes: Buffer;
  /** In hex. */
  readonly sha256: string;
}

/** All of it. */
export interface FarPackage {
  /** The name of its folder there: `0.1.0-3f2a…`. */
  readonly id: string;
  readonly version: string;
  readonly files: readonly FarFile[];
}

/** Where the programs are, below the package's folder. */
export const FAR_PROGRAMS = "node_modules/orchd/dist/daemon";
/** The programs that run there. */
const PROGRAMS = ["far-host", "runner", "worker"];
/** What of dist/src they load, and what `import "orchd"` loads. */
const SOURCES = [
  "index.js",
  "clock.js",
  "log.js",
  "version.js",
  "program/open-root.js",
  "schedules/own-package.js",
];
const FOLDERS = ["core", "disk", "steps", "orchestrators", "places"];

let known: FarPackage | undefined;

/**
 * Reads the package of this build, once: what a daemon runs does not change under it.
 *
 * @throws Error if the package was not built
 */
export function farPackage(): FarPackage {
  return (known ??= readFarPackage());
}

function readFarPackage(): FarPackage {
  const daemon = dirname(builtProgram("runner"));
  const root = dirname(dirname(daemon));
  const source = join(root, "dist", "src");
  const zod = dirname(createRequire(join(root, "package.json")).resolve("zod/package.json"));
  const manifest = readFileSync(join(root, "package.json"), "utf8");
  const files = [
    farFile("node_modules/orchd/package.json", Buffer.from(manifest)),
    ...PROGRAMS.map((name) => readInto(FAR_PROGRAMS, daemon, `${name}.js`)),
    ...SOURCES.map((name) => readInto("node_modules/orchd/dist/src", source, name)),
    ...FOLDERS.flatMap((folder) =>
      scripts(join(source, folder)).map((name) =>
        readInto(`node_modules/orchd/dist/src/${folder}`, join(source, folder), name),
      ),
    ),
    ...scripts(zod).map((name) => readInto("node_modules/zod", zod, name)),
  ].sort((one, other) => (one.path < other.path ? -1 : 1));
  const hash = createHash("sha256");
  for (const { path, sha256 } of files) hash.update(`${path} ${sha256}\n`);
  const { version } = JSON.parse(manifest) as { readonly version: string };
  return { id: `${version}-${hash.digest("hex").slice(0, 16)}`, version, files };
}

/** The modules below a folder, and what says how they are loaded. */
function scripts(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.js$|^package\.json$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

function readInto(to: string, folder: string, name: string): FarFile {
  return farFile(`${to}/${name.split(sep).join("/")}`, readFileSync(join(folder, name)));
}

function farFile(path: string, bytes: Buffer): FarFile {
  return { path, bytes, sha256: createHash("sha256").update(bytes).digest("hex") };
}
