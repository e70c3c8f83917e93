/**
 * Makes stacks name the files and lines that a user wrote, not those of a bundle.
 *
 * V8 makes a stack's text only when somebody reads it. That is when the bundle's source map is read
 * too: a step that does not fail pays nothing. A library may replace `Error.prepareStackTrace` with
 * its own; so the text of an error that is recorded is looked through once more.
 */
import { readFileSync, realpathSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { HEADS_MEMBER } from "../core/bundle-text.ts";

/** How many source maps are kept: the code of failing steps. */
const MAPS_KEPT = 16;

interface Places {
  readonly map: SourceMap;
  readonly sources: readonly string[];
  readonly heads: readonly number[];
}

/** Finds places in sources, for the bundles of one folder. */
export class SourcePlaces {
  readonly #folder: string;
  readonly #frame: RegExp;
  readonly #maps = new Map<string, Places | undefined>();

  /** @param folder the folder of bundles, absolute */
  constructor(folder: string) {
    this.#folder = folder;
    // Node names a module by its real path.
    const forms = [folder, realPathOf(folder)].flatMap((path) => [pathToFileURL(path).href, path]);
    const patterns = [...new Set(forms)].map((form) =>
      form.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`),
    );
    this.#frame = new RegExp(
      // A query tells the instances of a bundle apart.
      `(?:${patterns.join("|")})/([0-9a-f]{64})\\.mjs(?:\\?\\d+)?:(\\d+):(\\d+)`,
      "g",
    );
  }

  /** Makes all stacks of this thread name sources. */
  install(): void {
    Error.prepareStackTrace = (error, frames) => {
      const head = headOf(error);
      const stack =
        frames.length === 0 ? head : `${head}\n    at ${frames.map(String).join("\n    at ")}`;
      return this.text(stack);
    };
  }

  /** The text with each place in a bundle replaced by the place in the source. */
  text(text: string): string {
    if (!/\.mjs[:?]/.test(text)) return text;
    return text.replaceAll(
      this.#frame,
      (place, sha: string, line: string, column: string) =>
        this.#place(sha, Number(line), Number(column)) ?? place,
    );
  }

  #place(sha: string, line: number, column: number): string | undefined {
    const places = this.#placesOf(sha);
    const entry = places?.map.findEntry(line - 1, column - 1);
    // Lines that esbuild added have no entry, and get the one before them.
    if (entry === undefined || !("originalSource" in entry) || entry.generatedLine !== line - 1)
      return undefined;
    const { originalSource, originalLine } = entry;
    const head = originalLine === 0 ? places!.heads[places!.sources.indexOf(originalSource)] : 0;
    const at = Math.max(0, entry.originalColumn - (head ?? 0));
    return `${resolve(this.#folder, originalSource)}:${originalLine + 1}:${at + 1}`;
  }

  #placesOf(sha: string): Places | undefined {
    if (this.#maps.has(sha)) return this.#maps.get(sha);
    if (this.#maps.size >= MAPS_KEPT) this.#maps.delete(this.#maps.keys().next().value!);
    const places = readPlaces(join(this.#folder, `${sha}.mjs.map`));
    this.#maps.set(sha, places);
    return places;
  }
}

function readPlaces(path: string): Places | undefined {
  try {
    const payload = JSON.parse(readFileSync(path, "utf8")) as SourceMapPayload & {
      readonly [HEADS_MEMBER]?: readonly number[];
    };
    return {
      map: new SourceMap(payload),
      sources: payload.sources,
      heads: payload[HEADS_MEMBER] ?? [],
    };
  } catch {
    // An older release made none. The error itself is what matters; its place only helps.
    return undefined;
  }
}

function realPathOf(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder;
  }
}

/** What a stack begins with: `RangeError: too big`, as V8 and Node write it. */
function headOf(error: Error): string {
  try {
    // Node's own errors have a text of their own, with their code.
    return Object.hasOwn(error, "toString") ? String(error) : Error.prototype.toString.call(error);
  } catch {
    return "<error>";
  }
}
