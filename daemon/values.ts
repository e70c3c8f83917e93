/** The entry of the thread that answers questions about large values (ledger/value-thread.ts). */
import { parentPort, workerData } from "node:worker_threads";
import { toStepError } from "../src/core/failure.ts";
import { Artifacts } from "../src/ledger/artifacts.ts";
import { answerJob } from "../src/ledger/value-job.ts";
import type { ValueAnswer, ValueQuestion } from "../src/ledger/value-thread.ts";

const artifacts = new Artifacts(workerData as string);
parentPort!.on("message", ({ id, job }: ValueQuestion) => {
  let answer: ValueAnswer;
  try {
    answer = { id, value: answerJob(job, artifacts) };
  } catch (thrown) {
    const { name, message, code } = toStepError(thrown);
    answer = { id, error: code === undefined ? { name, message } : { name, message, code } };
  }
  parentPort!.postMessage(answer);
});
