/**
 * The frames (core/task-frame.ts) of one run. Steps that call the same function and declare the
 * same outputs have one. The first step of each kind starts as a whole task, and the frame is made
 * with the second: so a frame never costs more than it brings.
 *
 * When the run's environment or state is another one, its frames are made again. When the run ends,
 * the place forgets them.
 */
import type { RunState } from "../core/run-state.ts";
import type { CodeRef, Json, SnapshotStep } from "../core/snapshot.ts";
import type { TaskFrame } from "../core/task-frame.ts";
import { withoutThisMachine } from "./container-task.ts";
import type { RunEnvironment } from "./environment.ts";
import type { RunDeps } from "./run-deps.ts";
import { runInfoOf } from "./run-info.ts";

type Env = TaskFrame["env"];
type FrameSpec = Pick<SnapshotStep, "isolated" | "outputs" | "on">;

/** Finds the frames of a run's steps. */
export class StepFrames {
  readonly #state: RunState;
  readonly #deps: Pick<RunDeps, "place" | "artifacts">;
  readonly #environment: Pick<RunEnvironment, "trace" | "setFor">;
  /** By kind of step. Undefined: one step of it has started. */
  readonly #frames = new Map<string, TaskFrame | undefined>();
  #last: TaskFrame | undefined;
  #env: Env | undefined;
  #hookState: Json | undefined;

  constructor(
    state: RunState,
    deps: Pick<RunDeps, "place" | "artifacts">,
    environment: Pick<RunEnvironment, "trace" | "setFor">,
  ) {
    this.#state = state;
    this.#deps = deps;
    this.#environment = environment;
  }

  /**
   * The frame of a step that starts. Undefined for the first step of its kind.
   *
   * @param env what the step gets, without its name and its attempt
   */
  of(code: CodeRef, spec: FrameSpec, env: Env): TaskFrame | undefined {
    if (env !== this.#env || this.#state.hookState !== this.#hookState) this.#renew(env);
    if (this.#last !== undefined && isFrameOf(this.#last, code, spec)) return this.#last;
    const kind = kindOf(code, spec);
    if (!this.#frames.has(kind)) {
      this.#frames.set(kind, undefined);
      return undefined;
    }
    let frame = this.#frames.get(kind);
    if (frame === undefined) this.#frames.set(kind, (frame = this.#make(code, spec, env)));
    return (this.#last = frame);
  }

  /** The run starts no more steps: its frames are forgotten. */
  end(): void {
    for (const frame of this.#frames.values())
      if (frame !== undefined) this.#deps.place.forget(frame);
    this.#frames.clear();
    this.#last = undefined;
  }

  #renew(env: Env): void {
    this.end();
    this.#env = env;
    this.#hookState = this.#state.hookState;
  }

  #make(code: CodeRef, { isolated, outputs, on }: FrameSpec, env: Env): TaskFrame {
    const { hookState, snapshot } = this.#state;
    const { attempt: _attempt, ...run } = runInfoOf(this.#state, 1);
    return {
      code,
      isolated,
      run,
      env: on === undefined ? env : withoutThisMachine(env, this.#environment.setFor({})),
      gracePeriodMs: snapshot.gracePeriodMs,
      artifacts: this.#deps.artifacts.directory,
      trace: this.#environment.trace,
      ...(hookState === undefined ? {} : { state: hookState }),
      ...(outputs === undefined ? {} : { outputs }),
      ...(on === undefined ? {} : { on }),
    };
  }
}

function isFrameOf(
  { code: known, isolated, outputs, on }: TaskFrame,
  code: CodeRef,
  spec: FrameSpec,
): boolean {
  return (
    outputs === undefined &&
    spec.outputs === undefined &&
    isolated === spec.isolated &&
    isSame(on, spec.on) &&
    (known === code ||
      (known.bundle === code.bundle &&
        known.pick === code.pick &&
        known.source === code.source &&
        known.runtimeImports === code.runtimeImports))
  );
}

function isSame(one: FrameSpec["on"], other: FrameSpec["on"]): boolean {
  if (one === other) return true;
  return one?.length === other?.length && one?.every((label, at) => label === other?.[at]) === true;
}

function kindOf(code: CodeRef, { isolated, outputs, on }: FrameSpec): string {
  return JSON.stringify([code, isolated, outputs, on]);
}
