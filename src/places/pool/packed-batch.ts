/**
 * Batches as they cross the channel between a runner and the process that forked it, or the wire to
 * one elsewhere (wire.ts).
 *
 * A busy batch is nearly all ends of brief steps one way, and steps of a frame the other way. As an
 * object for each, with the name of each member, V8 takes three times as long to write and to read
 * it as its values need. So those that follow each other are one message, with a flat list. All
 * else crosses as it is, and the order stays.
 */
import type { FromRunner, ToRunner } from "./protocol.ts";

type Done = Extract<FromRunner, { readonly type: "done" }>;
type Step = Extract<ToRunner, { readonly type: "step" }>;

/** What a runner says, packed. */
export type PackedFromRunner =
  | FromRunner
  /** Good ends. For each of them: its id, its value as JSON, its duration, and when it started. */
  | { readonly type: "ends"; readonly ends: readonly (string | number)[] };

/** What a runner is told, packed. */
export type PackedToRunner =
  | ToRunner
  /** Steps of one frame. For each: its id, its name, its attempt, and its parts; 0: it has none. */
  | {
      readonly type: "steps";
      readonly frame: number;
      readonly steps: readonly (string | number)[];
    };

/** How many values of a list belong to one end, or to one step. */
export const PACKED_VALUES = 4;

/** For the runner. */
export function packEnds(batch: readonly FromRunner[]): PackedFromRunner[] {
  const packed: PackedFromRunner[] = [];
  let ends: (string | number)[] | undefined;
  for (const message of batch) {
    if (message.type === "done" && "json" in message.result) {
      if (ends === undefined) packed.push({ type: "ends", ends: (ends = []) });
      ends.push(message.id, message.result.json, message.durationMs, message.startedAt);
    } else {
      ends = undefined;
      packed.push(message);
    }
  }
  return packed;
}

/** For the other side. */
export function unpackEnds(packed: readonly PackedFromRunner[]): FromRunner[] {
  const batch: FromRunner[] = [];
  for (const message of packed)
    if (message.type !== "ends") batch.push(message);
    else
      for (let at = 0; at < message.ends.length; at += PACKED_VALUES)
        batch.push(endAt(message.ends, at));
  return batch;
}

function endAt(ends: readonly (string | number)[], at: number): Done {
  return {
    type: "done",
    id: ends[at] as string,
    result: { ok: true, json: ends[at + 1] as string },
    durationMs: ends[at + 2] as number,
    startedAt: ends[at + 3] as number,
  };
}

/** For the other side. */
export function packSteps(batch: readonly ToRunner[]): PackedToRunner[] {
  const packed: PackedToRunner[] = [];
  let last = 0;
  let steps: (string | number)[] | undefined;
  for (const message of batch) {
    if (message.type !== "step") {
      steps = undefined;
      packed.push(message);
      continue;
    }
    const { id, frame, step, attempt, parts = 0 } = message;
    if (steps === undefined || frame !== last)
      packed.push({ type: "steps", frame: (last = frame), steps: (steps = []) });
    steps.push(id, step, attempt, parts);
  }
  return packed;
}

/** For the runner. */
export function unpackSteps(packed: readonly PackedToRunner[]): ToRunner[] {
  const batch: ToRunner[] = [];
  for (const message of packed)
    if (message.type !== "steps") batch.push(message);
    else
      for (let at = 0; at < message.steps.length; at += PACKED_VALUES)
        batch.push(stepAt(message.frame, message.steps, at));
  return batch;
}

function stepAt(frame: number, steps: readonly (string | number)[], at: number): Step {
  const id = steps[at] as string;
  const step = steps[at + 1] as string;
  const attempt = steps[at + 2] as number;
  const parts = steps[at + 3] as string | 0;
  return parts === 0
    ? { type: "step", id, frame, step, attempt }
    : { type: "step", id, frame, step, attempt, parts };
}
