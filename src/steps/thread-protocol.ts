/**
 * What a runner's main thread and a worker thread say to each other.
 *
 * Besides messages they share a few integers ({@link CELLS}). The `claims` cells decide who has a
 * task that was sent ahead. The worker thread claims it just before it begins. The main thread
 * takes it back if it would wait too long behind another task. The first to change the cell has the
 * task. `heard` counts the output messages that went on to the daemon: a thread that prints faster
 * than they are taken waits, instead of filling memory. How most brief steps end is in a ring of
 * its own (end-ring.ts).
 */
import type { StepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import type { OutputLine, StagedValue } from "../core/task.ts";
import type { PackedPieces } from "./sent-pieces.ts";

/** A frame on its way to a thread. */
export interface SentFrame {
  readonly number: number;
  readonly text: string;
}

/** Main thread to worker thread. */
export type ToThread =
  /**
   * Run these, one after the other. `frames` are those that the thread does not know yet. Once the
   * pieces are taken, the thread forgets those of `forget`.
   */
  | {
      readonly type: "run";
      readonly pieces: PackedPieces;
      readonly frames?: readonly SentFrame[];
      readonly forget?: readonly number[];
    }
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
      /** The value is a step's outputs as a ledger has them: those in files are loaded first. */
      readonly stored?: boolean | undefined;
      readonly error?: StepError | undefined;
    };

/** Worker thread to main thread. */
export type FromThread =
  | { readonly type: "ready" }
  | {
      readonly type: "done";
      readonly seq: number;
      /** The value as JSON; undefined if the task failed. */
      readonly json?: string | undefined;
      /** The value, where it is large. */
      readonly staged?: StagedValue | undefined;
      readonly error?: StepError | undefined;
      readonly startedAt: number;
      readonly durationMs: number;
      /** Why the thread must not be used again; undefined if it may. */
      readonly retire?: string | undefined;
      /**
       * It left something under way that ends by itself (a file that is being written), and may get
       * a moment to end it.
       */
      readonly pending?: boolean | undefined;
      /** No other pipeline may use the thread. */
      readonly bound?: boolean | undefined;
      /** Whether it started processes. */
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
      /** How long the argument's JSON is, in UTF-16 code units. */
      readonly length: number;
      readonly method: string;
      readonly argument: Json;
    }
  /**
   * The thread must not be used again: something was thrown between two tasks, or the next one is
   * another pipeline's and not all is as it was at first.
   */
  | { readonly type: "spoiled" }
  /** Ends are in the ring (end-ring.ts), and no further piece is here. */
  | { readonly type: "ended" }
  /** The abort arrived, so the thread is not blocked. */
  | { readonly type: "heard"; readonly seq: number };

/** Asks the daemon something on behalf of a task. Rejects with the error that it answers. */
export type DaemonCall = (method: string, argument: Json) => Promise<Json>;

/** What a thread gets at its start. */
export interface ThreadData {
  readonly shared: SharedArrayBuffer;
  /** The ring of quick ends (end-ring.ts). */
  readonly ends: SharedArrayBuffer;
  readonly bundles: string;
  readonly token: string;
  /** The runner's PATH, HOME, LANG and TZ: every task's environment has them. */
  readonly baseEnv: Readonly<Record<string, string>>;
  /** Whether tasks of several pipelines may come. If not, it is used once. */
  readonly reused: boolean;
  /** How many bytes this thread may hold, heap and Buffers together; undefined: no limit. */
  readonly memoryLimit?: number | undefined;
}

/** The cells of {@link ThreadData.shared}, an Int32Array. */
export const CELLS = {
  /** How many output messages went on to the daemon. */
  heard: 0,
  /** KiB held at the last look. The main thread can read it even while the thread is blocked. */
  heldKib: 1,
  /** How often a thread with a limit has looked: if it stands still, the thread is blocked. */
  looks: 2,
  /** The first of {@link CLAIM_CELLS} cells. */
  claims: 3,
} as const;

/**
 * After how many tasks a claim cell is used again. It is far more than one thread ever gets ahead,
 * because tasks that were taken back leave gaps.
 */
export const CLAIM_CELLS = 256;

/** The length of the shared array, in bytes. */
export const SHARED_BYTES = (CELLS.claims + CLAIM_CELLS) * 4;

/**
 * The claim cell of a task. It holds `seq` while the task is offered, and 0 once either side has
 * taken it.
 */
export function claimCell(seq: number): number {
  return CELLS.claims + (seq % CLAIM_CELLS);
}
