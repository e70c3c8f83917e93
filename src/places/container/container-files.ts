/**
 * The files of an attempt in a container: what it is given, and what it writes to `$ORCHD_OUTPUT`.
 * They are in a folder of this machine that is mounted at `/orchd`.
 *
 * - The container may run as any user, so that folder and its files are open to all. The folder
 *   above it is open to the daemon's user alone: only who is in the container comes to it.
 * - The container may put anything there, such as a link to a file of this machine that only the
 *   daemon may read. So what is read is a regular file, and no link is followed.
 * - The files of a step with secrets are in memory (`/dev/shm`), so that no disk holds a value.
 * - A container may outlive the daemon, and so do its files. A label of the container says where
 *   they are. Folders that no container has are removed by the next daemon.
 * - A note says which engine the attempt is begun in, for the next daemon (engine-note.ts).
 */
import { chmodSync, closeSync, constants, existsSync, fstatSync, mkdirSync } from "node:fs";
import { mkdtempSync } from "node:fs";
import { openSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { CONTAINER_FILES } from "../../core/container.ts";
import { RESULT_LIMIT } from "../../core/task.ts";
import { errorCode } from "../../disk/disk-error.ts";
import { makeFolder } from "../../disk/make-folder.ts";
import { namesIn } from "../../disk/names-in.ts";
import { readBytes } from "../../disk/read-bytes.ts";
import { removeTrees } from "../../disk/remove-tree.ts";
import { BadOutput } from "../../steps/step-result.ts";
import type { Engine } from "./engine.ts";
import { noteOf, writeNote } from "./engine-note.ts";

const MEMORY = "/dev/shm";

/** The folder of one attempt. */
export class ContainerFiles {
  /** Open to the daemon's user alone. */
  readonly folder: string;
  #count = 0;

  /** @param folder one that {@link ContainersFolder} made, now or under an earlier daemon */
  constructor(folder: string) {
    this.folder = folder;
  }

  /** What is mounted. */
  get mounted(): string {
    return join(this.folder, "files");
  }

  /** Where the command finds the file of its result. */
  get output(): string {
    return `${CONTAINER_FILES}/output`;
  }

  /** Makes the empty folder and the file of the result. @throws a Node error */
  begin(): void {
    mkdirSync(this.mounted);
    chmodSync(this.mounted, 0o777);
    this.#put("output", "", 0o666);
  }

  /**
   * Writes what the command is given.
   *
   * @returns the file's path in the container
   * @throws a Node error
   */
  write(name: string, text: string, ending = ".json"): string {
    this.#count += 1;
    const file = `${this.#count}-${name}${ending}`;
    this.#put(file, text, 0o644);
    return `${CONTAINER_FILES}/${file}`;
  }

  /** Writes a file that only the daemon's user can read. @returns its path. @throws a Node error */
  writePrivate(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text, { mode: 0o600, flag: "wx" });
    return path;
  }

  /**
   * Memory ran out in the container. Podman's monitor (conmon) says so by a file in the folder that
   * the engine's command was started in. With cgroups of version 1 podman looks for it elsewhere,
   * and says nothing.
   */
  get wasOutOfMemory(): boolean {
    return existsSync(join(this.folder, "oom"));
  }

  /**
   * What the command wrote to `$ORCHD_OUTPUT`. Undefined if that is nothing.
   *
   * @param step `step "archive"`
   * @throws BadOutput if it is no file, cannot be read, or is larger than {@link RESULT_LIMIT}
   */
  readOutput(step: string): Buffer | undefined {
    let fd: number;
    try {
      const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
      fd = openSync(join(this.mounted, basename(this.output)), flags);
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      if (errorCode(error) === "ELOOP")
        throw new BadOutput(
          `${step} made $ORCHD_OUTPUT a link: write the result as JSON to the file of that name`,
        );
      throw new BadOutput(`${step}: $ORCHD_OUTPUT cannot be read: ${(error as Error).message}`);
    }
    try {
      return bytesOf(fd, step);
    } finally {
      closeSync(fd);
    }
  }

  #put(name: string, text: string, mode: number): void {
    const path = join(this.mounted, name);
    writeFileSync(path, text, { flag: "wx" });
    // Whatever the daemon's umask is.
    chmodSync(path, mode);
  }
}

function bytesOf(fd: number, step: string): Buffer | undefined {
  const stats = fstatSync(fd);
  if (!stats.isFile())
    throw new BadOutput(
      `${step} made $ORCHD_OUTPUT something that is no file: ` +
        "write the result as JSON to the file of that name",
    );
  if (stats.size > RESULT_LIMIT)
    throw new BadOutput(
      `${step} wrote ${stats.size} bytes to $ORCHD_OUTPUT; at most ${RESULT_LIMIT} can be kept`,
    );
  return stats.size === 0 ? undefined : readBytes(fd, 0, stats.size);
}

/** The folders of all attempts. */
export class ContainersFolder {
  readonly #folder: string;
  /** How the names of folders in memory begin: of this root alone. */
  readonly #prefix: string;

  /** @param id of the root: no other root has it */
  constructor(folder: string, id: string) {
    this.#folder = folder;
    this.#prefix = `orchd-c-${id}-`;
  }

  /** Makes an attempt's folder. @param engine what it is begun in. @throws a Node error */
  begin(hasSecrets: boolean, engine: Engine): ContainerFiles {
    const files = new ContainerFiles(hasSecrets ? this.#inMemory() : this.#onDisk());
    try {
      writeNote(files.folder, noteOf(engine));
      files.begin();
    } catch (error) {
      this.end(files);
      throw error;
    }
    return files;
  }

  /**
   * The folder of a container that an earlier daemon started.
   *
   * @param path as the container's label says. Undefined if no daemon of this root made it
   */
  of(path: string | undefined): ContainerFiles | undefined {
    return path !== undefined && this.#all().includes(path) ? new ContainerFiles(path) : undefined;
  }

  /** Whether an attempt left anything: then it may have left a container too. */
  get isUsed(): boolean {
    return this.#all().length > 0;
  }

  /** The folders of all attempts. */
  get all(): readonly string[] {
    return this.#all();
  }

  /** Removes an attempt's folder. Never throws. */
  end({ folder }: ContainerFiles): void {
    void removeTrees([folder]);
  }

  /** Removes the folders that nobody has. Never throws. */
  tidy(had: ReadonlySet<string>): void {
    void removeTrees(this.#all().filter((path) => !had.has(path)));
  }

  #all(): string[] {
    const inMemory = namesOrNone(MEMORY).filter((name) => name.startsWith(this.#prefix));
    return [
      ...namesOrNone(this.#folder).map((name) => join(this.#folder, name)),
      ...inMemory.map((name) => join(MEMORY, name)),
    ];
  }

  #onDisk(): string {
    makeFolder(this.#folder, 0o750);
    return mkdtempSync(join(this.#folder, "a-"));
  }

  #inMemory(): string {
    try {
      return mkdtempSync(join(MEMORY, this.#prefix));
    } catch {
      // This system has no such folder. The other one is open to the daemon's user alone.
      return this.#onDisk();
    }
  }
}

function namesOrNone(folder: string): string[] {
  try {
    return namesIn(folder);
  } catch {
    return [];
  }
}
