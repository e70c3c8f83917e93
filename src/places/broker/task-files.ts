/**
 * The files that tasks need at their workers: bundles, and artifacts. A worker keeps what it has
 * had, and asks for the others. So a file is put when a worker lacks it, and not before, and is
 * removed after a while.
 *
 * What is left behind by a daemon that is killed is removed by the engine (`OBJECT_MS`).
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Timer } from "../../clock.ts";
import { isArtifactRef } from "../../core/artifact-ref.ts";
import type { Json } from "../../core/snapshot.ts";
import type { Task } from "../../core/task.ts";
import { farSourceMap } from "../pool/far-bundle.ts";
import type { SealedBroker } from "./sealed-broker.ts";
import { fileObject } from "./worker-line.ts";

/** How long a file that was put stays, in milliseconds: others may lack it too. */
const STAYS_MS = 300_000;
/** How many bundles are remembered. */
const KEPT = 1_024;

/** A file of this machine, and the sha256 of its content. */
export interface TaskFile {
  readonly hash: string;
  readonly path: string;
  /** What is sent in place of its text. */
  readonly sentAs?: ((text: string) => string) | undefined;
}

/** Why other machines cannot run a bundle, in a sentence. Undefined: they can. */
export type BundleFault = (text: string) => string | undefined;

interface KnownBundle {
  readonly fault: string | undefined;
  /** Its source map. Undefined: there is none. */
  readonly map: TaskFile | undefined;
}

/** Finds the files of tasks, and puts those that workers lack. */
export class TaskFiles {
  readonly #broker: SealedBroker;
  readonly #clock: Clock;
  readonly #bundles: string;
  readonly #faultOf: BundleFault;
  readonly #known = new Map<string, KnownBundle>();
  readonly #put = new Map<string, Timer>();
  readonly #putting = new Map<string, Promise<void>>();

  /** @param bundles the folder of bundles */
  constructor(broker: SealedBroker, clock: Clock, bundles: string, faultOf: BundleFault) {
    this.#broker = broker;
    this.#clock = clock;
    this.#bundles = bundles;
    this.#faultOf = faultOf;
  }

  /** Why a task cannot run on another machine, in a sentence. @throws a Node error */
  faultOf(task: Task): string | undefined {
    return task.kind === "shell" ? undefined : this.#bundle(task.code.bundle)?.fault;
  }

  /** The source map of a task's bundle. */
  mapOf(task: Task): TaskFile | undefined {
    return task.kind === "shell" ? undefined : this.#bundle(task.code.bundle)?.map;
  }

  /** All files that a task needs. @throws a Node error, or what a damaged artifact throws */
  of(task: Task): readonly TaskFile[] {
    const found = new Map<string, TaskFile>();
    const add = (hash: string, path: string): void => void found.set(hash, { hash, path });
    if (task.kind !== "shell" && task.code.bundle !== "")
      add(task.code.bundle, join(this.#bundles, `${task.code.bundle}.mjs`));
    const map = this.mapOf(task);
    if (map !== undefined) found.set(map.hash, map);
    const { artifacts } = task;
    if (artifacts !== undefined) {
      if (task.kind === "module") addRefs(task.state, artifacts, add);
      for (const { outputs } of task.stored ?? []) addOutputs(outputs, artifacts, add);
    }
    return [...found.values()];
  }

  /** Puts a file that a worker lacks. @throws BrokerSilence, or a Node error */
  async put({ hash, path, sentAs }: TaskFile): Promise<void> {
    this.#stay(hash);
    let putting = this.#putting.get(hash);
    if (putting === undefined) {
      putting = readFile(path)
        .then((bytes) => (sentAs === undefined ? bytes : Buffer.from(sentAs(bytes.toString()))))
        .then((content) => this.#broker.put(fileObject(hash), content))
        .finally(() => this.#putting.delete(hash));
      this.#putting.set(hash, putting);
    }
    await putting;
  }

  /** Removes all that was put. Never rejects. */
  async close(): Promise<void> {
    const hashes = [...this.#put.keys()];
    for (const timer of this.#put.values()) timer.cancel();
    this.#put.clear();
    if (hashes.length > 0) await this.#remove(hashes);
  }

  #stay(hash: string): void {
    this.#put.get(hash)?.cancel();
    const over = (): void => {
      this.#put.delete(hash);
      void this.#remove([hash]);
    };
    this.#put.set(hash, this.#clock.after(STAYS_MS, over));
  }

  /** What cannot be removed, the engine removes. */
  async #remove(hashes: readonly string[]): Promise<void> {
    await this.#broker.remove(hashes.map(fileObject)).catch(() => undefined);
  }

  #bundle(bundle: string): KnownBundle | undefined {
    if (bundle === "") return undefined;
    const known = this.#known.get(bundle);
    if (known !== undefined) return known;
    const path = join(this.#bundles, `${bundle}.mjs`);
    const fault = this.#faultOf(readFileSync(path, "utf8"));
    const made = { fault, map: this.#mapAt(`${path}.map`) };
    if (this.#known.size >= KEPT) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(bundle, made);
    return made;
  }

  #mapAt(path: string): TaskFile | undefined {
    const sentAs = (text: string): string => farSourceMap(text, this.#bundles);
    try {
      const text = sentAs(readFileSync(path, "utf8"));
      return { hash: createHash("sha256").update(text).digest("hex"), path, sentAs };
    } catch {
      return undefined;
    }
  }
}

type Add = (hash: string, path: string) => void;

function addRefs(value: Json | undefined, folder: string, add: Add): boolean {
  if (!isArtifactRef(value)) return false;
  add(value.$artifact, join(folder, value.$artifact));
  return true;
}

/** A step's outputs: a value, or a reference, whose members may be references. */
function addOutputs(outputs: Json, folder: string, add: Add): void {
  let members = outputs;
  if (addRefs(outputs, folder, add)) {
    const { $artifact } = outputs as { readonly $artifact: string };
    const text = readFileSync(join(folder, $artifact), "utf8");
    if (!text.includes('"$artifact"')) return;
    members = JSON.parse(text) as Json;
  }
  if (members === null || typeof members !== "object") return;
  for (const member of Object.values(members)) addRefs(member, folder, add);
}
