/**
 * Values that are too big for a line of a ledger. Each is in a file, named by the sha256 of its
 * JSON text (semantics.md 18).
 *
 * The file is durable before the line that refers to it is written, so every reference in a ledger
 * had its file. A file is written aside and renamed: under its name it is whole. Reading still
 * checks length and hash, since a cache hit is only as good as its outputs. If the disk is full, a
 * value waits for room, as a line does: the step that made the value has done its work.
 */
import { statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import {
  artifactValue,
  ArtifactUnusable,
  isArtifactRef,
  type ArtifactRef,
} from "../core/artifact-ref.ts";
import { sha256 } from "../core/sha256.ts";
import type { Json } from "../core/snapshot.ts";
import type { StagedFile } from "../core/task.ts";
import { writeFileAtomically } from "../disk/atomic-file.ts";
import { syncDirectory } from "../disk/directories.ts";
import { errorCode } from "../disk/disk-error.ts";
import { systemDisk, type Disk } from "../disk/disk.ts";
import { isFolderThere, moveOutOfTheWay, readOwnFile } from "../disk/own-file.ts";
import { untilRoom } from "../disk/until-room.ts";
import { LedgerFailed } from "./ledger-error.ts";
import { fatal, type LedgerHost } from "./ledger-host.ts";

/**
 * If the JSON text of a line's field is longer than this, in bytes, the field becomes an artifact:
 * 64 KiB.
 */
export const SPILL_BYTES = 65_536;

/** The artifacts of one runs folder. */
export class Artifacts {
  /** The folder of the files. */
  readonly directory: string;
  readonly #disk: Disk;
  readonly #host: LedgerHost | undefined;
  /** The files that are given their names now, by hash. */
  readonly #named = new Map<string, Promise<void>>();
  /** The sync of all names that were there before this process. */
  #found: Promise<void> | undefined;
  /** For each frozen value: its artifact, and how the file looked when it was last known whole. */
  readonly #frozen = new WeakMap<object, { readonly ref: ArtifactRef; look: string }>();

  /**
   * @param directory `runs/.orchd/artifacts`, made when it is first needed
   * @param host the writer of ledgers; without one, a full disk is an error and is not waited for
   */
  constructor(directory: string, host?: LedgerHost) {
    this.directory = directory;
    this.#disk = host?.disk ?? systemDisk;
    this.#host = host;
  }

  /** Puts a value into its file, durably. @throws a Node error */
  put(value: Json): Promise<ArtifactRef> {
    return this.#putText(JSON.stringify(value));
  }

  async #putText(text: string): Promise<ArtifactRef> {
    const bytes = Buffer.from(text);
    const ref = { $artifact: sha256(bytes), bytes: bytes.length };
    if (this.verify(ref)) {
      this.#keepYoung(ref);
      await this.#proveName(ref);
    } else {
      const path = this.path(ref);
      const write = (): Promise<void> => writeFileAtomically(path, bytes, { disk: this.#disk });
      await this.#naming(ref, () => this.#whenRoom(path, () => named(path, write)));
    }
    return ref;
  }

  /** Gives a file its name: who finds it meanwhile waits until the name is durable. */
  async #naming(ref: ArtifactRef, give: () => Promise<void>): Promise<void> {
    const given = give();
    this.#named.set(ref.$artifact, given);
    try {
      await given;
    } finally {
      if (this.#named.get(ref.$artifact) === given) this.#named.delete(ref.$artifact);
    }
  }

  /**
   * Makes the name of a file durable that was found in its place. One that this process gives has
   * its sync under way; one that an earlier process gave may have died before its own.
   */
  async #proveName(ref: ArtifactRef): Promise<void> {
    const given = this.#named.get(ref.$artifact);
    if (given !== undefined) {
      const isDurable = await given.then(
        () => true,
        () => false,
      );
      if (isDurable) return;
      this.#found = undefined;
    }
    this.#found ??= this.#whenRoom(this.directory, () =>
      syncDirectory(this.#disk, this.directory),
    ).catch((error: unknown) => {
      this.#found = undefined;
      throw error;
    });
    return this.#found;
  }

  async #whenRoom(path: string, write: () => Promise<void>): Promise<void> {
    const host = this.#host;
    if (host === undefined) return write();
    try {
      await untilRoom(host, write);
    } catch (error) {
      // A disk that fails here is as bad as one that fails under a ledger (semantics.md 29).
      throw errorCode(error) === "EIO"
        ? fatal(host, new LedgerFailed(path, "Writing", error))
        : error;
    }
  }

  /**
   * Puts a value into a file if its text is longer than `limit` bytes. Gives what the ledger's line
   * holds: the value, or the reference.
   *
   * @param fresh the value comes from a user's code. If it looks like a reference, it goes into a
   *   file too, so that no reader takes it for one
   */
  async spill(value: Json, limit: number = SPILL_BYTES, fresh = false): Promise<Json> {
    const text = JSON.stringify(value);
    // A character takes at most three bytes: short texts need no counting.
    const short = text.length * 3 <= limit || Buffer.byteLength(text) <= limit;
    return short && !(fresh && isArtifactRef(value)) ? value : { ...(await this.#putText(text)) };
  }

  /**
   * As {@link spill}, for a value that nobody changes, for example the snapshot that a pipeline's
   * runs share. Its text is made and hashed once. The file is read again only if it has changed.
   */
  async spillFrozen(value: Json & object): Promise<Json> {
    const known = this.#frozen.get(value);
    if (known !== undefined && known.look === this.#look(known.ref)) {
      this.#keepYoung(known.ref);
      known.look = this.#look(known.ref);
      return { ...known.ref };
    }
    const spilled = await this.spill(value);
    if (spilled !== value && isArtifactRef(spilled))
      this.#frozen.set(value, { ref: spilled, look: this.#look(spilled) });
    return spilled;
  }

  /**
   * Takes over a file that a runner wrote: it is durable and has its name when this resolves.
   *
   * @throws a Node error if it is gone
   */
  async adopt({ ref, file }: StagedFile): Promise<void> {
    const disk = this.#disk;
    const take = async (): Promise<void> => {
      const fd = await disk.open(file, "r+");
      try {
        await disk.fdatasync(fd);
      } finally {
        await disk.close(fd);
      }
      await named(this.path(ref), () => disk.rename(file, this.path(ref)));
      await syncDirectory(disk, this.directory);
    };
    await this.#naming(ref, () => this.#whenRoom(file, take));
  }

  /** Removes files that a runner wrote and that nothing will name. */
  discard(files: readonly StagedFile[]): void {
    for (const { file } of files) void this.#disk.unlink(file).catch(() => undefined);
  }

  /**
   * Makes the file young again. A line that refers to it is about to be written, and retention
   * removes no young artifact.
   */
  #keepYoung(ref: ArtifactRef): void {
    const now = Date.now() / 1_000;
    utimesSync(this.path(ref), now, now);
  }

  /** A text that changes whenever the file does; empty if there is no file. */
  #look(ref: ArtifactRef): string {
    const file = statSync(this.path(ref), { throwIfNoEntry: false });
    return file === undefined ? "" : `${file.ino} ${file.size} ${file.ctimeMs}`;
  }

  /** The value behind a reference. @throws ArtifactUnusable if its file is gone or damaged */
  get(ref: ArtifactRef): Json {
    const path = this.path(ref);
    let bytes: Buffer;
    try {
      bytes = readOwnFile(path);
    } catch (error) {
      throw new ArtifactUnusable(path, "cannot be read", error);
    }
    return artifactValue(ref, bytes, path);
  }

  /** The value itself; of a reference, the value behind it. @throws ArtifactUnusable */
  resolve(value: Json): Json {
    return isArtifactRef(value) ? this.get(value) : value;
  }

  /** Whether the file of a reference is there and whole. */
  verify(ref: ArtifactRef): boolean {
    // Most often the file is missing, or was cut short: then nothing needs to be read.
    if (statSync(this.path(ref), { throwIfNoEntry: false })?.size !== ref.bytes) return false;
    try {
      return sha256(readOwnFile(this.path(ref))) === ref.$artifact;
    } catch {
      return false;
    }
  }

  /**
   * As {@link verify}, for a caller that is about to write a line with this reference. It makes the
   * file young first, so that retention does not remove it meanwhile.
   */
  hold(ref: ArtifactRef): boolean {
    try {
      this.#keepYoung(ref);
    } catch {
      // The file is gone: `verify` says so. Or it belongs to another user: this is then a command
      // that only reads, and it writes no line.
    }
    return this.verify(ref);
  }

  /** The path of a reference's file. @throws RangeError if it is not a reference */
  path(ref: ArtifactRef): string {
    if (!isArtifactRef(ref))
      throw new RangeError(
        "A reference to an artifact holds 64 hex digits and a length, and nothing else.",
      );
    return join(this.directory, ref.$artifact);
  }
}

/** Gives a file its name. A folder that has it is moved out of the way: no artifact is one. */
async function named(path: string, give: () => Promise<void>): Promise<void> {
  try {
    await give();
  } catch (error) {
    if (!isFolderThere(error)) throw error;
    moveOutOfTheWay(path);
    await give();
  }
}
