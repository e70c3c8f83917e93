/** The container of a step: what a person may write, and what a run gets. */
import { describe, expect, it } from "vitest";
import { compile } from "../../src/core/compile.ts";
import { formatPath } from "../../src/core/fault.ts";
import { laneOf } from "../../src/core/lane.ts";
import { pipelineSchema, type PipelineDefinition } from "../../src/core/pipeline.ts";
import { DEFAULT_SETTINGS, orchdSettingsSchema, resolveSettings } from "../../src/core/settings.ts";
import { checkShape } from "../../src/core/shape-faults.ts";
import type { SnapshotStep } from "../../src/core/snapshot.ts";
import { GivenRun, snapshotOf, stepSpec } from "../support/given-run.ts";

const CODE = { bundle: "b", pick: "export:default", source: "./a.ts" };

function compiled(written: unknown): ReturnType<typeof compile> {
  const shape = checkShape(pipelineSchema, written);
  if (!shape.ok) return { ok: false, faults: shape.faults };
  return compile({
    definition: shape.value,
    file: "/srv/pipelines/p.yaml",
    code: new Map(JSON.stringify(written).includes('"uses"') ? [["steps/s/uses", CODE]] : []),
    settings: DEFAULT_SETTINGS,
    now: 0,
    watched: [],
  });
}

function stepOf(step: unknown, pipeline: object = {}): SnapshotStep {
  const result = compiled({ ...pipeline, steps: { s: step } });
  if (!result.ok) throw new Error(JSON.stringify(result.faults));
  return result.loaded.snapshot.steps[0]!;
}

function faultsOf(step: unknown, pipeline: object = {}): string[] {
  const result = compiled({ ...pipeline, steps: { s: step } });
  return result.ok
    ? []
    : result.faults.map(({ path, message }) => `${formatPath(path)} ${message}`);
}

describe("a container", () => {
  it("is an image, with defaults", () => {
    const step = stepOf({ run: "true", container: "postgres:16" });
    expect(step.container).toEqual({
      image: "postgres:16",
      pull: "missing",
      volumes: [],
      keep: "never",
      options: [],
    });
    expect(laneOf(step)).toBe("container");
  });

  it("has all that is written, and its variables are below the step's", () => {
    const step = stepOf({
      run: "true",
      env: { B: "own" },
      resources: { cpus: 1.5, memoryMb: 64, gpus: 2 },
      container: {
        image: "ghcr.io/me/tool@sha256:0123",
        pull: "always",
        volumes: ["/data:/data:ro", "./in:/in", "cache:/cache"],
        network: "none",
        user: 1000,
        auth: { secret: "registry" },
        keep: "on-failure",
        entrypoint: "/entry.sh",
        workdir: "/work",
        platform: "linux/amd64",
        env: { A: 1, B: "container" },
        options: ["--cap-drop=ALL", "--read-only"],
      },
    });
    expect(step.container).toEqual({
      image: "ghcr.io/me/tool@sha256:0123",
      pull: "always",
      volumes: ["/data:/data:ro", "/srv/pipelines/in:/in", "cache:/cache"],
      network: "none",
      user: "1000",
      auth: { secret: "registry" },
      keep: "on-failure",
      entrypoint: ["/entry.sh"],
      workdir: "/work",
      platform: "linux/amd64",
      options: ["--cap-drop=ALL", "--read-only"],
      cpus: 1.5,
      gpus: 2,
    });
    expect(step.env).toEqual({ A: "1", B: "own" });
    expect(step.memoryMb).toBe(64);
  });

  it("of the pipeline is each step's that has none of its own", () => {
    const pipeline = { container: { image: "all:1", env: { A: "1" } } };
    expect(stepOf({ run: "true" }, pipeline)).toMatchObject({
      container: { image: "all:1" },
      env: { A: "1" },
    });
    expect(stepOf({ run: "true", container: "own:1" }, pipeline)).toMatchObject({
      container: { image: "own:1" },
      env: {},
    });
    const none = stepOf({ run: "true", container: false }, pipeline);
    expect(none.container).toBeUndefined();
    expect(laneOf(none)).toBe("shell");
    const module = stepOf({ uses: "./a.ts", container: false }, pipeline);
    expect(laneOf(module)).toBe("module");
    const inside = stepOf({ uses: "./a.ts" }, pipeline);
    expect(inside).toMatchObject({ container: { image: "all:1" }, env: { A: "1" } });
    expect(laneOf(inside)).toBe("container");
  });
});

it("a container that runs already is a name, and who runs it where", () => {
  const step = stepOf({ run: "true", container: { exec: "db", user: 70, workdir: "/", env: {} } });
  expect(step.container).toEqual({ exec: "db", user: "70", workdir: "/" });
  expect(laneOf(step)).toBe("container");
});

describe("what is refused, each with a sentence", () => {
  it.each<[unknown, RegExp]>([
    [{ uses: "./a.ts", container: { exec: "db" } }, /^steps\.s\.container\.exec is for shell step/],
    [{ run: "x", container: {} }, /needs either image or exec/],
    [{ run: "x", container: "two words" }, /must be the name of an image/],
    [{ run: "x", container: { image: "-v" } }, /must be the name of an image/],
    [{ run: "x", container: "a:1", cwd: "/tmp" }, /cwd is a folder of this machine: write/],
    [{ run: "x", container: { image: "a", volumes: ["/a"] } }, /must be HOST:CONTAINER/],
    [{ run: "x", container: { image: "a", volumes: ["/a:b"] } }, /must be HOST:CONTAINER/],
    [{ run: "x", container: { image: "a", volumes: ["/a:/orchd/x"] } }, /where orchd has/],
    [{ run: "x", container: { image: "a", volumes: ["a b:/x"] } }, /neither a volume nor a path/],
    [{ run: "x", container: { image: "a", options: ["-v"] } }, /one flag of the engine/],
    [{ run: "x", container: { image: "a", options: ["--rm"] } }, /--rm is set by orchd/],
    [{ run: "x", container: { image: "a", options: ["--name=x"] } }, /--name=x is set by orchd/],
    [{ run: "x", container: { image: "a", auth: "text" } }, /container\.auth must be a map/],
    [{ run: "x", container: { exec: "db", image: "a" } }, /image cannot go with exec/],
    [{ run: "x", container: { exec: "db" }, outputs: ["a"] }, /outputs cannot go with container/],
    [{ run: "x", container: { exec: "db" }, enableCache: true }, /enableCache cannot go with/],
    [{ run: "x", container: { exec: "db" }, resources: { cpus: 1 } }, /cpus cannot go with/],
    [{ run: "x", container: { exec: "-db" } }, /must be the name of a container that runs/],
    [{ run: "x", container: true }, /must be an image, a block, or false for none/],
    [{ run: "x", container: { image: "a", network: "-x" } }, /must be a network/],
    [{ run: "x", resources: { cpus: 1 } }, /resources\.cpus belongs to a step in a container/],
    [{ run: "x", on: ["local", "gpu"] }, /on\[0\] names local, this machine, beside other labels/],
    [{ run: "x", on: "two words" }, /on names "two words", which is no label/],
    [{ run: "x", on: [] }, /on names no label: name one, or local for this machine/],
    [{ run: "x", on: "gpu", container: "a:1" }, /on names gpu, and containers run on this machine/],
    [{ run: "x", on: "gpu", cwd: "sub" }, /cwd is "sub", from .+, and the step runs on gpu: write/],
    [{ run: "x", startWithin: 0 }, /startWithin must be more than 0; leave it out for no limit/],
  ])("%j", (step, message) => {
    expect(faultsOf(step)).toEqual([expect.stringMatching(message)]);
  });

  it("a module beside the pipeline's container that runs already, at the step", () => {
    expect(faultsOf({ uses: "./a.ts" }, { container: { exec: "db" } })).toEqual([
      expect.stringMatching(
        /^steps\.s takes the pipeline's container, whose container\.exec is for shell .+: false$/,
      ),
    ]);
  });

  it("a container of a dynamic pipeline that runs already", () => {
    const shape = checkShape(pipelineSchema, { container: { exec: "db" } });
    const result = compile({
      definition: (shape as { value: PipelineDefinition }).value,
      file: "/srv/p.ts",
      code: new Map(),
      dynamic: CODE,
      settings: DEFAULT_SETTINGS,
      now: 0,
      watched: [],
    });
    expect(result).toMatchObject({
      ok: false,
      faults: [
        {
          path: ["container", "exec"],
          message: expect.stringMatching(/^is for shell steps/) as string,
        },
      ],
    });
  });
});

it("the settings of containers have defaults", () => {
  const settings = (containers: object | undefined) => {
    const resolved = resolveSettings(orchdSettingsSchema.parse({ containers }));
    return resolved.ok && resolved.settings.containers;
  };
  expect(settings(undefined)).toEqual({ atOnce: 8 });
  expect(settings({ engine: "docker", atOnce: 2 })).toEqual({ engine: "docker", atOnce: 2 });
});

it("where an attempt runs is known until the next one starts", () => {
  const run = new GivenRun(snapshotOf([stepSpec("a", { retry: { ...RETRY, maxRetries: 1 } })]));
  const at = { place: "podman", host: "vm", ref: "orchd-1" };
  run.happen({ type: "run.started", because: "x" }).start("a");
  run.happen({ type: "step.placed", step: "a", attempt: 1, ...at });
  const step = run.state.steps.get("a")!;
  expect(step.attempts).toMatchObject([{ status: "running", placed: at }]);
  run.happen({
    type: "step.interrupted",
    step: "a",
    attempt: 1,
    because: "x",
    next: "rerun",
  });
  run.happen({ type: "step.placed", step: "a", attempt: 1, ...at, ref: "late" });
  run.start("a");
  expect(step.attempts.map(({ placed }) => placed?.ref)).toEqual(["orchd-1", undefined]);
});

const RETRY = { maxRetries: 0, delayMs: 0, backoff: 1, jitter: 0 };
