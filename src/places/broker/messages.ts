/**
 * What the daemon and a worker say to each other over a broker, once unsealed. Each message is
 * JSON. What one says of tasks in one turn goes as a list in one message (sealed-broker.ts).
 *
 * A worker has a name, unique in its place, and an incarnation: a chance text, new at each start. A
 * new incarnation says that nothing of the one before is left, because it ends what that one
 * started before it says hello. That holds for a worker of the same `home` alone. Another one with
 * this name is refused until the first is given up.
 *
 * - **Sessions.** A worker says hello, and the daemon answers with a session: a chance text. All
 *   that both say then is in that session, and what the worker says is numbered. So what an engine
 *   keeps, and gives late or twice, counts for nothing. A daemon that does not know the session,
 *   since it is new, answers `again`. A hello alone changes nothing: only a message in its session
 *   does.
 * - **Leases.** The worker beats (`beat`) every {@link BEAT_MS}, and the daemon answers. The answer
 *   is the lease, and it counts from when the beat was sent. A worker without one for {@link
 *   WORKER_LEASE_MS} ends all its tasks, and a runner that does not hear its worker for {@link
 *   RUNNER_LEASE_MS} ends itself. The daemon gives a silent worker up {@link PATIENCE_MS} after the
 *   last beat that it heard, which is longer than both together. So no task ever runs beside its
 *   successor. All of these are monotonic.
 * - **Calls.** A worker whose beat is overdue is called. Where nobody listens at its subject it
 *   gets no new tasks, and people are told. What it has is not lost by that: a link that is cut
 *   looks the same, and steps go on behind it until their leases are over.
 * - **Claims.** The daemon gives a task (`give`) to one worker. The worker claims it (`claim`)
 *   before it starts it, and begins only if the daemon says yes and its lease still holds. The
 *   daemon says yes to one worker, for the current token. A worker that was frozen in between asks
 *   too late, and hears no, or reads an old yes without a lease.
 * - **Grants.** A `give` may say yes before it is asked (`grants`). It counts for the first that a
 *   worker hears of a task, while its lease holds. The daemon grants a task once. From then on the
 *   task may run at that worker, and goes nowhere else, until the worker answers that it has not
 *   begun it, or all that runs there is over. Output or an end says that it began.
 * - **Lists.** A beat lists the worker's tasks. A task that was claimed and is in no later list is
 *   gone. A listed one that the daemon does not want is `unwanted`, and the worker ends it.
 * - **Ends.** Output and ends are asked, one at a time for each task, and again until answered. A
 *   batch that comes twice is known by its number. An end is answered when it is durable: until
 *   then the worker keeps it, and a new daemon gets it again.
 * - **Brief ends.** The end of a task that ends before its grant is answered goes with that answer,
 *   if it is short and nothing was printed. Nothing answers it. The ids of such ends that are
 *   durable go with whatever the daemon says to the worker next (`settled`), or alone a moment
 *   later. A worker that does not hear of one says that end as any other.
 * - **Two daemons** may share workers' place and key: each worker serves the one that answered its
 *   hello, until its lease is over.
 */
import type { OutputLine, TaskResult } from "../../core/task.ts";
import type { DeathInfo, HeardLines } from "../place.ts";

/** Daemon and workers of unequal protocols do not work together. */
export const BROKER_PROTOCOL = 5;
/** How often a worker says that it lives, in milliseconds. */
export const BEAT_MS = 1_500;
/** How long a worker goes on without an answer of the daemon, in milliseconds. */
export const WORKER_LEASE_MS = 6_000;
/** How long a runner goes on without a word of its worker, in milliseconds. */
export const RUNNER_LEASE_MS = 4_000;
/** How long the daemon waits for a silent worker, in milliseconds. */
export const PATIENCE_MS = 15_000;

/** A worker that has no session says this at `hello`. */
export interface Hello {
  readonly type: "hello";
  readonly protocol: number;
  readonly version: string;
  readonly worker: string;
  readonly incarnation: string;
  /** Tells the folder that the worker works in from those of all others. */
  readonly home: string;
  /** The daemon whose tasks it may have. Undefined: any. */
  readonly root?: string | undefined;
}

/** What a daemon answers to a hello. */
export type HelloAnswer =
  | { readonly type: "welcome"; readonly root: string; readonly session: string }
  | { readonly type: "no"; readonly because: string };

/** What a worker says, at `daemon.ROOT`. */
export interface WorkerSays {
  readonly worker: string;
  readonly session: string;
  /** Rises with each message of the session, in the order in which they are sent. */
  readonly number: number;
  readonly message: FromWorker;
}

/** What the daemon says to a worker, at `worker.NAME`. */
export interface DaemonSays {
  readonly session: string;
  readonly message: ToWorker;
  /** Ids of tasks whose ends came with the answer to a give, and are durable now. */
  readonly settled?: readonly string[] | undefined;
}

/** What a worker answers, with the number of what it said last. */
export interface WorkerAnswers {
  readonly session: string;
  readonly number: number;
  readonly answer: FromWorkerAnswer;
}

/** Worker to daemon. */
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
      /** How many of its threads can be at work at once. */
      readonly cores: number;
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
      readonly end: TaskEnd;
    }
  /** It asks the daemon to keep a file that one of its tasks needs, by the file's sha256. */
  | { readonly type: "lack"; readonly worker: string; readonly hash: string }
  /** All its tasks have ended. */
  | { readonly type: "bye"; readonly worker: string; readonly incarnation: string };

/** How a task ended. */
export type TaskEnd =
  | { readonly kind: "result"; readonly result: SentResult; readonly durationMs: number }
  /** Its runner died under it. As `DeathInfo`. */
  | {
      readonly kind: "died";
      readonly inFlight: readonly string[];
      readonly alone: boolean;
      readonly blameless?: DeathInfo["blameless"];
      readonly behind?: boolean | undefined;
      readonly because: string;
      readonly code: string;
    };

/**
 * A result as it passes the broker. The files of a large one are objects, and `file` of each is the
 * sha256 of its content.
 */
export type SentResult = TaskResult;

/** What the daemon answers. */
export type ToWorkerAnswer =
  | { readonly type: "yes" }
  /** Not that one, or not any more. */
  | { readonly type: "no"; readonly because: string }
  /** To a beat: the tasks that it should not have; it ends them. */
  | { readonly type: "beat"; readonly unwanted: readonly string[] }
  /** To an end: the broker has lost a file of the result. Put it again, and say the end again. */
  | { readonly type: "lacks"; readonly hash: string }
  /** The session is none of this daemon's: say hello, and then the same again. */
  | { readonly type: "again" };

/** Daemon to worker. */
export type ToWorker =
  | {
      readonly type: "give";
      readonly id: string;
      /** The task as JSON, or the name of the object that is it. */
      readonly body: string | { readonly object: string };
      /**
       * Bundles and artifacts that it needs, by the sha256 of their content. What it lacks it gets
       * from objects; the daemon puts those that it asks for (`lack`).
       */
      readonly files: readonly string[];
      /** Which of the files is the source map of its bundle. Undefined: none is. */
      readonly map?: string | undefined;
      readonly alone: boolean;
      /** It may wait in a thread behind others: all of them are brief. */
      readonly ahead?: boolean | undefined;
      /** The worker may begin it without a claim. */
      readonly grants?: boolean | undefined;
    }
  | {
      readonly type: "stop";
      readonly id: string;
      readonly mode: "graceful" | "force";
      readonly because: string;
    }
  /** A new daemon takes a task over: its output from these lines on, and its end. */
  | { readonly type: "adopt"; readonly id: string; readonly heard: HeardLines }
  /** Nothing but what goes with it. */
  | { readonly type: "settled" }
  /** Its beat is overdue: it beats at once. */
  | { readonly type: "call" };

/** What a worker answers. */
export type FromWorkerAnswer =
  /** To a give: it has not begun, and will not before its claim is answered. */
  | { readonly type: "taken" }
  /** To a give: it begins, or has begun, without a claim. With its end, if it has ended. */
  | { readonly type: "begun"; readonly end?: TaskEnd | undefined }
  /** To a call, and to `settled`. */
  | { readonly type: "here" }
  /** It has had the task, and nothing of it is left. */
  | { readonly type: "had" }
  | {
      readonly type: "refused";
      readonly because: string;
      /** The message was not of the worker's session: the answer says nothing of the task. */
      readonly elsewhere?: boolean | undefined;
    };
