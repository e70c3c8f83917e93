/**
 * Everything that the daemon and a runner, and a runner and its worker threads, say to each other.
 *
 * A task (core/task.ts) ends with exactly one `done`. The daemon names it by `id`; nothing is ever
 * answered under another id.
 *
 * Messages travel in arrays, so that what is ready together costs one trip.
 */
import type { Json } from "../../core/snapshot.ts";
import type { OutputLine, Task } from "../../core/task.ts";
import type { StepError } from "../../core/failure.ts";

/**
 * What a runner's main thread must know of a task to place, limit and end it; the task itself
 * travels as text and is parsed where it runs.
 */
export interface TaskHead {
  readonly kind: Task["kind"];
  readonly run: string;
  readonly pipeline: string;
  /** The step, or {@link logName} what is none: under this name its output stands. */
  readonly step: string;
  readonly attempt: number;
  readonly bundle?: string | undefined;
  readonly source?: string | undefined;
  readonly isolated: boolean;
  readonly timeoutMs?: number | undefined;
  readonly gracePeriodMs: number;
  readonly memoryMb?: number | undefined;
}

/** Daemon to runner. */
export type ToRunner =
  /** `body` is the {@link Task} as JSON. */
  | { readonly type: "start"; readonly id: string; readonly head: TaskHead; readonly body: string }
  /**
   * `graceful`: the signal, and nothing else. `force`: the signal, then the end after the grace
   * period.
   */
  | {
      readonly type: "stop";
      readonly id: string;
      readonly mode: "graceful" | "force";
      readonly because: string;
    }
  | {
      readonly type: "reply";
      readonly id: string;
      readonly call: number;
      readonly value?: Json;
      readonly error?: StepError;
    };

/** How a task ended, its value still as JSON text. */
export type RawResult =
  | { readonly ok: true; readonly json: string }
  | {
      readonly ok: false;
      readonly error: StepError;
      readonly outcome: "failed" | "stopped" | "timeout";
    };

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
   * Without what the daemon knows of the task, and a line no more than its text: a flood is short
   * lines.
   */
  | {
      readonly type: "output";
      readonly id: string;
      readonly at: string;
      readonly stream: OutputLine["stream"];
      readonly lines: readonly string[];
    }
  /**
   * It was ended for what may have been the fault of others in the runner: it is to start again,
   * alone.
   */
  | {
      readonly type: "aside";
      readonly id: string;
      readonly beside: readonly string[];
      readonly because: string;
    }
  /**
   * A thread does not end when told to: the runner asks to be replaced. `id` is the task at fault,
   * `result` how it ends; `unstarted` were not begun and may be started elsewhere.
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
  /** What the whole process may hold; default: three quarters of the machine's memory. */
  readonly memoryMb?: number | undefined;
  /** The folder with bundles, `runs/.orchd/bundles`. */
  readonly bundles: string;
  /** A folder for the files of shell steps, which the runner may fill and empty. */
  readonly scratch: string;
  /**
   * Stands in the environment of every process a step starts, so that none is left behind:
   * `ORCHD_RUNNER_TOKEN`. Each runner appends `.N` to it, so that one runner's processes can be
   * ended (`killByToken`) and so can all of one daemon's.
   */
  readonly token: string;
}

/** The descriptor of a runner whose other end only the daemon holds. */
export const LIFELINE = 4;

const NAMES: { readonly [kind in Task["kind"]]?: string } = {
  flavor: "orchestrator",
  dynamic: "function",
};

/**
 * The step, or what is no step, in brackets: no step's name has any, so what an orchestrator prints
 * is never taken for a step's.
 */
export function logName(task: Task): string {
  return task.step ?? `(${task.kind === "hook" ? task.hook : (NAMES[task.kind] ?? task.kind)})`;
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
