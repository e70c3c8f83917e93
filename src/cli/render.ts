/** How statuses look on a terminal: a status has one colour and one mark everywhere. */
import type { Status } from "../core/status.ts";
import { span, type Part, type Span, type Style } from "./terminal.ts";

const STATUS_STYLES: Readonly<Record<Status, Style>> = {
  initializing: "dim",
  running: "cyan",
  completed: "green",
  failed: "red",
  cached: "green",
  retrying: "yellow",
  retried: "yellow",
  stopping: "yellow",
  stopped: "yellow",
  skipped: "dim",
};

const STATUS_MARKS: Readonly<Record<Status, string>> = {
  initializing: "·",
  running: "▸",
  completed: "✓",
  failed: "✗",
  cached: "=",
  retrying: "↻",
  retried: "↻",
  stopping: "■",
  stopped: "■",
  skipped: "-",
};

/** A status in its colour; one that this release does not know stays plain. */
export function statusSpan(status: string): Span {
  return span(STATUS_STYLES[status as Status], status);
}

/** One character that stands for a status, in its colour. */
export function statusMark(status: string): Span {
  return span(STATUS_STYLES[status as Status], STATUS_MARKS[status as Status] ?? "?");
}

/** The head of a line about a run. */
export function runHead({
  run,
  status,
}: {
  readonly run: string;
  readonly status: string;
}): Part[] {
  return [statusMark(status), " ", span("bold", run), " ", statusSpan(status)];
}
