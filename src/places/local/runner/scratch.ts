/**
 * Where the files of shell steps are while they run. The files of a step with secrets are in memory
 * (`/dev/shm`), so that no disk holds a value, even if the machine loses power. The runner's guard
 * removes them with all else that the runner leaves.
 */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../../../disk/make-folder.ts";
import type { Guard } from "./guard.ts";

const MEMORY = "/dev/shm";

/** The scratch folders of one runner. */
export class Scratch {
  readonly #folder: string;
  readonly #guard: Guard;
  #inMemory: string | undefined;

  /** @param folder for files without secrets; it is made */
  constructor(folder: string, guard: Guard) {
    this.#folder = folder;
    this.#guard = guard;
    makeFolder(folder, 0o700);
  }

  /** The folder for the files of a step. It depends on whether the step has secrets. */
  for({ secrets }: { readonly secrets?: readonly string[] | undefined }): string {
    if (secrets === undefined || secrets.length === 0) return this.#folder;
    if (this.#inMemory === undefined) {
      try {
        // The name is random, so nobody else can have made the folder.
        this.#inMemory = mkdtempSync(join(MEMORY, "orchd-"));
        this.#guard.keeps(this.#inMemory);
      } catch {
        // This system has no such folder. The other one can be read by this user alone, and each
        // step's files are removed as it ends.
        this.#inMemory = this.#folder;
      }
    }
    return this.#inMemory;
  }
}
