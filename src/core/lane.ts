import type { SnapshotStep } from "./snapshot.ts";

/**
 * Where steps queue for room. The room of one lane says nothing about another's: `module` is for
 * functions in worker threads, `shell` for shell texts.
 */
export type Lane = string;

/** How many more steps may start now, by lane. A lane that is not listed has no room. */
export interface Room {
  readonly [lane: Lane]: number;
}

/** The lane that a step queues in. */
export function laneOf(spec: SnapshotStep): Lane {
  return spec.code === undefined ? "shell" : "module";
}
