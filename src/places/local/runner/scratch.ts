/**
 * Where the files of shell steps lie while they run. Those of a step that was given secrets lie in
 * memory (`/dev/shm`), so that a value is on no disk even if the machine loses power; the runner's
 * guard removes them with all else that the runner leaves.
 */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../../../disk/make-folder.ts";
import type { Guard } from "./guard.ts";

const MEMORY = "/dev/shm";

/** The folders of one runner. */
export class Scratch {
  readonly #folder: string;
  readonly #guard: Guard;
  #inMemory: string | undefined;

  /** @param folder for what is no secret; it is made */
  constructor(folder: string, guard: Guard) {
    this.#folder = folder;
    this.#guard = guard;
    makeFolder(folder, 0o700);
  }

  /** The folder for the files of a step. */
  for({ secrets }: { readonly secrets?: readonly string[] | undefined }): string {
    if (secrets === undefined || secrets.length === 0) return this.#folder;
    if (this.#inMemory === undefined) {
      try {
        // With chance in its name: nobody else can have made it.
        this.#inMemory = mkdtempSync(join(MEMORY, "orchd-"));
        this.#guard.keeps(this.#inMemory);
      } catch {
        // Not on this system: the folder is readable for this user alone, and emptied as each step
        // ends.
        this.#inMemory = this.#folder;
      }
    }
    return this.#inMemory;
  }
}
