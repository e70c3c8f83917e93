import { parentPort } from "node:worker_threads";
import { toStepError } from "../src/core/failure.ts";
import type { ThreadAnswer, ThreadQuestion } from "../src/disk/answering-thread.ts";

/** Answers each question that this thread is asked (disk/answering-thread.ts). */
export function answerQuestions<Q>(answer: (question: Q) => unknown): void {
  parentPort!.on("message", ({ id, question }: ThreadQuestion<Q>) => {
    let said: ThreadAnswer<unknown>;
    try {
      said = { id, value: answer(question) };
    } catch (thrown) {
      const { name, message, code } = toStepError(thrown);
      said = { id, error: code === undefined ? { name, message } : { name, message, code } };
    }
    parentPort!.postMessage(said);
  });
}
