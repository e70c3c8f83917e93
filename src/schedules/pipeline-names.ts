/**
 * The names of the pipeline files in the drop folder, as often as they are asked for.
 *
 * Shell steps run in that folder, so a job that writes a dated file each minute leaves hundreds of
 * thousands there. To list them takes half a second: that is done off the event loop. A folder of
 * the usual size is listed at once, which is quicker and tells folders by the way.
 */
import { lstatSync, readdirSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isPipelineFile, isPipelineFileName } from "../core/pipeline-file-name.ts";

/** More entries than these are not listed at once: they take some 10 ms. */
const MOST_AT_ONCE = 5_000;

/** Lists one folder again and again. */
export class PipelineNames {
  readonly #folder: string;
  /** Whether it had very many entries. Of the first look nobody knows. */
  #isCrowded = true;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The names, in no order. @throws a Node error if the folder cannot be read */
  async list(): Promise<string[]> {
    if (!this.#isCrowded) {
      const entries = readdirSync(this.#folder, { withFileTypes: true });
      this.#isCrowded = entries.length > MOST_AT_ONCE;
      return entries.filter(isPipelineFile).map(({ name }) => name);
    }
    const names = await readdir(this.#folder);
    this.#isCrowded = names.length > MOST_AT_ONCE;
    return names.filter((name) => isPipelineFileName(name) && !this.#isFolder(name));
  }

  #isFolder(name: string): boolean {
    try {
      return lstatSync(join(this.#folder, name), { throwIfNoEntry: false })?.isDirectory() === true;
    } catch {
      // Whoever loads it says why it cannot be looked at.
      return false;
    }
  }
}
