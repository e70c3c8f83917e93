/**
 * A run's hooks while they run. The planner says which are owed. A hook is owed until its end is in
 * the ledger, so it runs at least once, and after a crash perhaps twice. A hook that throws changes
 * no status, except an init hook (docs/zenml.md "Hooks").
 */
import { clipError, FAILURE_CODES, toStepError, type StepError } from "../core/failure.ts";
import { defined } from "../core/defined.ts";
import type { Action } from "../core/plan.ts";
import { runnerDeath } from "../core/plan.ts";
import { stepHook } from "../core/run-state.ts";
import type { Json } from "../core/snapshot.ts";
import { lacksDescriptor } from "../disk/disk-error.ts";
import { RETRY_MS } from "../disk/until-room.ts";
import type { HookTask, StagedValue, TaskResult } from "../core/task.ts";
import { resultOf, runTask } from "../places/run-task.ts";
import { runInfoOf } from "./run-info.ts";
import type { RunParts } from "./run-parts.ts";

type HookName = Extract<Action, { kind: "hook" }>["hook"];

/** Runs the hooks of one run. */
export class HookRuns {
  /** `HOOK` or `HOOK:STEP` of each hook that runs. */
  readonly running = new Set<string>();
  readonly #parts: RunParts;
  readonly #ids = new Map<string, string>();
  #started = 0;
  #abandoned = false;

  constructor(parts: RunParts) {
    this.#parts = parts;
  }

  /** Whether no hook runs that the run waits for. */
  get idle(): boolean {
    return this.#abandoned || this.running.size === 0;
  }

  /** Starts a hook, as soon as the line that made it due is durable. */
  start(hook: HookName, step: string | undefined, because: string): void {
    this.running.add(keyOf(hook, step));
    if (!this.#abandoned) this.#begin(hook, step, because, false);
  }

  /** Tells all hooks that run to end. Each gets the grace period. */
  stop(because: string): void {
    const { journal, deps } = this.#parts;
    for (const id of this.#ids.values())
      journal.afterwards(() => deps.place.stop(id, "force", because));
  }

  /**
   * Ends all hooks that run, because the daemon ends. They run again at its next start. They still
   * count as running: otherwise the planner would start them again now.
   */
  abandon(): void {
    this.#abandoned = true;
    this.stop("the daemon ends");
    this.#ids.clear();
  }

  /** Ends all hooks that run, at once, where nothing can be recorded of them any more. */
  kill(because: string): void {
    this.#abandoned = true;
    for (const id of this.#ids.values()) this.#parts.deps.place.stop(id, "force", because);
  }

  #begin(hook: HookName, step: string | undefined, because: string, alone: boolean): void {
    const { journal, deps, arrive, output } = this.#parts;
    const key = keyOf(hook, step);
    let task: HookTask;
    try {
      task = this.#task(hook, step, because);
    } catch (error) {
      // The hook is not at fault: it starts when its secrets can be read. Under a forced stop the
      // run does not wait for that.
      if (lacksDescriptor(error) && this.#parts.state.stop?.mode !== "force") {
        deps.clock.after(RETRY_MS, () =>
          arrive(() => !this.#abandoned && this.#begin(hook, step, because, alone)),
        );
        return;
      }
      arrive(() =>
        this.#ended(hook, step, { ok: false, outcome: "failed", error: toStepError(error) }),
      );
      return;
    }
    const id = `${this.#parts.state.run}#hook-${(this.#started += 1)}-${key}`;
    this.#ids.set(key, id);
    journal.afterwards(() =>
      runTask(deps.place, { id, task, alone, output }, (end) =>
        arrive(() => {
          if (end.kind === "lost") this.#begin(hook, step, because, true);
          else
            this.#ended(
              hook,
              step,
              resultOf(end, (death) => runnerDeath(`the hook ${hook}`, death)),
            );
        }),
      ),
    );
  }

  #ended(hook: HookName, step: string | undefined, result: TaskResult): void {
    if (this.#abandoned) return;
    const key = keyOf(hook, step);
    const still = (): boolean => this.running.delete(key);
    this.#ids.delete(key);
    const failed = (error: StepError): void => {
      if (still())
        this.#parts.emit(
          defined({ type: "hook.failed", hook, step, error: { ...clipError(error) } }),
        );
    };
    if (!result.ok)
      return failed({ ...result.error, code: result.error.code ?? FAILURE_CODES.hook });
    if ("staged" in result) return this.#endedInFiles(hook, result.staged, still, failed);
    // Only an init hook's value is used: it is each step's `context.state`.
    const state: Json | undefined =
      hook === "init" && result.value !== null ? result.value : undefined;
    this.#parts.emitWhole(defined({ type: "hook.completed", hook, step, state }), still, (error) =>
      failed(toStepError(error)),
    );
  }

  /** An init hook gave a large state. */
  #endedInFiles(
    hook: HookName,
    { value, files }: StagedValue,
    still: () => boolean,
    failed: (error: StepError) => void,
  ): void {
    const { deps, arrive, emit } = this.#parts;
    Promise.all(files.map((file) => deps.artifacts.adopt(file))).then(
      () => arrive(() => void (still() && emit({ type: "hook.completed", hook, state: value }))),
      (error: unknown) => arrive(() => failed(toStepError(error))),
    );
  }

  #task(hook: HookName, step: string | undefined, because: string): HookTask {
    const { state, environment, deps } = this.#parts;
    const { snapshot } = state;
    const of = step === undefined ? undefined : state.steps.get(step);
    const code =
      of === undefined
        ? snapshot.hooks[hook]
        : stepHook(snapshot, of.spec, hook as "onSuccess" | "onFailure");
    if (code === undefined) throw new Error(`the pipeline has no hook ${hook}`);
    const attempt = Math.max(1, of?.attempt ?? 1);
    const { env, secrets } =
      of === undefined
        ? environment.shared()
        : environment.forStep(of.spec.id, of.spec.env, attempt);
    const failure = of?.error ?? (hook === "onRunFailure" ? runError(state) : undefined);
    return defined({
      kind: "hook",
      hook,
      code,
      run: runInfoOf(state, attempt),
      step,
      env,
      secrets: secrets.length === 0 ? undefined : secrets,
      gracePeriodMs: snapshot.gracePeriodMs,
      // Under a forced stop the run must not wait long for a hook.
      timeoutMs: state.stop?.mode === "force" ? Math.max(1, snapshot.gracePeriodMs) : undefined,
      state: state.hookState,
      artifacts: deps.artifacts.directory,
      error: failure,
      because,
    });
  }
}

function keyOf(hook: string, step: string | undefined): string {
  return step === undefined ? hook : `${hook}:${step}`;
}

function runError(state: RunParts["state"]): StepError | undefined {
  if (state.timedOut !== undefined)
    return { name: "RunTimeout", message: state.timedOut, code: FAILURE_CODES.runTimeout };
  const step =
    state.firstFailure === undefined ? undefined : state.steps.get(state.firstFailure)?.error;
  return state.submissionError ?? state.initError ?? state.functionError ?? step;
}
