/** What a step calls that outlives it in Node, and is no member of an object: each is noticed. */
import { describe, expect, it } from "vitest";
import { guardLanguage, guardModule } from "../../src/steps/tripwires.ts";

/** By Node's own documents: what sets a state of the process or the thread. */
const OUTLIVE: readonly (readonly [module: string, ...paths: string[]])[] = [
  ["async_hooks", "createHook"],
  ["crypto", "setEngine", "setFips"],
  ["diagnostics_channel", "Channel.prototype.subscribe", "Channel.prototype.bindStore"],
  ["dns", "setServers", "setDefaultResultOrder"],
  ["dns/promises", "setServers", "setDefaultResultOrder"],
  ["http", "setMaxIdleHTTPParsers"],
  ["module", "register", "registerHooks", "syncBuiltinESMExports", "enableCompileCache"],
  ["net", "setDefaultAutoSelectFamily", "setDefaultAutoSelectFamilyAttemptTimeout"],
  ["process", "binding", "dlopen", "setUncaughtExceptionCaptureCallback", "_linkedBinding"],
  ["perf_hooks", "performance.mark", "performance.measure"],
  ["perf_hooks", "PerformanceObserver.prototype.observe"],
  ["stream", "setDefaultHighWaterMark"],
  ["tls", "setDefaultCACertificates"],
  ["vm", "createContext", "Script.prototype.__proto__.runInContext"],
  ["v8", "setFlagsFromString", "setHeapSnapshotNearHeapLimit"],
  ["worker_threads", "setEnvironmentData"],
];

type Holder = Record<string, unknown>;

/** A module with one function at this path, and the function as a step finds it. */
function moduleWith(path: string): {
  module: Holder;
  find: () => (...given: unknown[]) => unknown;
} {
  const names = path.split(".");
  const last = names.pop()!;
  const module: Holder = {};
  let holder = module;
  for (const name of names) {
    const next: Holder = {};
    if (name === "__proto__") Object.setPrototypeOf(holder, next);
    else holder[name] = next;
    holder = next;
  }
  holder[last] = function (this: unknown, ...given: unknown[]): unknown {
    return [this, ...given];
  };
  return { module, find: () => holder[last] as () => unknown };
}

describe.each(OUTLIVE)("node:%s", (name, ...paths) => {
  it.each(paths)("says that %s was called, and does what it did", (path) => {
    const { module, find } = moduleWith(path);
    const trips: string[] = [];
    guardModule(name, module, (what) => void trips.push(what));
    expect(trips).toEqual([]);
    const self = {};
    expect(find().call(self, 1, 2)).toEqual([self, 1, 2]);
    expect(trips).toEqual([`${name}.${path}`]);
  });
});

describe("a module", () => {
  it("says so where a member that hides what it is given is set", () => {
    let hidden = 0;
    const module = Object.defineProperty({}, "limit", {
      configurable: true,
      get: () => hidden,
      set(value: number) {
        hidden = value;
      },
    }) as { limit: number };
    const trips: string[] = [];
    guardModule("events", module, (what) => void trips.push(what));
    module.limit = 7;
    expect([module.limit, trips]).toEqual([7, ["events.limit"]]);
  });

  it("says nothing of members of process that each step gets anew", () => {
    const process = Object.defineProperty({}, "exitCode", {
      configurable: true,
      get: () => 0,
      set() {
        // Each step has its own.
      },
    }) as { exitCode: number };
    const trips: string[] = [];
    guardModule("process", process, (what) => void trips.push(what));
    process.exitCode = 1;
    expect(trips).toEqual([]);
  });

  it("without these functions stays as it is", () => {
    const module = Object.freeze({ lookup: () => 1 });
    expect(() => guardModule("dns", module, () => undefined)).not.toThrow();
  });
});

it("the language says what is given attributes, and what calls back later", () => {
  const trips: string[] = [];
  const redefined = new Set<unknown>();
  guardLanguage(
    (what) => void trips.push(what),
    (target) => void redefined.add(target),
  );
  const define = (how: "Getter" | "Setter", target: object): void => {
    const old = Reflect.get(Object.prototype, `__define${how}__`) as (...given: unknown[]) => void;
    old.call(target, "a", () => 1);
  };
  const ways: Record<string, (target: object) => unknown> = {
    defineProperty: (target) => Object.defineProperty(target, "a", { value: 1 }),
    defineProperties: (target) => Object.defineProperties(target, { a: { value: 1 } }),
    reflect: (target) => Reflect.defineProperty(target, "a", { value: 1 }),
    getter: (target) => define("Getter", target),
    setter: (target) => define("Setter", target),
  };
  for (const [way, act] of Object.entries(ways)) {
    const target = {};
    act(target);
    expect([way, redefined.has(target), Object.hasOwn(target, "a")]).toEqual([way, true, true]);
  }
  new FinalizationRegistry(() => undefined).register({}, 1);
  expect(trips).toEqual(["FinalizationRegistry.prototype.register"]);
});
