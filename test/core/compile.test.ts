/**
 * From a definition to a snapshot: defaults, layers, the order of steps, templates with a run's
 * params, and everything that is refused.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalHash, canonicalJson } from "../../src/core/canonical-json.ts";
import { codeKey, codeUses } from "../../src/core/compile-step.ts";
import { compile, snapshotFor, withStackEnv, type CompileInput } from "../../src/core/compile.ts";
import { formatPath } from "../../src/core/fault.ts";
import type { LoadedPipeline } from "../../src/core/loaded-pipeline.ts";
import { orderSteps } from "../../src/core/order.ts";
import { pipelineSchema, type PipelineDefinition } from "../../src/core/pipeline.ts";
import { DEFAULT_SETTINGS, type OrchdSettings } from "../../src/core/settings.ts";
import type { CodeRef, SnapshotStep } from "../../src/core/snapshot.ts";
import { haveOneShape } from "../support/held-memory.ts";

const FILE = "/srv/project/schedules/digest.yaml";

function input(written: unknown, settings: Partial<OrchdSettings> = {}): CompileInput {
  const definition: PipelineDefinition = pipelineSchema.parse(written);
  const code = new Map<string, CodeRef>(
    codeUses(definition).map(({ path, uses }) => [
      codeKey(path),
      { bundle: "b".repeat(64), pick: "export:default", source: uses },
    ]),
  );
  return {
    definition,
    file: FILE,
    code,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    now: Date.UTC(2026, 10, 24),
    watched: [FILE],
  };
}

function loaded(written: unknown, settings?: Partial<OrchdSettings>): LoadedPipeline {
  const result = compile(input(written, settings));
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return result.loaded;
}

function faults(written: unknown, settings?: Partial<OrchdSettings>): string[] {
  const result = compile(input(written, settings));
  return result.ok
    ? []
    : result.faults.map(({ path, message }) => `${formatPath(path)} ${message}`);
}

const step = (written: unknown): SnapshotStep =>
  loaded({ steps: { a: { run: "true" }, s: written } }).snapshot.steps.find(
    ({ id }) => id === "s",
  )!;

it("gives the snapshots of pipelines that are written alike one shape", () => {
  // Only after a while V8 copies objects in the way that gives each copy a shape of its own.
  const templates = Array.from(
    { length: 50 },
    (_, n) => loaded({ name: `p${n}`, steps: { only: { run: "true" } } }).template,
  );
  expect(haveOneShape(templates)).toBe(true);
});

describe("defaults", () => {
  it("are those of semantics.md 9, and the name is the file's", () => {
    const pipeline = loaded({ steps: { a: { run: "true" } } });
    expect(pipeline).toMatchObject({
      name: "digest",
      file: FILE,
      overlap: "skip",
      maxActiveRuns: 1,
      priority: 0,
      shadow: false,
      retention: { keepDays: 30, keepRuns: 10_000 },
      schedules: [],
      warnings: [],
    });
    expect(pipeline.snapshot).toMatchObject({
      executionMode: "continue_on_failure",
      maxParallelSteps: 8,
      gracePeriodMs: 10_000,
      orchestrator: { flavor: "local", config: {} },
    });
    expect(pipeline.snapshot).not.toHaveProperty("timeoutMs");
    expect(pipeline.snapshot.steps[0]).toEqual({
      id: "a",
      run: "true",
      params: {},
      inputs: {},
      after: [],
      env: {},
      enableCache: false,
      retry: { maxRetries: 0, delayMs: 0, backoff: 1, jitter: 0 },
      onInterruption: "retry",
      isolated: false,
      hooks: {},
    });
  });

  it("know no limit of active runs under allow", () => {
    expect(loaded({ overlap: "allow", steps: {} }).maxActiveRuns).toBeUndefined();
    expect(loaded({ overlap: "allow", maxActiveRuns: 3, steps: {} }).maxActiveRuns).toBe(3);
  });

  it("leave caching of module steps to the pipeline, and turn it off for shell steps", () => {
    expect(step({ uses: "./m.ts" })).not.toHaveProperty("enableCache");
    expect(step({ run: "x" }).enableCache).toBe(false);
    expect(step({ run: "x", enableCache: true }).enableCache).toBe(true);
    expect(step({ run: "x", cache: {} })).toMatchObject({
      cache: { acrossSlots: false, includeStepCode: true },
    });
    expect(step({ run: "x", cache: {} })).not.toHaveProperty("enableCache");
  });
});

describe("layers", () => {
  it("give a step the pipeline's retry, interruption and hooks, and let its own win whole", () => {
    const { steps } = loaded({
      retry: { maxRetries: 2, delay: "5s", on: "ECONNRESET" },
      onInterruption: "fail",
      hooks: { onFailure: "./h.ts#f", onSuccess: "./h.ts#s", init: "./h.ts#i" },
      steps: {
        a: { run: "x" },
        b: {
          run: "y",
          retry: { maxRetries: 1 },
          onInterruption: "rerun",
          hooks: { onFailure: "./h.ts#own" },
        },
      },
    }).snapshot;
    expect(steps[0]).toMatchObject({
      retry: { maxRetries: 2, delayMs: 5_000, backoff: 1, on: ["ECONNRESET"] },
      onInterruption: "fail",
      hooks: { onFailure: { source: "./h.ts#f" }, onSuccess: { source: "./h.ts#s" } },
    });
    expect(steps[1]).toMatchObject({
      retry: { maxRetries: 1, delayMs: 0 },
      onInterruption: "rerun",
      hooks: { onFailure: { source: "./h.ts#own" }, onSuccess: { source: "./h.ts#s" } },
    });
    expect(steps[1]!.retry).not.toHaveProperty("on");
    expect(steps[0]!.hooks).not.toHaveProperty("init");
  });

  it("turn durations into milliseconds and paths into absolute ones", () => {
    expect(
      step({
        run: "x",
        cwd: "../out/./x",
        timeout: "1m30s",
        shell: "/bin/bash -eu",
        resources: { memoryMb: 64 },
        cache: { expiresAfter: "7d" },
      }),
    ).toMatchObject({
      cwd: "/srv/project/out/x",
      timeoutMs: 90_000,
      shell: ["/bin/bash", "-eu"],
      memoryMb: 64,
      cache: { expiresAfterMs: 604_800_000 },
    });
  });

  it("take the orchestrator from the settings by name, the pipeline's config on top", () => {
    const settings = { orchestrators: { slow: { flavor: "slow", config: { a: 1, b: 1 } } } };
    expect(
      loaded({ orchestrator: { uses: "slow", config: { b: 2 } }, steps: {} }, settings).snapshot
        .orchestrator,
    ).toEqual({
      flavor: "slow",
      config: { a: 1, b: 2 },
    });
    expect(faults({ orchestrator: "slw", steps: {} }, settings)).toEqual([
      expect.stringMatching(/^orchestrator names "slw".*did you mean "slow"\?/),
    ]);
  });
});

describe("inputs", () => {
  it("refer to a result, or to a declared output", () => {
    expect(step({ run: "x", inputs: { i: "a", r: "a.result" } }).inputs).toEqual({
      i: { step: "a" },
      r: { step: "a" },
    });
    expect(
      loaded({
        steps: {
          a: { run: "x", outputs: ["n", "m"] },
          b: { run: "y", inputs: { i: "a.n", all: "a" } },
        },
      }).snapshot.steps[1]!.inputs,
    ).toEqual({ i: { step: "a", output: "n" }, all: { step: "a" } });
  });
});

describe("what is refused", () => {
  it.each([
    [{}, /has no steps/],
    [{ steps: { a: {} } }, /^steps\.a needs either uses/],
    [{ steps: { a: { uses: "./m.ts", run: "x" } } }, /^steps\.a\.run cannot go with uses/],
    [{ steps: { a: { uses: "./m.ts", cwd: "x" } } }, /^steps\.a\.cwd belongs to a shell step/],
    [
      { steps: { read: { run: "x" }, b: { run: "x", inputs: { i: "raed" } } } },
      /^steps\.b\.inputs\.i comes from step "raed", which.*did you mean "read"\?/,
    ],
    [
      { steps: { read: { run: "x" }, b: { run: "x", inputs: { i: "read.n" } } } },
      /declare it there with outputs: \[n\]/,
    ],
    [
      {
        steps: {
          read: { run: "x", outputs: ["count"] },
          b: { run: "x", inputs: { i: "read.cuont" } },
        },
      },
      /did you mean "count"\?/,
    ],
    [{ steps: { a: { run: "x", after: ["b"] } } }, /^steps\.a\.after\[0\] names step "b"/],
    [{ steps: { load: { run: "x", after: "laod" } } }, /^steps\.load\.after .* does not have$/],
    [{ steps: { load: { run: "x", inputs: { i: "laod" } } } }, /does not have$/],
    [
      { steps: { load: { run: "x", after: ["laod"] }, laud: { run: "x" } } },
      /^steps\.load\.after\[0\] .* does not have; did you mean "laud"\?$/,
    ],
    [{ steps: { a: { run: "x", after: "a" } } }, /^steps\.a\.after closes a cycle.*: a needs a$/],
    [
      {
        steps: {
          a: { run: "x", inputs: { i: "c" } },
          b: { run: "x", after: ["a"] },
          c: { run: "x", after: ["b"] },
        },
      },
      /^steps\.a\.inputs\.i closes a cycle.*: a needs c needs b needs a$/,
    ],
    [{ steps: { a: { run: "x", when: "params.x = 1" } } }, /^steps\.a\.when has a single =/],
    [
      { params: { env: 1 }, steps: { a: { run: "x", when: "params.evn == 1" } } },
      /^steps\.a\.when reads params\.evn.*did you mean "env"\?/,
    ],
    [{ steps: { a: { run: "x", when: "inputs.y" } } }, /^steps\.a\.when reads inputs\.y/],
    [
      { steps: { a: { run: "x", params: { p: ["${params.q}"] } } } },
      /^steps\.a\.params\.p\[0\] refers to \$\{params\.q\}/,
    ],
    [{ env: { A: "${HOME}" }, steps: {} }, /^env\.A refers to \$\{HOME\}/],
    [{ steps: { a: { run: "x", timeout: 0 } } }, /^steps\.a\.timeout must be more than 0/],
    [{ steps: { a: { run: "x", outputs: ["n", "n"] } } }, /names "n" twice/],
    [
      { steps: { a: { run: "x", cache: { ignoredInputs: ["y"] } } } },
      /^steps\.a\.cache\.ignoredInputs\[0\] names "y", which is not an input/,
    ],
    [
      { steps: { a: { run: "x", cache: { ignoredInputs: "y" } } } },
      /^steps\.a\.cache\.ignoredInputs names "y", which is not an input/,
    ],
    [{ concurrency: "db", steps: {} }, /^concurrency names group "db"/],
    [
      { notify: { to: ["ops"] }, steps: {} },
      /^notify\.to\[0\] names channel "ops", which orchd\.yaml does not have under notify:/,
    ],
    [{ schedule: { cron: "x" }, steps: {} }, /^schedule\.cron /],
  ])("%j", (written, message) => expect(faults(written)).toEqual([expect.stringMatching(message)]));

  it("is a file's name that cannot be a pipeline's", () => {
    const result = compile({ ...input({ steps: {} }), file: "/x/My Pipeline.yaml" });
    expect(!result.ok && result.faults[0]?.message).toMatch(
      /"My Pipeline" cannot be the pipeline's name: give one with name:/,
    );
  });

  it("is named all at once", () => {
    expect(
      faults({
        timeout: 0,
        schedule: { cron: "x" },
        steps: { a: {}, b: { run: "x", after: ["c"] } },
      }),
    ).toHaveLength(4);
  });
});

describe("dynamic pipelines", () => {
  it("have no steps of their own, and hand their defaults on", () => {
    const dynamic = { bundle: "d", pick: "function", source: "./x.ts" };
    const result = compile({ ...input({ retry: { maxRetries: 1 } }), dynamic });
    expect(result).toMatchObject({
      ok: true,
      loaded: {
        snapshot: {
          steps: [],
          dynamic,
          stepDefaults: { retry: { maxRetries: 1 }, onInterruption: "retry", hooks: {} },
        },
      },
    });
    expect(compile({ ...input({ steps: { a: { run: "x" } } }), dynamic })).toMatchObject({
      ok: false,
    });
  });
});

describe("a run's params", () => {
  const pipeline = loaded({
    params: { path: "/var/log", n: 3 },
    env: { P: "${params.path}" },
    schedule: [{ cron: "@daily", name: "eu", params: { region: "eu" } }],
    steps: {
      a: {
        run: "x",
        params: { file: "${params.path}/x-${run.id}", n: "${params.n}" },
        env: { R: "${params.n}" },
      },
    },
  });

  it("are the defaults where none is given", () => {
    expect(pipeline.snapshot.steps[0]).toMatchObject({
      params: { file: "/var/log/x-${run.id}", n: 3 },
      env: { R: "3" },
    });
    expect(pipeline.snapshot.env).toEqual({ P: "/var/log" });
  });

  it("take the place of the defaults where they are given", () => {
    const made = snapshotFor(pipeline, { path: "/tmp", extra: true });
    expect(made).toMatchObject({
      ok: true,
      params: { path: "/tmp", n: 3, extra: true },
      snapshot: { env: { P: "/tmp" }, steps: [{ params: { file: "/tmp/x-${run.id}", n: 3 } }] },
    });
    expect(made.ok && made.snapshot.digest).toBe(pipeline.snapshot.digest);
    expect(pipeline.snapshot.env).toEqual({ P: "/var/log" });
  });

  it("are refused where an environment, its stack's too, is none that a process can have", () => {
    const { template } = pipeline;
    for (const layer of ["baseEnv", "stackEnv"])
      expect(
        snapshotFor({ ...pipeline, template: { ...template, [layer]: { A: "a\0b" } } }, { n: 4 }),
      ).toEqual({ ok: false, message: "env.A holds a NUL character, which no environment can" });
    // Each is short enough, and both together are not.
    const most = Object.fromEntries(
      Array.from({ length: 8 }, (_, nth) => [`A${nth}`, "x".repeat(130_000)]),
    );
    const large = { ...pipeline, template: { ...template, stackEnv: most } };
    expect(snapshotFor(large, { n: 4 }).ok).toBe(true);
    expect(snapshotFor(large, { n: 4, path: "y".repeat(20_000) }).ok).toBe(false);
  });

  it("are refused with a sentence where one is missing", () => {
    const needy = loaded({
      schedule: [{ cron: "@daily", name: "eu", params: { region: "eu" } }],
      steps: { a: { run: "x", env: { R: "${params.region}" } } },
    });
    expect(snapshotFor(needy)).toEqual({
      ok: false,
      message: expect.stringContaining('param "region" has no value') as string,
    });
    expect(snapshotFor(needy, { region: "us" })).toMatchObject({
      ok: true,
      snapshot: { steps: [{ env: { R: "us" } }] },
    });
  });

  it("that are secrets stay names", () => {
    const secret = loaded({
      params: { token: { secret: "api" } },
      steps: { a: { run: "x", env: { T: "${params.token}" }, params: { t: "${params.token}" } } },
    });
    expect(secret.snapshot.steps[0]).toMatchObject({
      env: { T: { secret: "api" } },
      params: { t: { secret: "api" } },
    });
  });
});

describe("the digest", () => {
  const base = {
    params: { a: 1 },
    schedule: { cron: "@daily" },
    steps: { a: { run: "x" }, b: { run: "y", after: ["a"] } },
  };
  it("is the same for the same, whatever the order of keys", () => {
    expect(
      loaded({ schedule: { cron: "@daily" }, steps: base.steps, params: { a: 1 } }).digest,
    ).toBe(loaded(base).digest);
  });

  it.each([
    [{ ...base, schedule: { cron: "@hourly" } }, true],
    [{ ...base, params: { a: 2 } }, true],
    [{ ...base, overlap: "queue" }, true],
    [{ ...base, steps: { ...base.steps, a: { run: "z" } } }, false],
    [{ ...base, timeout: "1h" }, false],
  ])("differs for %j", (written, snapshotSame) => {
    expect(loaded(written).digest).not.toBe(loaded(base).digest);
    expect(loaded(written).snapshot.digest === loaded(base).snapshot.digest).toBe(snapshotSame);
  });
});

describe("the order of steps", () => {
  const graph = fc.integer({ min: 1, max: 12 }).chain((size) =>
    fc
      .array(fc.array(fc.integer({ min: 0, max: size - 1 }), { maxLength: 3 }), {
        minLength: size,
        maxLength: size,
      })
      .map((needs) => new Map(needs.map((of, index) => [`s${index}`, of.map((one) => `s${one}`)]))),
  );

  it("has each step once and after all it needs, or names a true cycle", () => {
    fc.assert(
      fc.property(graph, (needs) => {
        const sorted = orderSteps(needs);
        if ("cycle" in sorted) {
          expect(sorted.cycle.length).toBeGreaterThan(1);
          expect(sorted.cycle[0]).toBe(sorted.cycle.at(-1));
          for (const [index, id] of sorted.cycle.slice(0, -1).entries())
            expect(needs.get(id)).toContain(sorted.cycle[index + 1]);
          return;
        }
        expect([...sorted.order].sort()).toEqual([...needs.keys()].sort());
        for (const [id, of] of needs)
          for (const need of of)
            expect(sorted.order.indexOf(need)).toBeLessThan(sorted.order.indexOf(id));
      }),
    );
  });

  it("is the written one where that will do, and holds for a chain of 100,000", () => {
    expect(
      orderSteps(
        new Map([
          ["b", []],
          ["a", []],
          ["c", ["a"]],
        ]),
      ),
    ).toEqual({ order: ["b", "a", "c"] });
    const chain = new Map(
      Array.from({ length: 100_000 }, (_, index): [string, string[]] => [
        `s${index}`,
        index === 99_999 ? [] : [`s${index + 1}`],
      ]),
    );
    const sorted = orderSteps(chain);
    expect("order" in sorted && sorted.order[0]).toBe("s99999");
  });
});

describe("canonical JSON", () => {
  it("is valid JSON of the same value, and does not depend on the order of keys", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(JSON.stringify(JSON.parse(text))).toBeTypeOf("string");
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
    expect(canonicalJson({ b: 1, a: [true, null], c: undefined })).toBe('{"a":[true,null],"b":1}');
    expect(canonicalHash({ a: 1, b: 2 })).toBe(canonicalHash({ b: 2, a: 1 }));
  });

  it("refuses what is not JSON", () => {
    for (const value of [Number.NaN, Infinity, undefined, () => 1, 1n, [undefined], Symbol("x")])
      expect(() => canonicalJson(value)).toThrow(TypeError);
  });
});

it.each(["timeout", "startWithin"])("names a step's %s where it is no time", (key) => {
  const sentence = expect.stringMatching(new RegExp(`^steps.a.${key} `));
  expect(faults({ steps: { a: { run: "true", [key]: "0s" } } })).toEqual([sentence]);
});

it("looks for places of params in the text of a shell, and of no other program", () => {
  const text = (more: object) => faults({ steps: { a: { run: "echo ${params.x}", ...more } } });
  expect(text({})).toEqual([expect.stringMatching(/^steps.a.run /)]);
  expect(text({ shell: "bash -eu" })).toHaveLength(1);
  expect(text({ shell: "python3 -c" })).toEqual([]);
});

it("tells of a schedule that will hardly ever fire, and of a group that is not there", () => {
  const run = { steps: { a: { run: "true" } } };
  const rare = loaded({ ...run, schedule: { cron: "0 0 29 2 *" } });
  expect(rare.warnings).toEqual([expect.stringContaining("hardly ever fires")]);
  expect(faults({ ...run, concurrency: "db" })[0]).toMatch(/^concurrency names group "db", /);
  expect(faults({ ...run, concurrency: { group: "db" } })[0]).toMatch(
    /^concurrency.group names group "db", /,
  );
});

it("refuses what its own params make an environment that no process can have", () => {
  const made = (length: number, more: object = {}): string[] =>
    faults({
      params: { long: "x".repeat(length) },
      steps: { a: { run: "true", env: { A: "${params.long}" } } },
      ...more,
    });
  expect(made(131_071)).toEqual([expect.stringMatching(/^steps.a.env.A has 131073 bytes /)]);
  expect(made(131_069)).toEqual([]);
  expect(made(131_071, { env: { B: "${params.long}" }, steps: { a: { run: "true" } } })).toEqual([
    expect.stringMatching(/^env.B has 131073 bytes /),
  ]);
});

it("a stack's environment makes another version, with and without params of a run", () => {
  for (const written of [
    { steps: { a: { run: "true" } } },
    { params: { day: 1 }, steps: { a: { uses: "./a.ts", params: { day: "${params.day}" } } } },
  ]) {
    const plain = loaded(written);
    const result = withStackEnv(plain, { REGION: "eu" });
    if (!result.ok) throw new Error(JSON.stringify(result.faults));
    const { template, snapshot, digest } = result.loaded;
    expect(template.digest).toBe(snapshot.digest);
    expect(template.digest).not.toBe(plain.template.digest);
    expect(digest).not.toBe(plain.digest);
    expect([template.stackEnv, snapshot.stackEnv]).toEqual([{ REGION: "eu" }, { REGION: "eu" }]);
    expect(withStackEnv(plain, {})).toEqual({ ok: true, loaded: plain });
    // The snapshot has the values of the params, and the template their places.
    expect(snapshot.steps).toEqual(plain.snapshot.steps);
    expect(template.steps).toEqual(plain.template.steps);
  }
});
