/**
 * Notices what a step changes where no member of an object shows it (pristine.ts): state inside of
 * Node. The functions that change it are wrapped, and say so when they are called. They still do
 * what they did: a thread whose state was changed is kept for the pipeline that changed it.
 */

/** Says what was used. */
export type Trip = (what: string) => void;

const { apply } = Reflect;
type Holder = Record<PropertyKey, unknown>;

/** By module: functions whose effect outlives the step that calls them. */
const FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  async_hooks: ["createHook"],
  crypto: ["setEngine", "setFips"],
  diagnostics_channel: ["Channel.prototype.subscribe", "Channel.prototype.bindStore"],
  dns: ["setServers", "setDefaultResultOrder"],
  "dns/promises": ["setServers", "setDefaultResultOrder"],
  http: ["setMaxIdleHTTPParsers", "setGlobalProxyFromEnv"],
  module: [
    "register",
    "registerHooks",
    "syncBuiltinESMExports",
    "setSourceMapsSupport",
    "enableCompileCache",
  ],
  net: ["setDefaultAutoSelectFamily", "setDefaultAutoSelectFamilyAttemptTimeout"],
  process: [
    "binding",
    "dlopen",
    "setSourceMapsEnabled",
    "setUncaughtExceptionCaptureCallback",
    "addUncaughtExceptionCaptureCallback",
    "_linkedBinding",
  ],
  perf_hooks: [
    "performance.mark",
    "performance.measure",
    "performance.setResourceTimingBufferSize",
    "PerformanceObserver.prototype.observe",
  ],
  stream: ["setDefaultHighWaterMark"],
  tls: ["setDefaultCACertificates"],
  vm: ["createContext", "Script.prototype.__proto__.runInContext"],
  v8: ["setFlagsFromString", "setHeapSnapshotNearHeapLimit"],
  worker_threads: ["setEnvironmentData"],
};
/** The same of the language itself: what calls back at a time of its own. */
const GLOBALS = ["FinalizationRegistry.prototype.register", "Atomics.waitAsync"];

/** Members of `process` that are set again for each step. */
const SET_FOR_EACH_STEP: ReadonlySet<PropertyKey> = new Set(["env", "exitCode", "_exiting"]);

/** What gives a member attributes: to its first argument, or to `this`. */
const DEFINERS = ["Object.defineProperty", "Object.defineProperties", "Reflect.defineProperty"];
const DEFINERS_OF_THIS = ["Object.prototype.__defineGetter__", "Object.prototype.__defineSetter__"];

/** Wraps what the language has. @param redefined hears of each object that is given attributes */
export function guardLanguage(trip: Trip, redefined: (target: unknown) => void): void {
  for (const path of GLOBALS) wrap(globalThis, path, () => trip(path));
  for (const path of DEFINERS) wrap(globalThis, path, (_, target) => redefined(target));
  for (const path of DEFINERS_OF_THIS) wrap(globalThis, path, (target) => redefined(target));
}

/** Wraps what a module of Node has, and its members that hide what was assigned to them. */
export function guardModule(name: string, module: object, trip: Trip): void {
  for (const path of FUNCTIONS[name] ?? []) wrap(module, path, () => trip(`${name}.${path}`));
  for (const key of Reflect.ownKeys(module)) {
    const member = Reflect.getOwnPropertyDescriptor(module, key)!;
    const { set } = member;
    if (set === undefined || member.configurable !== true || SET_FOR_EACH_STEP.has(key)) continue;
    Object.defineProperty(module, key, {
      ...member,
      set(this: unknown, value: unknown) {
        trip(`${name}.${String(key)}`);
        set.call(this, value);
      },
    });
  }
}

function wrap(root: object, path: string, called: (self: unknown, first: unknown) => void): void {
  const names = path.split(".");
  const last = names.pop()!;
  let holder: unknown = root;
  for (const name of names) holder = (holder as Holder | undefined)?.[name];
  while (holder !== null && typeof holder === "object" && !Object.hasOwn(holder, last))
    holder = Object.getPrototypeOf(holder);
  if (holder === null || holder === undefined) return;
  const member = Reflect.getOwnPropertyDescriptor(holder, last);
  const original = member?.value as unknown;
  if (typeof original !== "function" || member?.configurable !== true) return;
  const wrapped = {
    [last](this: unknown, ...given: unknown[]): unknown {
      called(this, given[0]);
      return apply(original, this, given);
    },
  }[last]!;
  Object.defineProperty(holder, last, { ...member, value: wrapped });
}
