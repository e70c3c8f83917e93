/**
 * The tasks that a place with workers has now, and how each leaves it: its end is heard, it was
 * stopped before it began, nobody takes it, nothing of it can run any more, or the next daemon may
 * have it.
 *
 * What workers say (heard-workers.ts) and what runs ask for (broker-place.ts) meet here, in each
 * task's state (given-task.ts).
 */
import type { Clock } from "../../clock.ts";
import { EndedTasks } from "./ended-tasks.ts";
import type { FarWorker } from "./far-worker.ts";
import type { GivenTask } from "./given-task.ts";
import type { SealedBroker } from "./sealed-broker.ts";

/** What the tasks need. */
export interface GivenTasksPorts {
  readonly clock: Clock;
  readonly broker: SealedBroker;
  /** The end of a task is durable, and its worker waits to hear of it. */
  settled(worker: FarWorker, id: string): void;
  /** There may be more room than before. */
  roomChanged(): void;
}

/** The tasks of a place. */
export class GivenTasks {
  readonly #ports: GivenTasksPorts;
  readonly #tasks = new Map<string, GivenTask>();
  /** Tasks that the next daemon may adopt. */
  readonly #left = new Set<string>();
  /** Those that ended, or were given up, and are not forgotten yet. */
  readonly ended: EndedTasks;

  constructor(ports: GivenTasksPorts) {
    this.#ports = ports;
    this.ended = new EndedTasks(ports.clock);
  }

  get size(): number {
    return this.#tasks.size;
  }

  has(id: string): boolean {
    return this.#tasks.has(id);
  }

  get(id: string): GivenTask | undefined {
    return this.#tasks.get(id);
  }

  all(): Iterable<GivenTask> {
    return this.#tasks.values();
  }

  add(task: GivenTask): void {
    this.#tasks.set(task.id, task);
  }

  /** A worker's tasks as they are now: what hears of one may start others. */
  at(worker: FarWorker): readonly GivenTask[] {
    return Array.from(this.#tasks.values()).filter((task) => task.isAt(worker));
  }

  /** Whether a task was left to the next daemon. */
  isLeft(id: string): boolean {
    return this.#left.has(id);
  }

  /** Leaves those of these that run, or may run, to the next daemon. */
  leave(ids: readonly string[]): void {
    for (const id of ids) {
      const task = this.#tasks.get(id);
      if (task?.mayRun !== true) continue;
      this.#tasks.delete(id);
      task.state = { at: "over" };
      this.#left.add(id);
    }
  }

  /** The end of a task is heard. Its worker keeps it until it is durable. */
  heard(task: GivenTask): void {
    this.#tasks.delete(task.id);
    const worker = "worker" in task.state ? task.state.worker : undefined;
    worker?.hasEnded(task, this.#ports.clock.monotonic());
    this.ended.hear(task, () => {
      this.#removeObjects(task);
      if (task.endWasAnswer && worker !== undefined) this.#ports.settled(worker, task.id);
    });
    this.#ports.roomChanged();
  }

  /** It was told to stop, and will not begin. */
  stopped(task: GivenTask): void {
    this.#over(task);
    task.stopped(task.told?.because ?? "it was stopped", this.#ports.clock.now());
  }

  /** Nobody takes it. */
  refused(task: GivenTask, because: string): void {
    this.#over(task);
    task.lose(because, "unbegun");
  }

  /** It began, or may have, and nothing of it can run any more. */
  lose(task: GivenTask, because: string): void {
    this.#over(task);
    this.ended.giveUp(task);
    task.lose(because, "lost");
  }

  /** The place is closed: no handler is called any more. */
  close(): void {
    this.ended.close();
    for (const task of this.#tasks.values()) task.state = { at: "over" };
    this.#tasks.clear();
  }

  /** A task is none of the place's any more. */
  #over(task: GivenTask): void {
    this.#tasks.delete(task.id);
    task.state = { at: "over" };
    this.#removeObjects(task);
    this.#ports.roomChanged();
  }

  #removeObjects({ objects }: GivenTask): void {
    if (objects.length > 0)
      void this.#ports.broker.remove(objects.splice(0)).catch(() => undefined);
  }
}
