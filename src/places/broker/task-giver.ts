/**
 * Gives tasks to workers: each to the worker with the most room of those that have all its labels.
 *
 * - The first give of a task to a worker that beats in time is a **grant**: the worker may begin at
 *   once, and its answer says whether it did. So a step costs one question in each direction. From
 *   then on the task may run there, and nobody else gets it until that worker says that it does not
 *   and will not, or nothing of it can run any more. What is not answered is asked again, without a
 *   grant.
 * - Any other give has to be claimed. It goes to another worker where it is not answered: a claim
 *   that comes later is refused.
 *
 * Where steps of one function are brief, a worker has more of them than threads (thread-room.ts),
 * so that many go in one message. Room may shrink between when it was promised and the start, since
 * one of them turns out long. What was promised is given all the same.
 */
import type { Clock } from "../../clock.ts";
import type { SnapshotStep } from "../../core/snapshot.ts";
import { BrokerSilence } from "./broker.ts";
import type { FarWorker } from "./far-worker.ts";
import type { GivenTask } from "./given-task.ts";
import type { TaskEnd } from "./messages.ts";
import type { SealedBroker } from "./sealed-broker.ts";
import type { ToldWorkers } from "./told-workers.ts";
import type { Workers } from "./workers.ts";

/** After which pause a worker is asked again whether a task began, in milliseconds. */
const AGAIN_MS = 250;

/** What a giver needs. */
export interface TaskGiverPorts {
  readonly clock: Clock;
  readonly broker: SealedBroker;
  readonly workers: Workers;
  readonly told: ToldWorkers;
  /** The labels that each worker has, besides its own. */
  readonly labels: readonly string[];
  /** A worker began a task. @param number of what it said last before */
  began(worker: FarWorker, task: GivenTask, number: number): void;
  /** The end of a task came with the answer to its give. */
  ended(task: GivenTask, end: TaskEnd): void;
  /** A task was told to stop, and will not begin. */
  stopped(task: GivenTask): void;
  /** Nobody takes a task. */
  refused(task: GivenTask, because: string): void;
  /** A task began, and nothing of it is left. */
  lost(task: GivenTask, because: string): void;
  /** A person should know this. */
  fault(sentence: string): void;
}

/** Gives tasks. */
export class TaskGiver {
  readonly #ports: TaskGiverPorts;

  constructor(ports: TaskGiverPorts) {
    this.#ports = ports;
  }

  /** How many more tasks of a kind workers with these labels have room for. */
  room(kind: "module" | "shell", labels: readonly string[]): number {
    const now = this.#ports.clock.monotonic();
    let room = 0;
    for (const worker of this.#ports.workers.all())
      if (this.#takes(worker, labels, now)) room += Math.max(0, worker.room(kind, now));
    return room;
  }

  /** How much room a step takes: what it takes where it takes most. */
  share(spec: SnapshotStep): number {
    const now = this.#ports.clock.monotonic();
    const labels = spec.on ?? [];
    let share = 0;
    for (const worker of this.#ports.workers.all())
      if (this.#takes(worker, labels, now)) share = Math.max(share, worker.shareOf(spec));
    return share === 0 ? 1 : share;
  }

  /** Gives a task to the worker with the most room, or says that nobody takes it. */
  give(task: GivenTask): void {
    task.state = { at: "nowhere" };
    const { state } = this.#ports.broker.broker;
    const { kind, labels } = task;
    const now = this.#ports.clock.monotonic();
    let best: FarWorker | undefined;
    let most = task.wasGiven ? 0 : Number.NEGATIVE_INFINITY;
    for (const worker of this.#ports.workers.all()) {
      if (!this.#takes(worker, labels, now)) continue;
      const room = worker.room(kind, now);
      if (room > most) [most, best] = [room, worker];
    }
    if (best !== undefined && state.up) return void this.#giveTo(best, task);
    this.#ports.refused(task, state.up ? "no worker takes it now" : state.because);
  }

  /** Never rejects. */
  async #giveTo(worker: FarWorker, task: GivenTask): Promise<void> {
    const now = this.#ports.clock.monotonic();
    const grants = !task.wasGiven && worker.beatsInTime(now);
    task.wasGiven = true;
    const state = task.goesTo(worker, grants, now);
    for (let asked = 0; task.state === state && task.told === undefined; asked += 1) {
      const isSure = await this.#ask(worker, task, grants && asked === 0);
      // It began, ended, was stopped, or was given to another meanwhile.
      if (task.state !== state) return;
      if (isSure || !grants) {
        worker.refused(this.#ports.clock.monotonic());
        return this.give(task);
      }
      await new Promise<void>((resolve) => this.#ports.clock.after(AGAIN_MS, resolve));
    }
  }

  /** Gives it once. @returns whether it is sure that the worker does not have it */
  async #ask(worker: FarWorker, task: GivenTask, grants: boolean): Promise<boolean> {
    const { told, began, ended, lost, stopped, fault } = this.#ports;
    const { state } = task;
    try {
      const said = await told.give(worker, task, grants);
      if (said === undefined || task.state !== state) return false;
      const { answer, number } = said;
      switch (answer.type) {
        case "begun":
          began(worker, task, number);
          if (answer.end !== undefined) ended(task, answer.end);
          return false;
        case "taken":
          task.state = { at: "given", worker, number };
          if (task.told !== undefined) stopped(task);
          return false;
        case "had":
          if (state.at === "granted") lost(task, `the worker ${worker.name} has ended it`);
          return true;
        case "refused":
          return answer.elsewhere !== true;
        case "here":
          return false;
      }
    } catch (error) {
      if (error instanceof BrokerSilence) return grants && error.reachedNobody;
      fault(`a task could not be given: ${(error as Error).message}`);
      return grants;
    }
  }

  /** It is asked for each worker some ten times a step, so there is no list of those that do. */
  #takes(worker: FarWorker, labels: readonly string[], now: number): boolean {
    return worker.isOpen(now) && worker.has(labels, this.#ports.labels);
  }
}
