/** What the fold of alerts is given, one after the other, and what it answers. */
import type { Alert } from "../core/alert.ts";
import type { Json } from "../core/snapshot.ts";

/** Everything that can change what people are told. `now`: milliseconds since 1970. */
export type NotifyInput =
  /** A line of a ledger. Lines of runs change nothing, and may be left out. */
  | {
      readonly type: "line";
      readonly now: number;
      readonly pipeline: string;
      readonly run?: string | undefined;
      readonly file: string;
      readonly seq: number;
      readonly line: Readonly<Record<string, unknown>>;
    }
  /**
   * Time passed, and every line that was durable until about now was given. Only a tick can tell
   * that something did not happen: a reader that is behind gives no ticks.
   */
  | { readonly type: "tick"; readonly now: number }
  /** What a pipeline's ledger says when `orchd notify` begins at the ledgers' ends. */
  | ({ readonly type: "pipeline"; readonly now: number } & PipelineFacts)
  /** A daemon began after one that had not been told to end. Each epoch counts once. */
  | {
      readonly type: "restarted";
      readonly now: number;
      readonly at: string;
      readonly epoch: number;
      readonly because: string;
    }
  /** The disk of runs/ is full, or has room again. */
  | {
      readonly type: "disk";
      readonly now: number;
      readonly at: string;
      readonly full: boolean;
      readonly because: string;
    }
  /** A ledger is damaged, or no longer. `file`: its path below the runs folder. */
  | {
      readonly type: "damage";
      readonly now: number;
      readonly at: string;
      readonly file: string;
      readonly pipeline?: string | undefined;
      readonly damaged: boolean;
      readonly because: string;
    }
  /** A channel took no message for so long that one was given up, or takes them again. */
  | {
      readonly type: "channel";
      readonly now: number;
      readonly at: string;
      readonly channel: string;
      readonly broken: boolean;
      readonly because: string;
    };

/** What is known of a pipeline from its ledger. */
export interface PipelineFacts {
  readonly pipeline: string;
  readonly tags?: readonly string[] | undefined;
  readonly notify?: Json | undefined;
  readonly paused?: boolean | undefined;
  readonly silence?:
    | {
        /** ISO 8601. */
        readonly until: string;
        readonly because?: string | undefined;
        readonly by?: string | undefined;
      }
    | undefined;
}

/** What follows from an input. */
export interface Decision {
  /** Messages that are to be sent. They stand in one write with the checkpoint after them. */
  readonly due: readonly Alert[];
  /** When a tick may change something, in milliseconds since 1970. Undefined: nothing waits. */
  readonly wakeAt?: number;
}
