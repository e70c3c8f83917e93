/** `orchd worker`: takes steps of a broker's place, until the process is told to end. */
import type { CommandContext, WorkerAnswer } from "../command.ts";
import { usageError, type ExitStatus } from "../exit.ts";

/** How many steps of each kind a worker may run at once. */
const MOST_THREADS = 256;

/** Runs the command. It prints one line once it serves. */
export async function run({
  args,
  roots,
  terminal,
  serveWorker,
}: CommandContext): Promise<ExitStatus> {
  const place = args.text("place");
  if (place === undefined || place === "")
    throw usageError("Name the place that it serves: --place NAME, as orchd.yaml names it.");
  const json = args.flag("json");
  const status = await serveWorker({
    ...roots,
    isTerminal: process.stderr.isTTY === true && !json,
    place,
    name: args.text("name"),
    labels: labelsIn(args.list("labels")),
    threads: threadsIn(args.text("threads")),
    serves(what) {
      if (json) terminal.json(what);
      else terminal.line(`worker: ${answerText(what)}`);
    },
    tell: (sentence) => terminal.error(sentence),
  });
  return status as ExitStatus;
}

function labelsIn(given: readonly string[]): readonly string[] {
  const labels = given.flatMap((text) => text.split(",")).map((label) => label.trim());
  return [...new Set(labels.filter((label) => label !== ""))];
}

function threadsIn(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const threads = Number(text);
  if (Number.isInteger(threads) && threads >= 1 && threads <= MOST_THREADS) return threads;
  throw usageError(`--threads is ${text}: give a whole number from 1 to ${MOST_THREADS}.`);
}

function answerText({ place, worker, labels, threads, urls }: WorkerAnswer): string {
  const parts = [
    `${worker} serves ${place} at ${urls.join(", ")}`,
    labels.length === 0 ? "no labels" : `labels ${labels.join(", ")}`,
    threads === 1 ? "1 thread" : `${threads} threads`,
  ];
  return parts.join("; ");
}
