/**
 * An alert as the line that makes it durable, and read back. It stands apart from the schema of
 * that line, which takes longer to load than the page has.
 */
import type { Alert, FaultKind } from "./alert.ts";
import { defined } from "./defined.ts";
import type { NotifyEvent } from "./notify-event.ts";

/** The line that makes a message durable. `at` is the framing's: the alert's is `happened`. */
export function dueEvent({ at, others, ...alert }: Alert): NotifyEvent {
  return {
    type: "notify.due",
    ...alert,
    happened: at,
    ...(others === undefined ? {} : { others: others.map((one) => ({ ...one })) }),
  };
}

/** The alert that a line made durable. */
export function alertOf(due: Extract<NotifyEvent, { readonly type: "notify.due" }>): Alert {
  const { key, kind, of, channel, pipeline, run, status, because, cause, count, telling } = due;
  const at = due.happened;
  const others = due.others as Alert["others"];
  const given = { of: of as FaultKind | undefined, pipeline, run, status, cause, others };
  return { key, kind, channel, because, at, count, telling, ...defined(given) };
}
