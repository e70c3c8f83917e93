/** Places on other machines: what orchd.yaml may hold, and what a step may ask of them. */
import { describe, expect, it } from "vitest";
import { cacheKey, cacheKeyParts } from "../../src/core/cache-key.ts";
import { compile } from "../../src/core/compile.ts";
import { compileInvocation } from "../../src/core/compile-invocation.ts";
import { formatPath } from "../../src/core/fault.ts";
import { laneOf, wantedBy } from "../../src/core/lane.ts";
import { pipelineSchema } from "../../src/core/pipeline.ts";
import { whyUnserved, type PlaceReport } from "../../src/core/place-report.ts";
import { DEFAULT_SETTINGS, orchdSettingsSchema, resolveSettings } from "../../src/core/settings.ts";
import { checkShape } from "../../src/core/shape-faults.ts";
import type { CodeRef, Snapshot } from "../../src/core/snapshot.ts";

const CODE: CodeRef = { bundle: "b", pick: "export:default", source: "./a.ts" };

function settingsOf(places: object, more: object = {}) {
  const shape = checkShape(orchdSettingsSchema, { places, ...more });
  if (!shape.ok) return shape.faults.map(({ path, message }) => `${formatPath(path)} ${message}`);
  const resolved = resolveSettings(shape.value, {}, (path) => `/root/${path}`);
  return resolved.ok
    ? resolved.settings.places
    : [`${formatPath(resolved.path)} ${resolved.message}`];
}

const KEY = { key: { secret: "queue.key" } };

describe("places of orchd.yaml", () => {
  it("have defaults, and paths from the root", () => {
    const nats = { engine: "nats", url: "tls://10.0.0.5:4222", ...KEY, tls: { ca: "ca.pem" } };
    expect(
      settingsOf({
        gpu1: { engine: "ssh", host: "gpu1.lan", identity: "id", labels: ["gpu", "gpu"] },
        farm: nats,
        old: { engine: "redis", url: ["redis://a:6379", "rediss://b:6380"], ...KEY },
      }),
    ).toEqual({
      gpu1: { engine: "ssh", host: "gpu1.lan", identity: "/root/id", threads: 4, labels: ["gpu"] },
      farm: {
        engine: "nats",
        urls: ["tls://10.0.0.5:4222"],
        ...KEY,
        tls: { ca: "/root/ca.pem" },
        labels: [],
      },
      old: { engine: "redis", urls: ["redis://a:6379", "rediss://b:6380"], ...KEY, labels: [] },
    });
    expect(DEFAULT_SETTINGS.places).toEqual({});
  });

  it.each<[object, string | RegExp]>([
    [
      { a: { engine: "kubernetes" } },
      /^places\.a\.engine must be one of ssh, nats, redis, not "ku/,
    ],
    [{ a: { host: "x" } }, /^places\.a\.engine is missing; it must be one of ssh, nats, redis/],
    [{ a: { engine: "ssh" } }, /^places\.a\.host is missing/],
    [{ a: { engine: "ssh", host: "-oProxyCommand=x" } }, /host must be a host's name or address/],
    [{ a: { engine: "ssh", host: "h", user: "-l" } }, /user must be a user's name/],
    [{ a: { engine: "ssh", host: "h", port: 70_000 } }, /port must be at most 65535, not 70000/],
    [{ a: { engine: "ssh", host: "h", identity: "~/k" } }, /identity must be a path.+~ is not rep/],
    [{ a: { engine: "ssh", host: "h", folder: "x" } }, /folder must be an absolute path/],
    [{ a: { engine: "ssh", host: "h", node: "node -e" } }, /node must be a program's name/],
    [{ a: { engine: "ssh", host: "h", labels: ["a b"] } }, /labels\[0\] must be a label/],
    [{ a: { engine: "ssh", host: "h", labels: ["local"] } }, /is the label of this machine/],
    [{ a: { engine: "ssh", host: "h", url: "x" } }, /^places\.a\.url is not known here/],
    [{ a: { engine: "nats", ...KEY } }, /^places\.a\.url is missing; it must be text or a list/],
    [{ a: { engine: "nats", url: "nats://h:1" } }, /^places\.a\.key is missing/],
    [{ a: { engine: "nats", url: "http://h", ...KEY } }, /must be nats:\/\/HOST:PORT or tls:/],
    [{ a: { engine: "nats", url: "h:4222", ...KEY } }, /must be nats:\/\/HOST:PORT or tls:/],
    [{ a: { engine: "nats", url: "nats://u:p@h", ...KEY } }, /holds a user or a password: name/],
    [{ a: { engine: "nats", url: "nats://h", key: "text" } }, /^places\.a\.key must be a map/],
    [{ local: { engine: "ssh", host: "h" } }, /^places\.local is a name that is what this machine/],
    [{ Upper: { engine: "ssh", host: "h" } }, /is a name that must be 1 to 64 lower-case/],
  ])("%j is refused with a sentence", (places, message) => {
    expect(settingsOf(places)).toEqual([expect.stringMatching(message)]);
  });

  it("may not have the name of an orchestrator", () => {
    const more = { orchestrators: { a: "./o.ts" } };
    expect(settingsOf({ a: { engine: "ssh", host: "h" } }, more)).toEqual([
      expect.stringMatching(/^places\.a has the name of an orchestrator/),
    ]);
  });
});

function compiled(definition: object, places: object = {}) {
  const shape = checkShape(pipelineSchema, definition);
  if (!shape.ok) throw new Error(JSON.stringify(shape.faults));
  return compile({
    definition: shape.value,
    file: "/srv/p.yaml",
    code: new Map(),
    settings: { ...DEFAULT_SETTINGS, places: settingsOf(places) as never },
    now: 0,
    watched: [],
  });
}

const PLACES = { farm: { engine: "nats", url: "nats://h:1", ...KEY } };

describe("a step's labels", () => {
  it("are sorted, each once, and make its lane", () => {
    const result = compiled({
      steps: {
        a: { run: "x", on: ["linux", "gpu", "linux"], startWithin: "5m" },
        b: { run: "x", on: "local" },
        c: { run: "x" },
      },
    });
    if (!result.ok) throw new Error(JSON.stringify(result.faults));
    const { steps } = result.loaded.snapshot;
    expect(steps.map(laneOf)).toEqual(["shell@gpu+linux", "shell", "shell"]);
    expect(steps[0]).toMatchObject({ on: ["gpu", "linux"], startWithinMs: 300_000 });
    expect(steps[1]).not.toHaveProperty("on");
    expect(steps[2]).not.toHaveProperty("startWithinMs");
    expect(wantedBy("shell@gpu+linux")).toEqual({ kind: "shell", labels: ["gpu", "linux"] });
    expect(wantedBy("shell")).toBeUndefined();
  });

  it("are the place's that the pipeline names, where a step has none of its own", () => {
    const steps = { a: { run: "x" }, b: { run: "x", on: "gpu" }, c: { run: "x", on: "local" } };
    const result = compiled({ orchestrator: "farm", steps }, PLACES);
    if (!result.ok) throw new Error(JSON.stringify(result.faults));
    const { snapshot } = result.loaded;
    expect(snapshot.orchestrator).toEqual({ flavor: "farm", place: true, config: {} });
    expect(snapshot.steps.map(({ on }) => on)).toEqual([["farm"], ["gpu"], undefined]);
  });

  it("a place takes no config, and a container is on this machine", () => {
    const orchestrator = { uses: "farm", config: { a: 1 } };
    const result = compiled({ orchestrator, steps: { a: { run: "x", container: "i:1" } } }, PLACES);
    const faults = result.ok ? [] : result.faults;
    expect(faults.map(({ path, message }) => `${formatPath(path)} ${message}`)).toEqual([
      "orchestrator.config is for an orchestrator's class, and farm is a place of orchd.yaml",
      "steps.a runs on farm, and containers run on this machine (local): " +
        "write container: false, or on: local",
    ]);
  });

  it("an unknown name says which there are", () => {
    const result = compiled({ orchestrator: "form", steps: { a: { run: "x" } } }, PLACES);
    expect(result).toMatchObject({
      ok: false,
      faults: [
        { message: expect.stringMatching(/\(local, farm\).+did you mean "farm"/) as string },
      ],
    });
  });

  it("an invocation of a dynamic pipeline has the pipeline's, or its own", () => {
    const snapshot = {
      name: "p",
      file: "/srv/p.ts",
      dynamic: CODE,
      stepDefaults: { retry: { maxRetries: 0 }, onInterruption: "retry", hooks: {}, on: ["farm"] },
    } as unknown as Snapshot;
    const call = { id: "s", name: "s", pick: "x", params: {}, inputs: {}, after: [] };
    const on = (options: object) => {
      const made = compileInvocation({ ...call, options: options as never }, snapshot);
      return made.ok ? made.step.on : made.message;
    };
    expect(on({})).toEqual(["farm"]);
    expect(on({ on: ["b", "a"] })).toEqual(["a", "b"]);
    expect(on({ on: "local" })).toBeUndefined();
    expect(on({ on: "a+b" })).toBe(
      'step s: on names "a+b", which is no label: letters, digits, ., - and _, ' +
        "beginning with a letter or a digit",
    );
    expect(on({ on: [] })).toBe("step s: on names no label: name one, or local for this machine");
    expect(on({ on: ["gpu", "local"] })).toBe(
      "step s: on[1] names local, this machine, beside other labels: no place has both",
    );
  });
});

it("workers say their own labels: a broker that does not answer is named too", () => {
  const farm: PlaceReport = { place: "farm", engine: "nats", labels: ["farm"], hosts: [] };
  expect(whyUnserved(["x"], [{ ...farm, because: "the broker does not answer" }])).toBe(
    'no place has the label "x"; the broker does not answer',
  );
});

it("where a step runs, and how long it may wait, are not part of its cache key", () => {
  const facts = { project: "p", params: {}, inputs: {}, files: [] };
  const keyOf = (more: object): string => {
    const result = compiled({ steps: { s: { run: "x", ...more } } });
    if (!result.ok) throw new Error(JSON.stringify(result.faults));
    return cacheKey(cacheKeyParts(result.loaded.snapshot.steps[0]!, facts));
  };
  expect(keyOf({ on: ["gpu", "linux"], startWithin: "5m" })).toBe(keyOf({}));
});

it("why several places take no work is one sentence, each reason once", () => {
  const place = (name: string, because: string): PlaceReport => ({
    place: name,
    engine: "nats",
    labels: [name, "x"],
    hosts: [],
    because,
  });
  expect(
    whyUnserved(["x"], [place("a", "Put it there."), place("b", "no"), place("c", "no")]),
  ).toBe("Put it there; no");
  expect(whyUnserved(["x"], [place("a", "Put it there.")])).toBe("Put it there.");
  expect(whyUnserved(["y"], [place("a", "Put it there."), place("b", "no")])).toBe(
    'no place has the label "y"; Put it there; no',
  );
});
