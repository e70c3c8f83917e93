/**
 * The files of large results that come from a far runner, on their way into the folder of
 * artifacts. A file is taken only if its sha256 and its length are what the result says.
 */
import { createHash, randomBytes, type Hash } from "node:crypto";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { RESULT_LIMIT, STAGED_PREFIX, type StagedFile, type StagedValue } from "../../core/task.ts";
import { makeFolder } from "../../disk/make-folder.ts";
import type { FromFar } from "./wire.ts";

/** The most files of one result. */
const MOST_FILES = 1_024;

interface Receiving {
  readonly path: string;
  readonly descriptor: number;
  readonly hash: Hash;
  bytes: number;
  digest?: string;
}

/** What came of one task. */
interface OfTask {
  readonly files: Receiving[];
  /** Why a file could not be written. */
  fault?: string;
}

/** Takes files from one runner. */
export class ReceivedFiles {
  readonly #tasks = new Map<string, OfTask>();

  /**
   * Takes a piece.
   *
   * @param folder the task's artifacts
   * @returns what is wrong with what the runner sends; undefined: nothing
   */
  take(
    { id, file, data, last }: Extract<FromFar, { type: "piece" }>,
    folder: string,
  ): string | undefined {
    let task = this.#tasks.get(id);
    if (task === undefined) this.#tasks.set(id, (task = { files: [] }));
    if (task.fault !== undefined) return undefined;
    const isNew = file === task.files.length;
    if ((!isNew && file !== task.files.length - 1) || file >= MOST_FILES)
      return "sent the files of a result in no order";
    try {
      if (isNew) task.files.push(begin(folder));
      const receiving = task.files[file]!;
      if (receiving.digest !== undefined) return "sent more of a file that had ended";
      const bytes = Buffer.from(data, "base64");
      receiving.bytes += bytes.length;
      if (receiving.bytes > RESULT_LIMIT) return "sent a result that is longer than 32 MiB";
      for (let written = 0; written < bytes.length;)
        written += writeSync(receiving.descriptor, bytes, written);
      receiving.hash.update(bytes);
      if (last) {
        closeSync(receiving.descriptor);
        receiving.digest = receiving.hash.digest("hex");
      }
    } catch (error) {
      this.drop(id);
      this.#tasks.set(id, { files: [], fault: (error as Error).message });
    }
    return undefined;
  }

  /** The result with files of this machine. @throws Error, in a sentence, if they are not right */
  adopt(id: string, { value, files }: StagedValue): StagedValue {
    const { files: received, fault } = this.#tasks.get(id) ?? { files: [] };
    const mine: StagedFile[] = [];
    const wrong =
      fault === undefined
        ? files.some(({ ref }, index) => {
            const { digest, bytes, path } = received[index] ?? {};
            if (digest !== ref.$artifact || bytes !== ref.bytes) return true;
            mine.push({ ref, file: path! });
            return false;
          }) || received.length !== files.length
        : true;
    if (wrong) {
      this.drop(id);
      throw new Error(
        fault === undefined
          ? "its result did not arrive whole: run the step again"
          : `its result could not be written here: ${fault}`,
      );
    }
    this.#tasks.delete(id);
    return { value, files: mine };
  }

  /** Removes what came of a task whose result is not taken. */
  drop(id: string): void {
    const task = this.#tasks.get(id);
    if (task === undefined) return;
    this.#tasks.delete(id);
    for (const { path, descriptor, digest } of task.files) {
      if (digest === undefined) closeSync(descriptor);
      rmSync(path, { force: true });
    }
  }

  /** The runner is gone. */
  end(): void {
    for (const id of this.#tasks.keys()) this.drop(id);
  }
}

function begin(folder: string): Receiving {
  makeFolder(folder, 0o750);
  const path = join(folder, `${STAGED_PREFIX}${randomBytes(8).toString("hex")}`);
  const descriptor = openSync(path, "wx", 0o640);
  return { path, descriptor, hash: createHash("sha256"), bytes: 0 };
}
