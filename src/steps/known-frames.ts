/**
 * The frames (core/task-frame.ts) that a thread knows, and the tasks that it makes of them.
 *
 * A piece gets its frame when it arrives, because the frame may be forgotten before the piece
 * begins: when its run has ended meanwhile.
 */
import { taskOfFrame, type TextFrame } from "../core/task-frame.ts";
import { addTraceparent } from "../core/trace-span.ts";
import { unpackPieces, type SentPiece } from "./sent-pieces.ts";
import type { ThreadTask } from "./step-runner.ts";
import type { ToThread } from "./thread-protocol.ts";

/** A task that was sent ahead. */
export interface AheadPiece {
  readonly sent: SentPiece;
  readonly frame: TextFrame | undefined;
}

/** Knows frames by their number. */
export class KnownFrames {
  readonly #frames = new Map<number, TextFrame>();

  /** Takes new frames and pieces, then forgets frames. @param ahead gets the pieces */
  take(
    { pieces, frames = [], forget = [] }: Extract<ToThread, { type: "run" }>,
    ahead: AheadPiece[],
  ): void {
    for (const { number, text } of frames) this.#frames.set(number, JSON.parse(text) as TextFrame);
    for (const sent of unpackPieces(pieces))
      ahead.push({
        sent,
        frame: sent.frame === undefined ? undefined : this.#frames.get(sent.frame),
      });
    for (const number of forget) this.#frames.delete(number);
  }
}

/** The task of a piece. No two tasks share what user code may change. */
export function taskOfPiece({ sent, frame }: AheadPiece): ThreadTask {
  const { id, body, step = "", attempt = 1 } = sent;
  const task =
    frame === undefined
      ? (JSON.parse(body) as ThreadTask)
      : taskOfFrame(frame, step, attempt, body === "" ? undefined : body);
  if (task.trace !== undefined) addTraceparent(task.env, task.trace, id);
  return task;
}
