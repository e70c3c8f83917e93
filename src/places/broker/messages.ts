/**
 * What the daemon and a worker say to each other over a broker, once unsealed. Each message is
 * JSON.
 *
 * A worker has a name, unique in its place, and an incarnation: a chance text, new at each start. A
 * new incarnation says that nothing of the one before is left, because it ends what that one
 * started before it says hello.
 *
 * - The worker beats (`beat`) every {@link BEAT_MS}; the daemon answers. The answer is the lease: a
 *   worker without one for {@link WORKER_LEASE_MS} ends all its tasks, and a runner that does not
 *   hear its worker for {@link RUNNER_LEASE_MS} ends itself. The daemon gives a silent worker up
 *   after {@link PATIENCE_MS}, which is longer than both together. So no task ever runs beside its
 *   successor. All of these are monotonic.
 * - The daemon gives a task (`give`) to one worker. The worker claims it (`claim`) before it starts
 *   it, and begins only if the daemon says yes: it does so once, for the current token. A worker
 *   that was frozen in between asks too late, and hears no.
 * - Output and results are asked, one at a time for each task, and sent again until answered. A
 *   batch that comes twice is known by its number.
 */
import type { OutputLine, TaskResult } from "../../core/task.ts";
import type { HeardLines } from "../place.ts";

/** Daemon and workers of unequal protocols do not work together. */
export const BROKER_PROTOCOL = 1;
/** How often a worker says that it lives, in milliseconds. */
export const BEAT_MS = 1_500;
/** How long a worker goes on without an answer of the daemon, in milliseconds. */
export const WORKER_LEASE_MS = 6_000;
/** How long a runner goes on without a word of its worker, in milliseconds. */
export const RUNNER_LEASE_MS = 4_000;
/** How long the daemon waits for a silent worker, in milliseconds. */
export const PATIENCE_MS = 15_000;

/** Worker to daemon, at `PREFIX.daemon`. */
export type FromWorker =
  | {
      readonly type: "beat";
      readonly worker: string;
      readonly incarnation: string;
      readonly protocol: number;
      readonly version: string;
      readonly node: string;
      readonly platform: string;
      readonly labels: readonly string[];
      readonly threads: number;
      /** The tasks that it has: given, running, or with a result that nobody took yet. */
      readonly tasks: readonly string[];
      /** It takes no more tasks: it was told to end. */
      readonly leaving: boolean;
    }
  | {
      readonly type: "claim";
      readonly worker: string;
      readonly incarnation: string;
      readonly id: string;
    }
  | {
      readonly type: "output";
      readonly worker: string;
      readonly id: string;
      /** 0, 1, 2…: a batch that came already is answered, and not heard again. */
      readonly number: number;
      readonly lines: readonly OutputLine[];
    }
  | {
      readonly type: "end";
      readonly worker: string;
      readonly id: string;
      /** How many batches of output came before. */
      readonly batches: number;
      readonly end:
        | { readonly kind: "result"; readonly result: SentResult; readonly durationMs: number }
        /** Its runner died under it. As `DeathInfo`. */
        | {
            readonly kind: "died";
            readonly inFlight: readonly string[];
            readonly alone: boolean;
            readonly because: string;
            readonly code: string;
          };
    }
  /** All its tasks have ended. */
  | { readonly type: "bye"; readonly worker: string; readonly incarnation: string };

/** A result as it passes the broker: a large one is in objects, by hash. */
export type SentResult = TaskResult;

/** What the daemon answers. */
export type ToWorkerAnswer =
  | { readonly type: "yes" }
  /** Not that one, or not any more. */
  | { readonly type: "no"; readonly because: string }
  /** To a beat: the tasks that it should not have; it ends them. */
  | { readonly type: "beat"; readonly unwanted: readonly string[] };

/** Daemon to worker, at `PREFIX.worker.NAME`. */
export type ToWorker =
  | {
      readonly type: "give";
      readonly id: string;
      /** The task as JSON, or the name of the object that is it. */
      readonly body: string | { readonly object: string };
      /** Bundles and artifacts that it needs, by hash: it gets from objects what it lacks. */
      readonly files: readonly string[];
      readonly alone: boolean;
    }
  | {
      readonly type: "stop";
      readonly id: string;
      readonly mode: "graceful" | "force";
      readonly because: string;
    }
  /** A new daemon takes a task over: its output from these lines on, and its end. */
  | { readonly type: "adopt"; readonly id: string; readonly heard: HeardLines };

/** What a worker answers. */
export type FromWorkerAnswer =
  | { readonly type: "taken" }
  | { readonly type: "refused"; readonly because: string };
