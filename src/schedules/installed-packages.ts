/**
 * Which packages are installed: what decides how a bundle's imports of packages turn out.
 *
 * A lockfile says what is to be installed, so it may say more than is true: between a pull and the
 * install, the old package runs under the new lockfile. So the packages themselves are looked at:
 * those that the bundle imports and all that they depend on, each by its manifest (`package.json`),
 * the file that is imported, and its entry in npm's own record of what it installed, which tells
 * two commits of one version apart. How the packages came there does not matter: npm, pnpm, yarn, a
 * copy. Linked packages outside node_modules are the user's own code, and part of the bundle.
 *
 * Not seen: a change within a package that leaves its manifest and its entry file.
 */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { packagesIn, type PackagePrints } from "../core/bundle-text.ts";
import { lastLineOf } from "../disk/last-line.ts";
import { bundlePath } from "./bundle-store.ts";
import { sha256 } from "./sha256.ts";

/** What is installed of the packages that a bundle imports. */
export interface Installed {
  readonly packages: PackagePrints;
  /** Files that a package manager writes as it installs, and the imported packages' manifests. */
  readonly watched: readonly string[];
  /** Every file that was read or looked for. */
  readonly files: readonly string[];
}

const NODE_MODULES = "/node_modules/";
/** What package managers write into node_modules at the end of an install. */
const RECORDS = [
  ".package-lock.json",
  ".modules.yaml",
  ".yarn-integrity",
  ".yarn-state.yml",
] as const;
const HASH_CHARACTERS = 16;
/** How long an answer of {@link installedCheck} holds: steps may start by the thousand. */
const ANSWER_HOLDS_MS = 100;
const ANSWERS_KEPT = 1_024;
const PRINTS_KEPT = 16_384;

type Manifest = Readonly<Record<string, unknown>>;

/** Reads npm's record once as long as it looks the same: it may be long. */
const records = new Map<string, { readonly print: string; readonly packages: Manifest }>();
const RECORDS_KEPT = 16;

/**
 * Looks at the packages that these files belong to.
 *
 * @param imported the real paths of the files of packages that a bundle imports
 * @param all whether everything that is installed counts: the bundle also imports by names that are
 *   computed
 * @param folder where to look for node_modules then
 */
export function installedPackages(
  imported: Iterable<string>,
  all: boolean,
  folder: string,
): Installed {
  const look = new Look();
  for (const file of imported) look.file(file);
  if (all) look.everything(folder);
  return look.result();
}

class Look {
  readonly #packages = new Map<string, string>();
  readonly #watched = new Set<string>();
  readonly #files = new Set<string>();

  file(path: string): void {
    const folder = packageFolder(path);
    if (folder === undefined) return;
    this.#files.add(path);
    this.#watched.add(join(folder, "package.json"));
    this.#packages.set(path, filePrint(path));
    this.#visit(folder);
  }

  /** The records of every node_modules from the folder up. */
  everything(folder: string): void {
    for (let at = folder; ; at = dirname(at)) {
      const modules = join(at, "node_modules");
      for (const record of RECORDS) {
        const path = join(modules, record);
        this.#files.add(path);
        if (printOf(path) === "") continue;
        this.#watched.add(path);
        this.#packages.set(path, filePrint(path));
      }
      if (dirname(at) === at) return;
    }
  }

  result(): Installed {
    return {
      packages: Object.fromEntries([...this.#packages].sort(([a], [b]) => (a < b ? -1 : 1))),
      watched: [...this.#watched],
      files: [...this.#files, ...this.#watched],
    };
  }

  #visit(from: string): void {
    const waiting = [from];
    for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
      if (this.#packages.has(folder)) continue;
      const manifest = this.#manifest(folder);
      this.#look(folder);
      this.#packages.set(folder, folderPrint(folder, manifest));
      for (const name of dependenciesOf(manifest)) {
        const found = this.#find(folder, name);
        if (found !== undefined) waiting.push(found);
      }
    }
  }

  #manifest(folder: string): string {
    this.#files.add(join(folder, "package.json"));
    return manifestOf(folder);
  }

  /** The real folder of a package as Node finds it from another one. */
  #find(from: string, name: string): string | undefined {
    for (let at = from; ; at = dirname(at)) {
      const folder = at.endsWith("/node_modules") ? join(at, name) : join(at, "node_modules", name);
      const manifest = join(folder, "package.json");
      this.#files.add(manifest);
      try {
        return dirname(realpathSync(manifest));
      } catch {
        // Not here: it is looked for one folder up, and may not be installed at all.
      }
      if (dirname(at) === at) return undefined;
    }
  }

  /** Notes the records of an install that may tell of a package. */
  #look(folder: string): void {
    for (const root of rootsOf(folder))
      for (const name of RECORDS) {
        const record = join(root, "node_modules", name);
        this.#files.add(record);
        if (printOf(record) !== "") this.#watched.add(record);
      }
  }
}

/**
 * Makes a check of whether what is installed is still what it was when a bundle was made. An answer
 * holds for a moment, and a file that looks the same is not read again, since a package may need a
 * thousand others.
 *
 * @param bundlesDir the folder of bundles
 */
export function installedCheck(bundlesDir: string): (bundle: string) => boolean {
  const answers = new Map<string, Answer>();
  const seen = new Map<string, { readonly look: string; readonly print: string }>();
  const printAt = (path: string): string => {
    const isFolder = packageFolder(path) === path;
    const look = isFolder
      ? `${printOf(join(path, "package.json"))} ${rootsOf(path)
          .map((root) => printOf(join(root, "node_modules", RECORDS[0])))
          .join(" ")}`
      : printOf(path);
    const known = seen.get(path);
    if (known?.look === look) return known.print;
    const print = isFolder ? folderPrint(path, manifestOf(path)) : filePrint(path);
    if (seen.size >= PRINTS_KEPT) seen.delete(seen.keys().next().value!);
    seen.set(path, { look, print });
    return print;
  };
  return (bundle) => {
    const now = performance.now();
    const known = answers.get(bundle);
    if (known !== undefined && now - known.at < ANSWER_HOLDS_MS) return known.isCurrent;
    const packages = known?.packages ?? packagesOf(bundlePath(bundlesDir, bundle));
    const isCurrent = packages.every(([path, print]) => printAt(path) === print);
    answers.delete(bundle);
    if (answers.size >= ANSWERS_KEPT) answers.delete(answers.keys().next().value!);
    answers.set(bundle, { at: now, isCurrent, packages });
    return isCurrent;
  };
}

interface Answer {
  /** Milliseconds of monotonic time. */
  readonly at: number;
  readonly isCurrent: boolean;
  readonly packages: readonly (readonly [path: string, print: string])[];
}

function packagesOf(bundle: string): [path: string, print: string][] {
  try {
    return Object.entries(packagesIn(lastLineOf(bundle)));
  } catch {
    // The bundle is gone: the step will say so.
    return [];
  }
}

function folderPrint(folder: string, manifest: string): string {
  const record = JSON.stringify(recordOf(folder) ?? null);
  return sha256(`${manifest} ${record}`).slice(0, HASH_CHARACTERS);
}

function filePrint(path: string): string {
  try {
    return sha256(readFileSync(path)).slice(0, HASH_CHARACTERS);
  } catch {
    return "";
  }
}

function manifestOf(folder: string): string {
  try {
    return readFileSync(join(folder, "package.json"), "utf8");
  } catch {
    return "";
  }
}

/** The folders above a package that have a node_modules, outermost first. */
function rootsOf(folder: string): string[] {
  const roots: string[] = [];
  for (let at = folder.indexOf(NODE_MODULES); at !== -1; at = folder.indexOf(NODE_MODULES, at + 1))
    roots.push(folder.slice(0, at));
  return roots;
}

/** What npm recorded of a package as it installed it. */
function recordOf(folder: string): unknown {
  for (const root of rootsOf(folder)) {
    const entry = recordIn(join(root, "node_modules", RECORDS[0]))[folder.slice(root.length + 1)];
    if (entry !== undefined) return entry;
  }
  return undefined;
}

/** The folder of the package that a file in a node_modules belongs to. */
function packageFolder(path: string): string | undefined {
  const at = path.lastIndexOf(NODE_MODULES);
  if (at === -1) return undefined;
  const start = at + NODE_MODULES.length;
  const names = path.slice(start).split("/");
  // A package manager's own file or folder.
  if (names[0]!.startsWith(".")) return undefined;
  return path.slice(0, start) + names.slice(0, names[0]!.startsWith("@") ? 2 : 1).join("/");
}

function dependenciesOf(manifest: string): string[] {
  try {
    const parsed = JSON.parse(manifest) as Manifest;
    return ["dependencies", "optionalDependencies", "peerDependencies"].flatMap((key) =>
      Object.keys((parsed[key] as object | null | undefined) ?? {}),
    );
  } catch {
    return [];
  }
}

function recordIn(path: string): Manifest {
  const print = printOf(path);
  if (print === "") return {};
  const known = records.get(path);
  if (known?.print === print) return known.packages;
  let packages: Manifest = {};
  try {
    packages = ((JSON.parse(readFileSync(path, "utf8")) as Manifest)["packages"] ?? {}) as Manifest;
  } catch {
    // It is being written: the packages' own manifests remain.
  }
  if (records.size >= RECORDS_KEPT) records.delete(records.keys().next().value!);
  records.set(path, { print, packages });
  return packages;
}

function printOf(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    return "";
  }
}
