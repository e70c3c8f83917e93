/**
 * A thread that answers questions which would hold up the daemon's events.
 *
 * It is started with the first question and ended when nobody has asked for a while: its heap grows
 * with the largest question. It is kept while somebody holds it: then it knows what it was asked
 * before. Where it cannot be started, or dies, its questions fail.
 */
import { Worker } from "node:worker_threads";
import { builtProgram } from "./built-program.ts";

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

interface Waiting<A> {
  readonly resolve: (value: A) => void;
  readonly reject: (error: Error) => void;
}

/** A thread that is started when it is needed. */
export class AnsweringThread<Q, A> {
  readonly #program: string;
  readonly #data: unknown;
  readonly #waiting = new Map<number, Waiting<A>>();
  #worker: Worker | undefined;
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
      this.#worker ??= this.#start();
      this.#asked += 1;
      this.#waiting.set(this.#asked, { resolve, reject });
      this.#worker.postMessage({ id: this.#asked, question } satisfies ThreadQuestion<Q>);
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
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(builtProgram(this.#program), { workerData: this.#data });
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
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of all) reject(error);
  }
}
