/**
 * The places of one daemon as one: processes of this machine, and containers. Each step goes to the
 * place that has its lane. All other tasks are for processes of this machine.
 *
 * It is on the way of each step, so what it adds for a step without a container is one call.
 */
import type { ContainerSpec } from "../core/container.ts";
import type { Lane, Room } from "../core/lane.ts";
import type { PlaceReport } from "../core/place-report.ts";
import type { TaskFrame } from "../core/task-frame.ts";
import type { Task } from "../core/task.ts";
import type { EarlierAttempt, Place, StartOptions, StepsAhead, TaskHandlers } from "./place.ts";

/** The lane of steps in containers. */
const CONTAINER: Lane = "container";

/** The place that says when it has more room. */
interface RoomyPlace extends Place {
  onCapacity(callback: () => void): () => void;
}

/** The place for processes of this machine. */
export interface LocalPlace extends RoomyPlace {
  readonly ahead: StepsAhead;
}

/** The place for steps in containers. */
export interface ContainersPlace extends RoomyPlace {
  imageId(container: ContainerSpec, auth: string | undefined): Promise<string>;
  /** How many more steps may start now: what `capacity()` says of its one lane. */
  readonly room: number;
  has(id: string): boolean;
  settle(ids: readonly string[]): void;
  mayHaveBegun(id: string): boolean | undefined;
  outlives(id: string): boolean;
  leave(ids: readonly string[]): void;
  reports(): readonly PlaceReport[];
  onReport(callback: () => void): () => void;
}

/** Two places as one. */
export class PlaceByLane implements Place {
  readonly ahead: StepsAhead;
  readonly #local: LocalPlace;
  readonly #containers: ContainersPlace;
  readonly #here: PlaceReport;

  /** @param here what the place for processes of this machine says of itself */
  constructor(local: LocalPlace, containers: ContainersPlace, here: PlaceReport) {
    this.#here = here;
    this.#local = local;
    this.#containers = containers;
    const { ahead } = local;
    this.ahead = {
      share: (spec) => ahead.share(spec),
      expect: (run) => ahead.expect(run),
      settle(ids) {
        ahead.settle(ids);
        containers.settle(ids);
      },
      mayHaveBegun: (run, id) => containers.mayHaveBegun(id) ?? ahead.mayHaveBegun(run, id),
    };
  }

  capacity(): Room {
    const room: { [lane: Lane]: number } = this.#local.capacity();
    room[CONTAINER] = this.#containers.room;
    return room;
  }

  promise(lane: Lane, share?: number): void {
    this.#of(lane).promise(lane, share);
  }

  redeem(lane: Lane, share?: number): void {
    this.#of(lane).redeem(lane, share);
  }

  start(id: string, task: Task, handlers: TaskHandlers, options?: StartOptions): void {
    const isContained = task.kind === "shell" && task.container !== undefined;
    (isContained ? this.#containers : this.#local).start(id, task, handlers, options);
  }

  forget(frame: TaskFrame): void {
    this.#local.forget(frame);
  }

  stop(id: string, mode: "graceful" | "force", because: string): void {
    (this.#containers.has(id) ? this.#containers : this.#local).stop(id, mode, because);
  }

  adopt(
    ids: readonly string[],
    handlersOf: (id: string) => TaskHandlers,
    attemptOf?: (id: string) => EarlierAttempt | undefined,
  ): Promise<ReadonlySet<string>> {
    // A process of this machine ends with its daemon.
    return this.#containers.adopt(ids, handlersOf, attemptOf);
  }

  imageId(container: ContainerSpec, auth: string | undefined): Promise<string> {
    return this.#containers.imageId(container, auth);
  }

  outlives(id: string): boolean {
    return this.#containers.outlives(id);
  }

  leave(ids: readonly string[]): void {
    this.#containers.leave(ids);
  }

  /** Calls back when {@link capacity} may have grown. @returns a function that ends the calls */
  onCapacity(callback: () => void): () => void {
    const off = [this.#local.onCapacity(callback), this.#containers.onCapacity(callback)];
    return () => off.forEach((end) => end());
  }

  reports(): readonly PlaceReport[] {
    return [this.#here, ...this.#containers.reports()];
  }

  onReport(callback: () => void): () => void {
    return this.#containers.onReport(callback);
  }

  #of(lane: Lane): Place {
    return lane === CONTAINER ? this.#containers : this.#local;
  }
}
