/**
 * The frames (core/task-frame.ts) that one runner was told, by number. A new runner knows none, so
 * each runner has its own, and a number means one frame for as long as the runner lives.
 */
import { partsText, frameText, type FramedTask, type TaskFrame } from "../../core/task-frame.ts";
import { headOfFrame, type PoolMessage } from "./protocol.ts";

/** Tells one runner frames, and the steps of them. */
export class SentFrames {
  readonly #send: (message: PoolMessage) => void;
  readonly #numbers = new Map<TaskFrame, number>();
  #told = 0;
  #forgotten: number[] = [];

  constructor(send: (message: PoolMessage) => void) {
    this.#send = send;
  }

  /** Gives the runner a step, and its frame before that if it does not know it. */
  start(id: string, { frame, step, attempt, parts }: FramedTask): void {
    let number = this.#numbers.get(frame);
    if (number === undefined) {
      number = this.#told += 1;
      this.#numbers.set(frame, number);
      const [head, text] = [headOfFrame(frame), frameText(frame)];
      this.#send({ type: "frame", frame: number, head, text });
    }
    this.#send({ type: "step", id, frame: number, step, attempt, parts: partsText(parts) });
  }

  /** The run has ended. */
  forget(frame: TaskFrame): void {
    const number = this.#numbers.get(frame);
    if (number === undefined) return;
    this.#numbers.delete(frame);
    this.#forgotten.push(number);
  }

  /** The numbers that the runner may forget. It is told at the end of the next batch. */
  takeForgotten(): readonly number[] {
    if (this.#forgotten.length === 0) return NONE;
    const forgotten = this.#forgotten;
    this.#forgotten = [];
    return forgotten;
  }
}

const NONE: readonly number[] = [];
