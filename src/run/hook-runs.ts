/**
 * A run's hooks while they run. The planner says which are owed. A hook is owed until its end is in
 * the ledger, so it runs at least once, and after a crash perhaps twice. A hook that throws changes
 * no status, except an init hook (docs/zenml.md "Hooks").
 *
 * Where the orchestrator's class overrides the run's init or cleanup hook, its static method is
 * called in the place of the pipeline's hook. What `super` asks for there is the pipeline's hook: a
 * second task, beside that of the method. An orchestrator may also ask for a hook while it submits
 * the run. Then the hook runs at that moment, and the planner finds it done.
 */
import { isArtifactRef } from "../core/artifact-ref.ts";
import {
  clipError,
  FAILURE_CODES,
  thrownFrom,
  toStepError,
  type StepError,
} from "../core/failure.ts";
import { defined } from "../core/defined.ts";
import type { Action } from "../core/plan.ts";
import { isHalted } from "../core/halt.ts";
import { runnerDeath } from "../core/plan.ts";
import { stepHook } from "../core/run-state.ts";
import type { Json } from "../core/snapshot.ts";
import { lacksDescriptor } from "../disk/disk-error.ts";
import { RETRY_MS } from "../disk/until-room.ts";
import {
  StoredOutputs,
  type HookReply,
  type HookTask,
  type StagedValue,
  type TaskResult,
} from "../core/task.ts";
import type { Flavor } from "../orchestrators/flavors.ts";
import { resultOf, runTask, type TaskEnd } from "../places/run-task.ts";
import { flavorCalls, type FlavorCalls } from "./flavor-calls.ts";
import { runInfoOf } from "./run-info.ts";
import type { RunParts } from "./run-parts.ts";

type HookName = Extract<Action, { kind: "hook" }>["hook"];
/** A hook that an orchestrator's class can override, and call. */
type ClassHook = "init" | "cleanup";
/** What a class's hook, or a call for one, is answered with. */
type HookAnswer = Json | StoredOutputs;

const METHODS = { init: "runInitHook", cleanup: "runCleanupHook" } as const;

/** Runs the hooks of one run. */
export class HookRuns {
  /** `HOOK` or `HOOK:STEP` of each hook that runs. */
  readonly running = new Set<string>();
  readonly #parts: RunParts;
  readonly #ids = new Map<string, string>();
  readonly #flavor: Flavor;
  /** Calls the class's own methods. Undefined where there is no class. */
  readonly #tasks: FlavorCalls | undefined;
  /** The pipeline's hooks that the class's methods asked for: each once. */
  readonly #own = new Map<ClassHook, Promise<HookAnswer>>();
  /** What the pipeline's init hook gave to the class's method, as the ledger would have it. */
  #ownState: Json | undefined;
  /** Who waits for the end of a hook. */
  readonly #waiting = new Map<HookName, (() => void)[]>();
  #started = 0;
  #abandoned = false;

  constructor(parts: RunParts, flavor: Flavor) {
    this.#parts = parts;
    this.#flavor = flavor;
    this.#tasks =
      flavor.ref === undefined && flavor.live === undefined
        ? undefined
        : flavorCalls(parts, flavor, (method) => this.#calledByClass(method));
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

  /**
   * The orchestrator calls a hook of the run. It runs now, unless it has run or runs already.
   * Resolves with a {@link HookReply} once it has ended. Rejects with the init hook's own error.
   */
  ask(hook: ClassHook): Promise<HookAnswer> {
    const { state, arrive } = this.#parts;
    return new Promise((resolve, reject) =>
      arrive(() => {
        const answer = (): void => {
          if (hook === "cleanup") resolve({});
          else if (state.initError !== undefined) reject(thrownFrom(state.initError));
          else resolve(replyOf(state.hookState));
        };
        // Without its init a run has nothing to clean up.
        if (state[hook] !== "owed" || (hook === "cleanup" && state.init === "owed"))
          return answer();
        if (hook === "init" && isHalted(state) && !this.running.has(hook))
          return reject(new Error("the run is ending: its init hook does not run"));
        this.#whenEnded(hook, answer);
        if (!this.running.has(hook)) this.start(hook, undefined, "the orchestrator asked for it");
      }),
    );
  }

  /** Resolves once a hook's end is durable. */
  ended(hook: ClassHook): Promise<void> {
    return new Promise((resolve) => this.#whenEnded(hook, resolve));
  }

  /** A hook's end is durable. */
  settle(hook: string): void {
    const waiting = this.#waiting.get(hook as HookName) ?? [];
    this.#waiting.delete(hook as HookName);
    for (const hear of waiting) hear();
  }

  /** Tells all hooks that run to end. Each gets the grace period. */
  stop(because: string): void {
    const { journal, deps } = this.#parts;
    for (const id of this.#ids.values())
      journal.afterwards(() => deps.place.stop(id, "force", because));
  }

  /** The run's time is up: an init hook is told to end, as steps are. Others still run. */
  timeIsUp(because: string): void {
    const { journal, deps } = this.#parts;
    journal.afterwards(() => {
      for (const key of ["init", ownKey("init")]) {
        const id = this.#ids.get(key);
        if (id !== undefined) deps.place.stop(id, "force", because);
      }
    });
  }

  /**
   * Ends all hooks that run, because the daemon ends. They run again at its next start. They still
   * count as running: otherwise the planner would start them again now.
   */
  abandon(): void {
    this.#abandoned = true;
    this.#tasks?.end();
    this.stop("the daemon ends");
    this.#ids.clear();
  }

  /** Ends all hooks that run, at once, where nothing can be recorded of them any more. */
  kill(because: string): void {
    this.#abandoned = true;
    for (const id of this.#ids.values()) this.#parts.deps.place.stop(id, "force", because);
  }

  #begin(hook: HookName, step: string | undefined, because: string, alone: boolean): void {
    const { journal, deps, arrive } = this.#parts;
    let begin: () => void;
    try {
      begin = this.#isOverridden(hook)
        ? this.#classHook(hook, because, alone)
        : this.#pipelineHook(hook, step, because, alone);
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
    journal.afterwards(begin);
  }

  #isOverridden(hook: HookName): hook is ClassHook {
    return (this.#parts.state.orchestratorHooks as readonly HookName[]).includes(hook);
  }

  /** What starts a hook of the pipeline or a step. @throws Error where a secret cannot be read */
  #pipelineHook(
    hook: HookName,
    step: string | undefined,
    because: string,
    alone: boolean,
  ): () => void {
    const task = this.#task(hook, step, because);
    return this.#run(keyOf(hook, step), task, alone, (end) => {
      if (end.kind === "lost") this.#begin(hook, step, because, true);
      else this.#ended(hook, step, this.#resultOf(hook, end));
    });
  }

  /** What runs a hook's task, under a name by which it can be stopped. */
  #run(key: string, task: HookTask, alone: boolean, ended: (end: TaskEnd) => void): () => void {
    const { deps, arrive, output, state } = this.#parts;
    const id = `${state.run}#hook-${(this.#started += 1)}-${key}`;
    this.#ids.set(key, id);
    return () =>
      runTask(deps.place, { id, task, alone, output }, (end) => arrive(() => ended(end)));
  }

  #resultOf(hook: HookName, end: Exclude<TaskEnd, { kind: "lost" }>): TaskResult {
    return resultOf(end, (death) => runnerDeath(`the hook ${hook}`, death));
  }

  /** What calls the class's method. @throws Error where a secret cannot be read, or no class is */
  #classHook(hook: ClassHook, because: string, alone: boolean): () => void {
    const { state, environment } = this.#parts;
    const tasks = this.#tasks;
    if (tasks === undefined)
      throw new Error(`the orchestrator ${this.#flavor.name}, whose hook it is, is not there`);
    environment.shared();
    this.#own.delete(hook);
    return () => {
      const id = tasks.start({
        method: METHODS[hook],
        argument: state.snapshot as unknown as Json,
        timeoutMs: this.#timeoutMs,
        alone,
        done: (result) => {
          const left = this.#ids.get(ownKey(hook));
          if (left !== undefined)
            this.#parts.deps.place.stop(left, "force", "the orchestrator's hook has ended");
          this.#ended(hook, undefined, this.#withOwnState(result));
        },
        lost: () => this.#begin(hook, undefined, because, true),
      });
      this.#ids.set(hook, id);
    };
  }

  /** What the class's method returned is the state, or else what the pipeline's hook gave it. */
  #withOwnState(result: TaskResult): TaskResult {
    if (!result.ok || "staged" in result) return result;
    return { ok: true, value: (result.value as HookReply | null)?.state ?? this.#ownState ?? null };
  }

  /** The class's method asks for something. */
  #calledByClass(method: string): Promise<HookAnswer> {
    const hook = method === METHODS.init ? "init" : method === METHODS.cleanup ? "cleanup" : null;
    if (hook === null)
      return Promise.reject(new Error(`a hook of an orchestrator cannot call "${method}"`));
    let own = this.#own.get(hook);
    if (own === undefined) this.#own.set(hook, (own = this.#ownHook(hook, false)));
    return own;
  }

  /** Runs the pipeline's own hook for the class's method. */
  #ownHook(hook: ClassHook, alone: boolean): Promise<HookAnswer> {
    if (this.#parts.state.snapshot.hooks[hook] === undefined) return Promise.resolve({});
    return new Promise((resolve, reject) => {
      const task = this.#task(hook, undefined, "the orchestrator's hook calls it");
      this.#run(ownKey(hook), task, alone, (end) => {
        this.#ids.delete(ownKey(hook));
        if (end.kind === "lost") return void this.#ownHook(hook, true).then(resolve, reject);
        const result = this.#resultOf(hook, end);
        if (!result.ok) return reject(thrownFrom(result.error));
        if (hook === "cleanup") return resolve({});
        void this.#adopted(result).then((state) => {
          this.#ownState = state;
          resolve(replyOf(state));
        }, reject);
      })();
    });
  }

  /** What an init hook gave, with its files where artifacts are. */
  async #adopted(result: TaskResult & { readonly ok: true }): Promise<Json | undefined> {
    if (!("staged" in result)) return result.value ?? undefined;
    const { artifacts } = this.#parts.deps;
    await Promise.all(result.staged.files.map((file) => artifacts.adopt(file)));
    return result.staged.value;
  }

  #whenEnded(hook: HookName, hear: () => void): void {
    const waiting = this.#waiting.get(hook);
    if (waiting === undefined) this.#waiting.set(hook, [hear]);
    else waiting.push(hear);
  }

  /** Under a forced stop the run must not wait long for a hook. */
  get #timeoutMs(): number | undefined {
    const { stop, snapshot } = this.#parts.state;
    return stop?.mode === "force" ? Math.max(1, snapshot.gracePeriodMs) : undefined;
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
      of === undefined ? environment.shared() : environment.forHook(of, attempt);
    const failure = of?.error ?? (hook === "onRunFailure" ? runError(state) : undefined);
    return defined({
      kind: "hook",
      hook,
      code,
      run: runInfoOf(state, attempt),
      step,
      trace: environment.trace,
      env,
      secrets: secrets.length === 0 ? undefined : secrets,
      gracePeriodMs: snapshot.gracePeriodMs,
      timeoutMs: this.#timeoutMs,
      state: state.hookState,
      artifacts: deps.artifacts.directory,
      error: failure,
      because,
    });
  }
}

/** The pipeline's hook that the class's method runs. */
function ownKey(hook: ClassHook): string {
  return `${hook}/own`;
}

/** The state as a call is answered with it: one in a file is loaded where the caller runs. */
function replyOf(state: Json | undefined): HookAnswer {
  if (state === undefined) return {};
  return isArtifactRef(state) ? new StoredOutputs({ state }) : { state };
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
