/**
 * Which packages a bundle was made with: its last line says so (core/bundle-text.ts).
 *
 * A thread that has loaded a package keeps it, whatever is installed later. So a bundle that was
 * made with another version must not run in it: it would run with the old one.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { packagesIn, type PackagePrints } from "../../core/bundle-text.ts";

/** How much of a bundle's end is read at first, in bytes: the line is rarely longer. */
const TAIL_BYTES = 65_536;
const KEPT = 1_024;
const NONE: PackagePrints = {};

/** Reads the packages of bundles, each bundle once. */
export class BundlePackages {
  readonly #folder: string;
  readonly #known = new Map<string, PackagePrints>();

  /** @param folder the folder of bundles */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The packages of a bundle; none if it cannot be read: loading it will say why. */
  of(bundle: string): PackagePrints {
    const known = this.#known.get(bundle);
    if (known !== undefined) return known;
    if (this.#known.size >= KEPT) this.#known.delete(this.#known.keys().next().value!);
    const packages = readPackages(join(this.#folder, `${bundle}.mjs`));
    this.#known.set(bundle, packages);
    return packages;
  }
}

function readPackages(path: string): PackagePrints {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, "r");
    const { size } = fstatSync(descriptor);
    for (let length = Math.min(size, TAIL_BYTES); ; length = Math.min(size, length * 8)) {
      const tail = Buffer.alloc(length);
      readSync(descriptor, tail, 0, length, size - length);
      const found = packagesIn(tail.toString("utf8"));
      if (found !== undefined) return found;
      if (length === size) return NONE;
    }
  } catch {
    return NONE;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** The packages that threads have loaded, and whether a bundle goes with them. */
export class LoadedPackages {
  readonly #prints = new Map<string, string>();

  /** Whether none of these packages was loaded in another version. */
  suit(packages: PackagePrints): boolean {
    for (const folder in packages) {
      const loaded = this.#prints.get(folder);
      if (loaded !== undefined && loaded !== packages[folder]) return false;
    }
    return true;
  }

  add(packages: PackagePrints): void {
    for (const folder in packages) this.#prints.set(folder, packages[folder]!);
  }
}
