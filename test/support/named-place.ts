/**
 * A broker's place under names that a test may use again: the ids of a daemon are never used twice,
 * code is named by its sha256, and room is asked for by labels.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Task } from "../../src/core/task.ts";
import type { FarPlace } from "../../src/places/far-place.ts";
import type { Place, StartOptions, TaskHandlers } from "../../src/places/place.ts";

/** What of a place is used. */
type Inner = Pick<FarPlace, "room" | "promise" | "redeem" | "start" | "stop" | "adopt" | "settle">;

/** Passes all on, with the names exchanged. */
export class NamedPlace implements Place {
  readonly #inner: Inner;
  readonly #bundles: string;
  readonly #artifacts: string;
  readonly #codes = new Map<string, string>();
  readonly #tokens = new Map<string, string>();
  #started = 0;

  /** @param folder holds `bundles`, which is there, and `artifacts` */
  constructor(inner: Inner, folder: string) {
    this.#inner = inner;
    this.#bundles = join(folder, "bundles");
    this.#artifacts = join(folder, "artifacts");
  }

  /** Makes `text` the module `name`. */
  module(name: string, text: string): void {
    const hash = createHash("sha256").update(text).digest("hex");
    writeFileSync(join(this.#bundles, `${hash}.mjs`), text);
    this.#codes.set(name, hash);
  }

  capacity(): { module: number; shell: number } {
    return { module: this.#inner.room("module", []), shell: this.#inner.room("shell", []) };
  }

  promise(lane: string, share?: number): void {
    this.#inner.promise(`${lane}@farm`, share);
  }

  redeem(lane: string, share?: number): void {
    this.#inner.redeem(`${lane}@farm`, share);
  }

  stop(id: string, mode: "graceful" | "force", because: string): void {
    this.#inner.stop(this.#tokens.get(id) ?? id, mode, because);
  }

  adopt(...given: Parameters<Place["adopt"]>): Promise<ReadonlySet<string>> {
    return this.#inner.adopt(...given);
  }

  forget(): void {}

  start(id: string, task: Task, handlers: TaskHandlers, options?: StartOptions): void {
    if (this.#tokens.has(id)) throw new Error(`"${id}" was started already and has not ended`);
    // The number behind the # stays: it says which attempt it is.
    const token = task.kind === "flavor" ? id : id.replace("#", `~${(this.#started += 1)}#`);
    const code = task.kind === "shell" ? undefined : task.code;
    const coded = code && { code: { ...code, bundle: this.#codes.get(code.bundle)! } };
    const own = { ...task, ...coded, artifacts: this.#artifacts } as Task;
    const named = (one: string): string => one.replace(/~\d+/, "");
    const over = (): void => {
      this.#tokens.delete(id);
      this.#inner.settle?.([token]);
    };
    this.#inner.start(
      token,
      own,
      {
        ...handlers,
        done: (...ended) => {
          over();
          handlers.done(...ended);
        },
        died: (info) => {
          over();
          handlers.died({ ...info, inFlight: info.inFlight.map(named) });
        },
      },
      options,
    );
    this.#tokens.set(id, token);
  }
}
