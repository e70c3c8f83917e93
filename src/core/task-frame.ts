/**
 * A **frame**: what the steps of one run that call the same function have in common. That is nearly
 * all of a task: the code, the run, the environment. A place is told a frame once, and then each
 * step as its name, attempt and values.
 *
 * A frame holds no secret and no limit. A step with secrets, limits or an environment of its own is
 * a whole task. Nothing that user code may change is shared by two steps: a task that is made of a
 * frame has a `run`, an `env` and a `state` of its own.
 */
import { isEmpty } from "./json-object.ts";
import type { CodeRef, Json } from "./snapshot.ts";
import type { ModuleTask, RunInfo, StoredInputs, Task } from "./task.ts";
import type { TraceSeed } from "./trace-span.ts";

/** What steps of one run have in common. A place keeps it until it is told to forget it. */
export interface TaskFrame {
  readonly code: CodeRef;
  readonly isolated: boolean;
  readonly run: Omit<RunInfo, "attempt">;
  /** Without the names of the step and the attempt. */
  readonly env: Readonly<Record<string, string>>;
  readonly gracePeriodMs: number;
  readonly artifacts: string;
  /** `TRACEPARENT` is added where the step runs. */
  readonly trace?: TraceSeed | undefined;
  readonly state?: Json | undefined;
  readonly outputs?: readonly string[] | undefined;
  /** The labels of the machines that they run on. Undefined: this one. */
  readonly on?: readonly string[] | undefined;
}

/** What a step has of its own. */
export interface StepParts {
  readonly params: ModuleTask["params"];
  readonly inputs: ModuleTask["inputs"];
  readonly stored?: readonly StoredInputs[] | undefined;
}

/** A module step as its frame and its own parts: a copy or a spread of it is not the whole task. */
export class FramedTask implements ModuleTask {
  readonly frame: TaskFrame;
  readonly step: string;
  readonly attempt: number;
  readonly parts: StepParts;

  constructor(frame: TaskFrame, step: string, attempt: number, parts: StepParts) {
    this.frame = frame;
    this.step = step;
    this.attempt = attempt;
    this.parts = parts;
  }

  get kind(): "module" {
    return "module";
  }

  get code(): CodeRef {
    return this.frame.code;
  }

  get isolated(): boolean {
    return this.frame.isolated;
  }

  get run(): RunInfo {
    return runOf(this.frame, this.attempt);
  }

  get env(): Readonly<Record<string, string>> {
    return envOf(this.frame, this.step, this.attempt);
  }

  get gracePeriodMs(): number {
    return this.frame.gracePeriodMs;
  }

  get artifacts(): string {
    return this.frame.artifacts;
  }

  get trace(): TraceSeed | undefined {
    return this.frame.trace;
  }

  get state(): Json | undefined {
    return this.frame.state;
  }

  get outputs(): readonly string[] | undefined {
    return this.frame.outputs;
  }

  get on(): readonly string[] | undefined {
    return this.frame.on;
  }

  get params(): ModuleTask["params"] {
    return this.parts.params;
  }

  get inputs(): ModuleTask["inputs"] {
    return this.parts.inputs;
  }

  get stored(): readonly StoredInputs[] | undefined {
    return this.parts.stored;
  }

  /** The task as plain data. */
  toJSON(): ModuleTask {
    const { frame, step, attempt, parts } = this;
    return framedTask(frame, frame.state, step, attempt, parts);
  }
}

/** A frame whose state is still text: each task gets one of its own. */
export interface TextFrame extends Omit<TaskFrame, "state"> {
  readonly state?: string | undefined;
}

/** A frame as text: the JSON of a {@link TextFrame}. */
export function frameText({ state, ...rest }: TaskFrame): string {
  return JSON.stringify(state === undefined ? rest : { ...rest, state: JSON.stringify(state) });
}

/** A step's own parts as text. Undefined where it has none: so it is with most steps. */
export function partsText(parts: StepParts): string | undefined {
  const { params, inputs, stored } = parts;
  if (stored === undefined && isEmpty(params) && isEmpty(inputs)) return undefined;
  return JSON.stringify(parts);
}

/** A task of a frame, as a thread makes it. */
export function taskOfFrame(
  frame: TextFrame,
  step: string,
  attempt: number,
  parts: string | undefined,
): ModuleTask {
  const state = frame.state === undefined ? undefined : (JSON.parse(frame.state) as Json);
  const own = parts === undefined ? { params: {}, inputs: {} } : (JSON.parse(parts) as StepParts);
  return framedTask(frame, state, step, attempt, own);
}

/** A task as plain data. */
export function wholeTask(task: Task): Task {
  return task instanceof FramedTask ? task.toJSON() : task;
}

/** @param state the frame's, for this task alone */
function framedTask(
  frame: Omit<TaskFrame, "state">,
  state: Json | undefined,
  step: string,
  attempt: number,
  { params, inputs, stored }: StepParts,
): ModuleTask {
  const { code, isolated, gracePeriodMs, artifacts, trace, outputs, on } = frame;
  const task: ModuleTask & { trace?: TraceSeed } = {
    kind: "module",
    code,
    isolated,
    artifacts,
    run: runOf(frame, attempt),
    step,
    gracePeriodMs,
    env: envOf(frame, step, attempt),
    params,
    inputs,
  };
  if (trace !== undefined) task.trace = trace;
  if (on === undefined && stored === undefined && state === undefined && outputs === undefined)
    return task;
  return {
    ...task,
    ...(stored === undefined ? {} : { stored }),
    ...(state === undefined ? {} : { state }),
    ...(outputs === undefined ? {} : { outputs }),
    ...(on === undefined ? {} : { on }),
  };
}

function runOf({ run }: Pick<TaskFrame, "run">, attempt: number): RunInfo {
  const { id, pipeline, scheduledFor } = run;
  return scheduledFor === undefined
    ? { id, pipeline, attempt }
    : { id, pipeline, attempt, scheduledFor };
}

function envOf(
  { env }: Pick<TaskFrame, "env">,
  step: string,
  attempt: number,
): { [name: string]: string } {
  return { ORCHD_STEP: step, ORCHD_ATTEMPT: String(attempt), ...env };
}
