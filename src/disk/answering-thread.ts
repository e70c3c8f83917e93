/**
 * A thread that answers questions which would hold up the daemon's events.
 *
 * It is started with the first question and ended when nobody has asked for a while: its heap grows
 * with the largest question. It is kept while somebody holds it: then it knows what it was asked
 * before. Where it dies, its questions fail.
 *
 * Where it cannot be started for now, its questions wait: the machine starts no thread, or another
 * release was installed, whose thread may not understand this process.
 */
import { Worker } from "node:worker_threads";
import { builtProgram, OtherRelease } from "./built-program.ts";
import { hasDescriptors } from "./descriptors.ts";
import { startsLater } from "./process-start.ts";
import { RETRY_MS } from "./until-room.ts";

/** How long the thread lives after its last answer, in milliseconds. */
const IDLE_MS = 5_000;

/** To the thread. */
export interface ThreadQuestion<Q> {
  readonly id: number;
  readonly question: Q;
}

/** From the thread. */
export type ThreadAnswer<A> =
  | { readonly id: number; readonly value: A }
  | {
      readonly id: number;
      readonly error: { readonly name: string; readonly message: string; readonly code?: string };
    };

interface Waiting<Q, A> {
  readonly question: Q;
  readonly resolve: (value: A) => void;
  readonly reject: (error: Error) => void;
}

/** A thread that is started when it is needed. */
export class AnsweringThread<Q, A> {
  readonly #program: string;
  readonly #data: unknown;
  readonly #waiting = new Map<number, Waiting<Q, A>>();
  #worker: Worker | undefined;
  /** Runs until it is started again. Without it and without a thread, nothing waits. */
  #again: NodeJS.Timeout | undefined;
  #asked = 0;
  #held = 0;
  #idle: NodeJS.Timeout | undefined;

  /**
   * @param program the name of the thread's built program
   * @param data what the program is given as it starts
   */
  constructor(program: string, data?: unknown) {
    this.#program = program;
    this.#data = data;
  }

  /** Asks. Rejects with what the program threw, and where the thread dies. */
  ask(question: Q): Promise<A> {
    return new Promise((resolve, reject) => {
      clearTimeout(this.#idle);
      this.#asked += 1;
      const id = this.#asked;
      this.#waiting.set(id, { question, resolve, reject });
      if (this.#worker !== undefined) this.#worker.postMessage(said(id, question));
      else if (this.#again === undefined) this.#begin();
    });
  }

  /** Keeps the thread until {@link release}. */
  hold(): void {
    clearTimeout(this.#idle);
    this.#held += 1;
  }

  /** The caller of {@link hold} needs the thread no more. */
  release(): void {
    this.#held -= 1;
    this.#endWhenIdle();
  }

  /** Ends the thread. What it was asked is not answered any more. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    clearTimeout(this.#again);
    this.#again = undefined;
    this.#waiting.clear();
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  /** Starts it and asks it all that waits, now or once it can be started. */
  #begin(): void {
    this.#again = undefined;
    try {
      this.#worker = this.#start();
    } catch (error) {
      this.#reject(error as Error);
      return;
    }
    if (this.#worker === undefined) this.#again = setTimeout(() => this.#begin(), RETRY_MS).unref();
    else
      for (const [id, { question }] of this.#waiting) this.#worker.postMessage(said(id, question));
  }

  /** Undefined where it cannot be started now. */
  #start(): Worker | undefined {
    if (!hasDescriptors()) return undefined;
    let worker: Worker;
    try {
      worker = new Worker(builtProgram(this.#program), { workerData: this.#data });
    } catch (error) {
      if (error instanceof OtherRelease || startsLater(error)) return undefined;
      throw error;
    }
    worker.unref();
    worker.on("message", (answer: ThreadAnswer<A>) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ("value" in answer) waiting?.resolve(answer.value);
      else waiting?.reject(Object.assign(new Error(answer.error.message), answer.error));
      this.#endWhenIdle();
    });
    worker.on("error", (error) => this.#lose(worker, error));
    worker.on("exit", () =>
      this.#lose(worker, new Error(`the thread ${this.#program} of the daemon ended`)),
    );
    return worker;
  }

  #endWhenIdle(): void {
    if (this.#waiting.size > 0 || this.#held > 0) return;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.close(), IDLE_MS).unref();
  }

  #lose(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#reject(error);
  }

  #reject(error: Error): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of all) reject(error);
  }
}

function said<Q>(id: number, question: Q): ThreadQuestion<Q> {
  return { id, question };
}
