/**
 * What workers say, and what becomes of tasks by it. messages.ts has the theory of both sides. What
 * the daemon says to workers is in told-workers.ts and task-giver.ts.
 *
 * A claim is answered yes once, to the worker that the task is given to at that moment; from then
 * on it stays there. What a worker says is checked (worker-says.ts, result-files.ts), so one that
 * lies fails its own task at most.
 */
import type { Clock } from "../../clock.ts";
import { clipError } from "../../core/failure.ts";
import type { TaskResult } from "../../core/task.ts";
import { isExhausted, whatRanOut } from "../../disk/disk-error.ts";
import type { Log } from "../../log.ts";
import { removeStaged } from "../../steps/staged-result.ts";
import { BrokerSilence } from "./broker.ts";
import type { EarlierTasks } from "./earlier-tasks.ts";
import type { FarWorker } from "./far-worker.ts";
import { placeError, type GivenTask, type Taken } from "./given-task.ts";
import type { GivenTasks } from "./given-tasks.ts";
import type { FromWorker, TaskEnd, ToWorkerAnswer, WorkerSays } from "./messages.ts";
import { fetchResult, NotThere, NotWhole } from "./result-files.ts";
import type { SealedBroker } from "./sealed-broker.ts";
import type { TaskFile, TaskFiles } from "./task-files.ts";
import type { TaskGiver } from "./task-giver.ts";
import type { ToldWorkers } from "./told-workers.ts";
import { fileObject } from "./worker-line.ts";
import type { Workers } from "./workers.ts";

type Said<T extends FromWorker["type"]> = Extract<FromWorker, { readonly type: T }>;

/** How often a file that the broker does not take is put again, in milliseconds. */
const PUT_AGAIN_MS = 1_000;
/** For how long that is tried, in milliseconds: less than a worker waits for the answer. */
const PUT_MS = 50_000;

/** What is needed of the place. */
export interface HeardWorkersPorts {
  readonly place: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly broker: SealedBroker;
  readonly workers: Workers;
  readonly told: ToldWorkers;
  readonly giver: TaskGiver;
  readonly tasks: GivenTasks;
  readonly earlier: EarlierTasks;
  readonly files: TaskFiles;
  /** A person should know this. */
  fault(sentence: string): void;
  /** There may be more room than before. */
  roomChanged(): void;
}

/** Hears workers. */
export class HeardWorkers {
  readonly #ports: HeardWorkersPorts;
  readonly #tasks: GivenTasks;

  constructor(ports: HeardWorkersPorts) {
    this.#ports = ports;
    this.#tasks = ports.tasks;
  }

  /** What a worker says. @returns what it is answered. Undefined: it is not */
  hear(says: WorkerSays): ToWorkerAnswer | Promise<ToWorkerAnswer | undefined> | undefined {
    const worker = this.#ports.workers.speaker(says);
    if (worker === undefined) return { type: "again" };
    const { message, number } = says;
    switch (message.type) {
      case "beat":
        return this.#beat(worker, message, number);
      case "claim":
        return this.#claim(worker, message.id, number);
      case "output":
        return this.#output(worker, message, number);
      case "end":
        return this.#end(worker, message, number);
      case "lack":
        return this.#lack(worker, message.hash);
      case "bye":
        this.#ports.workers.bye(worker);
        return { type: "yes" };
    }
  }

  /**
   * The end of a task came with the answer to its give. What cannot be taken now comes again, as
   * the worker is not told that it is durable.
   */
  ended(task: GivenTask, end: TaskEnd): void {
    task.endWasAnswer = true;
    task.ending ??= this.#take(task, end).finally(() => (task.ending = undefined));
  }

  /** Nothing of a worker's tasks can run any more. @param because a sentence */
  gone(worker: FarWorker, because: string): void {
    for (const task of this.#tasks.at(worker)) {
      if (task.mayRun) this.#tasks.lose(task, because);
      else this.#ports.giver.give(task);
    }
    this.#ports.earlier.gone();
  }

  /** Calls a worker whose beat is overdue. Never rejects. */
  async call(worker: FarWorker): Promise<void> {
    const { session, number } = worker;
    const isAbsent = await this.#ports.told.call(worker);
    const isLate = worker.session !== session || worker.number !== number;
    if (isAbsent && !isLate && this.#ports.broker.broker.state.up)
      this.#ports.workers.missed(worker);
  }

  /** What a worker did not claim goes to another. */
  regive(worker: FarWorker): void {
    for (const task of this.#tasks.at(worker))
      if (task.state.at === "given") this.#ports.giver.give(task);
  }

  /** The same incarnation has a new session: its messages are numbered from 1 again. */
  renumber(worker: FarWorker): void {
    this.regive(worker);
    for (const { state } of this.#tasks.all())
      if (state.at === "claimed" && state.worker === worker) state.number = 0;
  }

  #beat(worker: FarWorker, beat: Said<"beat">, number: number): ToWorkerAnswer | undefined {
    if (!this.#ports.workers.beats(worker, beat, number)) return undefined;
    for (const task of this.#tasks.at(worker)) {
      if (worker.tasks.has(task.id)) continue;
      const { state } = task;
      if (state.at !== "given" && state.at !== "claimed") continue;
      if (state.number === undefined || state.number >= number) continue;
      if (state.at === "given") this.#ports.giver.give(task);
      else if (task.ending === undefined)
        this.#tasks.lose(task, `the worker ${worker.name} does not have it any more`);
    }
    this.#ports.earlier.beat(worker);
    this.#ports.roomChanged();
    return { type: "beat", unwanted: beat.tasks.filter((id) => !this.#isWanted(worker, id)) };
  }

  /** Whether a worker should have a task. */
  #isWanted(worker: FarWorker, id: string): boolean {
    const task = this.#tasks.get(id);
    if (task !== undefined) return task.isAt(worker);
    return (
      this.#tasks.ended.has(id) || this.#tasks.isLeft(id) || this.#ports.earlier.mayBeWanted(id)
    );
  }

  #claim(worker: FarWorker, id: string, number: number): ToWorkerAnswer {
    const task = this.#tasks.get(id);
    if (task === undefined) this.#ports.earlier.unbegun(id);
    if (task === undefined || !task.isAt(worker))
      return { type: "no", because: "it was given to another, or is not wanted any more" };
    if (!task.isClaimedBy(worker)) task.claim(worker, number, this.#ports.place);
    return { type: "yes" };
  }

  #output(
    worker: FarWorker,
    { id, number: batch, lines }: Said<"output">,
    number: number,
  ): ToWorkerAnswer | undefined {
    const task = this.#runningAt(worker, id, number);
    if (task === undefined) return this.#unclaimed(id);
    if (isOlder(task, number)) return undefined;
    if (task.output(batch, lines)) return { type: "yes" };
    return { type: "no", because: "output before it is missing" };
  }

  #end(
    worker: FarWorker,
    { id, end }: Said<"end">,
    number: number,
  ): ToWorkerAnswer | Promise<ToWorkerAnswer | undefined> | undefined {
    const durable = this.#tasks.ended.durable(id);
    if (durable !== undefined) return durable.then(() => ({ type: "yes" }));
    const task = this.#runningAt(worker, id, number);
    if (task === undefined) {
      this.#tasks.ended.late(id, end);
      return this.#unclaimed(id);
    }
    if (isOlder(task, number)) return undefined;
    task.ending ??= this.#take(task, end).finally(() => (task.ending = undefined));
    return task.ending.then((taken) => {
      if (taken === "silent") return undefined;
      if (taken !== "taken") return { type: "lacks", hash: taken.lacks };
      return this.#tasks.ended.durable(id)?.then(() => ({ type: "yes" })) ?? { type: "yes" };
    });
  }

  /**
   * A task that a worker says something of. It began, if it was granted. One that was taken may end
   * before its claim: its worker cannot run it.
   */
  #runningAt(worker: FarWorker, id: string, number: number): GivenTask | undefined {
    const task = this.#tasks.get(id);
    if (task === undefined || !task.isAt(worker)) return undefined;
    const { state } = task;
    const isTaken = state.at === "given" && state.number !== undefined && number > state.number;
    if (isTaken || state.at === "granted") task.claim(worker, number - 1, this.#ports.place);
    return task?.isClaimedBy(worker) === true ? task : undefined;
  }

  /** What is said of a task that the worker does not have. Undefined: that is not known yet. */
  #unclaimed(id: string): ToWorkerAnswer | undefined {
    if (this.#tasks.ended.has(id)) return { type: "yes" };
    if (!this.#tasks.has(id) && (this.#tasks.isLeft(id) || this.#ports.earlier.mayBeWanted(id)))
      return undefined;
    return { type: "no", because: "it is not this worker's any more" };
  }

  /** Takes an end. */
  async #take(task: GivenTask, end: TaskEnd): Promise<Taken> {
    if (end.kind === "died") {
      const { inFlight, alone, blameless, behind, because, code } = end;
      this.#tasks.heard(task);
      task.died({ inFlight, alone, blameless, behind, because, code });
      return "taken";
    }
    let result: TaskResult = end.result.ok
      ? end.result
      : { ...end.result, error: clipError(end.result.error) };
    if ("staged" in result) {
      const { staged } = result;
      try {
        const fetched = await fetchResult(this.#ports.broker, staged, task.task.artifacts);
        task.objects.push(...staged.files.map(({ file }) => fileObject(file)));
        result = { ok: true, staged: fetched };
      } catch (error) {
        // The worker keeps it, and says it again.
        if (isExhausted(error))
          this.#ports.fault(`${whatRanOut(error)}: the result of a step at a worker waits`);
        if (!(error instanceof NotWhole)) return "silent";
        if (error instanceof NotThere && task.mayLack()) return { lacks: error.hash };
        const message = `its result did not come whole from its worker: ${error.message}`;
        this.#ports.log.warn({ place: this.#ports.place, task: task.id }, message);
        result = { ok: false, outcome: "failed", error: placeError(message) };
      }
    }
    // Given up, left or closed while the files came.
    if (this.#tasks.get(task.id) !== task || task.state.at === "over") {
      if ("staged" in result) removeStaged(result.staged.files);
      return "silent";
    }
    const { state, task: given } = task;
    if ("worker" in state && result.ok && given.kind === "module")
      state.worker.paced(given.code, end.durationMs);
    this.#tasks.heard(task);
    task.done(result, end.durationMs, this.#ports.clock.now());
    return "taken";
  }

  /**
   * Puts a file. A broker that is full soon has room again, and a worker that gets no answer asks
   * again only after a minute: so it is tried here until then.
   */
  async #lack(worker: FarWorker, hash: string): Promise<ToWorkerAnswer | undefined> {
    const { clock, files, fault } = this.#ports;
    const end = clock.monotonic() + PUT_MS;
    for (;;) {
      const file = this.#fileOf(worker, hash);
      if (file === undefined) return { type: "no", because: "no task of this worker needs it" };
      try {
        await files.put(file);
        return { type: "yes" };
      } catch (error) {
        if (!(error instanceof BrokerSilence)) {
          fault(`a file of a task cannot be read: ${(error as Error).message}`);
          return { type: "no", because: "the daemon cannot read it" };
        }
      }
      if (clock.monotonic() >= end) return undefined;
      await new Promise<void>((resolve) => clock.after(PUT_AGAIN_MS, resolve));
    }
  }

  /** A file that a task at this worker needs. */
  #fileOf(worker: FarWorker, hash: string): TaskFile | undefined {
    for (const task of this.#tasks.all()) {
      const file = task.isAt(worker) ? task.sent.files.find((one) => one.hash === hash) : undefined;
      if (file !== undefined) return file;
    }
    return undefined;
  }
}

/** Whether a worker said something before it claimed the task, or before it was adopted. */
function isOlder({ state }: GivenTask, number: number): boolean {
  return state.at === "claimed" && number <= state.number;
}
