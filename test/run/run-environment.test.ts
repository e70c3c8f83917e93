/** Which layer wins in the environment of a run's code, and which values are masked. */
import { describe, expect, it } from "vitest";
import type { RunState } from "../../src/core/run-state.ts";
import { baseLayer, resolveSecrets, RunEnvironment } from "../../src/run/environment.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const SECRETS = { get: (name: string) => `value of ${name}` };

function environmentOf(
  layers: { stack?: object; pipeline?: object; base?: object } = {},
  scheduledFor?: string,
): { environment: RunEnvironment; state: RunState } {
  const { state } = new GivenRun(
    snapshotOf([stepSpec("s")], {
      env: layers.pipeline ?? {},
      stackEnv: layers.stack,
    } as never),
  );
  const of = {
    ...state,
    trigger: { kind: "schedule", ...(scheduledFor === undefined ? {} : { scheduledFor }) },
  } as RunState;
  return {
    state: of,
    environment: new RunEnvironment(of, SECRETS, (layers.base ?? {}) as never),
  };
}

const IDS = {
  ORCHD_RUN_ID: "p@20261123T020000Z",
  ORCHD_ORCHESTRATOR_RUN_ID: "o",
  ORCHD_PIPELINE: "p",
  ORCHD_SCHEDULED_FOR: "",
};
const OWN = { ...IDS, ORCHD_STEP: "s", ORCHD_ATTEMPT: "2" };

describe("the environment of a run", () => {
  it("has the daemon's own as far as any program needs it, below that of orchd.yaml", () => {
    expect(
      baseLayer({ PATH: "/bin", HOME: "/root", AWS_SECRET: "x", LANG: undefined }, { HOME: "/h" }),
    ).toEqual({ PATH: "/bin", HOME: "/h" });
  });

  it("has the step's layer above the pipeline's, above the stack's, above the base", () => {
    const { environment } = environmentOf({
      base: { A: "base", B: "base", C: "base", D: "base" },
      stack: { B: "stack", C: "stack", D: "stack" },
      pipeline: { C: "pipeline", D: "pipeline" },
    });
    const shared = { A: "base", B: "stack", C: "pipeline", D: "pipeline" };
    expect(environment.shared()).toEqual({ env: { ...shared, ...IDS }, secrets: [] });
    expect(environment.forStep("s", { D: "step" }, 2).env).toEqual({
      ...shared,
      D: "step",
      ...OWN,
    });
    expect(environment.forStep("s", {}, 2).env).toEqual({ ...shared, ...OWN });
    expect(environment.above("s", { D: "step" }).env).toEqual({
      D: "step",
      ORCHD_STEP: "s",
      ORCHD_ATTEMPT: "1",
    });
  });

  it("has orchd's own names above all layers", () => {
    const names = {
      ORCHD_RUN_ID: "x",
      ORCHD_ORCHESTRATOR_RUN_ID: "x",
      ORCHD_PIPELINE: "x",
      ORCHD_STEP: "x",
      ORCHD_ATTEMPT: "x",
    };
    const { environment } = environmentOf({ base: names, pipeline: names });
    expect(environment.shared().env).toMatchObject(IDS);
    expect(environment.forStep("s", names, 2).env).toEqual(OWN);
    expect(environment.forStep("s", {}, 2).env).toEqual(OWN);
    expect(environment.common()).toEqual(IDS);
    expect(environment.above("s", names).env).toEqual({ ORCHD_STEP: "s", ORCHD_ATTEMPT: "1" });
  });

  it("names the slot, and is empty where there is none", () => {
    const at = "2026-11-23T02:00:00.000Z";
    const { environment } = environmentOf({ pipeline: { DAY: "${run.scheduledFor}" } }, at);
    expect(environment.shared().env).toMatchObject({ DAY: at, ORCHD_SCHEDULED_FOR: at });
    expect(environmentOf().environment.shared().env).toMatchObject({ ORCHD_SCHEDULED_FOR: "" });
  });

  it("has each secret's value, and tells it for masking, of each layer", () => {
    const secret = (name: string): object => ({ secret: name });
    const { environment } = environmentOf({
      base: { A: secret("a") },
      pipeline: { B: secret("b") },
    });
    expect(environment.shared()).toEqual({
      env: { A: "value of a", B: "value of b", ...IDS },
      secrets: ["value of a", "value of b"],
    });
    const step = environment.forStep("s", { C: secret("c") } as never, 2);
    expect(step.env).toMatchObject({ A: "value of a", C: "value of c" });
    expect(step.secrets).toEqual(["value of a", "value of b", "value of c"]);
    expect(environment.forStep("s", {}, 1).secrets).toEqual(["value of a", "value of b"]);
    expect(environment.above("s", { C: secret("c") } as never)).toEqual({
      env: { C: "value of c", ORCHD_STEP: "s", ORCHD_ATTEMPT: "1" },
      secrets: ["value of c"],
    });
    expect(environment.common()).toBeUndefined();
    // One step's secrets are not those of the next.
    expect(environment.shared().secrets).toHaveLength(2);
  });

  it("has the orchestrator's id of now, and one object for all steps until that changes", () => {
    const { environment, state } = environmentOf({ base: { A: "1" } });
    const before = environment.common();
    expect(environment.common()).toBe(before);
    state.orchestratorRunId = "o2";
    expect(environment.common()).toEqual({ ...before, ORCHD_ORCHESTRATOR_RUN_ID: "o2" });
    expect(environment.forStep("s", {}, 1).env["ORCHD_ORCHESTRATOR_RUN_ID"]).toBe("o2");
  });

  it("gives a hook the span of the step's last attempt, unless a layer has one", () => {
    const { environment } = environmentOf();
    const of = (token: number, env = {}): string =>
      environment.forHook({ spec: stepSpec("s", { env }), token }, 2).env["TRACEPARENT"]!;
    expect(of(3)).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    expect(of(4)).not.toBe(of(3));
    expect(of(4).slice(0, 35)).toBe(of(3).slice(0, 35));
    expect(of(3, { TRACEPARENT: "own" })).toBe("own");
    expect(environment.forHook({ spec: stepSpec("s"), token: 1 }, 2).env).toMatchObject(OWN);
  });

  it("is part of a cache key without the base, a secret by its name", () => {
    const { environment } = environmentOf({
      base: { A: "1" },
      stack: { B: "2" },
      pipeline: { C: { secret: "c" } },
    });
    const set = environment.setFor({});
    expect(set).not.toHaveProperty("A");
    expect(set).toMatchObject({ C: { secret: "c" } });
    expect(environment.setFor({})).toBe(set);
    expect(environment.setFor({ D: "4" })).toEqual({ ...set, D: "4" });
  });
});

it("secrets in params are found at any depth, and params without one stay as they are", () => {
  const found: string[] = [];
  const params = { a: [1, { b: { secret: "x" } }], c: { secret: "y" }, d: null };
  expect(resolveSecrets(params, SECRETS, found)).toEqual({
    a: [1, { b: "value of x" }],
    c: "value of y",
    d: null,
  });
  expect(found).toEqual(["value of x", "value of y"]);
  const plain = {
    a: { secret: 1 },
    b: { secret: "x", other: 1 },
    c: [[{ secrets: "x" }]],
    d: { x: "secret" },
  };
  expect(resolveSecrets(plain, SECRETS, found)).toBe(plain);
  expect(found).toHaveLength(2);
});
