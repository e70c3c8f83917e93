/** The entry of the thread that answers questions about large values (ledger/value-thread.ts). */
import { workerData } from "node:worker_threads";
import { Artifacts } from "../src/ledger/artifacts.ts";
import { answerJob, type ValueJob } from "../src/ledger/value-job.ts";
import { answerQuestions } from "./answer-questions.ts";

const artifacts = new Artifacts(workerData as string);
answerQuestions((job: ValueJob) => answerJob(job, artifacts));
