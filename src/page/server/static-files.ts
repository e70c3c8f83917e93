/**
 * The app's files, from the folder that the build made. Every address of the app is one page: its
 * script reads the address.
 *
 * Files are read as they are asked for, so a build takes effect at once. A text is compressed once
 * for each version of its file.
 */
import { readFileSync, statSync, type Stats } from "node:fs";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { refusal } from "./problem.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".txt": "text/plain; charset=utf-8",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
};
const COMPRESSED = new Set([".html", ".js", ".css", ".svg", ".json", ".webmanifest", ".txt"]);
/** Below this many bytes compressing gains nothing. */
const LEAST_COMPRESSED = 1_024;
/** One name of a path: no dot first, so nothing leads up or to a hidden file. */
const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
/** esbuild puts a hash of the content into the name. */
const HASHED = /-[A-Z0-9]{8}\.[a-z]+$/;
/** The most files that are kept compressed. */
const MOST_KEPT = 100;

/** A file to send. */
export interface StaticFile {
  readonly bytes: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

interface Kept {
  readonly etag: string;
  readonly bytes: Buffer;
}

/** The files of one folder. */
export class StaticFiles {
  readonly #folder: string;
  readonly #base: string;
  readonly #compressed = new Map<string, Kept>();

  /** @param base the path below which the page is served; empty: at the top */
  constructor(folder: string, base: string) {
    this.#folder = folder;
    this.#base = base;
  }

  /**
   * The file for a path; the app's page where the path is an address of the app.
   *
   * @throws Refusal where there is none
   */
  find(path: string, gzip: boolean): StaticFile {
    const names = path.split("/").filter((name) => name !== "");
    const extension = extname(path);
    const isFile =
      names.length > 0 && extension in TYPES && names.every((name) => SEGMENT.test(name));
    const found = isFile ? this.#read(names.join("/"), gzip) : undefined;
    if (found !== undefined) return found;
    if (isFile) throw refusal(404, `the page has no file ${path}.`);
    const page = this.#read("index.html", gzip);
    if (page !== undefined) return page;
    throw refusal(404, "the page's files are not there; `npm run build` makes them.");
  }

  #read(name: string, gzip: boolean): StaticFile | undefined {
    const path = join(this.#folder, name);
    const stats = lookAt(path);
    if (stats?.isFile() !== true) return undefined;
    const extension = extname(name);
    const isCompressed = gzip && COMPRESSED.has(extension) && stats.size >= LEAST_COMPRESSED;
    const version = `${stats.mtimeMs.toString(36)}-${stats.size.toString(36)}`;
    const etag = `"${version}${isCompressed ? "-gz" : ""}"`;
    const headers = {
      "content-type": TYPES[extension]!,
      etag,
      vary: "accept-encoding",
      "cache-control": HASHED.test(name) ? "public, max-age=31536000, immutable" : "no-cache",
      ...(isCompressed ? { "content-encoding": "gzip" } : {}),
    };
    if (!isCompressed) return { bytes: this.#bytes(path, name), headers };
    const kept = this.#compressed.get(name);
    if (kept?.etag === etag) return { bytes: kept.bytes, headers };
    const bytes = gzipSync(this.#bytes(path, name), { level: 9 });
    if (this.#compressed.size >= MOST_KEPT) this.#compressed.clear();
    this.#compressed.set(name, { etag, bytes });
    return { bytes, headers };
  }

  /** A file's bytes; the app's page learns below which path it is served. */
  #bytes(path: string, name: string): Buffer {
    const bytes = readFileSync(path);
    if (name !== "index.html") return bytes;
    return Buffer.from(
      bytes.toString("utf8").replace(/<base href="[^"]*"/, `<base href="${this.#base}/"`),
    );
  }
}

/** What is there; undefined: nothing, also where the path leads through a file. */
function lookAt(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
