import type { SnapshotStep } from "./snapshot.ts";

/**
 * Where steps queue for room. The room of one lane says nothing about another's: `module` is for
 * functions in worker threads, `shell` for shell texts on this machine, `container` for steps in
 * containers. `module@gpu+linux` and `shell@gpu+linux` are for steps that want a place with these
 * labels (`on`).
 */
export type Lane = string;

/** How many more steps may start now, by lane. A lane that is not listed has no room. */
export interface Room {
  readonly [lane: Lane]: number;
}

/**
 * Whether a step may be begun ahead of a free thread, behind others, where steps of its code are
 * brief (semantics.md 20). A time limit counts from the begin, `isolated` and a memory limit want a
 * thread of their own, hooks start more tasks, and what must never run twice must never be in
 * doubt.
 */
export function mayGoAhead(spec: SnapshotStep): boolean {
  return (
    spec.code !== undefined &&
    spec.container === undefined &&
    spec.timeoutMs === undefined &&
    spec.memoryMb === undefined &&
    !spec.isolated &&
    spec.hooks.onSuccess === undefined &&
    spec.hooks.onFailure === undefined &&
    spec.onInterruption !== "fail"
  );
}

/** The lane that a step queues in. */
export function laneOf(spec: SnapshotStep): Lane {
  if (spec.container !== undefined) return "container";
  const kind = spec.code === undefined ? "shell" : "module";
  return spec.on === undefined ? kind : farLane(kind, spec.on);
}

/** The lane of steps of this kind that want all these labels. @param labels in their order */
export function farLane(kind: "module" | "shell", labels: readonly string[]): Lane {
  return `${kind}@${labels.join("+")}`;
}

/** What a lane of other machines wants. Undefined: it is a lane of this machine. */
export function wantedBy(
  lane: Lane,
): { readonly kind: "module" | "shell"; readonly labels: readonly string[] } | undefined {
  const at = lane.indexOf("@");
  if (at === -1) return undefined;
  const kind = lane.startsWith("module@") ? "module" : "shell";
  return { kind, labels: lane.slice(at + 1).split("+") };
}
