/**
 * A large result on its way to the ledger. The place where the step ran writes its long values into
 * files beside the artifacts, and only their names travel to the daemon, which makes the files
 * durable and names them (semantics.md 18). The daemon parses, hashes and writes none of it.
 *
 * A file is named by its content only once it is durable: until then its name begins with a dot,
 * and the next daemon removes it. Where it cannot be written the result travels as text.
 */
import { hash, randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isArtifactRef, type ArtifactRef } from "../core/artifact-ref.ts";
import type { Json } from "../core/snapshot.ts";
import { STAGED_PREFIX, type StagedFile, type StagedValue } from "../core/task.ts";

/** If a value's JSON text is longer than this, in bytes, it gets a file: 64 KiB. */
const LONG_BYTES = 65_536;

/**
 * Writes the long parts of a result into files.
 *
 * @param json the result
 * @param outputs the declared outputs of a step, whose result is an object of exactly these;
 *   undefined: the result has one part
 * @returns undefined where the result is short, or where the files cannot be written
 */
export function stageResult(
  json: string,
  outputs: readonly string[] | undefined,
  folder: string,
): StagedValue | undefined {
  if (!isLong(json)) return undefined;
  const staged = new Staging(folder);
  try {
    if (outputs === undefined) return { value: { ...staged.text(json) }, files: staged.files };
    const members = JSON.parse(json) as { readonly [name: string]: Json };
    const short = Object.fromEntries(outputs.map((name) => [name, staged.long(members[name]!)]));
    return { value: staged.long(short), files: staged.files };
  } catch {
    removeStaged(staged.files);
    return undefined;
  }
}

/** Removes the files of a result that nobody takes. */
export function removeStaged(files: readonly StagedFile[]): void {
  for (const { file } of files) rmSync(file, { force: true });
}

function isLong(text: string): boolean {
  // A character takes at most three bytes: short texts need no counting.
  return text.length * 3 > LONG_BYTES && Buffer.byteLength(text) > LONG_BYTES;
}

class Staging {
  readonly files: StagedFile[] = [];
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The value, or its reference if it is long or could be taken for a reference. */
  long(value: Json): Json {
    const text = JSON.stringify(value);
    return isLong(text) || isArtifactRef(value) ? { ...this.text(text) } : value;
  }

  /** Writes a text. @throws a Node error */
  text(text: string): ArtifactRef {
    const bytes = Buffer.from(text);
    const ref = { $artifact: hash("sha256", bytes), bytes: bytes.length };
    const file = join(this.#folder, `${STAGED_PREFIX}${randomBytes(8).toString("hex")}`);
    this.files.push({ ref, file });
    writeFileSync(file, bytes, { flag: "wx", mode: 0o640 });
    return ref;
  }
}
