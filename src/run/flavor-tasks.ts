/**
 * The calls of a user's orchestrator class, each a task of its own: an instance is made for it, one
 * method is called, and the instance is gone when that has ended.
 */
import { toStepError, type StepError } from "../core/failure.ts";
import type { Json } from "../core/snapshot.ts";
import type { FlavorTask, TaskResult } from "../core/task.ts";
import { defined } from "../core/defined.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import type { DeathInfo, TaskHandlers } from "../places/place.ts";
import { resultOf, runTask } from "../places/run-task.ts";
import { runInfoOf } from "./run-info.ts";
import type { RunParts } from "./run-parts.ts";

/** How long an answer may take that is no submission, in milliseconds. */
const ANSWER_MS = 30_000;

/** One call of a method. */
export interface FlavorCall {
  readonly method: Exclude<FlavorTask["method"], "describe">;
  readonly argument: Json;
  /** Values in the argument that must be masked, besides those in the run's own environment. */
  readonly secrets?: readonly string[] | undefined;
  /** The limit of the call, in milliseconds. Default: that of the method, if it has one. */
  readonly timeoutMs?: number | undefined;
  /** In a runner of its own. */
  readonly alone?: boolean | undefined;
  /** How it ended; in a turn. */
  done(result: TaskResult): void;
  /** Another task ended its runner, and it may be called again, alone; in a turn. */
  readonly lost?: ((death: TaskResult) => void) | undefined;
}

/** Calls the methods of one run's orchestrator. */
export class FlavorTasks {
  readonly #parts: RunParts;
  readonly #ref: NonNullable<Flavor["ref"]>;
  /** What the orchestrator asks of the run while a method runs. */
  readonly #call: NonNullable<TaskHandlers["call"]>;
  #calls = 0;
  #over = false;

  constructor(
    parts: RunParts,
    ref: NonNullable<Flavor["ref"]>,
    call: NonNullable<TaskHandlers["call"]>,
  ) {
    this.#parts = parts;
    this.#ref = ref;
    this.#call = call;
  }

  /** Calls a method. Never throws: a call that cannot be made has failed. @returns its task's id */
  start(call: FlavorCall): string {
    const { method, alone, done, lost } = call;
    const { state, deps, arrive, output } = this.#parts;
    const id = `${state.run}#${method}-${(this.#calls += 1)}`;
    const hear = (act: () => void): void => arrive(() => void (this.#over || act()));
    let task: FlavorTask;
    try {
      task = this.#taskOf(call);
    } catch (error) {
      // After a restart a secret may be gone. Who waits for an answer would wait for ever.
      hear(() => done({ ok: false, outcome: "failed", error: toStepError(error) }));
      return id;
    }
    runTask(deps.place, { id, task, alone, output, call: this.#call }, (end) => {
      const heard = end.kind === "lost" && lost !== undefined ? lost : done;
      hear(() => heard(resultOf(end, deathError)));
    });
    return id;
  }

  /** Ends a call by force. */
  stop(id: string, because: string): void {
    this.#parts.deps.place.stop(id, "force", because);
  }

  /** Nothing is heard any more. */
  end(): void {
    this.#over = true;
  }

  #taskOf({ method, argument, secrets: more = [], timeoutMs }: FlavorCall): FlavorTask {
    const { state, environment } = this.#parts;
    const { env, secrets: shared } = environment.shared();
    const secrets = [...new Set([...shared, ...more])];
    return defined({
      kind: "flavor",
      code: this.#ref.code,
      config: this.#ref.config,
      method,
      argument,
      run: runInfoOf(state, 1),
      env,
      trace: environment.trace,
      secrets: secrets.length === 0 ? undefined : secrets,
      gracePeriodMs: state.snapshot.gracePeriodMs,
      timeoutMs: timeoutMs ?? answerLimit(method),
    });
  }
}

/** How long a method may take, in milliseconds; undefined for a submission. */
export function answerLimit(method: FlavorCall["method"]): number | undefined {
  return method === "fetchStatus" || method === "stopRun" ? ANSWER_MS : undefined;
}

function deathError({ because, code }: DeathInfo): StepError {
  return { name: "RunnerDied", message: `${because} while the orchestrator was in it`, code };
}
