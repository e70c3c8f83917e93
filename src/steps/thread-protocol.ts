/**
 * What a runner's main thread and a worker thread say to each other.
 *
 * Besides messages they share a few integers. `CLAIMS` cells decide which of the two has a piece of
 * work that was sent ahead: the thread claims it just before it begins, the main thread takes it
 * back if it would wait too long behind another; whoever changes the cell first has it. `HEARD`
 * counts the output messages that have gone on to the daemon, so that a thread that prints faster
 * than anyone can take waits instead of filling memory.
 */
import type { StepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import type { OutputLine } from "../core/task.ts";

/** A piece of work on its way to a thread; `body` is the task as JSON. */
export interface SentPiece {
  readonly seq: number;
  readonly id: string;
  readonly body: string;
}

/** Main thread to worker thread. */
export type ToThread =
  /** To be begun one after another. */
  | { readonly type: "run"; readonly pieces: readonly SentPiece[] }
  | {
      readonly type: "abort";
      readonly seq: number;
      readonly reason: "stop" | "timeout";
      readonly because: string;
    }
  | {
      readonly type: "reply";
      readonly seq: number;
      readonly call: number;
      readonly value?: Json | undefined;
      readonly error?: StepError | undefined;
    };

/** Worker thread to main thread. */
export type FromThread =
  | { readonly type: "ready" }
  | {
      readonly type: "done";
      readonly seq: number;
      /** The value as JSON; undefined: it failed. */
      readonly json?: string | undefined;
      readonly error?: StepError | undefined;
      readonly startedAt: number;
      readonly durationMs: number;
      /** Why the thread is not to be used again. */
      readonly retire?: string | undefined;
      /**
       * It left something under way that ends by itself (a file being written), and may be given a
       * moment for it.
       */
      readonly pending?: boolean | undefined;
      /** Processes were started. */
      readonly spawned: boolean;
    }
  | {
      readonly type: "output";
      readonly seq: number;
      readonly at: string;
      readonly stream: OutputLine["stream"];
      readonly lines: readonly string[];
    }
  | {
      readonly type: "call";
      readonly seq: number;
      readonly call: number;
      readonly method: string;
      readonly argument: Json;
    }
  /** Something was thrown between two pieces of work: the thread is not to be used again. */
  | { readonly type: "spoiled" }
  /** The abort arrived: the thread is not blocked. */
  | { readonly type: "heard"; readonly seq: number };

/** Asks the daemon something on behalf of a task. Rejects with the error that it answers. */
export type DaemonCall = (method: string, argument: Json) => Promise<Json>;

/** What a thread is given at its start. */
export interface ThreadData {
  readonly shared: SharedArrayBuffer;
  readonly bundles: string;
  readonly token: string;
  /** What every environment begins with: PATH, HOME, LANG and TZ of the runner. */
  readonly baseEnv: Readonly<Record<string, string>>;
  /** Bytes that this thread may hold, heap and buffers together; undefined: no limit. */
  readonly memoryLimit?: number | undefined;
}

/** The cells of {@link ThreadData.shared}, an Int32Array. */
export const CELLS = {
  /** Output messages that have gone on. */
  heard: 0,
  /**
   * Bytes held at the last look, in KiB; the main thread sees them even while the thread is
   * blocked.
   */
  heldKib: 1,
  /** How often a limited thread has looked: where it stands still, the thread is blocked. */
  looks: 2,
  claims: 3,
} as const;

/**
 * A cell is used again after so many pieces: far more than one thread is ever given ahead, since
 * pieces that were taken back leave gaps.
 */
export const CLAIM_CELLS = 256;

/** The length of the shared array, in bytes. */
export const SHARED_BYTES = (CELLS.claims + CLAIM_CELLS) * 4;

/**
 * The claim cell of a piece of work. It holds `seq` while it is offered, and 0 once either side has
 * taken it.
 */
export function claimCell(seq: number): number {
  return CELLS.claims + (seq % CLAIM_CELLS);
}
