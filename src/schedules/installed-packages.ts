/**
 * Which packages are installed: what decides how a bundle's imports of packages turn out.
 *
 * A lockfile says what is to be installed, so it may say more than is true: between a pull and the
 * install, the old package runs under the new lockfile. So the packages themselves are looked at:
 * those that the bundle imports and all that they depend on, each by its manifest (`package.json`),
 * the file that is imported, and its entry in npm's own record of what it installed, which tells
 * two commits of one version apart. How the packages came there does not matter: npm, pnpm, yarn,
 * a copy. Linked packages outside node_modules are the user's own code, and part of the bundle.
 *
 * Not seen: a change within a package that leaves its manifest and its entry file.
 */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { sha256 } from "../core/sha256.ts";

/** What is installed of the packages that a bundle imports. */
export interface Installed {
  /** By the folder of each package: a hash of what is there. */
  readonly packages: { readonly [folder: string]: string };
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

type Manifest = Readonly<Record<string, unknown>>;

/** Reads npm's record once as long as it looks the same: it may be long. */
const records = new Map<string, { readonly print: string; readonly packages: Manifest }>();
const RECORDS_KEPT = 16;

/**
 * Looks at the packages that these files belong to.
 *
 * @param imported the real paths of the files of packages that a bundle imports
 * @param all whether everything that is installed counts: the bundle also imports by names that
 *   are computed
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
  readonly #entries = new Map<string, string[]>();

  file(path: string): void {
    const folder = packageFolder(path);
    if (folder === undefined) return;
    this.#files.add(path);
    this.#watched.add(join(folder, "package.json"));
    const entries = this.#entries.get(folder) ?? [];
    entries.push(`${path.slice(folder.length)} ${hashOf(path)}`);
    this.#entries.set(folder, entries);
    this.#visit(folder);
  }

  /** The records of every node_modules from the folder up. */
  everything(folder: string): void {
    for (let at = folder; ; at = dirname(at)) {
      const modules = join(at, "node_modules");
      for (const record of RECORDS) {
        const path = join(modules, record);
        this.#files.add(path);
        const hash = hashOf(path);
        if (hash === "") continue;
        this.#watched.add(path);
        this.#packages.set(path, hash.slice(0, HASH_CHARACTERS));
      }
      if (dirname(at) === at) return;
    }
  }

  result(): Installed {
    for (const [folder, entries] of this.#entries)
      this.#packages.set(
        folder,
        sha256(`${this.#packages.get(folder)!} ${entries.sort().join(" ")}`).slice(
          0,
          HASH_CHARACTERS,
        ),
      );
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
      const record = JSON.stringify(this.#recordOf(folder) ?? null);
      this.#packages.set(folder, sha256(`${manifest} ${record}`).slice(0, HASH_CHARACTERS));
      for (const name of dependenciesOf(manifest)) {
        const found = this.#find(folder, name);
        if (found !== undefined) waiting.push(found);
      }
    }
  }

  #manifest(folder: string): string {
    const path = join(folder, "package.json");
    this.#files.add(path);
    try {
      return readFileSync(path, "utf8");
    } catch {
      return "";
    }
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

  /** What npm recorded of a package as it installed it. */
  #recordOf(folder: string): unknown {
    for (
      let at = folder.indexOf(NODE_MODULES);
      at !== -1;
      at = folder.indexOf(NODE_MODULES, at + 1)
    ) {
      const root = folder.slice(0, at);
      for (const name of RECORDS) {
        const record = join(root, "node_modules", name);
        this.#files.add(record);
        if (printOf(record) !== "") this.#watched.add(record);
      }
      const entry = recordIn(join(root, "node_modules", RECORDS[0]))[folder.slice(at + 1)];
      if (entry !== undefined) return entry;
    }
    return undefined;
  }
}

/** The folder of the package that a file in a node_modules belongs to. */
function packageFolder(path: string): string | undefined {
  const at = path.lastIndexOf(NODE_MODULES);
  if (at === -1) return undefined;
  const start = at + NODE_MODULES.length;
  const names = path.slice(start).split("/");
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
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? "" : `${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
}

function hashOf(path: string): string {
  try {
    return sha256(readFileSync(path));
  } catch {
    return "";
  }
}
