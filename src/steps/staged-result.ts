/**
 * A large result on its way to the ledger. The place where the step ran writes its long values into
 * files beside the artifacts, and only their names travel to the daemon, which makes the files
 * durable and names them (semantics.md 18). The daemon parses, hashes and writes none of it.
 *
 * A file is named by its content only once it is durable: until then its name begins with a dot,
 * and the next daemon removes it. Where it cannot be written the result travels as text. A broker
 * takes no text of that length: a worker holds its parts in memory ({@link holdResult}).
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
  const staged = new Staging(
    () => join(folder, `${STAGED_PREFIX}${randomBytes(8).toString("hex")}`),
    (file, bytes) => writeFileSync(file, bytes, { flag: "wx", mode: 0o640 }),
  );
  try {
    return staged.result(json, outputs);
  } catch {
    removeStaged(staged.files);
    return undefined;
  }
}

/** A large result that has no files, since there was no room for them. */
export interface HeldResult {
  /** `file` of each file is its sha256. */
  readonly staged: StagedValue;
  /** The content of each file, by its sha256. */
  readonly contents: ReadonlyMap<string, Uint8Array>;
}

/** As {@link stageResult}, in memory. Undefined where the result is short. */
export function holdResult(
  json: string,
  outputs: readonly string[] | undefined,
): HeldResult | undefined {
  if (!isLong(json)) return undefined;
  const contents = new Map<string, Uint8Array>();
  const staged = new Staging(
    (sha256) => sha256,
    (sha256, bytes) => contents.set(sha256, bytes),
  );
  return { staged: staged.result(json, outputs), contents };
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
  readonly #nameOf: (sha256: string) => string;
  readonly #keep: (file: string, bytes: Buffer) => void;

  constructor(nameOf: (sha256: string) => string, keep: (file: string, bytes: Buffer) => void) {
    this.#nameOf = nameOf;
    this.#keep = keep;
  }

  /** @throws a Node error */
  result(json: string, outputs: readonly string[] | undefined): StagedValue {
    if (outputs === undefined) return { value: { ...this.text(json) }, files: this.files };
    const members = JSON.parse(json) as { readonly [name: string]: Json };
    const short = Object.fromEntries(outputs.map((name) => [name, this.long(members[name]!)]));
    return { value: this.long(short), files: this.files };
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
    const file = this.#nameOf(ref.$artifact);
    this.files.push({ ref, file });
    this.#keep(file, bytes);
    return ref;
  }
}
