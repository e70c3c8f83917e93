/** What the daemon tells workers of tasks: to take one, to stop it, to go on with it. */
import type { Clock } from "../../clock.ts";
import type { EarlierAttempt } from "../place.ts";
import { BrokerSilence } from "./broker.ts";
import type { AdoptionAnswer } from "./earlier-tasks.ts";
import type { FarWorker } from "./far-worker.ts";
import type { GivenTask } from "./given-task.ts";
import type { FromWorkerAnswer, ToWorker } from "./messages.ts";
import type { SealedBroker } from "./sealed-broker.ts";
import { readAnswer } from "./worker-says.ts";

/** How long a worker may take to answer, in milliseconds. */
const ANSWER_MS = 2_000;
/** After which pause it is told again to stop a task, in milliseconds. */
const STOP_AGAIN_MS = 500;

/** How long a worker may not be told that an end is durable, in milliseconds. */
const SETTLED_MS = 100;

/** How long the names of so many files are in a give, in bytes: hashes, quotes and commas. */
export function bytesOfNames(files: number): number {
  return 67 * files;
}

/** What a worker answers, with the number of what it said before. */
type Answer = ReturnType<typeof readAnswer>;

/** Tells workers. */
export class ToldWorkers {
  readonly #broker: SealedBroker;
  readonly #clock: Clock;

  constructor(broker: SealedBroker, clock: Clock) {
    this.#broker = broker;
    this.#clock = clock;
  }

  /**
   * Gives a worker a task.
   *
   * @param grants it may begin without a claim
   * @returns its answer, with the number of what it said last. Undefined: it is none
   * @throws BrokerSilence if it does not answer
   */
  async give(
    worker: FarWorker,
    { id, alone, isAhead, sent, objects }: GivenTask,
    grants: boolean,
  ): Promise<Answer> {
    const { task, files, map } = sent;
    const text = JSON.stringify(task);
    const object = `task ${id}`;
    const fits = this.#broker.fits(Buffer.byteLength(text), bytesOfNames(files.length));
    if (!fits) {
      if (!objects.includes(object)) objects.push(object);
      // Each time: it may not have been taken, or be lost since.
      await this.#broker.put(object, Buffer.from(text));
    }
    return this.#tell(worker, {
      type: "give",
      id,
      body: fits ? text : { object },
      files: files.map(({ hash }) => hash),
      ...(map === undefined ? {} : { map }),
      alone,
      ahead: isAhead,
      grants,
    });
  }

  /**
   * Tells a task's worker to stop it, until it answers, or is told otherwise. Never rejects.
   *
   * @returns the answer. Undefined: there is none, and none is needed
   */
  async stop(task: GivenTask): Promise<FromWorkerAnswer | undefined> {
    const { told } = task;
    for (;;) {
      const { state } = task;
      if (told === undefined || task.told !== told || !("worker" in state)) return undefined;
      const stop: ToWorker = { type: "stop", id: task.id, ...told };
      const said = await this.#tell(state.worker, stop).catch(() => undefined);
      const isSure = said !== undefined && !("elsewhere" in said.answer);
      if (isSure || (said !== undefined && task.state.at === "claimed")) return said.answer;
      await new Promise<void>((resolve) => this.#clock.after(STOP_AGAIN_MS, resolve));
    }
  }

  /**
   * Tells a worker that the end of a task is durable: with what is said to it next, or soon. It is
   * said once. Never rejects.
   */
  settled(worker: FarWorker, id: string): void {
    if (!worker.settles(id)) return;
    this.#clock.after(SETTLED_MS, () => this.#tellSettled(worker));
  }

  /** A worker that does not hear of it asks. Never rejects. */
  #tellSettled(worker: FarWorker): void {
    worker.settlesAgain();
    while (worker.session !== undefined && worker.hasSettled)
      void this.#tell(worker, { type: "settled" }).catch(() => undefined);
  }

  /** Calls a worker. @returns whether it is sure that nobody listens as it. Never rejects */
  async call(worker: FarWorker): Promise<boolean> {
    try {
      await this.#tell(worker, { type: "call" });
      return false;
    } catch (error) {
      return error instanceof BrokerSilence && error.reachedNobody;
    }
  }

  /** Tells a worker that an earlier daemon's task goes on. Never rejects. */
  async adopt(worker: FarWorker, id: string, { heard }: EarlierAttempt): Promise<AdoptionAnswer> {
    try {
      const told = await this.#tell(worker, { type: "adopt", id, heard });
      if (told === undefined) return { kind: "silent" };
      const { answer, number } = told;
      if (answer.type === "taken") return { kind: "taken", number };
      const hasNotBegun = answer.type === "refused" && answer.elsewhere !== true;
      return { kind: hasNotBegun ? "refused" : "silent" };
    } catch {
      return { kind: "silent" };
    }
  }

  /** Undefined: what it answers is nothing, or its session is over. @throws BrokerSilence */
  async #tell(worker: FarWorker, message: ToWorker): Promise<Answer> {
    const { session } = worker;
    if (session === undefined) throw new BrokerSilence(`the worker ${worker.name} is gone`);
    const at = `worker.${worker.name}`;
    const settled = worker.takeSettled();
    const says = { session, message, ...(settled.length === 0 ? {} : { settled }) };
    const said =
      message.type === "call"
        ? await this.#broker.ask(at, says, ANSWER_MS)
        : await this.#broker.askTogether(at, says, ANSWER_MS);
    const answer = readAnswer(said, session);
    return worker.session === session ? answer : undefined;
  }
}
