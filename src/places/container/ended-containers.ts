/**
 * Containers whose steps have ended. They go once those ends are durable, several of them with one
 * command of the engine: until then the next daemon would take a step's result from its container.
 */
import type { Clock, Timer } from "../../clock.ts";
import type { Log } from "../../log.ts";
import type { ContainerFiles, ContainersFolder } from "./container-files.ts";
import { removeAll, type NamedContainer } from "./earlier-engines.ts";

/**
 * How long containers that ended wait for others, to be removed together, in milliseconds. A
 * removal costs a quarter of what a container costs, and half of that for each further one; and
 * while it runs, the next container starts more slowly.
 */
const TOGETHER_MS = 1_000;

/** What is left of a step that has ended. */
export interface Remains {
  readonly files: ContainerFiles;
  /** Its container. Undefined: it had none of its own. */
  readonly container?: NamedContainer;
}

/** What their removal needs. */
export interface EndedHost {
  readonly clock: Clock;
  readonly log: Log;
  readonly folder: ContainersFolder;
}

/** Removes them. */
export class EndedContainers {
  readonly #host: EndedHost;
  /** Those whose ends are not known to be durable, by task. */
  readonly #remains = new Map<string, Remains>();
  readonly #toRemove = new Map<NamedContainer, ContainerFiles>();
  #removal: Timer | undefined;
  readonly #removing = new Set<Promise<void>>();

  constructor(host: EndedHost) {
    this.#host = host;
  }

  /** A task has ended. */
  add(id: string, remains: Remains): void {
    this.#remains.set(id, remains);
  }

  /** The ends of these tasks are durable. */
  settle(ids: readonly string[]): void {
    if (this.#remains.size === 0) return;
    for (const id of ids) {
      const remains = this.#remains.get(id);
      if (remains === undefined) continue;
      this.#remains.delete(id);
      const { container, files } = remains;
      if (container === undefined) {
        this.#host.folder.end(files);
        continue;
      }
      this.#toRemove.set(container, files);
      this.#removal ??= this.#host.clock.after(TOGETHER_MS, () => this.#flush());
    }
  }

  /** Removes what is to be removed, at once. */
  async close(): Promise<void> {
    this.#removal?.cancel();
    this.#flush();
    await Promise.all(this.#removing);
  }

  #flush(): void {
    this.#removal = undefined;
    const given = new Map(this.#toRemove);
    this.#toRemove.clear();
    if (given.size === 0) return;
    const work = this.#remove(given).catch((error: unknown) =>
      this.#host.log.warn({ err: error }, "containers that ended could not be removed"),
    );
    this.#removing.add(work);
    void work.then(() => this.#removing.delete(work));
  }

  async #remove(given: ReadonlyMap<NamedContainer, ContainerFiles>): Promise<void> {
    await removeAll([...given.keys()]);
    for (const files of given.values()) this.#host.folder.end(files);
  }
}
