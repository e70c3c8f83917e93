/**
 * Runs one task in a worker thread: finds the code, calls it with its context, and turns what it
 * returns into JSON.
 */
import { defined } from "../core/defined.ts";
import { ANSWER_LIMIT, type Task } from "../core/task.ts";
import type { StepLog } from "./context.ts";
import { withSignal } from "./context-signal.ts";
import { LoadError, pickFunction, type Modules, type LoadedModule } from "./resolve-code.ts";
import { resultJson } from "./step-result.ts";
import type { DaemonCall } from "./thread-protocol.ts";

/** What the thread does for the task that runs in it. */
export interface TaskHost {
  readonly modules: Modules;
  readonly log: StepLog;
  signal(): AbortSignal;
  /** The user's code is loaded, and its function is called next. */
  begins(): void;
  readonly call: DaemonCall;
}

/** A task that runs in a thread. */
export type ThreadTask = Exclude<Task, { kind: "shell" }>;

/**
 * Runs a task.
 *
 * @returns its value as JSON; no promise if the code returned none and was loaded before
 * @throws what the user's code throws; LoadError, BadOutput
 */
export function perform(task: ThreadTask, host: TaskHost): Promise<string> | string {
  const { pipeline } = task.run;
  const module = host.modules.loaded(task.code, pipeline);
  return module === undefined
    ? host.modules.load(task.code, pipeline).then((loaded) => performIn(loaded, task, host))
    : performIn(module, task, host);
}

function performIn(
  module: LoadedModule,
  task: ThreadTask,
  host: TaskHost,
): Promise<string> | string {
  const step = task.step ?? task.kind;
  switch (task.kind) {
    case "module": {
      const run = pickFunction(module, task.code);
      const { params, inputs, env, state = null } = task;
      host.begins();
      const context = {
        params,
        inputs,
        env: Object.freeze(env),
        log: host.log,
        run: task.run,
        state,
      };
      const value = run(withSignal(context, host));
      return isPromise(value)
        ? Promise.resolve(value).then((settled) => resultJson(settled, step, task.outputs))
        : resultJson(value, step, task.outputs);
    }
    case "hook":
      return hook(module, task, host);
    case "cacheFunction":
      return cacheText(module, task, host);
    case "load":
      return import("./load-definition.ts").then(({ describeDefinition }) =>
        answer(JSON.stringify(describeDefinition(module, task.code)), task, "the definition"),
      );
    case "dynamic":
      return dynamic(module, task, host);
    case "flavor":
      return import("./flavor-host.ts").then(async ({ runFlavor }) => {
        host.begins();
        const said = resultJson(await runFlavor(module, task, host.call), step, undefined);
        return answer(said, task, `what ${task.method} gave`);
      });
  }
}

/** An answer that passes the daemon whole. @throws LoadError if it is too long */
function answer(json: string, { code }: Pick<ThreadTask, "code">, what: string): string {
  if (json.length <= ANSWER_LIMIT) return json;
  const [size, limit] = [(json.length / 1_048_576).toFixed(1), ANSWER_LIMIT / 1_048_576];
  throw new LoadError(
    `${code.source}: ${what} is ${size} MiB of JSON, and at most ${limit} MiB can be taken`,
  );
}

async function hook(
  module: LoadedModule,
  task: Extract<ThreadTask, { kind: "hook" }>,
  host: TaskHost,
): Promise<string> {
  const run = pickFunction(module, task.code);
  const { step, error, because, env, state = null } = task;
  host.begins();
  const value = await run(
    withSignal(
      {
        run: task.run,
        ...defined({ step, error, because, slots: task.slots, params: task.params }),
        env: Object.freeze(env),
        log: host.log,
        state,
      },
      host,
    ),
  );
  // Only the init hook's value has a meaning. What another hook returns must not make it fail.
  return task.hook === "init" ? resultJson(value, "the init hook", undefined) : "null";
}

async function cacheText(
  module: LoadedModule,
  task: Extract<ThreadTask, { kind: "cacheFunction" }>,
  host: TaskHost,
): Promise<string> {
  const run = pickFunction(module, task.code);
  const { params, inputs, env } = task;
  host.begins();
  const text = await run({ params, inputs, env: Object.freeze(env), run: task.run });
  if (typeof text !== "string") {
    const kind = text === null ? "null" : `a ${typeof text}`;
    throw new TypeError(
      `the cache function of step "${task.step ?? ""}" returned ${kind}; it has to return a text`,
    );
  }
  return answer(JSON.stringify(text), task, "the text of the cache function");
}

async function dynamic(
  module: LoadedModule,
  task: Extract<ThreadTask, { kind: "dynamic" }>,
  host: TaskHost,
): Promise<string> {
  const { DynamicCaller } = await import("./dynamic-run.ts");
  const run = pickFunction(module, task.code);
  const caller = new DynamicCaller({ module, code: task.code, call: host.call });
  const { id, pipeline, scheduledFor } = task.run;
  const { params, env, state = null } = task;
  host.begins();
  await run(
    withSignal(
      {
        id,
        pipeline,
        scheduledFor,
        params,
        env: Object.freeze(env),
        log: host.log,
        state,
        ...caller.methods,
      },
      host,
    ),
  );
  return JSON.stringify(await caller.end());
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    (typeof value === "object" || typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function"
  );
}
