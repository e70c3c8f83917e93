/** Removes the artifacts and the step code that nothing refers to any more. */
import { renameSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { STAGED_PREFIX } from "../core/task.ts";
import { DAY_MS } from "../core/time.ts";
import { namesIn } from "../disk/names-in.ts";
import { removeFileOffThread } from "../disk/remove-file.ts";
import { addReferences, noReferences, type ReferencesOfRuns } from "./references.ts";
import type { RunStore } from "./run-store.ts";

/**
 * How long an artifact is young, and stays. It is far longer than writing all outputs of a step
 * takes. An hour would be too long: everything written in it would escape a limit in bytes.
 */
const YOUNG_MS = 600_000;
const SHA_NAME = /^([0-9a-f]{64})(?:\.mjs(?:\.map)?)?$/;

/** How to {@link sweep}. */
export interface SweepOptions {
  readonly nowMs: number;
  /** Only say what would be removed. */
  readonly dryRun?: boolean | undefined;
  /** The step code of the pipelines in force, by sha256. If undefined, no step code is removed. */
  readonly bundlesInUse?: ReadonlySet<string> | undefined;
  /** Lines wait for room on the disk: an artifact may have waited a long time for its line. */
  readonly linesWait?: boolean | undefined;
}

/**
 * Removes artifacts and step code that no ledger refers to once the runs in `going` are removed.
 * Young ones stay. The line that refers to an artifact may be about to be written, which takes long
 * only if the disk is full. And the pipeline file of the step code may be about to be loaded.
 *
 * @param known what runs refer to whose ledgers need not be read
 * @param giveWay called after each file
 * @returns how many files were removed, or would be, and how many bytes they had
 */
export async function sweep(
  store: RunStore,
  { nowMs, dryRun, bundlesInUse, linesWait }: SweepOptions,
  going: ReadonlyMap<string, string>,
  known: ReferencesOfRuns,
  giveWay: () => Promise<void>,
): Promise<{ readonly files: number; readonly bytes: number }> {
  const old = oldFiles(store.artifacts, nowMs, linesWait === true ? DAY_MS : YOUNG_MS);
  if (bundlesInUse !== undefined)
    for (const bundle of oldFiles(store.bundles, nowMs, DAY_MS))
      if (!bundlesInUse.has(bundle.sha)) old.push(bundle);
  const swept = { files: 0, bytes: 0 };
  if (old.length === 0) return swept;
  const used = noReferences();
  for (const run of runsOf(store)) {
    if (going.has(run)) continue;
    const found = known.get(run);
    if (found === undefined) addReferences(store.runLedger(run), used);
    else
      for (const set of ["shas", "fields"] as const)
        for (const sha of found[set]) used[set].add(sha);
    await giveWay();
  }
  // A spilled snapshot refers to bundles, spilled outputs refer to artifacts. The loop visits the
  // fields that it finds on the way, too.
  for (const sha of used.fields) {
    addReferences(join(store.artifacts, sha), used);
    await giveWay();
  }
  for (const { path, sha, minAge } of old) {
    const file = statSync(path, { throwIfNoEntry: false });
    // A cache hit may have made it young meanwhile, with a line that was not read.
    if (used.shas.has(sha) || file === undefined || nowMs - file.mtimeMs <= minAge) continue;
    if (dryRun !== true) await removeFileOffThread(withoutName(path));
    swept.files += 1;
    swept.bytes += file.size;
    await giveWay();
  }
  return swept;
}

/**
 * Takes a file's name away, at once. Removing the file is under way for a while, beside other work.
 * Who needs the same content meanwhile writes it again: nobody counts on a file that goes.
 */
function withoutName(path: string): string {
  const aside = join(dirname(path), `.${basename(path)}.going`);
  renameSync(path, aside);
  return aside;
}

/** All runs, a pipeline's oldest first. The names of one month at a time are in memory. */
function* runsOf(store: RunStore): Generator<string> {
  for (const pipeline of store.pipelines())
    for (const month of store.months(pipeline)) yield* store.listMonth(pipeline, month);
}

interface OldFile {
  readonly path: string;
  readonly sha: string;
  readonly minAge: number;
}

function oldFiles(directory: string, nowMs: number, minAge: number): OldFile[] {
  return namesIn(directory).flatMap((name) => {
    const path = join(directory, name);
    // A crash leaves dot-names behind. What a runner staged waits for its line as long as it takes.
    const isLeft = name.startsWith(".") && !name.startsWith(STAGED_PREFIX);
    const sha = isLeft ? name : SHA_NAME.exec(name)?.[1];
    const file = sha === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
    const age = isLeft ? DAY_MS : minAge;
    if (sha === undefined || file?.isFile() !== true || nowMs - file.mtimeMs <= age) return [];
    return [{ path, sha, minAge: age }];
  });
}
