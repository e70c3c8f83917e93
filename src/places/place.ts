/**
 * A **place** is where one step runs. (An orchestrator says how a run's steps come to run; the
 * run-loop drives one run; the engine owns many.)
 *
 * It runs any task (core/task.ts), not steps alone. Each task that was started ends in exactly one
 * of `done` and `died`, or in neither once the place is closed.
 */
import type { ContainerSpec } from "../core/container.ts";
import type { Lane, Room } from "../core/lane.ts";
import type { PlaceReport } from "../core/place-report.ts";
import type { PlacedAt } from "../core/run-state.ts";
import type { Json, SnapshotStep } from "../core/snapshot.ts";
import type { OutputLine, StoredOutputs, Task, TaskResult } from "../core/task.ts";
import type { TaskFrame } from "../core/task-frame.ts";

/** What is known of the death of a runner: of what a task runs in, and perhaps others with it. */
export interface DeathInfo {
  /**
   * The ids of all tasks that may be to blame: those in the runner, and the one that just ended.
   */
  readonly inFlight: readonly string[];
  /** The task had the runner to itself. */
  readonly alone: boolean;
  /** It waited behind others in its thread, so it is not to blame. Default: false. */
  readonly behind?: boolean | undefined;
  /**
   * No task is to blame. `lost`: the machine that it ran on is gone, or the way to it. `unbegun`:
   * nothing of it had begun. Undefined: what it ran in died, and a task may be to blame.
   */
  readonly blameless?: "lost" | "unbegun" | undefined;
  /** For people: `the runner was ended by SIGKILL`. */
  readonly because: string;
  /** `FAILURE_CODES.memory` or `FAILURE_CODES.runnerDied`. */
  readonly code: string;
}

/** Who hears what becomes of a task. */
export interface TaskHandlers {
  /**
   * It ended. `durationMs` is monotonic and counts from when it began; `startedAt` is wall time,
   * milliseconds since 1970.
   */
  done(result: TaskResult, durationMs: number, startedAt: number): void;
  /** It printed or logged. */
  output(lines: readonly OutputLine[]): void;
  /**
   * It is about to begin, there. Heard once at most, and never of a task that runs in a process of
   * this machine alone.
   */
  readonly placed?: ((at: PlacedAt) => void) | undefined;
  /**
   * It asks the daemon for something. A rejection becomes the error that it gets. The outputs of a
   * step that are in files are loaded where the task runs.
   */
  readonly call?: ((method: string, argument: Json) => Promise<Json | StoredOutputs>) | undefined;
  /** Its runner died under it. Nothing that it started is left, so it may start again at once. */
  died(info: DeathInfo): void;
}

/** Where an earlier daemon's task was to run. */
export interface EarlierLane {
  readonly lane: Lane;
  /** Undefined: no line says that it began anywhere. */
  readonly placed?: PlacedAt | undefined;
}

/** Who hears of the pull of an image that a step needs before it may start. */
export interface ImageHearing {
  /** Gets lines for the run's log. */
  tell(lines: readonly string[]): void;
  /** Nobody needs the image any more. */
  readonly signal: AbortSignal;
}

/** How many lines of a task an earlier daemon kept. */
export interface HeardLines {
  readonly stdout: number;
  readonly stderr: number;
  /** Of those of `context.log`. Default: 0. */
  readonly log?: number | undefined;
}

/** A task that an earlier daemon started. */
export interface EarlierAttempt {
  readonly task: Task;
  /** These are not to be heard again. */
  readonly heard: HeardLines;
}

/** How a task starts. */
export interface StartOptions {
  /** In a runner of its own. Default: false. */
  readonly alone?: boolean | undefined;
  /** Ahead of a free thread: it took a part of the room. Default: false. */
  readonly ahead?: boolean | undefined;
}

/** A place that takes brief steps ahead of a free thread (semantics.md 20). */
export interface StepsAhead {
  /**
   * How much room a step takes: 1, or a part of it where steps of its function were brief lately,
   * so that it may be begun ahead.
   */
  share(spec: SnapshotStep): number;
  /** Steps of this run will start. Called before the first of them is recorded. */
  expect(run: string): void;
  /** Steps whose ends are durable now, by id: nobody asks any more whether they had begun. */
  settle(ids: readonly string[]): void;
  /**
   * Whether a step that an earlier daemon started may have begun. Asked of steps that have no end
   * in their ledger, and were not alone in a runner.
   */
  mayHaveBegun(run: string, id: string): boolean;
}

/** A place: the pool of runners on this machine is one. */
export interface Place {
  /** Undefined: each step takes the room of one, and all that are recorded as started had begun. */
  readonly ahead?: StepsAhead;
  /**
   * The id of a container's image, pulled if need be: what its name means now. Undefined: no step
   * of this place runs in a container.
   *
   * @param hearing who hears of a pull, and ends it
   */
  imageId?(
    container: ContainerSpec,
    auth: string | undefined,
    hearing?: ImageHearing,
  ): Promise<string>;
  /** How many more steps may start now. What was promised is taken off. */
  capacity(): Room;
  /** Whether {@link capacity} has room in this lane. Undefined: that is asked itself. */
  hasRoom?(lane: Lane): boolean;
  /**
   * A run has steps in this lane of other machines ({@link wantedBy}): `capacity()` tells its room
   * until nobody wants it any more. Undefined: it has no such lanes.
   *
   * @returns a function that ends it
   */
  want?(lane: Lane): () => void;
  /** Why a lane has no room, in a sentence. Undefined: it has, or steps that run there take it. */
  whyNot?(lane: Lane): string | undefined;
  /** What it says of itself, and of each place that it is made of. */
  reports?(): readonly PlaceReport[];
  /** Calls back when a report has changed. @returns a function that ends the calls */
  onReport?(callback: () => void): () => void;
  /**
   * Keeps room for a step whose start is decided. Its line has to be durable before the step may
   * start, and until then nobody else may take the room.
   *
   * @param share how much it takes; default: 1
   */
  promise(lane: Lane, share?: number): void;
  /** Ends a promise: the step starts now, or never. */
  redeem(lane: Lane, share?: number): void;
  /**
   * Starts a task.
   *
   * @param id its fencing token: all that is heard of it comes under this id
   * @throws Error where it cannot be started: the place is closed, or `id` is in use
   */
  start(id: string, task: Task, handlers: TaskHandlers, options?: StartOptions): void;
  /**
   * No more tasks of a frame are started: what the place keeps of it may go. Tasks of it that were
   * started go on.
   */
  forget(frame: TaskFrame): void;
  /**
   * Tells a task to end (docs/semantics.md 10). Does nothing where no task has this id: it has just
   * ended.
   *
   * @param because the reason that its `context.signal` carries
   */
  stop(id: string, mode: "graceful" | "force", because: string): void;
  /**
   * Finds the tasks of an earlier daemon that still live here, and lets new handlers hear of them.
   *
   * @param ids tasks that had started and have no end in their ledger
   * @param attemptOf what such a task was started as. Undefined where that cannot be made again:
   *   then the place ends it
   * @param laneOf where such a task was to run, for who asks several places
   * @returns those of them that live; for the others nothing is ever heard, and nothing is left. It
   *   may take until the lease of a machine that does not answer is over
   */
  adopt(
    ids: readonly string[],
    handlersOf: (id: string) => TaskHandlers,
    attemptOf?: (id: string) => EarlierAttempt | undefined,
    laneOf?: (id: string) => EarlierLane,
  ): Promise<ReadonlySet<string>>;
  /**
   * Whether a task goes on when the daemon ends, for the next one to adopt. Undefined: none does.
   */
  outlives?(id: string): boolean;
  /** Hears nothing more of tasks that go on when the daemon ends. */
  leave?(ids: readonly string[]): void;
}
