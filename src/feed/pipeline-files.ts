/** The files that hold a pipeline's ledger: rotated ones, damaged ones, and the one in use. */
import { fstatSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { readBytes } from "../disk/read-bytes.ts";
import { damagedNamesOf } from "../ledger/damaged-name.ts";
import { rotatedLedgers } from "../ledger/rotated-ledgers.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { fileKey } from "./feed-position.ts";
import { firstCrc, withLedger } from "./find-place.ts";
import { headOf } from "./whole-lines.ts";

const HEAD_BYTES = 256;
/** How often a ledger that is rotated while its files are listed is listed again. */
const TRIES = 8;

/** One file of a pipeline's ledger. */
export interface PipelineFile {
  readonly path: string;
  readonly kind: "rotated" | "damaged" | "current";
  readonly key: number;
  /** The checksum of its first line. */
  readonly first: number;
  /** When its first line was written, ISO 8601. */
  readonly at: string;
}

/**
 * A pipeline's files from the oldest to the one in use, each once: while a ledger is rotated it has
 * two names. A file without a whole first line is left out.
 *
 * A ledger may be rotated between the look at the names and the look at the file in use. It is then
 * in neither, and its lines would be passed over. So the file in use has to be the same one before
 * and after.
 */
export function pipelineFiles(store: RunStore, pipeline: string): PipelineFile[] {
  const current = store.pipelineLedger(pipeline);
  for (let tries = 1; ; tries += 1) {
    const before = inodeOf(current);
    const files = olderFiles(store.pipelineDir(pipeline), pipeline, basename(current));
    const own = fileOf(pipeline, current, "current");
    if (own !== undefined) files.push(own);
    if (inodeOf(current) === before || tries === TRIES)
      return files.filter(
        (file, index) => files.findLastIndex(({ key }) => key === file.key) === index,
      );
  }
}

/** The rotated and damaged files in a folder. @param current the name of the file in use */
function olderFiles(folder: string, pipeline: string, current: string): PipelineFile[] {
  const names = namesIn(folder);
  const files = rotatedLedgers(names)
    .toReversed()
    .flatMap((name) => fileOf(pipeline, join(folder, name), "rotated") ?? []);
  for (const name of damagedNamesOf(current, names).toReversed()) {
    const file = fileOf(pipeline, join(folder, name), "damaged");
    if (file === undefined) continue;
    const after = files.findLastIndex(({ at }) => at <= file.at);
    files.splice(after + 1, 0, file);
  }
  return files;
}

function inodeOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.ino;
  } catch {
    return undefined;
  }
}

function fileOf(
  pipeline: string,
  path: string,
  kind: PipelineFile["kind"],
): PipelineFile | undefined {
  return withLedger(path, (fd) => {
    const first = firstCrc(fd);
    if (first === undefined || fstatSync(fd).size === 0) return undefined;
    const text = readBytes(fd, 0, HEAD_BYTES).toString("utf8");
    const at = headOf(text)?.at ?? "";
    return { path, kind, key: fileKey(pipeline, first), first, at };
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
