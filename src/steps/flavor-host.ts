/**
 * Makes an instance of a user's orchestrator class for one call.
 *
 * What the instance asks of the daemon (`runStep`) goes through a host that stands at a registered
 * symbol, because the class may come from another copy of the package.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { thrownFrom, toStepError } from "../core/failure.ts";
import type { CodeRef, Json } from "../core/snapshot.ts";
import {
  HOST_SYMBOL,
  STACK_SYMBOL,
  WAIT_CODE,
  type FlavorTask,
  type HookReply,
} from "../core/task.ts";
import { configFaults, type ConfigIssue } from "./config-faults.ts";
import { checkedMetadata, checkedRunId, checkedStatus, checkedWait } from "./flavor-answers.ts";
import { LoadError, pickValue, type LoadedModule } from "./resolve-code.ts";
import type { DaemonCall } from "./thread-protocol.ts";

/** An instance of an orchestrator, by its methods. */
export type Methods = { readonly [name: string]: (...args: unknown[]) => unknown };

/**
 * Calls one method of a flavor; see FlavorTask.
 *
 * @throws LoadError if the export is no orchestrator class; what the class throws
 */
export async function runFlavor(
  module: LoadedModule,
  task: FlavorTask,
  call: DaemonCall,
): Promise<unknown> {
  const type = classOf(module, task);
  const instance = (): Methods => instantiate(type, task.code, task.config);
  if (task.method !== "describe")
    return callFlavor({ type, instance }, task.method, task.argument, call);
  const described = instance();
  standBeforeHooks(type);
  return describe(described, task.code);
}

/** A flavor to call. */
export interface CalledFlavor {
  readonly type: FlavorClass;
  /** Gives an instance, or what stands for one. */
  instance(): Methods;
  /** Has an instance say the run's id, where the process serves several runs. */
  readonly identified?: ((ask: () => string) => string) | undefined;
}

/** Who asks: each call of a method has its own way to the daemon. */
const called = new AsyncLocalStorage<{
  readonly call: DaemonCall;
  readonly isHook: boolean;
  readonly identified: CalledFlavor["identified"];
}>();

const HOST = {
  call(method: string, argument: Json): Promise<Json> {
    const caller = called.getStore();
    if (caller === undefined) throw new Error(`${method} works within submitPipeline only.`);
    return caller.call(method, argument);
  },
  identified(ask: () => string): string {
    return called.getStore()?.identified?.(ask) ?? ask();
  },
};

/** Calls one method of a flavor. @throws what the method throws */
export function callFlavor(
  flavor: CalledFlavor,
  method: Exclude<FlavorTask["method"], "describe">,
  argument: Json,
  call: DaemonCall,
): Promise<unknown> {
  const isHook = method === "runInitHook" || method === "runCleanupHook";
  (globalThis as Record<symbol, unknown>)[HOST_SYMBOL] = HOST;
  return called.run({ call, isHook, identified: flavor.identified }, () =>
    callMethod(flavor, method, argument, call),
  );
}

async function callMethod(
  flavor: CalledFlavor,
  method: Exclude<FlavorTask["method"], "describe">,
  argument: Json,
  call: DaemonCall,
): Promise<unknown> {
  const { type } = flavor;
  if (method === "runInitHook" || method === "runCleanupHook")
    return callHook(type, method, argument);
  const instance = flavor.instance();
  standBeforeHooks(type);
  switch (method) {
    case "submitPipeline":
    case "submitDynamicPipeline":
      return submit(instance, method, argument, call);
    case "fetchStatus": {
      const { run, includeSteps } = argument as { run: Json; includeSteps?: boolean };
      const includes = { includeSteps: includeSteps === true };
      return checkedStatus(await instance["fetchStatus"]!(run, includes));
    }
    case "stopRun": {
      const { run, graceful } = argument as { run: Json; graceful?: boolean };
      await instance["stopRun"]!(run, { graceful: graceful === true });
      return null;
    }
  }
}

/** A flavor's class. */
export type FlavorClass = (new (config: unknown) => Methods) & Methods;

const HOOKS = ["runInitHook", "runCleanupHook"] as const;
/** The static method that stands behind one that {@link standBeforeHooks} has put there. */
const behind = new WeakMap<object, Methods[string]>();

/**
 * Calls the class's own hook. @returns a HookReply: what it returned, no member for nothing
 */
async function callHook(type: FlavorClass, method: (typeof HOOKS)[number], snapshot: Json) {
  const own = type[method];
  if (own === undefined) throw new Error(`the orchestrator has no static ${method}`);
  const state = await (behind.get(own) ?? own).call(type, snapshot);
  return method === "runCleanupHook" || state === undefined ? {} : { state };
}

/**
 * Puts methods before the hooks that a class overrides. In a submission a call of a hook goes to
 * the daemon, which calls the class's method once a run. In the hook itself it goes to the method.
 */
function standBeforeHooks(type: FlavorClass): void {
  for (const name of HOOKS) {
    for (let one = type; isUsersClass(one); one = Object.getPrototypeOf(one) as FlavorClass) {
      const own = Object.hasOwn(one, name) ? one[name] : undefined;
      if (own === undefined || behind.has(own)) continue;
      const before = function (this: unknown, ...args: unknown[]): unknown {
        const caller = called.getStore();
        if (caller === undefined || caller.isHook) return own.apply(this, args);
        return caller.call(name, null).then((reply) => (reply as HookReply | null)?.state);
      };
      behind.set(before, own);
      Object.defineProperty(one, name, { value: before, writable: true, configurable: true });
    }
  }
}

/** Whether a class is above BaseOrchestrator, which makes the stack. */
function isUsersClass(type: FlavorClass): boolean {
  const { prototype } = type as { readonly prototype?: object };
  return prototype !== undefined && !Object.hasOwn(prototype, STACK_SYMBOL);
}

/**
 * @throws LoadError if the export is no orchestrator class; what `describe` says of a class that
 *   has a method as a field
 */
function classOf(module: LoadedModule, { code, config }: Pick<FlavorTask, "code" | "config">) {
  const found = pickValue(module, code);
  const prototype = (typeof found === "function" ? found.prototype : undefined) as
    | Methods
    | undefined;
  const has = (name: string): boolean => typeof prototype?.[name] === "function";
  // What a class has as a field is only seen on an instance.
  const instance =
    has("describe") && !(has("submitPipeline") && has("getOrchestratorRunId"))
      ? instantiate(found as FlavorClass, code, config)
      : undefined;
  if (!has("submitPipeline")) {
    instance?.["describe"]!();
    throw new LoadError(
      `${code.source}: the export is no orchestrator; write export default class ` +
        "extends BaseOrchestrator, with getOrchestratorRunId and submitPipeline",
    );
  }
  if (!has("getOrchestratorRunId") && typeof instance?.["getOrchestratorRunId"] !== "function") {
    throw new LoadError(
      `${code.source}: the orchestrator has no getOrchestratorRunId, ` +
        "which every orchestrator needs",
    );
  }
  return found as FlavorClass;
}

function instantiate(
  type: FlavorClass,
  code: CodeRef,
  config: { readonly [key: string]: Json },
): Methods {
  try {
    return new type(config);
  } catch (error) {
    if (!isZodError(error)) throw error;
    const { shape } = (type as { config?: { shape?: object } }).config ?? {};
    const faults = configFaults(error.issues, config, Object.keys(shape ?? {}));
    throw new LoadError(`${code.source}: the config does not fit: ${faults.join("; ")}`);
  }
}

function describe(instance: Methods, code: CodeRef): unknown {
  if (typeof instance["describe"] !== "function")
    throw new LoadError(`${code.source}: the class does not extend BaseOrchestrator of "orchd"`);
  return instance["describe"]();
}

async function submit(
  instance: Methods,
  method: "submitPipeline" | "submitDynamicPipeline",
  argument: Json,
  call: DaemonCall,
): Promise<unknown> {
  let metadata: unknown;
  let wait: unknown;
  if (typeof instance[method] !== "function") throw new Error(`the orchestrator has no ${method}`);
  const early = runIdOf(instance);
  const id = early === undefined ? undefined : ((await call("identify", early)) as string);
  const submission = await instance[method](submissionOf(instance, argument, id));
  if (submission !== undefined && submission !== null)
    ({ metadata, waitForCompletion: wait } = submission as {
      metadata?: unknown;
      waitForCompletion?: unknown;
    });
  const waitForEnd = checkedWait(wait);
  const orchestratorRunId = id ?? runIdOf(instance);
  await call("accepted", {
    ...(orchestratorRunId === undefined ? {} : { orchestratorRunId }),
    metadata: checkedMetadata(metadata),
    waits: waitForEnd !== undefined,
  });
  if (waitForEnd === undefined) return null;
  try {
    await waitForEnd.call(submission);
  } catch (error) {
    throw thrownFrom({ ...toStepError(error), code: WAIT_CODE });
  }
  return null;
}

type Variables = Readonly<Record<string, string>>;

/** A submission as the daemon sends it. */
interface SentSubmission {
  readonly stack: { readonly name: string };
  readonly placeholderRun: object;
  readonly environment?: Variables;
  readonly baseEnvironment?: Variables;
  /** Only what lies above `baseEnvironment`. */
  readonly stepEnvironments?: Readonly<Record<string, Variables>>;
}

/**
 * A submission as the class gets it: with live components in its stack, whole environments, and the
 * id that the orchestrator gave the run.
 */
function submissionOf(instance: Methods, argument: Json, id: string | undefined): unknown {
  const sent = argument as unknown as SentSubmission;
  const named = id === undefined ? {} : { ORCHD_ORCHESTRATOR_RUN_ID: id };
  const placeholderRun = {
    ...sent.placeholderRun,
    ...(id === undefined ? {} : { orchestratorRunId: id }),
  };
  const common = { ...sent, stack: liveStack(instance, sent.stack), placeholderRun };
  if (sent.environment !== undefined)
    return { ...common, environment: { ...sent.environment, ...named } };
  const baseEnvironment = { ...sent.baseEnvironment, ...named };
  const stepEnvironments = Object.fromEntries(
    Object.entries(sent.stepEnvironments ?? {}).map(([step, above]) => [
      step,
      { ...baseEnvironment, ...above },
    ]),
  );
  return { ...common, baseEnvironment, stepEnvironments };
}

/** The stack with live components. A class of an older orchd makes none, and gets the names. */
function liveStack(instance: Methods, named: SentSubmission["stack"]): unknown {
  const make = (instance as { [STACK_SYMBOL]?: (name: string) => unknown })[STACK_SYMBOL];
  return typeof make === "function" ? make.call(instance, named.name) : named;
}

/**
 * The orchestrator's own id of the run; undefined if the class does not know one yet.
 *
 * @throws Error if what it gives is a promise
 */
function runIdOf(instance: Methods): string | undefined {
  let id: unknown;
  try {
    id = instance["getOrchestratorRunId"]!();
  } catch {
    return undefined;
  }
  return checkedRunId(id);
}

function isZodError(error: unknown): error is { readonly issues: readonly ConfigIssue[] } {
  return (
    error instanceof Error &&
    Array.isArray((error as { issues?: unknown }).issues) &&
    error.name.includes("Zod")
  );
}
