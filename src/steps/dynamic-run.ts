/**
 * What a dynamic pipeline's function gets (docs/zenml.md).
 *
 * Every call becomes a DynamicCall to the daemon, which records it before it starts anything. The
 * function runs again after a crash, so ids are given in the order of the calls, at the moment of
 * the call. Nothing here remembers results: the daemon answers from the ledger.
 *
 * A failed invocation rejects for those who wait for it. Failures that nobody waited for are listed
 * at the end (`DynamicEnd.unawaited`). They are never raised as unhandled rejections: a promise or
 * a handle counts as awaited only once `then` or `result` was called on it.
 */
import { clipError, toStepError } from "../core/failure.ts";
import type { CodeRef, Json } from "../core/snapshot.ts";
import type { DynamicCall, DynamicEnd, DynamicInput } from "../core/task.ts";
import { isUnmapped, stepParts, type Unmapped } from "./authoring.ts";
import type { Jsonified, RequiredKeys } from "./checked-steps.ts";
import type { Step } from "./step-entry.ts";
import type { Loose, StepContext, StepLog } from "./context.ts";
import { checkCall, checkInvocationId, checkManyCalls } from "./checked-call.ts";
import { Lazy } from "./lazy-promise.ts";
import { locateStep } from "./load-definition.ts";
import { LoadError, type LoadedModule } from "./resolve-code.ts";
import { cartesian, mappedInput, zip, type Combine, type MappedInput } from "./mapped-inputs.ts";
import { resultJson } from "./step-result.ts";
import type { DaemonCall } from "./thread-protocol.ts";

/** A step, or a function that the pipeline's file exports. */
export type Callable<P, I, O> = Step<P, I, O> | ((context: StepContext<P, I>) => O | Promise<O>);

/** One declared output of an invocation. It may be an input of another invocation. */
export interface OutputHandle<T = unknown> {
  /** The invocation's id. */
  readonly step: string;
  /** The output's name. */
  readonly output: string;
  /** Waits for the output. Rejects with the step's own error. */
  result(): Promise<T>;
}

/**
 * An invocation that was submitted. It may be an input of another invocation, or in its `after`.
 */
export interface StepHandle<O = unknown> {
  /** The invocation's id: the step's name, then `NAME_2`, `NAME_3` and so on. */
  readonly id: string;
  /** Waits for the result. Rejects with the step's own error. */
  result(): Promise<O>;
  /** One of the declared outputs. @throws Error if the step declares no such output */
  output<N extends keyof O & string>(name: N): OutputHandle<O[N]>;
}

/** A value, or something that becomes that value once an invocation has ended. */
export type Input<T> = T | StepHandle<T> | OutputHandle<T> | PromiseLike<T>;

/** How a step is called. */
export interface CallOptions<P = Loose, I = Loose> {
  /** The step's inputs by name: values, handles or promises. */
  readonly inputs?: { readonly [N in keyof I]: Input<I[N]> } | undefined;
  /** The step's params; they override those that `step()` was given. */
  readonly params?: Partial<P> | undefined;
  /** The invocation's id. Default: the step's name; from the second call on with `_2`, `_3`. */
  readonly id?: string | undefined;
  /** The invocations that must succeed first, as ids or handles. */
  readonly after?: readonly (string | { readonly id: string })[] | undefined;
}

/** The last argument of a call. It may be left out unless the step needs inputs. */
export type CallArguments<P, I> = [RequiredKeys<I>] extends [never]
  ? [options?: CallOptions<P, I>]
  : [options: CallOptions<P, I> & { readonly inputs: { readonly [N in keyof I]: Input<I[N]> } }];

/** How a step is called many times. */
export type MapOptions<P = Loose> = Pick<CallOptions<P>, "params" | "id" | "after">;

/** For each input a list with one item an invocation, or one `unmapped()` value for all. */
export type MapInputs<I> = {
  readonly [N in keyof I]: Input<readonly I[N][]> | readonly Input<I[N]>[] | Unmapped<I[N]>;
};

/**
 * What a dynamic pipeline's function gets: the run, and the calls.
 *
 * A call with wrong arguments throws: the step has no name or cannot be found again outside the
 * function, the id is taken, a list cannot be mapped over. If the call has to wait for an input
 * first, its promise rejects instead.
 */
export interface DynamicRun<P = Loose> {
  /** The run's id: `PIPELINE@SLOT`. */
  readonly id: string;
  /** The pipeline's name. */
  readonly pipeline: string;
  /** The slot, ISO 8601 in UTC; undefined for a run that was asked for by hand. */
  readonly scheduledFor?: string | undefined;
  /** The run's params. */
  readonly params: P;
  /** The run's environment variables, frozen. */
  readonly env: Readonly<Record<string, string>>;
  /** Aborts when the run is stopped, and when its time limit is reached. */
  readonly signal: AbortSignal;
  /** Writes structured lines to the run's log. */
  readonly log: StepLog;
  /** What the pipeline's init hook returned; null without one. */
  readonly state: Json;
  /** Calls a step and waits for its result. Rejects with the step's own error. */
  step<SP, I, O>(
    step: Callable<SP, I, O>,
    ...options: CallArguments<SP, I>
  ): Promise<Jsonified<O>> & { readonly id: string };
  /** Calls a step without waiting. The handle's `result()` waits. */
  submit<SP, I, O>(
    step: Callable<SP, I, O>,
    ...options: CallArguments<SP, I>
  ): StepHandle<Jsonified<O>>;
  /**
   * Calls a step once for each item. Several lists are walked together and must be equally long.
   * The results are in the order of the items; `handles` resolves with the handles, also in that
   * order.
   */
  map<SP, I, O>(
    step: Callable<SP, I, O>,
    inputs: MapInputs<I>,
    options?: MapOptions<SP>,
  ): Promise<Jsonified<O>[]> & { readonly handles: Promise<readonly StepHandle<Jsonified<O>>[]> };
  /**
   * Calls a step once for each combination of items; the last list changes fastest. The results are
   * in that order.
   */
  product<SP, I, O>(
    step: Callable<SP, I, O>,
    inputs: MapInputs<I>,
    options?: MapOptions<SP>,
  ): Promise<Jsonified<O>[]> & { readonly handles: Promise<readonly StepHandle<Jsonified<O>>[]> };
}

/** What a {@link DynamicCaller} needs. */
export interface DynamicHost {
  readonly module: LoadedModule;
  readonly code: CodeRef;
  readonly call: DaemonCall;
}

/** Makes the calls of one execution of a dynamic pipeline's function. */
export class DynamicCaller {
  readonly #host: DynamicHost;
  readonly #used = new Set<string>();
  readonly #counts = new Map<string, number>();
  readonly #handles: Invocation[] = [];
  readonly #mapped: Mapped[] = [];

  constructor(host: DynamicHost) {
    this.#host = host;
  }

  /** The methods of {@link DynamicRun}. */
  readonly methods = {
    step: (step: unknown, options: CallOptions = {}) =>
      new StepPromise(this.#invoke(step, options)),
    submit: (step: unknown, options: CallOptions = {}) => this.#invoke(step, options),
    map: (step: unknown, inputs: Loose, options: MapOptions = {}) =>
      this.#many(step, inputs, options, zip),
    product: (step: unknown, inputs: Loose, options: MapOptions = {}) =>
      this.#many(step, inputs, options, cartesian),
  };

  /**
   * Waits for all calls that nobody waited for. Rejects if one of them could not even be recorded.
   */
  async end(): Promise<DynamicEnd> {
    // Both lists may grow while they are walked: code that waits may make further calls, and a map
    // makes its own once its lists are there.
    const unawaited: { id: string; message: string }[] = [];
    let walked = 0;
    let maps: number;
    do {
      maps = this.#mapped.length;
      await Promise.allSettled(this.#mapped.map((mapped) => mapped.settled()));
      for (; walked < this.#handles.length; walked += 1) {
        const handle = this.#handles[walked]!;
        const failure = await handle.settled();
        if (failure === undefined || handle.isAwaited) continue;
        if (!handle.isRecorded) throw failure.thrown;
        unawaited.push({ id: handle.id, message: clipError(toStepError(failure.thrown)).message });
      }
    } while (this.#mapped.length > maps);
    for (const mapped of this.#mapped) {
      const failure = await mapped.settled();
      if (failure !== undefined && !mapped.isAwaited) throw failure.thrown;
    }
    return { unawaited };
  }

  #invoke(step: unknown, options: CallOptions): Invocation {
    const { pick, name, made } = locateStep(this.#host.module, this.#host.code, step);
    checkCall(options, name);
    const { name: _name, ...settings } = stepParts(step)?.options ?? {};
    const asJson = {
      options: describeOptions(settings, name, made),
      params: jsonOf(options.params ?? {}, name) as DynamicCall["params"],
    };
    const names = Object.keys(options.inputs ?? {});
    const sources = Object.values(options.inputs ?? {}) as unknown[];
    const after = options.after ?? [];
    // Sent at once if nothing has to be waited for, so that calls leave in the order in which they
    // were made.
    const waits = [...sources, ...after].some(
      (source) => isThenable(source) || unsent(source) !== undefined,
    );
    const ready = waits ? undefined : sources.map((source) => inputOf(source, name));
    // Once there is a handle nothing throws: the end waits for every handle that there is.
    const id = this.#idFor(name, options.id);
    const handle = new Invocation(
      id,
      (settings as { outputs?: readonly string[] }).outputs,
      (method, argument) => this.#host.call(method, argument),
    );
    this.#handles.push(handle);
    const send = (inputs: readonly DynamicInput[]): void =>
      handle.send({
        id,
        name,
        pick,
        ...asJson,
        inputs: Object.fromEntries(names.map((input, index) => [input, inputs[index]!])),
        after: after.map((before) => (typeof before === "string" ? before : before.id)),
      });
    if (ready !== undefined) send(ready);
    else {
      handle.sendLater(
        Promise.all([
          ...sources.map((source) => settledInput(source, name)),
          ...after.map((before) => unsent(before)),
        ]).then((all) => send(all.slice(0, sources.length) as DynamicInput[])),
      );
    }
    return handle;
  }

  #many(step: unknown, inputs: Loose, options: MapOptions, combine: Combine): Mapped {
    const { name } = locateStep(this.#host.module, this.#host.code, step);
    checkManyCalls(inputs, options, name);
    const invoke = (lists: readonly MappedInput[]): readonly Invocation[] =>
      combine(lists, name).map((values, index) => {
        const id =
          options.id === undefined
            ? undefined
            : index === 0
              ? options.id
              : `${options.id}_${index + 1}`;
        return this.#invoke(step, { ...options, id, inputs: values });
      });
    const sources = Object.entries(inputs);
    if (sources.length === 0)
      throw new Error(`"${name}" has nothing to map over: give at least one list`);
    const ready = sources.every(([, value]) => Array.isArray(value) || isUnmapped(value));
    const mapped = new Mapped(
      ready
        ? Promise.resolve(invoke(sources.map(([input, value]) => mappedInput(input, value, name))))
        : Promise.all(
            sources.map(async ([input, value]) =>
              mappedInput(input, await settledValue(value), name),
            ),
          ).then(invoke),
    );
    this.#mapped.push(mapped);
    return mapped;
  }

  #idFor(name: string, wanted: string | undefined): string {
    checkInvocationId(wanted === undefined ? name : wanted);
    if (wanted !== undefined) {
      if (this.#used.has(wanted))
        throw new Error(
          `there is an invocation "${wanted}" already; give this one an id of its own`,
        );
      this.#used.add(wanted);
      return wanted;
    }
    let count = this.#counts.get(name) ?? 0;
    let id: string;
    do {
      count += 1;
      id = count === 1 ? name : `${name}_${count}`;
    } while (this.#used.has(id));
    this.#counts.set(name, count);
    this.#used.add(id);
    return id;
  }
}

class Invocation implements StepHandle<never> {
  readonly id: string;
  readonly #outputs: readonly string[] | undefined;
  readonly #call: DaemonCall;
  /** Resolves when the call is on its way to the daemon. */
  readonly sent: Promise<void>;
  isSent = false;
  isRecorded = false;
  isAwaited = false;
  readonly #result: Promise<unknown>;
  #resolveSent: () => void = () => {};
  #settle: { resolve(value: unknown): void; reject(error: unknown): void };

  constructor(id: string, outputs: readonly string[] | undefined, call: DaemonCall) {
    this.id = id;
    this.#outputs = outputs;
    this.#call = call;
    this.sent = new Promise((resolve) => (this.#resolveSent = resolve));
    let settle: { resolve(value: unknown): void; reject(error: unknown): void };
    this.#result = new Promise((resolve, reject) => (settle = { resolve, reject }));
    this.#settle = settle!;
    this.#result.catch(() => {});
  }

  send(call: DynamicCall): void {
    this.isSent = true;
    this.#call("step", call as unknown as Json)
      .then(() => {
        this.isRecorded = true;
        return this.#call("result", { id: this.id });
      })
      .then((outputs) =>
        this.#settle.resolve(
          this.#outputs === undefined ? (outputs as { result?: Json } | null)?.result : outputs,
        ),
      )
      .catch((error: unknown) => this.#settle.reject(error));
    this.#resolveSent();
  }

  sendLater(ready: Promise<void>): void {
    ready.catch((error: unknown) => {
      this.#settle.reject(error);
      this.#resolveSent();
    });
  }

  result(): Promise<never> {
    this.isAwaited = true;
    return this.#result as Promise<never>;
  }

  output(name: string): OutputHandle<never> {
    if (this.#outputs !== undefined && !this.#outputs.includes(name)) {
      throw new Error(
        `the step of "${this.id}" declares no output "${name}"; ` +
          `it declares ${this.#outputs.join(", ")}`,
      );
    }
    return new Output(this, name);
  }

  /** Resolves at its end, with its failure or undefined. This does not count as awaiting. */
  settled(): Promise<{ readonly thrown: unknown } | undefined> {
    return this.#result.then(
      () => undefined,
      (thrown: unknown) => ({ thrown }),
    );
  }
}

class Output implements OutputHandle<never> {
  readonly step: string;
  readonly output: string;
  readonly of: Invocation;

  constructor(of: Invocation, output: string) {
    this.of = of;
    this.step = of.id;
    this.output = output;
  }

  result(): Promise<never> {
    return this.of.result().then((value) => (value as Loose)[this.output] as never);
  }
}

class StepPromise extends Lazy<unknown> {
  readonly id: string;
  readonly of: Invocation;

  constructor(of: Invocation) {
    super(() => of.result());
    this.of = of;
    this.id = of.id;
  }
}

class Mapped extends Lazy<unknown[]> {
  readonly handles: Promise<readonly Invocation[]>;
  /** Whether somebody hears of it where the invocations cannot be made. */
  isAwaited = false;
  readonly #made: Promise<readonly Invocation[]>;

  constructor(made: Promise<readonly Invocation[]>) {
    super(() => this.handles.then((all) => Promise.all(all.map((handle) => handle.result()))));
    this.#made = made;
    this.handles = new Lazy(() => {
      this.isAwaited = true;
      return made;
    });
    made.catch(() => {});
  }

  /** Resolves when every invocation is made, with the failure to make them or undefined. */
  settled(): Promise<{ readonly thrown: unknown } | undefined> {
    return this.#made.then(
      () => undefined,
      (thrown: unknown) => ({ thrown }),
    );
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    typeof value === "object" &&
    !(value instanceof StepPromise) &&
    typeof (value as { then?: unknown }).then === "function"
  );
}

function invocationOf(value: unknown): Invocation | undefined {
  if (value instanceof Invocation) return value;
  return value instanceof StepPromise || value instanceof Output ? value.of : undefined;
}

/**
 * Resolves when an invocation that still waits for its own inputs is sent; undefined if it was
 * sent, or if the value is no invocation.
 */
function unsent(value: unknown): Promise<void> | undefined {
  const invocation = invocationOf(value);
  return invocation === undefined || invocation.isSent ? undefined : invocation.sent;
}

function inputOf(value: unknown, step: string): DynamicInput {
  const invocation = invocationOf(value);
  if (invocation === undefined) return { value: jsonOf(value, step) };
  return value instanceof Output
    ? { step: invocation.id, output: value.output }
    : { step: invocation.id };
}

async function settledInput(value: unknown, step: string): Promise<DynamicInput> {
  await unsent(value);
  return inputOf(isThenable(value) ? await value : value, step);
}

async function settledValue(value: unknown): Promise<unknown> {
  if (value instanceof Invocation || value instanceof Output) return value.result();
  return value;
}

function jsonOf(value: unknown, step: string): Json {
  return JSON.parse(resultJson(value, step, undefined)) as Json;
}

/**
 * A step's options as JSON. Functions in them are found again by the number that the step has among
 * those that its module made.
 */
function describeOptions(
  options: object,
  step: string,
  made: number | undefined,
): DynamicCall["options"] {
  const text = JSON.stringify(options, (key, value: unknown) => {
    if (typeof value !== "function") return value;
    if (made === undefined)
      throw new LoadError(
        `the step "${step}" has a function as ${key}, ` +
          "so it has to be made at the top level of a module",
      );
    return { $code: `made:${made}:${key}`, ...(value.name === "" ? {} : { name: value.name }) };
  });
  return JSON.parse(text) as DynamicCall["options"];
}
