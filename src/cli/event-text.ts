/** A ledger line for people: what happened, in a few words, and why. */
import { defined } from "../core/defined.ts";
import { formatDuration } from "../core/duration.ts";
import { failureText, type StepError } from "../core/failure.ts";
import type { Style } from "./terminal.ts";

/** One line in words. */
export interface EventText {
  readonly text: string;
  readonly style?: Style;
}

type Line = Readonly<Record<string, unknown>>;

const STYLES: Readonly<Record<string, Style>> = {
  "step.completed": "green",
  "step.cached": "green",
  "step.failed": "red",
  "step.stopped": "yellow",
  "step.skipped": "dim",
  "step.interrupted": "yellow",
  "hook.failed": "red",
  "pipeline.invalid": "red",
  "pipeline.paused": "yellow",
  "pipeline.silenced": "yellow",
  "slot.skipped": "yellow",
  "slot.missed": "yellow",
  "slot.late": "yellow",
  "run.overdue": "yellow",
  "run.waits": "yellow",
  "run.stop_requested": "yellow",
  "clock.stepped": "yellow",
  "ledger.disturbed": "red",
  "pipeline.checkpoint": "dim",
};

const ENDS: Readonly<Record<string, Style>> = {
  completed: "green",
  cached: "green",
  failed: "red",
  stopped: "yellow",
};

/**
 * The words for a ledger line of any type, also of one that this release does not know.
 *
 * @param ofPipeline the line is of a pipeline's ledger, so the words name its run
 */
export function eventText(line: Line, ofPipeline = false): EventText {
  const type = String(line["type"]);
  const words = [type, ofPipeline ? text(line["run"]) : "", subject(line), detail(line)]
    .filter((part) => part !== "")
    .join(" ");
  const because = text(line["because"]);
  const style = type === "run.finished" ? ENDS[text(line["status"])] : STYLES[type];
  return {
    // A wait that is over says so in its error too.
    text: because === "" || words.includes(`: ${because}: `) ? words : `${words}: ${because}`,
    ...defined({ style }),
  };
}

function subject(line: Line): string {
  const step = text(line["step"]);
  const hook = text(line["hook"]);
  const slot = text(line["slot"]);
  const until = text(line["until"]);
  return [hook, step, slot, until === "" ? "" : `to ${until}`]
    .filter((part) => part !== "")
    .join(" ");
}

function detail(line: Line): string {
  const parts: string[] = [];
  if (typeof line["attempt"] === "number" && line["attempt"] > 1)
    parts.push(`attempt ${line["attempt"]}`);
  if (typeof line["status"] === "string") parts.push(line["status"]);
  if (typeof line["mode"] === "string") parts.push(line["mode"]);
  if (typeof line["durationMs"] === "number")
    parts.push(`in ${formatDuration(line["durationMs"])}`);
  const error = line["error"] as StepError | undefined;
  if (error !== undefined && error !== null)
    parts.push(`${text(error.name)}: ${failureText({ ...error, message: text(error.message) })}`);
  if (line["type"] === "step.placed")
    parts.push(`on ${text(line["place"])} at ${text(line["host"])}`);
  if (Array.isArray(line["on"])) parts.push(`for ${line["on"].map(String).join(", ")}`);
  if (typeof line["retryAt"] === "string") parts.push(`again at ${line["retryAt"]}`);
  if (Array.isArray(line["errors"])) parts.push(line["errors"].map(String).join("; "));
  if (typeof line["digest"] === "string" && line["type"] === "pipeline.loaded")
    parts.push(line["digest"].slice(0, 12));
  if (typeof line["from"] === "string" && typeof line["to"] === "string")
    parts.push(`${line["from"]} to ${line["to"]}`);
  return parts.join(" ");
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
