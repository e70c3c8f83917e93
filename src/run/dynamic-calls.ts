/**
 * A dynamic pipeline's function while it runs, and the calls that it makes (docs/zenml.md "Dynamic
 * pipelines").
 *
 * The function has no state that survives: after a crash it runs again from its first line. Each
 * call is recorded (`step.added`, with the text of the call; call-text.ts). So a call that was made
 * before is answered from the ledger, and the function comes back to where it was. For that it must
 * make the same calls again. The run ends if a call with a recorded id has another text, or if a
 * recorded call is not made again: going on would mix the results of two programs.
 *
 * A new call is held back while recorded calls are missing. All that those depend on has ended, so
 * only the function's own work keeps it from making them. A function that makes none of them for
 * {@link QUIET_MS} after a new call has left the recorded path.
 */
import type { Timer } from "../clock.ts";
import { holdsArtifacts } from "../core/artifact-ref.ts";
import { compileInvocation } from "../core/compile-invocation.ts";
import { defined } from "../core/defined.ts";
import { FAILURE_CODES, clipError, toStepError, type StepError } from "../core/failure.ts";
import { runnerDeath } from "../core/plan.ts";
import type { Json } from "../core/snapshot.ts";
import { lacksDescriptor } from "../disk/disk-error.ts";
import { RETRY_MS } from "../disk/until-room.ts";
import { isKeptCall, keptCall } from "./call-text.ts";
import { resolveSecrets } from "./environment.ts";
import { isolationRefusal, type Flavor } from "../orchestrators/flavors.ts";
import {
  StoredOutputs,
  type DynamicCall,
  type DynamicEnd,
  type DynamicTask,
  type TaskResult,
} from "../core/task.ts";
import { resultOf, runTask } from "../places/run-task.ts";
import { runInfoOf } from "./run-info.ts";
import type { RunParts } from "./run-parts.ts";

/** How long after a new call a function may make no recorded one, in milliseconds. */
const QUIET_MS = 3_000;
/** How often a function is started again after another task ended its runner. */
const MAX_RESTARTS = 3;
/**
 * How many calls are taken in at once, and how many characters of them: the daemon's other events
 * must not wait for thousands of calls, or for large values.
 */
const CALLS_AT_ONCE = 40;
const CHARACTERS_AT_ONCE = 262_144;
/** The longest id of an invocation, in UTF-16 code units: many lines hold it. */
const ID_CHARACTERS = 1_000;
/** How many steps that failed and that nothing awaited are named in the ledger. */
const UNAWAITED_NAMED = 16;

/** The end of a function that was told to end, and does not run. */
const STOPPED: TaskResult = {
  ok: false,
  outcome: "stopped",
  error: { name: "StepStopped", message: "it was told to end" },
};

/** A call that came, and is not taken in yet. */
interface Incoming {
  readonly task: string;
  readonly call: DynamicCall;
  readonly resolve: (reply: Json) => void;
  readonly reject: (error: Error) => void;
}

interface Asked {
  readonly call: DynamicCall;
  readonly text: string;
  readonly resolve: (reply: Json) => void;
  readonly reject: (error: Error) => void;
}

/** Runs the function of one dynamic pipeline, and records its calls. */
export class DynamicCalls {
  readonly #parts: RunParts;
  readonly #flavor: Flavor;
  #task: string | undefined;
  #told = false;
  #over = false;
  #starts = 0;
  /** Ids that this execution of the function has called. */
  readonly #called = new Set<string>();
  /** Recorded ids that it has not called again. */
  readonly #recorded = new Set<string>();
  /** Calls in their order. */
  #incoming: Incoming[] = [];
  #takingIn = false;
  /** Calls that were taken in, in their order; the first is being recorded. */
  #queue: Asked[] = [];
  #recording = false;
  #held: Asked[] = [];
  #quiet: Timer | undefined;
  #onEnd: ((error: StepError | undefined) => void)[] = [];

  /** @param flavor the orchestrator that runs what the function asks for */
  constructor(parts: RunParts, flavor: Flavor) {
    this.#parts = parts;
    this.#flavor = flavor;
  }

  /** Whether the function runs. */
  get running(): boolean {
    return this.#task !== undefined;
  }

  /** Starts the function, from its first line. */
  start(alone = false): void {
    const { state } = this.#parts;
    const id = `${state.run}#function-${(this.#starts += 1)}`;
    this.#task = id;
    this.#told = false;
    this.#called.clear();
    this.#recorded.clear();
    for (const step of state.steps.keys()) this.#recorded.add(step);
    this.#queue = [];
    this.#held = [];
    this.#begin(id, alone);
  }

  #begin(id: string, alone: boolean): void {
    const { journal, deps, arrive, output } = this.#parts;
    const ended = (result: TaskResult): void => arrive(() => this.#ended(id, result));
    let task: DynamicTask;
    try {
      task = this.#taskOf();
    } catch (error) {
      // Nobody is at fault: it begins when its secrets can be read.
      if (lacksDescriptor(error)) return this.#beginLater(id, alone);
      ended({ ok: false, outcome: "failed", error: toStepError(error) });
      return;
    }
    journal.afterwards(() =>
      runTask(
        deps.place,
        {
          id,
          task,
          alone,
          output,
          call: (method, argument) => this.#call(id, method, argument),
        },
        (end) => {
          if (end.kind === "lost" && this.#starts <= MAX_RESTARTS) arrive(() => this.#restart(id));
          else ended(resultOf(end, (death) => runnerDeath("the pipeline's function", death)));
        },
      ),
    );
  }

  #beginLater(id: string, alone: boolean): void {
    const { deps, arrive } = this.#parts;
    deps.clock.after(RETRY_MS, () =>
      arrive(() => {
        if (this.#over || this.#task !== id) return;
        if (this.#told) this.#ended(id, STOPPED);
        else this.#begin(id, alone);
      }),
    );
  }

  /**
   * Ends the function, because the run halts.
   *
   * @returns whether its end is recorded already, because it does not run
   */
  stop(because: string): boolean {
    const { state, journal, deps, emit } = this.#parts;
    const id = this.#task;
    if (id === undefined) {
      if (state.function !== "owed") return false;
      emit({ type: "run.function_ended" });
      return true;
    }
    if (!this.#told) journal.afterwards(() => deps.place.stop(id, "force", because));
    this.#told = true;
    return false;
  }

  /** The run is no longer driven: the function is ended, and nothing of it is recorded any more. */
  end(): void {
    this.#over = true;
    this.#quiet?.cancel();
    if (this.#task !== undefined)
      this.#parts.deps.place.stop(this.#task, "force", "the run is no longer driven");
  }

  /** Resolves when the function has ended, or had before, with its error if it failed. */
  ended(): Promise<StepError | undefined> {
    const { state, arrive, journal } = this.#parts;
    return new Promise((resolve) => {
      if (state.function === "owed") this.#onEnd.push(resolve);
      // The line that says so may not be durable yet.
      else arrive(() => journal.afterwards(() => resolve(state.functionError)));
    });
  }

  #restart(id: string): void {
    if (this.#over || this.#task !== id) return;
    // Its runner died as it was told to end.
    if (this.#told) return this.#ended(id, STOPPED);
    if (this.#parts.state.function === "owed") this.start(true);
    else this.#task = undefined;
  }

  #taskOf(): DynamicTask {
    const { state, environment, secrets: source, deps } = this.#parts;
    const { snapshot, hookState } = state;
    const { env, secrets } = environment.shared();
    const all = [...secrets];
    const params = resolveSecrets(state.params, source, all);
    return defined({
      kind: "dynamic",
      code: snapshot.dynamic!,
      run: runInfoOf(state, 1),
      env,
      trace: environment.trace,
      secrets: all.length === 0 ? undefined : all,
      gracePeriodMs: snapshot.gracePeriodMs,
      params,
      state: hookState,
      artifacts: deps.artifacts.directory,
    });
  }

  #call(id: string, method: string, argument: Json): Promise<Json | StoredOutputs> {
    const { arrive, journal, state, waiters } = this.#parts;
    if (method === "step") {
      const call = argument as unknown as DynamicCall;
      return new Promise((resolve, reject) => {
        this.#incoming.push({ task: id, call, resolve, reject });
        this.#takeIn();
      });
    }
    if (method === "result") {
      const { id: step } = argument as { id: string };
      const outputs = waiters.outputsOf(step);
      arrive(() => {
        if (state.steps.get(step)?.phase === "ended")
          journal.afterwards(() => waiters.settle(step));
      });
      return outputs.then((found) => (holdsArtifacts(found) ? new StoredOutputs(found) : found));
    }
    return Promise.reject(new Error(`a dynamic pipeline's function cannot call "${method}"`));
  }

  #takeIn(): void {
    if (this.#takingIn || this.#incoming.length === 0) return;
    this.#takingIn = true;
    this.#parts.arrive(() => {
      let characters = 0;
      let count = 0;
      while (count < CALLS_AT_ONCE && characters < CHARACTERS_AT_ONCE) {
        const next = this.#incoming[count];
        if (next === undefined) break;
        count += 1;
        const { task, call, resolve, reject } = next;
        const text = JSON.stringify(call);
        characters += text.length;
        this.#asked(task, { call, text, resolve, reject });
      }
      this.#incoming.splice(0, count);
      this.#takingIn = false;
      if (this.#incoming.length > 0) setImmediate(() => this.#takeIn());
    });
  }

  #asked(task: string, asked: Asked): void {
    if (this.#over || task !== this.#task || this.#parts.state.function !== "owed")
      return asked.reject(new Error("the run is ending"));
    const { id } = asked.call;
    if (this.#called.has(id))
      return asked.reject(
        new Error(
          `there is an invocation ${JSON.stringify(id)} already; give this one an id of its own`,
        ),
      );
    if (id.length > ID_CHARACTERS)
      return asked.reject(
        new Error(`the id of an invocation may have at most ${ID_CHARACTERS} characters`),
      );
    this.#called.add(id);
    const recorded = this.#parts.state.steps.get(id);
    if (recorded === undefined) {
      if (this.#recorded.size > 0) this.#hold(asked);
      else this.#enqueue(asked);
      return;
    }
    if (recorded.call !== undefined && !isKeptCall(recorded.call, asked.text))
      return this.#diverge(
        describeCall(recorded.call),
        `calls ${describeCall(keptCall(asked.text))}`,
        asked,
      );
    this.#recorded.delete(id);
    this.#parts.journal.afterwards(() => asked.resolve({ id }));
    this.#quiet?.cancel();
    if (this.#recorded.size > 0) {
      if (this.#held.length > 0) this.#listen();
      return;
    }
    for (const held of this.#held.splice(0)) this.#enqueue(held);
  }

  #hold(asked: Asked): void {
    this.#held.push(asked);
    this.#listen();
  }

  #listen(): void {
    this.#quiet?.cancel();
    this.#quiet = this.#parts.deps.clock.after(QUIET_MS, () =>
      this.#parts.arrive(() => {
        const [held] = this.#held;
        const [missing] = this.#recorded;
        if (held === undefined || missing === undefined || this.#over) return;
        this.#diverge(
          describeCall(this.#parts.state.steps.get(missing)?.call ?? missing),
          `calls ${describeCall(keptCall(held.text))}`,
          held,
        );
      }),
    );
  }

  #enqueue(asked: Asked): void {
    this.#queue.push(asked);
    this.#recordNext();
  }

  /** Records calls one after the other: a later one may name an earlier one. */
  #recordNext(): void {
    while (!this.#recording) {
      const asked = this.#queue.shift();
      if (asked === undefined) return;
      this.#record(asked);
    }
  }

  #record(asked: Asked): void {
    const { state, emitWhole, journal } = this.#parts;
    const { call, text } = asked;
    const needed = [
      ...call.after,
      ...Object.values(call.inputs).flatMap((input) => ("step" in input ? [input.step] : [])),
    ];
    const unknown = needed.find((step) => !state.steps.has(step));
    if (unknown !== undefined)
      return asked.reject(
        new Error(
          `step "${call.id}" needs ${JSON.stringify(unknown)}, and there is no such invocation`,
        ),
      );
    const invocation = compileInvocation(call, state.snapshot);
    if (!invocation.ok) return asked.reject(new Error(invocation.message));
    const { step: spec, values } = invocation;
    const refusal = isolationRefusal(this.#flavor, spec);
    if (refusal !== undefined)
      return asked.reject(new Error(`step ${call.id}: isolated ${refusal}`));
    this.#recording = true;
    emitWhole(
      {
        type: "step.added",
        step: call.id,
        spec,
        call: keptCall(text),
        ...(Object.keys(values).length === 0 ? {} : { values }),
        because: "the function asked for it",
      },
      () => {
        this.#recording = false;
        if (this.#over || state.function !== "owed") return false;
        journal.afterwards(() => asked.resolve({ id: call.id }));
        // The next call is recorded in a turn of its own: this event must be folded in first.
        if (this.#queue.length > 0) this.#parts.arrive(() => this.#recordNext());
        return true;
      },
      (error) => {
        this.#recording = false;
        asked.reject(error as Error);
        this.#recordNext();
      },
    );
  }

  #diverge(recorded: string, called: string, asked?: Asked): void {
    const message =
      `nondeterministic pipeline: the ledger has ${recorded}, and the function now ${called}. ` +
      "A function has to make the same calls when it runs again; take time and chance from a step.";
    const error: StepError = {
      name: "NondeterministicPipeline",
      message: message.slice(0, 8_000),
      code: FAILURE_CODES.nondeterministic,
    };
    this.#parts.emit({ type: "run.function_ended", error: { ...error } });
    asked?.reject(Object.assign(new Error(message), { name: error.name, code: error.code }));
    this.#finish(error);
    if (this.#task !== undefined) this.stop("nondeterministic pipeline");
  }

  #ended(id: string, result: TaskResult): void {
    if (this.#over || this.#task !== id) return;
    this.#task = undefined;
    this.#quiet?.cancel();
    const { state, emit, deps } = this.#parts;
    if (state.function !== "owed") return;
    if (result.ok) {
      const [missing] = this.#recorded;
      if (missing !== undefined)
        return this.#diverge(
          describeCall(state.steps.get(missing)?.call ?? missing),
          "ended without it",
        );
      const { unawaited = [] } = (result.value ?? {}) as Partial<DynamicEnd>;
      for (const { id: step, message } of unawaited)
        deps.log.warn(
          { run: state.run, step },
          `step ${step} failed and nothing awaited it: ${message}`,
        );
      const named = unawaited.slice(0, UNAWAITED_NAMED).map(({ id: step }) => step);
      emit({
        type: "run.function_ended",
        ...(named.length === 0 ? {} : { unawaited: named }),
      });
      return this.#finish(undefined);
    }
    if (result.outcome === "stopped" && this.#told) {
      emit({ type: "run.function_ended" });
      return this.#finish(undefined);
    }
    const error = clipError(result.error);
    emit({ type: "run.function_ended", error: { ...error } });
    this.#finish(error);
  }

  #finish(error: StepError | undefined): void {
    for (const resolve of this.#onEnd.splice(0))
      this.#parts.journal.afterwards(() => resolve(error));
  }
}

/** A call as a person writes it. Of a long one, its beginning and its hash. */
function describeCall(kept: string): string {
  let call: Partial<DynamicCall>;
  try {
    call = JSON.parse(kept) as Partial<DynamicCall>;
  } catch {
    return `${kept.slice(0, 400)}${/… \([^()]*\)$/.exec(kept)?.[0] ?? ""}`;
  }
  const parts = [
    ...(call.id === call.name ? [] : [`id ${JSON.stringify(call.id)}`]),
    ...(Object.keys(call.params ?? {}).length === 0
      ? []
      : [`params ${JSON.stringify(call.params)}`]),
    ...(Object.keys(call.inputs ?? {}).length === 0
      ? []
      : [`inputs ${JSON.stringify(call.inputs)}`]),
    ...((call.after ?? []).length === 0 ? [] : [`after ${call.after!.join(", ")}`]),
  ];
  return `${call.name ?? "?"}(${parts.join(", ")})`.slice(0, 600);
}
