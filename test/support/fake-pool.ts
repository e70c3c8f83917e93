/**
 * A place that runs tasks in this process. A task's code is a function of the test, found by the
 * `pick` of its CodeRef. Each answer comes in a later turn of the event loop, as a runner's does. A
 * test can also end a task by hand.
 */
import { systemClock, type Clock } from "../../src/clock.ts";
import { toStepError } from "../../src/core/failure.ts";
import type { Lane, Room } from "../../src/core/lane.ts";
import type { CodeRef, Json } from "../../src/core/snapshot.ts";
import { FramedTask, wholeTask, type TaskFrame } from "../../src/core/task-frame.ts";
import { StoredOutputs, type Task, type TaskResult } from "../../src/core/task.ts";
import type { DeathInfo, Place, TaskHandlers } from "../../src/places/place.ts";
import { Reservations } from "../../src/places/reservations.ts";
import { DynamicCaller, type DynamicRun } from "../../src/steps/dynamic-run.ts";
import { valuesIn, withValues } from "../../src/steps/task-values.ts";
import { runFlavor } from "../../src/steps/flavor-host.ts";
import type { LoadedModule } from "../../src/steps/resolve-code.ts";

/** What a test's function is given. */
export interface FakeContext {
  readonly id: string;
  readonly task: Task;
  readonly params: { readonly [name: string]: Json };
  readonly inputs: { readonly [name: string]: Json };
  readonly signal: AbortSignal;
  readonly alone: boolean;
  call(method: string, argument: Json): Promise<Json>;
  print(line: string): void;
}

export type FakeFunction = (context: FakeContext) => unknown;
/** An orchestrator's class, for tasks of kind `flavor`. */
export type FakeClass = new (config: never) => object;

/** Code that {@link FakePool} finds by `name`. @param bundle stands for the code's content */
export function fakeCode(name: string, bundle = `bundle of ${name}`): CodeRef {
  return { bundle, pick: name, source: `./${name}.ts` };
}

interface Running {
  readonly task: Task;
  readonly handlers: TaskHandlers;
  readonly alone: boolean;
  readonly abort: AbortController;
  readonly startedAt: number;
  ended: boolean;
}

/** Runs tasks in this process. */
export class FakePool implements Place {
  readonly functions: { [name: string]: FakeFunction | FakeClass };
  /** All tasks that were started, in order. */
  readonly started: {
    readonly id: string;
    readonly task: Task;
    readonly frame: TaskFrame | undefined;
    readonly alone: boolean;
  }[] = [];
  readonly stops: { readonly id: string; readonly mode: string; readonly because: string }[] = [];
  /** The frames of runs that have ended. */
  readonly forgotten: TaskFrame[] = [];
  readonly running = new Map<string, Running>();
  most = 0;
  room: number;
  closed = false;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  readonly #reservations = new Reservations();

  constructor(
    functions: { [name: string]: FakeFunction | FakeClass } = {},
    options: { readonly room?: number; readonly clock?: Clock } = {},
  ) {
    this.functions = functions;
    this.room = options.room ?? 16;
    this.#clock = options.clock ?? systemClock;
  }

  capacity(): Room {
    const of = (lane: Lane): number =>
      Math.max(
        0,
        this.room - [...this.running.values()].filter(({ task }) => task.kind === lane).length,
      );
    return this.#reservations.leave({ module: of("module"), shell: of("shell") });
  }

  promise(lane: Lane): void {
    this.#reservations.promise(lane);
  }

  redeem(lane: Lane): void {
    this.#reservations.redeem(lane);
  }

  adopt(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set());
  }

  onCapacity(callback: () => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  start(
    id: string,
    given: Task,
    handlers: TaskHandlers,
    options: { readonly alone?: boolean } = {},
  ): void {
    const task = wholeTask(given);
    if (this.closed) throw new Error("closed");
    if (this.running.has(id)) throw new Error(`${id} was started already`);
    const alone = options.alone === true;
    const frame = given instanceof FramedTask ? given.frame : undefined;
    this.started.push({ id, task, frame, alone });
    const running: Running = {
      task: structuredClone(task),
      handlers,
      alone,
      abort: new AbortController(),
      startedAt: this.#clock.now(),
      ended: false,
    };
    this.running.set(id, running);
    this.most = Math.max(
      this.most,
      [...this.running.values()].filter(({ task: { kind } }) => kind === "module").length,
    );
    setImmediate(() => void this.#run(id, running));
  }

  forget(frame: TaskFrame): void {
    this.forgotten.push(frame);
  }

  stop(id: string, mode: "graceful" | "force", because: string): void {
    this.stops.push({ id, mode, because });
    const running = this.running.get(id);
    if (running === undefined) return;
    running.abort.abort(because);
    if (mode === "force") {
      setImmediate(() =>
        this.end(id, {
          ok: false,
          outcome: "stopped",
          error: { name: "StepStopped", message: because },
        }),
      );
    }
  }

  /** Ends a task by hand. */
  end(id: string, result: TaskResult): void {
    const running = this.running.get(id);
    if (running === undefined || running.ended) return;
    running.ended = true;
    this.running.delete(id);
    running.handlers.done(result, 1, running.startedAt);
    for (const listener of this.#listeners) listener();
  }

  /** The shared runner dies, with all tasks but those that run alone. */
  die(info: Partial<DeathInfo> = {}): void {
    const lost = [...this.running].filter(([, { alone }]) => !alone);
    const inFlight = lost.map(([id]) => id);
    for (const [id, running] of lost) {
      running.ended = true;
      this.running.delete(id);
      running.handlers.died({
        inFlight,
        alone: false,
        because: "the runner was ended by SIGKILL",
        code: "ORCHD_RUNNER_DIED",
        ...info,
      });
    }
  }

  /** The runners of all tasks that run alone die. */
  dieAlone(): void {
    for (const [id, running] of [...this.running].filter(([, { alone }]) => alone)) {
      running.ended = true;
      this.running.delete(id);
      running.handlers.died({
        inFlight: [id],
        alone: true,
        because: "the runner was ended by SIGKILL",
        code: "ORCHD_RUNNER_DIED",
      });
    }
  }

  /** The ids of a step's tasks that run now. */
  of(step: string): string[] {
    return [...this.running].filter(([, { task }]) => task.step === step).map(([id]) => id);
  }

  async #run(id: string, running: Running): Promise<void> {
    const { task, handlers } = running;
    const name = task.kind === "shell" ? task.text : task.code.pick;
    const given = this.functions[name];
    const call = async (method: string, argument: Json): Promise<Json> => {
      if (handlers.call === undefined) throw new Error(`nobody answers the call "${method}" here`);
      const reply = await handlers.call(method, argument);
      return reply instanceof StoredOutputs
        ? valuesIn(task.artifacts!).allOutputs(reply.outputs)
        : reply;
    };
    let result: TaskResult;
    try {
      if (task.kind === "flavor") {
        const module: LoadedModule = {
          exports: { [task.code.pick.replace("export:", "")]: given },
          made: [],
          defined: [],
        };
        result = {
          ok: true,
          value: (await runFlavor(module, task, call)) as Json,
        };
        this.end(id, result);
        return;
      }
      if (given === undefined) throw new Error(`the test has no function ${name}`);
      const value = await (given as FakeFunction)({
        id,
        task,
        params: ("params" in task ? task.params : undefined) ?? {},
        inputs: "inputs" in task ? withValues(task).inputs : {},
        signal: running.abort.signal,
        alone: running.alone,
        call,
        print: (line) =>
          handlers.output([
            {
              at: new Date(this.#clock.now()).toISOString(),
              step: task.step ?? "",
              attempt: task.run.attempt,
              stream: "stdout",
              line,
            },
          ]),
      });
      result = {
        ok: true,
        value: (value === undefined ? null : JSON.parse(JSON.stringify(value))) as Json,
      };
    } catch (error) {
      const outcome = running.abort.signal.aborted
        ? "stopped"
        : (error as { outcome?: "timeout" }).outcome === "timeout"
          ? "timeout"
          : "failed";
      result = { ok: false, outcome, error: toStepError(error) };
    }
    this.end(id, result);
  }
}

/** A function that returns when the test releases it, and throws when it is told to stop. */
export function held(): FakeFunction & {
  readonly release: (value?: unknown) => void;
  readonly began: Promise<void>;
} {
  let release!: (value?: unknown) => void;
  let begin!: () => void;
  const until = new Promise<unknown>((resolve) => (release = resolve));
  const began = new Promise<void>((resolve) => (begin = resolve));
  const run: FakeFunction = ({ signal }) => {
    begin();
    return Promise.race([
      until,
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(new Error(String(signal.reason)))),
      ),
    ]);
  };
  return Object.assign(run, { release, began });
}

type StepFunction = (context: {
  readonly params: { readonly [name: string]: never };
  readonly inputs: { readonly [name: string]: never };
  readonly signal: AbortSignal;
}) => unknown;

/**
 * A dynamic pipeline whose module exports these steps, as functions for a {@link FakePool}. The
 * pipeline's own function is called `function`.
 */
export function dynamicModule(
  steps: { [name: string]: StepFunction },
  run: (run: DynamicRun<never>) => unknown,
): { [name: string]: FakeFunction } {
  const module: LoadedModule = { exports: steps, made: [], defined: [] };
  return {
    ...Object.fromEntries(
      Object.entries(steps).map(([name, step]) => [
        `export:${name}`,
        (context: FakeContext) => step(context as never),
      ]),
    ),
    function: async ({ task, call, signal, params }) => {
      const caller = new DynamicCaller({ module, code: fakeCode("function"), call });
      const aborted = new Promise<never>((_, reject) =>
        signal.addEventListener("abort", () => reject(new Error(String(signal.reason)))),
      );
      await Promise.race([
        aborted,
        run({
          id: task.run.id,
          pipeline: task.run.pipeline,
          params,
          signal,
          ...caller.methods,
        } as unknown as DynamicRun<never>),
      ]);
      return Promise.race([aborted, caller.end()]);
    },
  };
}
