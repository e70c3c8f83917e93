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
import { FAILURE_CODES } from "../../core/failure.ts";
import type { Json } from "../../core/snapshot.ts";
import { wholeTask } from "../../core/task-frame.ts";
import type { Task } from "../../core/task.ts";
import { FarBundles, farSourceMap, type FarBundle } from "../pool/far-bundle.ts";
import type { SealedBroker } from "./sealed-broker.ts";
import { fileObject } from "./worker-line.ts";

/** How long a file that was put stays, in milliseconds: others may lack it too. */
const STAYS_MS = 300_000;

/** A file of this machine, and the sha256 of its content. */
export interface TaskFile {
  readonly hash: string;
  readonly path: string;
  /** What is sent in place of its text. */
  readonly sentAs?: ((text: string) => string) | undefined;
}

/** A task as a worker gets it. */
export interface SentTask {
  readonly task: Task;
  /** All files that it needs. */
  readonly files: readonly TaskFile[];
  /** The sha256 of its bundle's source map. Undefined: there is none. */
  readonly map: string | undefined;
}

/** Why other machines cannot run a bundle, in a sentence. Undefined: they can. */
export type BundleFault = (text: string) => string | undefined;

/** Finds the files of tasks, and puts those that workers lack. */
export class TaskFiles {
  readonly #broker: SealedBroker;
  readonly #clock: Clock;
  readonly #folder: string;
  readonly #bundles: FarBundles;
  readonly #put = new Map<string, Timer>();
  readonly #putting = new Map<string, Promise<void>>();

  /** @param folder the folder of bundles */
  constructor(broker: SealedBroker, clock: Clock, folder: string, faultOf: BundleFault) {
    this.#broker = broker;
    this.#clock = clock;
    this.#folder = folder;
    this.#bundles = new FarBundles(folder, faultOf, clock);
  }

  /**
   * A task for a worker.
   *
   * @throws a PlaceError where it cannot run on another machine, a Node error, or what a damaged
   *   artifact throws
   */
  of(task: Task): SentTask {
    const far = this.#bundle(task);
    if (far?.fault !== undefined) {
      const known = { name: "PlaceError", code: FAILURE_CODES.place };
      throw Object.assign(new Error(far.fault), known);
    }
    const whole = wholeTask(task);
    const sent =
      far === undefined || whole.kind === "shell"
        ? whole
        : { ...whole, code: { ...whole.code, bundle: far.sha } };
    return { task: sent, files: this.#filesOf(task, far), map: far?.map };
  }

  /**
   * Puts a file that a worker lacks.
   *
   * @throws BrokerSilence, a Node error, or an Error if the file is another one by now
   */
  async put({ hash, path, sentAs }: TaskFile): Promise<void> {
    this.#stay(hash);
    let putting = this.#putting.get(hash);
    if (putting === undefined) {
      putting = readFile(path)
        .then((bytes) => (sentAs === undefined ? bytes : Buffer.from(sentAs(bytes.toString()))))
        .then((content) => {
          if (createHash("sha256").update(content).digest("hex") !== hash)
            throw new Error(`${path} has changed since the task was given`);
          return this.#broker.put(fileObject(hash), content);
        })
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

  #filesOf(task: Task, far: FarBundle | undefined): readonly TaskFile[] {
    const found = new Map<string, TaskFile>();
    const add = (hash: string, path: string, sentAs?: TaskFile["sentAs"]): void =>
      void found.set(hash, { hash, path, sentAs });
    if (far !== undefined && task.kind !== "shell") {
      const path = join(this.#folder, `${task.code.bundle}.mjs`);
      add(far.sha, path, far.sentAs);
      if (far.map !== undefined)
        add(far.map, `${path}.map`, (text) => farSourceMap(text, this.#folder));
    }
    const { artifacts } = task;
    if (artifacts !== undefined) {
      if (task.kind === "module") addRefs(task.state, artifacts, add);
      for (const { outputs } of task.stored ?? []) addOutputs(outputs, artifacts, add);
    }
    return [...found.values()];
  }

  #bundle(task: Task): FarBundle | undefined {
    if (task.kind === "shell" || task.code.bundle === "") return undefined;
    return this.#bundles.of(task.code.bundle);
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
