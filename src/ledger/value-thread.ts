/**
 * Answers questions about large values in a thread of its own, so that the daemon's events go on.
 *
 * The thread is started with the first question and ended when nobody has asked for a while: its
 * heap grows with the largest value. Where it cannot be started, or dies, its questions fail.
 */
import { Worker } from "node:worker_threads";
import { builtProgram } from "../disk/built-program.ts";
import type { ValueAnswers, ValueJob } from "./value-job.ts";

/** How long the thread lives after its last answer, in milliseconds. */
const IDLE_MS = 5_000;

/** To the thread. */
export interface ValueQuestion {
  readonly id: number;
  readonly job: ValueJob;
}

/** From the thread. */
export type ValueAnswer =
  | { readonly id: number; readonly value: ValueAnswers[ValueJob["kind"]] }
  | {
      readonly id: number;
      readonly error: { readonly name: string; readonly message: string; readonly code?: string };
    };

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** A thread for the values of one runs folder. */
export class ValueThread {
  readonly #artifacts: string;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #asked = 0;
  #idle: NodeJS.Timeout | undefined;

  /** @param artifacts the folder of artifacts */
  constructor(artifacts: string) {
    this.#artifacts = artifacts;
  }

  /** Answers a question. Rejects as `answerJob` throws, and where the thread dies. */
  ask<K extends ValueJob["kind"]>(job: ValueJob & { readonly kind: K }): Promise<ValueAnswers[K]> {
    return new Promise((resolve, reject) => {
      clearTimeout(this.#idle);
      this.#worker ??= this.#start();
      this.#asked += 1;
      this.#waiting.set(this.#asked, { resolve, reject });
      this.#worker.postMessage({ id: this.#asked, job } satisfies ValueQuestion);
    });
  }

  /** Ends the thread. What it was asked is not answered any more. */
  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(builtProgram("values"), { workerData: this.#artifacts });
    worker.unref();
    worker.on("message", (answer: ValueAnswer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ("value" in answer) waiting?.resolve(answer.value as never);
      else waiting?.reject(Object.assign(new Error(answer.error.message), answer.error));
      if (this.#waiting.size === 0)
        this.#idle = setTimeout(() => void this.close(), IDLE_MS).unref();
    });
    worker.on("error", (error) => this.#lose(worker, error));
    worker.on("exit", () => this.#lose(worker, new Error("the thread for large values ended")));
    return worker;
  }

  #lose(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of all) reject(error);
  }
}
