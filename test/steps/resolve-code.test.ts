/**
 * Where a mark of a definition leads: each kind of pick, what a definition looks like with its
 * marks, and each sentence where there is no such function.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CodeRef } from "../../src/core/snapshot.ts";
import { pipeline, step, stepParts } from "../../src/steps/authoring.ts";
import { dynamicPipeline } from "../../src/steps/dynamic-pipeline.ts";
import { describeDefinition, locateStep } from "../../src/steps/load-definition.ts";
import {
  definitionKind,
  LoadError,
  Modules,
  pickFunction,
  pickValue,
  settingsOf,
  withinDefinition,
  type LoadedModule,
} from "../../src/steps/resolve-code.ts";
import { Schedule } from "../../src/steps/schedule.ts";
import { tempRoot } from "../support/temp-root.ts";

const code = (pick: string): CodeRef => ({ bundle: "b".repeat(64), pick, source: "./p.ts" });
const moduleOf = (
  exports: Record<string, unknown>,
  made: readonly unknown[] = [],
  defined: readonly unknown[] = [],
): LoadedModule => ({ exports, made, defined });
const fn = (name: string): (() => string) => {
  const made = (): string => name;
  Object.defineProperty(made, "name", { value: name });
  return made;
};
const failure = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(LoadError);
    expect((error as LoadError).code).toBe("ORCHD_STEP_LOAD");
    return (error as LoadError).message;
  }
  throw new Error("it did not fail");
};

const [run, own, onRun, onStep, onOwn, key, ownKey] = [
  "run",
  "own",
  "onRun",
  "onStep",
  "onOwn",
  "key",
  "ownKey",
].map(fn) as [() => string, ...(() => string)[]];
const read = step(run, {
  name: "reads",
  hooks: { onSuccess: onOwn! },
  cache: { cacheFunction: ownKey! },
});
const bare = step(own!);
const definition = pipeline({
  name: "p",
  hooks: { onFailure: onRun! },
  steps: {
    a: { uses: read },
    b: { uses: own, hooks: { onFailure: onStep! }, cache: { cacheFunction: key! } },
    c: bare,
    d: { run: "true" },
  },
} as never);
const whole = moduleOf({ default: definition, read, list: [1], nothing: null }, [read, bare]);

it.each<[string, unknown]>([
  ["definition", definition],
  ["export:read", read],
  ["export:default", definition],
  ["export:toString", undefined],
  ["step:a", read],
  ["step:b", own],
  ["step:c", bare],
  ["step:d", undefined],
  ["step:no", undefined],
  ["hook:onFailure", onRun],
  ["hook:onSuccess", undefined],
  // A step's own options count where the pipeline's entry gives none.
  ["hook:onSuccess:a", onOwn],
  ["hook:onFailure:b", onStep],
  ["hook:onFailure:a", undefined],
  ["cache:a", ownKey],
  ["cache:b", key],
  ["cache:c", undefined],
  ["made:0", read],
  ["made:1", bare],
  ["made:2", undefined],
  ["made:0:onSuccess", onOwn],
  ["made:0:cacheFunction", ownKey],
  ["made:1:onSuccess", undefined],
  ["other:x", undefined],
])("%s leads there", (pick, found) => {
  expect(pickValue(whole, code(pick))).toBe(found);
});

it("the function of a step is what it was given, not the step", () => {
  expect(pickFunction(whole, code("step:a"))).toBe(run);
  expect(pickFunction(whole, code("step:b"))).toBe(own);
  expect(pickFunction(whole, code("made:1"))).toBe(own);
  const body = fn("body");
  const dynamic = moduleOf({ default: dynamicPipeline({ name: "d" }, body) });
  expect(pickFunction(dynamic, code("function:"))).toBe(body);
});

it.each<[string, LoadedModule, string]>([
  ["export:x", whole, './p.ts exports no "x"; it exports default, read, list, nothing'],
  ["export:default", moduleOf({}), "./p.ts has no default export; it exports nothing"],
  ["export:default", moduleOf({ a: 1 }), "./p.ts has no default export; it exports a"],
  ["export:list", whole, './p.ts: the export "list" is a list; it has to be a function'],
  ["export:nothing", whole, './p.ts: the export "nothing" is null; it has to be a function'],
  ["export:default", whole, './p.ts: the export "default" is an object; it has to be a function'],
  ["step:d", whole, "./p.ts has no function at step:d: it is undefined"],
  [
    "step:x",
    moduleOf({ default: { steps: { x: { uses: 7 } } } }),
    "./p.ts has no function at step:x: it is a number",
  ],
])("%s of a module that has none", (pick, module, sentence) => {
  expect(failure(() => pickFunction(module, code(pick)))).toBe(sentence);
});

describe("a definition of a program", () => {
  const named = (name: string): object => pipeline({ name, steps: { a: { uses: run } } } as never);
  const nameless = pipeline({ steps: { a: { uses: own } } } as never);
  const module = moduleOf({}, [], [named("x"), nameless, named("y"), named("y")]);

  it("is found by its name, also where it has none", () => {
    expect(pickFunction(module, code("in:x:step:a"))).toBe(run);
    expect(pickFunction(module, code("in::step:a"))).toBe(own);
    expect(pickValue(module, code("in:x:definition"))).toBe(module.defined[0]);
  });

  it.each([
    [
      "in:z:definition",
      './p.ts makes no pipeline "z" before it opens a root; ' +
        "make it before openRoot is called, or in a module of its own",
    ],
    ["in:y:definition", './p.ts makes 2 pipelines "y"; give each a name of its own'],
  ])("%s is refused", (pick, sentence) => {
    expect(failure(() => pickValue(module, code(pick)))).toBe(sentence);
  });

  it("says so where one without a name is missing or there are two", () => {
    const missing = moduleOf({}, [], [named("x")]);
    expect(failure(() => pickValue(missing, code("in::definition")))).toMatch(
      /^\.\/p\.ts makes no pipeline without a name before/,
    );
    const two = moduleOf({}, [], [nameless, nameless]);
    expect(failure(() => pickValue(two, code("in::definition")))).toMatch(
      /^\.\/p\.ts makes 2 pipelines without a name; give each/,
    );
  });

  it("keeps all of a pick after the name", () => {
    expect(withinDefinition("in:x:hook:onFailure:b")).toEqual({
      name: "x",
      pick: "hook:onFailure:b",
    });
    expect(withinDefinition("in::step:a")).toEqual({ name: "", pick: "step:a" });
    expect(withinDefinition("step:in:x:y")).toBeUndefined();
  });
});

it("settings of an entry come before those of its step, and its name is none of them", () => {
  expect(settingsOf(read)).toEqual({
    hooks: { onSuccess: onOwn },
    cache: { cacheFunction: ownKey },
  });
  expect(settingsOf({ uses: read, cache: undefined, retry: 1 })).toEqual({
    uses: read,
    hooks: { onSuccess: onOwn },
    cache: undefined,
    retry: 1,
  });
  expect(settingsOf({ run: "x" })).toEqual({ run: "x" });
  for (const none of [null, undefined, 7, "x", own]) expect(settingsOf(none)).toEqual({});
});

it("a definition is known by its mark alone", () => {
  expect(definitionKind(definition)).toBe("pipeline");
  expect(definitionKind(dynamicPipeline({ name: "d" }, fn("body")))).toBe("dynamic");
  for (const none of [{ steps: {} }, null, undefined, read, "pipeline"])
    expect(definitionKind(none)).toBeUndefined();
});

describe("a definition as JSON", () => {
  const described = (value: unknown, exports: Record<string, unknown> = {}): unknown =>
    describeDefinition(moduleOf({ default: value, ...exports }), code("definition"));

  it("has a mark in the place of each function", () => {
    expect(described(definition)).toEqual({
      kind: "pipeline",
      definition: {
        name: "p",
        hooks: { onFailure: { $code: "hook:onFailure", name: "onRun" } },
        steps: {
          a: {
            uses: { $code: "step:a", name: "reads" },
            hooks: { onSuccess: { $code: "hook:onSuccess:a", name: "onOwn" } },
            cache: { cacheFunction: { $code: "cache:a", name: "ownKey" } },
          },
          b: {
            uses: { $code: "step:b", name: "own" },
            hooks: { onFailure: { $code: "hook:onFailure:b", name: "onStep" } },
            cache: { cacheFunction: { $code: "cache:b", name: "key" } },
          },
          c: { uses: { $code: "step:c", name: "own" } },
          d: { run: "true" },
        },
      },
    });
  });

  it("of a program's has marks within it, except for exports", () => {
    class Flavor {
      kind = 1;
    }
    const one = pipeline({
      name: "x",
      orchestrator: { flavor: Flavor },
      steps: { a: { uses: run } },
    } as never);
    const module = moduleOf({ Flavor }, [], [one]);
    expect(describeDefinition(module, code("in:x:definition"))).toEqual({
      kind: "pipeline",
      definition: {
        name: "x",
        orchestrator: { flavor: { $code: "export:Flavor", name: "Flavor" } },
        steps: { a: { uses: { $code: "in:x:step:a", name: "run" } } },
      },
    });
  });

  it("is a pipeline's also without a mark, where it has steps or a schedule", () => {
    expect(described({ steps: {} })).toEqual({ kind: "pipeline", definition: { steps: {} } });
    expect(described({ schedule: "@daily" })).toEqual({
      kind: "pipeline",
      definition: { schedule: "@daily" },
    });
    const none =
      "./p.ts: the default export is no pipeline; write export default pipeline({ … }) " +
      "or export default dynamicPipeline({ … }, async (run) => { … })";
    for (const other of [{ name: "p" }, null, undefined, [], run, new Date(0)])
      expect(failure(() => described(other))).toBe(none);
  });

  it("keeps what JSON can hold", () => {
    const schedule = new Schedule({ cron: "@daily" });
    expect(
      described(
        pipeline({
          name: "p",
          description: undefined,
          tags: ["a", undefined],
          params: { at: new Date(0), n: null, deep: Object.assign(Object.create(null), { x: 1 }) },
          steps: [1],
        } as never),
      ),
    ).toEqual({
      kind: "pipeline",
      definition: {
        name: "p",
        tags: ["a", null],
        params: { at: "1970-01-01T00:00:00.000Z", n: null, deep: { x: 1 } },
        steps: [1],
      },
    });
    expect(schedule).toMatchObject({ cron: "@daily" });
  });

  it.each<[object, string]>([
    [{ params: { f: run } }, "params.f is a function, which has no meaning there"],
    [{ hooks: run }, "hooks is a function, which has no meaning there"],
    [{ hooks: { a: { b: run } } }, "hooks.a.b is a function, which has no meaning there"],
    [{ steps: { a: { params: { x: run } } } }, "steps.a.params.x is a function, which"],
    [{ steps: { a: { cache: { other: run } } } }, "steps.a.cache.other is a function, which"],
    [{ orchestrator: { flavor: run } }, "orchestrator.flavor is a function, which"],
    [{ params: { n: 1n } }, "params.n is a bigint"],
    [{ params: { n: Symbol("x") } }, "params.n is a symbol"],
    [{ params: { n: Number.NaN } }, "params.n is NaN"],
    [{ params: [1, Number.POSITIVE_INFINITY] }, "params.1 is Infinity"],
    [{ params: { m: new Map() } }, "params.m is a Map"],
    [{ params: { m: Object.create(Object.create(null)) } }, "params.m is a strange object"],
  ])("refuses %o", (value, sentence) => {
    expect(failure(() => described({ steps: {}, ...value }))).toContain(`./p.ts: ${sentence}`);
  });

  it("may be nested a hundred deep, and no deeper", () => {
    const nested = (levels: number): unknown => (levels === 0 ? 1 : { x: nested(levels - 1) });
    expect(() => described({ steps: {}, params: nested(99) })).not.toThrow();
    expect(failure(() => described({ steps: {}, params: nested(100) }))).toMatch(
      /\.x is nested too deep$/,
    );
  });
});

describe("a step that a dynamic pipeline calls", () => {
  const plain = fn("plain");
  const nameless = step(fn(""));
  const named = step(fn(""), { name: "named" });
  const module = moduleOf({ read, other: nameless, default: bare, plain, anonymous: fn("") }, [
    read,
    nameless,
    named,
    bare,
  ]);
  it.each<[string, unknown, object]>([
    ["one that is exported", read, { pick: "export:read", name: "reads", made: 0 }],
    ["one that its export names", nameless, { pick: "export:other", name: "other", made: 1 }],
    ["one that is only made", named, { pick: "made:2", name: "named", made: 2 }],
    ["the default export", bare, { pick: "export:default", name: "own", made: 3 }],
    ["a function", plain, { pick: "export:plain", name: "plain" }],
    [
      "one without a name",
      module.exports["anonymous"],
      { pick: "export:anonymous", name: "anonymous" },
    ],
  ])("%s", (_, value, located) => {
    expect(locateStep(module, code("function:"), value)).toEqual(located);
  });

  it.each<[unknown, string]>([
    [7, "what was called is no step; give run.step() a function, or what step() returned"],
    [
      step(fn("")),
      'a step without a name was called; export it, or name it: step(fn, { name: "read" })',
    ],
    [
      fn("lost"),
      'the step "lost" cannot be found again outside this function; ' +
        "make it at the top level of a module with step(), or export it from the pipeline's file",
    ],
  ])("is refused where it cannot be one: %o", (value, sentence) => {
    expect(failure(() => locateStep(module, code("function:"), value))).toBe(`./p.ts: ${sentence}`);
  });
});

it("what makes a step, a pipeline or a schedule says what it takes", () => {
  expect(() => step(7 as never)).toThrow(
    new TypeError("step() takes a function: step(async ({ params, inputs }) => …)"),
  );
  for (const wrong of [null, 7, undefined])
    expect(() => pipeline(wrong as never)).toThrow(
      new TypeError("the definition has to be an object: pipeline({ steps: { … } })"),
    );
  expect(() => dynamicPipeline({}, 7 as never)).toThrow(
    "dynamicPipeline() takes settings and a function: dynamicPipeline({ name }, async (run)",
  );
  expect(() => dynamicPipeline(null as never, run)).toThrow(
    "the definition has to be an object: dynamicPipeline({ name }, async (run) => { … })",
  );
  expect(() => new Schedule({ corn: "x" } as never)).toThrow(
    /^the schedule cannot be used: .*corn/,
  );
  expect(stepParts(read)).toMatchObject({ run, options: { name: "reads" } });
  expect(stepParts({})).toBeUndefined();
  expect([read.name, bare.name]).toEqual(["reads", "own"]);
});

describe("a bundle", () => {
  const at = tempRoot();
  const bundles = join(at.root, "bundles");
  const modules = (): Modules => new Modules(bundles, () => undefined);
  let number = 0;
  const bundled = (text: string): CodeRef => {
    mkdirSync(bundles, { recursive: true });
    const bundle = (number += 1).toString(16).padStart(64, "0");
    writeFileSync(join(bundles, `${bundle}.mjs`), text);
    return { bundle, pick: "export:default", source: "./p.ts" };
  };

  it("is evaluated once for each pipeline", async () => {
    const all = modules();
    const ref = bundled(
      "globalThis.evaluated = (globalThis.evaluated ?? 0) + 1;\nexport const x = 1;\n",
    );
    const first = await all.load(ref, "p");
    expect(await all.load(ref, "p")).toBe(first);
    expect(all.loaded(ref, "p")).toBe(first);
    expect(all.loaded(ref, "q")).toBeUndefined();
    const other = await all.load(ref, "q");
    expect(other).not.toBe(first);
    expect([all.loaded(ref, "q"), all.loaded(ref, "p")]).toEqual([other, first]);
    expect((globalThis as { evaluated?: number }).evaluated).toBe(2);
    delete (globalThis as { evaluated?: number }).evaluated;
  });

  it("that is gone or throws is told with its source", async () => {
    const gone = { ...code("export:default"), bundle: "f".repeat(64) };
    await expect(modules().load(gone, "p")).rejects.toThrow(
      `./p.ts: its compiled code ${join(bundles, `${"f".repeat(64)}.mjs`)} is gone; ` +
        'load the pipeline again ("orchd validate"), ' +
        "or start a new run instead of re-running this one",
    );
    await expect(modules().load(bundled('throw new Error("no")'), "p")).rejects.toThrow(
      /^\.\/p\.ts could not be loaded: no$/,
    );
    await expect(modules().load(bundled("throw 7"), "p")).rejects.toThrow(
      /^\.\/p\.ts could not be loaded: 7$/,
    );
  });

  // esbuild writes a CommonJS entry so.
  it.each<[string, Record<string, unknown>]>([
    ["module.exports = 7", { default: 7 }],
    ["module.exports = { a: 1 }", { a: 1, default: { a: 1 } }],
    ["exports.default = 1; exports.b = 2", { default: 1, b: 2 }],
  ])("of a CommonJS module has its exports: %s", async (text, exports) => {
    const wrapped =
      `var require_p = () => { const module = { exports: {} }; const { exports } = module; ` +
      `${text}; return module.exports; };\nexport default require_p();\n`;
    const loaded = await modules().load(bundled(wrapped), "p");
    expect({ ...loaded.exports }).toEqual(exports);
  });

  it("names a step that has none by the variable that it is assigned to", async () => {
    const made = (name: string): string =>
      `const ${name} = (0, make)(/* a */ 1);\nlet other_${name} = make();\nmake();\n`;
    const text =
      `const make = () => { const it = function () {};\n` +
      `Object.defineProperty(it, "name", { value: "", configurable: true });\n` +
      `it[Symbol.for("orchd.origin")] = new Error().stack.split("\\n").slice(2).join("\\n");\n` +
      `globalThis[Symbol.for("orchd.collector")].push(it); return it; };\n${made("check")}`;
    const loaded = await modules().load(bundled(text), "p");
    expect(loaded.made.map((each) => (each as { name: string }).name)).toEqual([
      "check",
      "other_check",
      "",
    ]);
    // And what has a name, or no origin, stays as it is.
    const named = 'globalThis[Symbol.for("orchd.collector")].push(function own() {});\n';
    const [own] = (await modules().load(bundled(named), "p")).made;
    expect((own as { name: string }).name).toBe("own");
  });

  it("is no function's where it exports nothing, and its default says what it is", async () => {
    const wrapped = (value: string): string =>
      `var require_p = () => (${value});\nexport default require_p();\n`;
    for (const [value, exports] of [
      ["null", { default: null }],
      ['"text"', { default: "text" }],
      ["Object.assign(() => 1, { a: 2 })", { a: 2, default: expect.any(Function) as unknown }],
    ] as const) {
      const loaded = await modules().load(bundled(wrapped(value)), "p");
      expect(loaded.exports).toMatchObject(exports);
      expect(Object.keys(loaded.exports).toSorted()).toEqual(Object.keys(exports).toSorted());
    }
  });
});
