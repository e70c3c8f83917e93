/**
 * Answers questions about large values in a thread of its own, so that the daemon's events go on
 * (disk/answering-thread.ts).
 */
import { AnsweringThread } from "../disk/answering-thread.ts";
import type { ValueAnswers, ValueJob } from "./value-job.ts";

/** A thread for the values of one runs folder. */
export class ValueThread {
  readonly #thread: AnsweringThread<ValueJob, ValueAnswers[ValueJob["kind"]]>;

  /** @param artifacts the folder of artifacts */
  constructor(artifacts: string) {
    this.#thread = new AnsweringThread("values", artifacts);
  }

  /** Answers a question. Rejects as `answerJob` throws, and where the thread dies. */
  ask<K extends ValueJob["kind"]>(job: ValueJob & { readonly kind: K }): Promise<ValueAnswers[K]> {
    return this.#thread.ask(job) as Promise<ValueAnswers[K]>;
  }

  /** Ends the thread. What it was asked is not answered any more. */
  close(): Promise<void> {
    return this.#thread.close();
  }
}
