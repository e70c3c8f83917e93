import type { SnapshotStep } from "./snapshot.ts";

/**
 * Where steps queue for room. The room of one lane says nothing about another's: `module` is for
 * functions in worker threads, `shell` for shell texts on this machine, `container` for shell texts
 * in containers.
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
  if (spec.code !== undefined) return "module";
  return spec.container === undefined ? "shell" : "container";
}
