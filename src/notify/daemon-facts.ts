/** What concerns the daemon, a file or a channel, and no line of a ledger tells. */
import type { AlertTurn } from "./alert-turn.ts";
import type { NotifyInput } from "./notify-input.ts";

type Of<T extends NotifyInput["type"]> = Extract<NotifyInput, { readonly type: T }>;

/** The most damaged files that are told one by one. */
const MOST_DAMAGED = 200;

/** A daemon began after one that had not been told to end. */
export function takeRestart(turn: AlertTurn, { epoch, at, because }: Of<"restarted">): void {
  if (epoch <= (turn.state.epoch ?? 0)) return;
  turn.state.epoch = epoch;
  turn.once(undefined, "restarted", { at, because, cause: `epoch:${epoch}` });
}

/** The disk is full, or has room again. */
export function takeDisk(turn: AlertTurn, { full, at, because }: Of<"disk">): void {
  const holds = turn.state.daemon.get("disk_full") !== undefined;
  if (full === holds) return;
  const fact = { at, because, cause: "disk" };
  if (full) turn.cause(undefined, "disk_full", "disk_full", fact);
  else turn.recover(undefined, "disk_full", fact);
}

/** A ledger is damaged, or whole again. */
export function takeDamage(turn: AlertTurn, input: Of<"damage">): void {
  const { pipeline, file, damaged, at, because } = input;
  const entry = pipeline === undefined ? undefined : turn.pipeline(pipeline);
  const all = entry?.firing ?? turn.state.daemon;
  const variant = `damaged@${file}`;
  const fact = { at, because: because === "" ? file : `${file}: ${because}`, cause: file };
  if (!damaged) turn.recover(pipeline, variant, fact);
  else if (all.get(variant) === undefined && all.size < MOST_DAMAGED)
    turn.cause(pipeline, variant, "damaged", fact);
  if (pipeline !== undefined) turn.tidy(pipeline);
}

/** A channel takes no messages, or takes them again. */
export function takeChannel(turn: AlertTurn, input: Of<"channel">): void {
  const { channel, broken, at, because } = input;
  const variant = `channel_broken@${channel}`;
  const holds = turn.state.daemon.get(variant) !== undefined;
  if (broken === holds) return;
  const fact = { at, because: `${channel}: ${because}`, cause: channel };
  if (broken) turn.cause(undefined, variant, "channel_broken", fact);
  else turn.recover(undefined, variant, fact);
}
