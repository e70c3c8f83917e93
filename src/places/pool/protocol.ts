/**
 * What the daemon and a runner say to each other. (What a runner and its worker threads say is in
 * steps/thread-protocol.ts.)
 *
 * The daemon names a task (core/task.ts) by its `id`, and each answer names the same id. A task
 * ends with exactly one `done`, `aside` or `stuck`, or with its runner.
 *
 * The steps of a run have nearly all in common. That is a frame (core/task-frame.ts): it crosses
 * once, under a number, and each step then names the number. A runner gets its numbers in order and
 * never one twice. It is told a frame before the first step of it, and forgets it with the run.
 *
 * Messages travel in arrays, so that what is ready together costs one trip.
 */
import type { Json } from "../../core/snapshot.ts";
import { removeStaged } from "../../steps/staged-result.ts";
import type { OutputLine, StagedValue, Task, TaskResult } from "../../core/task.ts";
import type { StepError } from "../../core/failure.ts";
import type { TaskFrame } from "../../core/task-frame.ts";
import type { Claims } from "./claims.ts";

/**
 * What a runner's main thread must know of a task to place, limit and end it. The task itself
 * travels as text and is parsed where it runs.
 */
export interface TaskHead {
  readonly kind: Task["kind"];
  readonly run: string;
  readonly pipeline: string;
  /** {@link logName}. */
  readonly step: string;
  readonly attempt: number;
  readonly bundle?: string | undefined;
  readonly source?: string | undefined;
  readonly isolated: boolean;
  readonly timeoutMs?: number | undefined;
  readonly gracePeriodMs: number;
  readonly memoryMb?: number | undefined;
}

/** What a frame's steps have in common in their heads. */
export type FrameHead = Omit<TaskHead, "step" | "attempt">;

/** Daemon to runner. */
export type ToRunner =
  /** `body` is the {@link Task} as JSON. `isMoved`: a runner that was replaced had it before. */
  | {
      readonly type: "start";
      readonly id: string;
      readonly head: TaskHead;
      readonly body: string;
      readonly isMoved?: boolean | undefined;
    }
  /** `text` is the frame ({@link frameText}). */
  | {
      readonly type: "frame";
      readonly frame: number;
      readonly head: FrameHead;
      readonly text: string;
    }
  /** A step of a frame. `parts` is its {@link StepParts} as JSON; undefined where it has none. */
  | {
      readonly type: "step";
      readonly id: string;
      readonly frame: number;
      readonly step: string;
      readonly attempt: number;
      readonly parts?: string | undefined;
    }
  /** The runs of these frames have ended. */
  | { readonly type: "forget"; readonly frames: readonly number[] }
  /**
   * `graceful`: the signal, and nothing else. `force`: the signal, and after the grace period the
   * end.
   */
  | {
      readonly type: "stop";
      readonly id: string;
      readonly mode: "graceful" | "force";
      readonly because: string;
    }
  /**
   * To the shared runner of steps, first of all: the file to leave its claims in (claims.ts), and
   * what it adds its own to.
   */
  | ({ readonly type: "leave"; readonly path: string } & Claims)
  /** Steps of this run will come. */
  | { readonly type: "expect"; readonly run: string }
  /** The ends of these steps are durable. */
  | { readonly type: "settled"; readonly ids: readonly string[] }
  | {
      readonly type: "reply";
      readonly id: string;
      readonly call: number;
      readonly value?: Json;
      readonly stored?: boolean;
      readonly error?: StepError;
    };

/** What the pool tells a runner, whose place makes the text of a whole task. */
export type PoolMessage =
  | Exclude<ToRunner, { readonly type: "start" }>
  | {
      readonly type: "start";
      readonly id: string;
      readonly task: Task;
      readonly isMoved?: boolean | undefined;
    };

/** A whole task on its way to a runner. */
export function startOf(
  id: string,
  task: Task,
  isMoved: boolean | undefined,
): Extract<ToRunner, { readonly type: "start" }> {
  return { type: "start", id, head: headOf(task), body: JSON.stringify(task), isMoved };
}

/** How a task ended: its value still as JSON text, parsed, or in files. */
export type RawResult =
  | { readonly ok: true; readonly json: string }
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: true; readonly staged: StagedValue }
  | {
      readonly ok: false;
      readonly error: StepError;
      readonly outcome: "failed" | "stopped" | "timeout";
    };

/** Removes the files of a result that comes too late to be taken. */
export function dropResult(result: RawResult): void {
  if ("staged" in result) removeStaged(result.staged.files);
}

/** The result that a task's end is told with. */
export function taskResult(result: RawResult): TaskResult {
  return "json" in result ? { ok: true, value: JSON.parse(result.json) as Json } : result;
}

/** Runner to daemon. */
export type FromRunner =
  | {
      readonly type: "done";
      readonly id: string;
      readonly result: RawResult;
      readonly durationMs: number;
      readonly startedAt: number;
    }
  | {
      readonly type: "call";
      readonly id: string;
      readonly call: number;
      readonly method: string;
      readonly argument: Json;
    }
  /**
   * The lines are texts, without what the daemon knows of the task: a flood consists of short
   * lines.
   */
  | {
      readonly type: "output";
      readonly id: string;
      readonly at: string;
      readonly stream: OutputLine["stream"];
      readonly lines: readonly string[];
    }
  /** Where several wait in a thread: the steps that the threads work on. */
  | { readonly type: "begun"; readonly ids: readonly string[] }
  /**
   * It was ended for what may have been the fault of one of `beside`: then it must start again,
   * alone. `code` is `FAILURE_CODES.memory` or `FAILURE_CODES.runnerDied`.
   */
  | {
      readonly type: "aside";
      readonly id: string;
      readonly beside: readonly string[];
      readonly because: string;
      readonly code: string;
    }
  /**
   * A thread does not end when it is told to: the runner asks to be replaced. `id` is the task at
   * fault and `result` is how it ends. The tasks of `unstarted` have not begun and may start
   * elsewhere.
   */
  | {
      readonly type: "stuck";
      readonly id: string;
      readonly result: RawResult;
      readonly durationMs: number;
      readonly startedAt: number;
      readonly unstarted: readonly string[];
    };

/** What the daemon gives a runner when it starts it. */
export interface RunnerSettings {
  readonly threads: number;
  /** How much memory the whole process may hold. Default: three quarters of the machine's. */
  readonly memoryMb?: number | undefined;
  /** The folder with bundles, `runs/.orchd/bundles`. */
  readonly bundles: string;
  /** A folder for the files of shell steps. The runner fills and empties it. */
  readonly scratch: string;
  /**
   * `ORCHD_RUNNER_TOKEN` in the environment of each process that a step starts, so that none is
   * left behind. A runner's own token is this one with `.N`: so `killByToken` can end the processes
   * of one runner, or all of one daemon.
   */
  readonly token: string;
  /**
   * How long the runner and the process that started it go on without a sign of the other, in
   * milliseconds: then the runner ends itself and all that it started, and that process ends it.
   * Undefined: the runner ends when its channel closes, and so not where that process is frozen.
   */
  readonly leaseMs?: number | undefined;
  /**
   * Files of the process that started the runner, by number, that nobody meant to give to it
   * (inherited-descriptors.ts). It closes them before it starts anything.
   */
  readonly inherited?: readonly number[] | undefined;
  /** It speaks to the daemon by two descriptors of the process that started it (wire.ts). */
  readonly wire?: WireSettings | undefined;
}

/** What a runner on a wire is told. */
export interface WireSettings {
  /** The folder that it keeps files in, as an absolute path. */
  readonly folder: string;
  /** The folder goes with the runner. */
  readonly isTemporary: boolean;
  /** The file that it leaves its claims in (far-claims.ts). Undefined: it leaves none. */
  readonly claims?: string | undefined;
  /** The path of a socket by which it may speak in place of its descriptors. */
  readonly socket?: string | undefined;
}

/** A runner's descriptor whose other end only the daemon holds. */
export const LIFELINE = 4;
/**
 * By this signal a runner ends itself whose lease is over. Nobody else sends it, and a process that
 * does not handle it ends.
 */
export const LEASE_SIGNAL = "SIGVTALRM";

const NAMES: { readonly [kind in Task["kind"]]?: string } = {
  flavor: "orchestrator",
  dynamic: "function",
};

/**
 * The name under which a task's output stands in the run's log: the step's name; for other tasks a
 * name in brackets, which no step can have.
 */
export function logName(task: Task): string {
  return task.step ?? `(${task.kind === "hook" ? task.hook : (NAMES[task.kind] ?? task.kind)})`;
}

/** The head of a frame's steps. */
export function headOfFrame({ run, code, isolated, gracePeriodMs }: TaskFrame): FrameHead {
  const { id, pipeline } = run;
  const { bundle, source } = code;
  return { kind: "module", run: id, pipeline, bundle, source, isolated, gracePeriodMs };
}

/** The head of a task. */
export function headOf(task: Task): TaskHead {
  return {
    kind: task.kind,
    run: task.run.id,
    pipeline: task.run.pipeline,
    step: logName(task),
    attempt: task.run.attempt,
    ...(task.kind === "shell" ? {} : { bundle: task.code.bundle, source: task.code.source }),
    isolated: task.kind === "module" && task.isolated,
    ...(task.timeoutMs === undefined ? {} : { timeoutMs: task.timeoutMs }),
    gracePeriodMs: task.gracePeriodMs,
    ...(task.memoryMb === undefined ? {} : { memoryMb: task.memoryMb }),
  };
}
