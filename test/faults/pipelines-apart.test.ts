/**
 * Promise 38: what one pipeline's step does to a thread is never seen by another pipeline's step.
 * Each pollution runs on the one thread of a runner, and a victim of another pipeline after it. The
 * victim must see what it sees on a new thread.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { linkOwnPackage } from "../../src/schedules/own-package.ts";
import { reached } from "../support/figures.ts";
import { PoolRig, type Ended } from "../support/pool-rig.ts";
import { shared } from "../support/shared-subject.ts";

const FS = `import fs, { readFileSync } from "node:fs";`;

interface Pollution {
  readonly what: string;
  /** The imports of both modules. */
  readonly imports?: string;
  readonly evil: string;
  /** What the victim looks at. */
  readonly see: string;
  /** The evil step itself does not survive it. */
  readonly dies?: true;
}

const POLLUTIONS: readonly Pollution[] = [
  {
    what: "a method of a prototype",
    evil: `Array.prototype.at = () => "EVIL";`,
    see: "[1].at(0)",
  },
  {
    what: "a member of every object that no loop shows",
    evil: `Object.defineProperty(Object.prototype, "polluted", { value: 1, configurable: true });`,
    see: "({}).polluted ?? null",
  },
  {
    what: "a symbol that a constructor of Intl hides in what it is called on",
    evil: `const { prototype } = Map;
      Object.setPrototypeOf(prototype, Intl.NumberFormat.prototype);
      Intl.NumberFormat.call(prototype);
      Object.setPrototypeOf(prototype, Object.prototype);`,
    see: "Object.getOwnPropertySymbols(Map.prototype).length",
  },
  {
    what: "an accessor that a class field replaces, in its place",
    evil: `class Shared { constructor() { return URL.prototype; } }
      class Field extends Shared { host = "EVIL"; }
      new Field();`,
    see: `new URL("http://a.example").host`,
  },
  {
    what: "a member of every function",
    evil: `Object.defineProperty(Function.prototype, "polluted", { value: 1 });`,
    see: "(() => {}).polluted ?? null",
  },
  { what: "a global", evil: `globalThis.fetch = () => "EVIL";`, see: `String(fetch).slice(0, 40)` },
  {
    what: "a global that no loop shows and nobody can delete",
    evil: `Object.defineProperty(globalThis, "left", { value: 1 });`,
    see: "globalThis.left ?? null",
  },
  {
    what: "a global under a symbol",
    evil: `globalThis[Symbol.for("left")] = 1;`,
    see: `globalThis[Symbol.for("left")] ?? null`,
  },
  {
    what: "a global whose setter hides it",
    evil: `globalThis.process = { EVIL: 1 };`,
    see: "process.EVIL ?? null",
    dies: true,
  },
  {
    what: "a function of a module of Node",
    imports: FS,
    evil: `fs.readFileSync = () => "EVIL";`,
    see: `String(fs.readFileSync("/proc/self/comm")).slice(0, 4)`,
  },
  {
    what: "a function of a module, for imports by name, and put back in the module",
    imports: `${FS} import { syncBuiltinESMExports } from "node:module";`,
    evil: `const real = fs.readFileSync;
      fs.readFileSync = () => "EVIL";
      syncBuiltinESMExports();
      fs.readFileSync = real;`,
    see: `String(readFileSync("/proc/self/comm")).slice(0, 4)`,
  },
  {
    what: "a function of a module that is imported by a computed name",
    evil: `const http = await import("no" + "de:http"); http.default.request = () => "EVIL";`,
    see: `(await import("no" + "de:http")).default.request.name`,
  },
  {
    what: "a class that a module makes when it is first used",
    imports: FS,
    evil: `fs.ReadStream = class Evil {};`,
    see: "fs.ReadStream.name",
  },
  {
    what: "promises of node:fs by another way",
    imports: FS,
    evil: `fs.promises.readFile = async () => "EVIL";`,
    see: `(await import("node:fs/promises")).readFile.name + fs.promises.readFile.name`,
  },
  { what: "the clock", evil: "Date.now = () => 0;", see: "Date.now() > 1e12" },
  { what: "chance", evil: "Math.random = () => 4;", see: "Math.random() < 1" },
  {
    what: "a getter in the place of a method",
    evil: `const { at } = String.prototype;
      Object.defineProperty(String.prototype, "at", { get() { globalThis.n = 1; return at; } });`,
    see: `"get" in Object.getOwnPropertyDescriptor(String.prototype, "at")`,
  },
  {
    what: "an attribute",
    evil: `Object.defineProperty(Array.prototype, "at", { enumerable: true });`,
    see: "(() => { const all = []; for (const key in []) all.push(key); return all; })()",
  },
  {
    what: "a prototype's prototype",
    evil: `Object.setPrototypeOf(Set.prototype, { polluted: 1 });`,
    see: "new Set().polluted ?? null",
  },
  {
    what: "a symbol's member",
    evil: `Array.prototype[Symbol.iterator] = function* () { yield "EVIL"; };`,
    see: "[...[1]]",
  },
  {
    what: "a frozen object",
    evil: `Object.freeze(Array.prototype);`,
    see: "Object.isFrozen(Array.prototype)",
  },
  { what: "a deleted method", evil: "delete Array.prototype.flat;", see: "typeof [].flat" },
  {
    what: "stacks",
    evil: `Error.prepareStackTrace = () => "EVIL"; Error.stackTraceLimit = 0;`,
    see: `[new Error("x").stack.split("\\n")[0], Error.stackTraceLimit]`,
  },
  {
    what: "the console",
    evil: `console.log = () => {}; console.group(); console.count();`,
    see: `(console.log("said"), console.count(), console.log.name)`,
  },
  {
    what: "an indentation of the console",
    evil: `console.group();`,
    see: `(console.log("said"), 1)`,
  },
  {
    what: "the streams",
    evil: `process.stdout.write = () => true; process.stderr.on("x", () => {});`,
    see: `(process.stdout.write("said\\n"), process.stderr.listenerCount("x"))`,
  },
  {
    what: "a timer's class",
    evil: `const timer = setTimeout(() => {}, 0); clearTimeout(timer);
      Object.getPrototypeOf(timer).ref = () => "EVIL";`,
    see: `(() => { const t = setTimeout(() => {}, 0); clearTimeout(t); return t.ref === "EVIL"
      || t.ref() === "EVIL"; })()`,
  },
  {
    what: "the class of an open file, which nothing names",
    imports: `import { open } from "node:fs/promises";`,
    evil: `const file = await open("/dev/null"); await file.close();
      Object.getPrototypeOf(file).readFile = () => "EVIL";`,
    see: `(await (async () => { const file = await open("/dev/null"); await file.close();
      return file.readFile.name; })())`,
  },
  {
    what: "what all iterators of lists have",
    evil: `Object.getPrototypeOf([].values()).next = () => ({ done: true });`,
    see: "[...[1, 2].values()]",
  },
  {
    what: "what all asynchronous functions have",
    evil: `Object.getPrototypeOf(async () => {}).polluted = 1;`,
    see: "(async () => {}).polluted ?? null",
  },
  {
    what: "a default of all emitters",
    imports: `import { EventEmitter } from "node:events";`,
    evil: `EventEmitter.defaultMaxListeners = 77;`,
    see: "EventEmitter.defaultMaxListeners",
  },
  {
    what: "how objects are shown",
    imports: `import { inspect } from "node:util";`,
    evil: `inspect.defaultOptions.depth = 0; inspect.styles.number = "red";`,
    see: "[inspect({ a: { b: { c: 1 } } }), inspect.styles.number]",
  },
  {
    what: "the agent of all requests",
    imports: `import http from "node:http";`,
    evil: `http.globalAgent = new http.Agent({ maxSockets: 7 });`,
    see: "String(http.globalAgent.maxSockets)",
  },
  {
    what: "an option of that agent",
    imports: `import http from "node:http";`,
    evil: `http.globalAgent.maxSockets = 7;`,
    see: "String(http.globalAgent.maxSockets)",
  },
  {
    what: "the name servers",
    imports: `import dns from "node:dns";`,
    evil: `dns.setServers(["192.0.2.1"]); dns.setDefaultResultOrder("ipv6first");`,
    see: `dns.getServers().includes("192.0.2.1") || dns.getDefaultResultOrder()`,
  },
  {
    what: "who hears of what nobody catches",
    evil: `process.setUncaughtExceptionCaptureCallback(() => {});`,
    see: "process.hasUncaughtExceptionCaptureCallback()",
  },
  {
    what: "a hook before the exit",
    evil: `process.once("beforeExit", () => {}); process.on("uncaughtException", () => {});`,
    see: `[process.listenerCount("beforeExit"), process.listenerCount("uncaughtException")]`,
  },
  {
    what: "the environment, the arguments and the title",
    evil: `process.env.LEFT = "1"; process.env.PATH = "/evil"; process.argv.push("EVIL");
      process.title = "evil"; process.exitCode = 3;`,
    see: `[process.env.LEFT ?? null, process.env.PATH === "/evil", process.argv.length,
      process.title, process.exitCode ?? null]`,
  },
  {
    what: "data that threads share",
    imports: `import * as threads from "node:worker_threads";`,
    evil: `threads.setEnvironmentData("left", 1); threads.workerData.baseEnv.LEFT = "1";`,
    see: `[threads.getEnvironmentData("left") ?? null, process.env.LEFT ?? null]`,
  },
  {
    what: "marks of the timeline",
    evil: `performance.mark("left");`,
    see: "performance.getEntries().map((entry) => entry.name)",
  },
  {
    what: "a subscriber to a channel",
    imports: `import channels from "node:diagnostics_channel";`,
    evil: `channels.subscribe("left", () => {});`,
    see: `channels.hasSubscribers("left")`,
  },
  {
    what: "a required file",
    imports: `import { createRequire } from "node:module";
      const load = createRequire(${JSON.stringify(import.meta.url)});`,
    evil: `load("../../package.json").left = 1;`,
    see: `load("../../package.json").left ?? null`,
  },
  {
    what: "the loader of modules",
    imports: `import Module from "node:module";`,
    evil: `Module._extensions[".evil"] = () => {}; Module._load = () => "EVIL";`,
    see: `[Object.keys(Module._extensions).includes(".evil"), Module._load.name]`,
  },
  {
    what: "the text that was matched last",
    evil: `/(s3.*t)/.exec("a s3" + "cret b")`,
    see: `[RegExp.$1, RegExp.input, RegExp.rightContext].some((t) => t.includes("s3" + "cret"))`,
  },
  {
    what: "bytes in shared memory",
    evil: `Buffer.from("s3" + "cret in the pool");`,
    see: `Buffer.from(Buffer.from("x").buffer).includes("s3" + "cret in the pool")`,
  },
  {
    what: "a context that is entered",
    imports: `import { AsyncLocalStorage } from "node:async_hooks";
      const store = new AsyncLocalStorage();`,
    evil: `store.enterWith("EVIL"); await null;`,
    see: "store.getStore() ?? null",
  },
  {
    what: "a class of orchd's own package",
    imports: `import { BaseOrchestrator } from "orchd";`,
    evil: `BaseOrchestrator.prototype.polluted = "EVIL"; BaseOrchestrator.flavor = "EVIL";`,
    see: "[BaseOrchestrator.prototype.polluted ?? null, BaseOrchestrator.flavor ?? null]",
  },
  {
    what: "state of the module itself",
    imports: "let client; const seen = [];",
    evil: `client = "EVIL"; seen.push("EVIL");`,
    see: "[client ?? null, seen]",
  },
  {
    what: "a late word and a late error",
    evil: `setTimeout(() => console.log("EVIL " + context.env.TOKEN), 20).unref();
      setTimeout(() => { throw new Error("EVIL"); }, 40).unref();`,
    see: "await new Promise((go) => setTimeout(go, 120, 1))",
  },
  {
    what: "a late word from node:timers/promises",
    imports: `import { setTimeout as wait } from "node:timers/promises";`,
    evil: `void wait(20, 1, { ref: false }).then(() => console.log("EVIL"));`,
    see: "await new Promise((go) => setTimeout(go, 120, 1))",
  },
  {
    what: "a late word after a signal's time",
    evil: `AbortSignal.timeout(20).addEventListener("abort", () => console.log("EVIL"));`,
    see: "await new Promise((go) => setTimeout(go, 120, 1))",
  },
  {
    what: "a callback of the collector",
    evil: `const kept = new FinalizationRegistry(() => console.log("EVIL"));
      kept.register({}, 1); Object.kept = kept;`,
    see: `"kept" in Object`,
  },
  {
    what: "a thread that burns on",
    imports: `import { Worker } from "node:worker_threads";`,
    evil: `new Worker("const cells = require('node:worker_threads').workerData; " +
      "for (;;) Atomics.add(cells, 0, 1);", { eval: true, workerData: context.params.cells ??
      (Array.cells = new Int32Array(new SharedArrayBuffer(4))) }).unref();`,
    see: `await (async () => { const cells = Array.cells;
      return cells === undefined ? "unseen" : Atomics.load(cells, 0) > 0; })()`,
  },
  // What a look that is cheaper than reading every member's descriptor could miss.
  {
    what: "as many members as before, one of another name",
    evil: `const { at } = Array.prototype; delete Array.prototype.at;
      Object.defineProperty(Array.prototype, "bt", { value: at, configurable: true });`,
    see: `[typeof [].at, typeof [].bt]`,
  },
  {
    what: "a getter in the place of a getter",
    evil: `const { get } = Object.getOwnPropertyDescriptor(URL.prototype, "href");
      Object.defineProperty(URL.prototype, "href", { get() { return "EVIL" + get.call(this); } });`,
    see: `new URL("http://h/").href`,
  },
  {
    what: "a getter that gives the same value",
    evil: `const { parse } = JSON; JSON.__defineGetter__("parse", () => parse);`,
    see: `"get" in Object.getOwnPropertyDescriptor(JSON, "parse")`,
  },
  {
    what: "another setter alone",
    evil: `URL.prototype.__defineSetter__("href", () => {});`,
    see: `(() => { const url = new URL("http://h/"); url.href = "http://g/"; return url.href; })()`,
  },
  {
    what: "a class's parent",
    imports: `import { Readable } from "node:stream";`,
    evil: `Object.setPrototypeOf(Readable, class { static polluted = 1; });`,
    see: "Readable.polluted ?? null",
  },
  {
    what: "a parent that Node gives to a class",
    imports: `import { inherits } from "node:util";`,
    evil: `inherits(WeakSet, class { polluted() {} });`,
    see: `[typeof new WeakSet().polluted, typeof WeakSet.super_]`,
  },
  {
    what: "a new symbol",
    evil: `Array.prototype[Symbol.for("left")] = 1;`,
    see: `[][Symbol.for("left")] ?? null`,
  },
  {
    what: "a new symbol that no loop shows, given by Node",
    imports: `import { promisify } from "node:util";`,
    evil: `const f = () => {}; f[promisify.custom] = Map; promisify(f);`,
    see: "Object.hasOwn(Map, promisify.custom)",
  },
  {
    what: "an object that takes nothing new",
    evil: "Object.preventExtensions(Map.prototype);",
    see: "Object.isExtensible(Map.prototype)",
  },
  {
    what: "an attribute alone",
    evil: `Object.defineProperty(JSON, "parse", { writable: false });`,
    see: `Object.getOwnPropertyDescriptor(JSON, "parse").writable`,
  },
  {
    what: "an attribute alone, by a class's field",
    evil: `class Given { constructor(given) { return given; } }
      class Field extends Given { at = [].at; }
      new Field(Array.prototype);`,
    see: `Object.getOwnPropertyDescriptor(Array.prototype, "at").enumerable`,
  },
  {
    what: "a value in the place of a getter, by a class's field",
    evil: `class Given { constructor(given) { return given; } }
      class Field extends Given { crypto = "EVIL"; }
      new Field(globalThis);`,
    see: "typeof crypto",
  },
  { what: "an entry of every list", evil: `Array.prototype[3] = "EVIL";`, see: "[1][3] ?? null" },
  {
    what: "an entry of every list that no loop shows",
    evil: `Object.defineProperty(Array.prototype, 3, { value: "EVIL" });`,
    see: "[1][3] ?? null",
  },
  {
    what: "a member of a module's default export",
    imports: `import path, { join } from "node:path";`,
    evil: `path.posix.join = () => "EVIL";`,
    see: `[path.join("a", "b"), path.posix.join("a", "b"), join("a", "b")]`,
  },
  {
    what: "a member by way of a proxy",
    evil: `Object.defineProperty(new Proxy(Array.prototype, {}), "left", { value: 1 });`,
    see: "[].left ?? null",
  },
  {
    what: "a member by way of another realm",
    imports: `import vm from "node:vm";`,
    evil: `vm.runInNewContext("Object.defineProperty")(Array.prototype, "left", { value: 1 });`,
    see: "[].left ?? null",
  },
  {
    what: "a constant of all scripts",
    imports: `import vm from "node:vm";`,
    evil: `new vm.Script('const fetch = () => "EVIL"').runInThisContext();`,
    see: "String(fetch).slice(0, 40)",
  },
  {
    what: "a stack of a prototype",
    evil: "Error.captureStackTrace(Array.prototype);",
    see: "typeof [].stack",
  },
  {
    what: "a deleted method that a parent has too",
    evil: "delete Date.prototype.toString;",
    see: "Date.prototype.toString === Object.prototype.toString",
  },
  {
    what: "an empty loop over every list",
    evil: "Array.prototype[Symbol.iterator] = function* () {};",
    see: "[...[1]]",
  },
  {
    what: "a member that was made while sets and calls said what the step wanted",
    evil: `const { has } = Set.prototype; const { apply } = Reflect;
      const { apply: applied, call } = Function.prototype;
      Set.prototype.has = () => false; Reflect.apply = () => {};
      Function.prototype.apply = Function.prototype.call = () => false;
      Object.defineProperty(Array.prototype, "left", { value: 1 });
      Set.prototype.has = has; Reflect.apply = apply;
      Function.prototype.apply = applied; Function.prototype.call = call;`,
    see: "[].left ?? null",
  },
];

/** The module of evil and victim is one: the params say which it is. */
function moduleOf({ imports = "", evil, see }: Pollution): string {
  return `${imports}
    export default async (context) => {
      if (context.params.evil === true) { ${evil}; return null; }
      return { sees: ${see} };
    };`;
}

const seenBy = ({ result, lines }: Ended): unknown => ({
  result,
  printed: lines.map(({ stream, line }) => `${stream}: ${line}`),
});

/** A runner of one thread, whose code may import orchd. */
function singleThread(): PoolRig {
  const rig = new PoolRig({ threads: 1 });
  linkOwnPackage(join(rig.folder, "bundles"));
  return rig;
}

describe("a step of another pipeline", () => {
  let clean = 0;
  const polluted = shared(singleThread);
  /** Runs each victim on a thread that is new, and used once. */
  const untouched = shared(singleThread);

  it.each(POLLUTIONS.map((pollution) => [pollution.what, pollution] as const))(
    "does not see %s",
    { timeout: 15_000 },
    async (_what, pollution) => {
      const { dies } = pollution;
      const name = `it-${POLLUTIONS.indexOf(pollution)}`;
      const [fresh, rig] = await Promise.all([untouched(), polluted()]);
      for (const one of [fresh, rig]) one.module(name, moduleOf(pollution));
      const victim = { pipeline: `victim-of-${name}` };
      const expected = seenBy(await fresh.start(name, { ...victim, isolated: true }).ended);
      expect(expected).toMatchObject({ result: { ok: true } });
      const parts = { params: { evil: true }, env: { TOKEN: "t0ken!" }, secrets: ["t0ken!"] };
      const evil = await rig.start(name, { pipeline: `evil-${name}`, ...parts }).ended;
      expect(evil.result).toMatchObject(dies === true ? { ok: false } : { ok: true, value: null });
      expect(seenBy(await rig.start(name, victim).ended)).toEqual(expected);
      clean += 1;
    },
  );

  it("sees nothing of any", () => {
    reached(38, "pollutions of a thread that no other pipeline sees", clean, POLLUTIONS.length);
    expect(clean).toBe(POLLUTIONS.length);
  });
});

/** What most steps do: none of it may cost a thread. */
const ORDINARY: readonly (readonly [what: string, body: string, imports?: string])[] = [
  ["nothing", "return 1;"],
  ["state of its own", "count += 1; return count;", "let count = 0;"],
  [
    "output",
    `console.log("a %s", { b: 1 }); console.error(new Error("x")); context.log.info("c");`,
  ],
  ["waiting", "await new Promise((go) => setTimeout(go, 2)); await null;"],
  [
    "waiting by promise",
    "await wait(1); await new Promise(setImmediate);",
    `import { setTimeout as wait } from "node:timers/promises";`,
  ],
  [
    "files",
    `const path = join(tmpdir(), "orchd-apart-" + process.pid);
      await writeFile(path, "a"); appendFileSync(path, "b"); await readFile(path, "utf8");
      for await (const line of createInterface(fs.createReadStream(path))) line.trim();
      await fs.promises.rm(path);`,
    `import fs, { appendFileSync } from "node:fs";
      import { readFile, writeFile } from "node:fs/promises";
      import { createInterface } from "node:readline";
      import { tmpdir } from "node:os";
      import { join } from "path";`,
  ],
  [
    "streams and compression",
    `await pipeline(Readable.from(["a", "b"]), zlib.createGzip(), new PassThrough().resume());
      return gunzipSync(zlib.gzipSync("c")).toString();`,
    `import { PassThrough, Readable } from "node:stream";
      import { pipeline } from "node:stream/promises";
      import zlib, { gunzipSync } from "node:zlib";`,
  ],
  [
    "hashes",
    `return createHash("sha256").update(randomUUID()).digest("hex") +
      (await crypto.subtle.digest("SHA-1", new TextEncoder().encode("a"))).byteLength;`,
    `import { createHash, randomUUID } from "node:crypto";`,
  ],
  [
    "what the web has",
    `const url = new URL("http://h/?a=1"); url.searchParams.append("b", structuredClone("2"));
      const controller = new AbortController();
      controller.signal.addEventListener("abort", () => {});
      controller.abort();
      return [url.href, new Intl.DateTimeFormat("de").format(0), atob(btoa("x")), /(b)/.exec("abc"),
        performance.now() > 0, await new Blob(["a"]).text(), context.signal.aborted];`,
  ],
  [
    "a child",
    `return execFileSync("/bin/echo", ["a"]).toString() + typeof run;`,
    `import { exec, execFileSync } from "node:child_process";
      import { promisify } from "node:util";
      const run = promisify(exec);`,
  ],
  [
    "errors",
    `class Own extends Error { constructor() { super("own"); this.name = "Own"; } }
      try { throw new Own(); } catch (error) { return [error.name, error.stack.length > 10]; }`,
  ],
  [
    "emitters and contexts",
    `const emitter = new EventEmitter(); emitter.on("a", () => {}); emitter.emit("a");
      emitter.setMaxListeners(50);
      return await store.run(1, async () => { await null; return store.getStore(); });`,
    `import { EventEmitter } from "node:events";
      import { AsyncLocalStorage } from "node:async_hooks";
      const store = new AsyncLocalStorage();`,
  ],
];

describe("a thread", () => {
  const rigOf = shared(singleThread);

  it.each(ORDINARY)(
    "is used by one pipeline after the other: %s",
    { timeout: 15_000 },
    async (what, body, imports = "") => {
      const rig = await rigOf();
      const name = `ordinary-${ORDINARY.findIndex(([one]) => one === what)}`;
      rig.module(
        name,
        `import { threadId } from "node:worker_threads";
        ${imports}
        const work = async (context) => { ${body} };
        export default async (context) => [threadId, (await work(context)) ?? null];`,
      );
      const first = await rig.start(name, { pipeline: `${name}-a` }).ended;
      expect(first.result).toEqual({ ok: true, value: expect.anything() as unknown });
      const [thread] = (first.result as unknown as { value: unknown[] }).value;
      for (const pipeline of ["b", "c", "a", "b"]) {
        const { result } = await rig.start(name, { pipeline: `${name}-${pipeline}` }).ended;
        expect([pipeline, (result as unknown as { value: unknown[] }).value[0]]).toEqual([
          pipeline,
          thread,
        ]);
      }
    },
  );

  it("is kept by a pipeline whose steps load a package or leave changes", async () => {
    const rig = new PoolRig({ threads: 1 });
    rig.module(
      "patches",
      `import { threadId } from "node:worker_threads";
      export default () => {
        Array.prototype.mine ??= 0;
        return [threadId, Array.prototype.mine++];
      };`,
    );
    const values = [];
    for (const pipeline of ["a", "a", "b", "b"])
      values.push((await rig.start("patches", { pipeline }).ended).result);
    const [[thread], , [other]] = values.map(
      (result) => (result as unknown as { value: number[] }).value,
    ) as [number[], number[], number[]];
    expect(values).toEqual(
      [
        [thread, 0],
        [thread, 1],
        [other, 0],
        [other, 1],
      ].map((value) => ({ ok: true, value })),
    );
    expect(other).not.toBe(thread);
  });
});
