/**
 * The frames (core/task-frame.ts) that a runner knows. Its main thread does not read them: it
 * passes each on, once, to every thread that gets a step of it, and later tells these threads to
 * forget it.
 *
 * A piece keeps its frame: a step that waits when its run ends can still begin.
 */
import type { FrameHead, TaskHead, ToRunner } from "../pool/protocol.ts";

/** A frame as the runner's main thread has it. */
export interface RunnerFrame {
  readonly number: number;
  readonly head: FrameHead;
  readonly text: string;
  /** The threads that know it. */
  readonly threads: Set<{ forget(frame: number): void }>;
  forgotten: boolean;
}

/** What a thread is given: a whole task, or a step of a frame. */
export interface GivenPiece {
  readonly id: string;
  readonly head: TaskHead;
  /** The task as JSON; of a step with a frame its own parts, or nothing. */
  readonly body: string;
  readonly frame?: RunnerFrame | undefined;
  /** A runner that was replaced had it before. */
  readonly isMoved?: boolean | undefined;
}

/** Knows frames by their number. */
export class RunnerFrames {
  readonly #frames = new Map<number, RunnerFrame>();

  /** Takes a frame. */
  learn({ frame: number, head, text }: Extract<ToRunner, { type: "frame" }>): void {
    this.#frames.set(number, { number, head, text, threads: new Set(), forgotten: false });
  }

  /** A step as a piece. @throws Error if its frame is not known */
  piece({ id, frame, step, attempt, parts }: Extract<ToRunner, { type: "step" }>): GivenPiece {
    const known = this.#frames.get(frame);
    if (known === undefined) throw new Error(`step "${id}" is of frame ${frame}, which is unknown`);
    const { run, pipeline, bundle, source, isolated, gracePeriodMs } = known.head;
    return {
      id,
      head: {
        kind: "module",
        run,
        pipeline,
        step,
        attempt,
        bundle,
        source,
        isolated,
        gracePeriodMs,
      },
      body: parts ?? "",
      frame: known,
    };
  }

  /** Forgets frames, and has the threads forget them. */
  forget(numbers: readonly number[]): void {
    for (const number of numbers) {
      const frame = this.#frames.get(number);
      if (frame === undefined) continue;
      this.#frames.delete(number);
      frame.forgotten = true;
      for (const thread of frame.threads) thread.forget(number);
      frame.threads.clear();
    }
  }
}
