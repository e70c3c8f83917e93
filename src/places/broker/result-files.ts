/**
 * The files of a large result, from objects into the folder of artifacts. Each is taken only if its
 * length and its sha256 are what the result says: an engine, or a worker, may lie.
 */
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { RESULT_LIMIT, STAGED_PREFIX, type StagedFile, type StagedValue } from "../../core/task.ts";
import { isExhausted } from "../../disk/disk-error.ts";
import { makeFolder } from "../../disk/make-folder.ts";
import { removeStaged } from "../../steps/staged-result.ts";
import { BrokerSilence } from "./broker.ts";
import type { SealedBroker } from "./sealed-broker.ts";
import { fileObject } from "./worker-line.ts";

/** How much is hashed at once, in bytes: about a millisecond. */
const SLICE_BYTES = 1024 * 1024;

/** A result did not come whole. The message is a sentence. */
export class NotWhole extends Error {
  override readonly name = "NotWhole";
}

/** A file of a result is not at the broker: its worker has it still. */
export class NotThere extends NotWhole {
  readonly hash: string;

  constructor(hash: string) {
    super("a file of it is not at the broker");
    this.hash = hash;
  }
}

/**
 * Fetches the files of a result.
 *
 * @param folder the task's artifacts
 * @throws BrokerSilence if the broker is down, or what the disk throws where it has no room: ask
 *   again; NotThere; NotWhole
 */
export async function fetchResult(
  broker: SealedBroker,
  { value, files }: StagedValue,
  folder: string | undefined,
): Promise<StagedValue> {
  const total = files.reduce((sum, { ref }) => sum + ref.bytes, 0);
  if (total > RESULT_LIMIT) throw new NotWhole(`it says that it has ${total} bytes`);
  if (folder === undefined) throw new NotWhole("it is in files, and its task has no folder");
  const mine: StagedFile[] = [];
  try {
    makeFolder(folder, 0o750);
    for (const { ref, file: hash } of files) {
      const content = await contentOf(broker, hash);
      if (content.length !== ref.bytes || (await sha256Of(content)) !== ref.$artifact)
        throw new NotWhole("a file of it is not what its sha256 says");
      const file = join(folder, `${STAGED_PREFIX}${randomBytes(8).toString("hex")}`);
      mine.push({ ref, file });
      await writeFile(file, content, { flag: "wx", mode: 0o640 });
    }
    return { value, files: mine };
  } catch (error) {
    removeStaged(mine);
    const comesAgain = error instanceof BrokerSilence || isExhausted(error);
    if (comesAgain || error instanceof NotWhole) throw error;
    throw new NotWhole(`it cannot be kept here: ${(error as Error).message}`);
  }
}

async function contentOf(broker: SealedBroker, hash: string): Promise<Buffer> {
  const content = await broker.get(fileObject(hash));
  if (content === undefined) throw new NotThere(hash);
  return content;
}

/** Leaves the event loop to others in between. */
async function sha256Of(content: Buffer): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < content.length; at += SLICE_BYTES) {
    hash.update(content.subarray(at, at + SLICE_BYTES));
    if (at + SLICE_BYTES < content.length) await nextTurn();
  }
  return hash.digest("hex");
}
