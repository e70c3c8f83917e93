/**
 * Bundles that were made before, for as long as every file that went into them looks the same.
 *
 * Many pipelines share modules, and each load asks for a bundle of every module that it names. A
 * remembered bundle is given only if nothing can have changed. The files that were read look as
 * they did. Files that were missing are still missing. No file was written so shortly
 * before the build that a second write could have the same time.
 */
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { YOUNG_MS } from "./file-sight.ts";

const KEPT = 1_024;
/** Files beside the modules that decide how the modules are read. */
const CONFIGS = ["package.json", "tsconfig.json"];

interface Memory<T> {
  readonly prints: ReadonlyMap<string, string>;
  readonly value: T;
}

/** Values that were made from files. */
export class BundleMemory<T> {
  readonly #kept = new Map<string, Memory<T>>();

  /** The value of this key, if all files look as they did then; else undefined. */
  recall(key: string): T | undefined {
    const memory = this.#kept.get(key);
    if (memory === undefined) return undefined;
    this.#kept.delete(key);
    for (const [path, print] of memory.prints)
      if ((printOf(path)?.print ?? "") !== print) return undefined;
    this.#kept.set(key, memory);
    return memory.value;
  }

  /**
   * Remembers a value that was made from these files, unless one of them may have changed since.
   *
   * @param since a time before the first of them was read, in milliseconds since 1970
   */
  remember(key: string, files: readonly string[], root: string, since: number, value: T): void {
    const prints = new Map<string, string>();
    for (const path of withConfigs(files, root)) {
      const seen = printOf(path);
      if (seen !== undefined && seen.changedMs > since - YOUNG_MS) return;
      prints.set(path, seen?.print ?? "");
    }
    if (this.#kept.size >= KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(key, { prints, value });
  }
}

function withConfigs(files: readonly string[], root: string): Set<string> {
  const all = new Set(files);
  const folders = new Set<string>();
  for (const path of files) {
    for (
      let folder = dirname(path);
      !folders.has(folder) && folder.startsWith(root);
      folder = dirname(folder)
    )
      folders.add(folder);
  }
  for (const folder of folders) for (const name of CONFIGS) all.add(join(folder, name));
  return all;
}

function printOf(path: string): { readonly print: string; readonly changedMs: number } | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  return {
    print: `${stats.dev} ${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`,
    changedMs: Number(stats.ctimeNs / 1_000_000n),
  };
}
