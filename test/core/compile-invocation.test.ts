/**
 * An invocation that a dynamic pipeline's function asks for becomes a step by the rules of a file.
 */
import { expect, it } from "vitest";
import { compileInvocation } from "../../src/core/compile-invocation.ts";
import { compile } from "../../src/core/compile.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import type { Snapshot } from "../../src/core/snapshot.ts";
import type { DynamicCall } from "../../src/core/task.ts";

const own = { bundle: "d".repeat(64), pick: "function", source: "./dyn.ts" };
const compiled = compile({
  definition: { retry: { maxRetries: 2 }, hooks: { onFailure: "./h.ts" } },
  file: "/srv/schedules/dyn.ts",
  code: new Map([["hooks/onFailure", { ...own, pick: "export:default" }]]),
  dynamic: own,
  settings: DEFAULT_SETTINGS,
  now: 0,
  watched: [],
});
const snapshot: Snapshot = compiled.ok ? compiled.loaded.snapshot : (undefined as never);
const call: DynamicCall = {
  id: "read_2",
  name: "read",
  pick: "export:read",
  options: {},
  params: {},
  inputs: {},
  after: [],
};

it("takes the pipeline's defaults and the pipeline's bundle", () => {
  expect(compileInvocation(call, snapshot)).toEqual({
    ok: true,
    values: {},
    step: {
      id: "read_2",
      code: { bundle: own.bundle, pick: "export:read", source: "./dyn.ts#read" },
      params: {},
      inputs: {},
      after: [],
      env: {},
      retry: { maxRetries: 2, delayMs: 0, backoff: 1, jitter: 0 },
      onInterruption: "retry",
      isolated: false,
      hooks: { onFailure: { ...own, pick: "export:default" } },
    },
  });
});

it("takes the step's options and functions, and tells values from other steps' outputs", () => {
  const made = compileInvocation(
    {
      ...call,
      options: {
        timeout: "5s",
        outputs: ["n"],
        when: "params.a == 1 && inputs.v",
        params: { a: 0, b: 2 },
        cache: { cacheFunction: { $code: "cache:read", name: "key" }, ignoredInputs: ["v"] },
        hooks: { onSuccess: { $code: "hook:onSuccess:read" } },
      },
      params: { a: 1 },
      inputs: { v: { value: [1, 2] }, s: { step: "other", output: "n" } },
      after: ["third"],
    },
    snapshot,
  );
  expect(made).toMatchObject({
    ok: true,
    values: { v: [1, 2] },
    step: {
      timeoutMs: 5_000,
      outputs: ["n"],
      params: { a: 1, b: 2 },
      inputs: { s: { step: "other", output: "n" } },
      after: ["third"],
      cache: {
        cacheFunction: { bundle: own.bundle, pick: "cache:read", source: "./dyn.ts#key" },
        ignoredInputs: ["v"],
      },
      hooks: { onSuccess: { pick: "hook:onSuccess:read" }, onFailure: { pick: "export:default" } },
    },
  });
  expect(made.ok && Object.keys(made.step.inputs)).toEqual(["s"]);
});

it.each([
  [{ timeout: "soon" }, /^step read_2: timeout must be a duration/],
  [{ tmeout: "5s" }, /tmeout is not known here; did you mean "timeout"\?/],
  [{ when: "inputs.gone" }, /when reads inputs\.gone/],
  [{ run: "rm -rf /" }, /run is not known here/],
  [{ retry: { maxRetries: 0 }, cache: { ignoredInputs: ["x"] } }, /maxRetries must be at least 1/],
])("refuses %j in one sentence", (options, message) => {
  expect(compileInvocation({ ...call, options }, snapshot)).toMatchObject({
    ok: false,
    message: expect.stringMatching(message) as string,
  });
});

it("belongs to dynamic pipelines alone", () => {
  const { dynamic: _, ...fixed } = snapshot;
  expect(compileInvocation(call, fixed)).toMatchObject({
    ok: false,
    message: expect.stringContaining("is not dynamic") as string,
  });
});

it("takes the pipeline's container, but for a step that says otherwise", () => {
  const dynamic = (container: unknown, more: object = {}, settings = DEFAULT_SETTINGS) =>
    compile({
      definition: { container, ...more } as never,
      file: "/srv/schedules/dyn.ts",
      code: new Map(),
      dynamic: own,
      settings,
      now: 0,
      watched: [],
    });
  const made = dynamic({ image: "node:22", volumes: ["./data:/data"], env: { A: "1" } });
  const within = made.ok ? made.loaded.snapshot : (undefined as never);
  expect(compileInvocation(call, within)).toMatchObject({
    ok: true,
    step: {
      container: { image: "node:22", volumes: ["/srv/schedules/data:/data"] },
      env: { A: "1" },
    },
  });
  const other = { ...call, options: { container: false } };
  const here = compileInvocation(other, within);
  expect(here.ok && here.step.container).toBe(undefined);

  const faults = (result: ReturnType<typeof dynamic>): unknown =>
    result.ok ? [] : result.faults.map(({ path, message }) => [path, message]);
  expect(faults(dynamic({ exec: "db" }))).toEqual([
    [["container", "exec"], expect.stringMatching(/^is for shell steps/)],
  ]);
  expect(faults(dynamic({ image: "a", volumes: ["/a"] }))).toEqual([
    [["container", "volumes", 0], expect.stringMatching(/must be HOST:CONTAINER/)],
  ]);
  const places = { far: { engine: "ssh", host: "h", threads: 1, labels: [] } } as const;
  const settings = { ...DEFAULT_SETTINGS, places };
  expect(faults(dynamic("node:22", { orchestrator: "far" }, settings))).toEqual([
    [["container"], expect.stringMatching(/^cannot go with the orchestrator far/)],
  ]);
});
