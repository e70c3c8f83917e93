/** Which differences between two steps give two keys, and which do not. */
import { describe, expect, it } from "vitest";
import {
  areSameParts,
  cacheKey,
  cacheKeyParts,
  changedPart,
  imageIn,
} from "../../src/core/cache-key.ts";
import type { CacheKeyFacts, CacheKeyParts } from "../../src/core/cache-key.ts";
import type { ImageContainer } from "../../src/core/container.ts";
import type { CacheSettings, SnapshotStep } from "../../src/core/snapshot.ts";
import { stepSpec } from "../support/given-run.ts";

const FACTS: CacheKeyFacts = {
  project: "default",
  params: { a: 1 },
  inputs: { x: "h1", y: "h2" },
  files: [["/data/in", "h3"]],
  scheduledFor: "2026-11-23T02:00:00.000Z",
};
const CACHE: CacheSettings = {
  acrossSlots: false,
  fileDependencies: [],
  ignoredInputs: [],
  includeStepCode: true,
};
const CODE = { bundle: "b".repeat(64), pick: "export:default", source: "./read.ts" };

const CONTAINER: ImageContainer = {
  image: "tool:1",
  pull: "missing",
  volumes: [],
  keep: "never",
  options: [],
};

const parts = (step: Partial<SnapshotStep>, facts: Partial<CacheKeyFacts> = {}): CacheKeyParts =>
  cacheKeyParts(stepSpec("s", step), { ...FACTS, ...facts });

describe("the image of a container", () => {
  const step = { run: "make", container: CONTAINER };

  it("counts by what its name means, not by the name", () => {
    const one = parts(step, { image: "sha1" });
    const renamed = { ...step, container: { ...CONTAINER, image: "tool:2" } };
    expect(cacheKey(parts(step, { image: "sha2" }))).not.toBe(cacheKey(one));
    expect(changedPart(one, parts(step, { image: "sha2" }))).toBe(
      "the image of the step's container changed",
    );
    expect(cacheKey(parts(renamed, { image: "sha1" }))).toBe(cacheKey(one));
    expect(imageIn(one)).toBe("sha1");
    expect(imageIn(parts(step))).toBeUndefined();
  });

  it("changes no key of a step without a container", () => {
    expect(cacheKey(parts({ run: "make" }, { image: "sha1" }))).toBe(
      cacheKey(parts({ run: "make" })),
    );
  });
});

describe("two keys differ", () => {
  const shell = { run: "make", shell: ["/bin/sh", "-eu"], cwd: "/srv/a" };
  const module = { run: undefined, code: CODE };
  const noCode = { ...module, cache: { ...CACHE, includeStepCode: false } };
  it.each<[string, Partial<SnapshotStep>, Partial<SnapshotStep>, string]>([
    ["the text of a command", shell, { ...shell, run: "make all" }, "code changed"],
    ["the shell", shell, { ...shell, shell: ["/bin/bash"] }, "code changed"],
    ["the folder of a command", shell, { ...shell, cwd: "/srv/b" }, "code changed"],
    ["a folder where there was none", { run: "make" }, { run: "make", cwd: "/b" }, "code changed"],
    ["a module's bundle", module, { code: { ...CODE, bundle: "c" } }, "code changed"],
    [
      "the function of a module",
      module,
      { code: { ...CODE, pick: "export:other" } },
      "the step's function changed",
    ],
    [
      "the module, where its code does not count",
      noCode,
      { ...noCode, code: { ...CODE, source: "./write.ts" } },
      "the step's function changed",
    ],
    [
      "the function, where its code does not count",
      noCode,
      { ...noCode, code: { ...CODE, pick: "export:other" } },
      "the step's function changed",
    ],
    [
      "the user in the container",
      { ...shell, container: CONTAINER },
      { ...shell, container: { ...CONTAINER, user: "1" } },
      "the step's container changed",
    ],
    ["a container where there was none", shell, { ...shell, container: CONTAINER }, "code changed"],
    ["the declared outputs", {}, { outputs: ["rows"] }, "declared outputs changed"],
    ["the environment", { env: { A: "1" } }, { env: { A: "2" } }, 'env "A" changed'],
  ])("by %s", (_what, before, now, because) => {
    expect(cacheKey(parts(now))).not.toBe(cacheKey(parts(before)));
    expect(changedPart(parts(before), parts(now))).toBe(because);
  });

  it("by the order of the files", () => {
    const files = ["a", "b"].map((path) => [path, "h"] as const);
    const [before, now] = [parts({}, { files }), parts({}, { files: files.toReversed() })];
    expect(cacheKey(now)).not.toBe(cacheKey(before));
    expect(changedPart(before, now)).toBe("the order of file dependencies changed");
  });

  it.each<[string, Partial<CacheKeyFacts>, string]>([
    ["the project", { project: "other" }, "the project changed"],
    ["a param", { params: { a: 2 } }, 'param "a" changed'],
    ["an input", { inputs: { x: "h1", y: "h9" } }, 'input "y" changed'],
    ["a file", { files: [["/data/in", "h9"]] }, 'file "/data/in" changed'],
    ["the cache function", { cacheFunction: "x" }, "the cache function's answer changed"],
    ["the slot", { scheduledFor: "2026-11-24T02:00:00.000Z" }, "slot changed"],
  ])("by %s", (_what, facts, because) => {
    expect(cacheKey(parts({}, facts))).not.toBe(cacheKey(parts({})));
    expect(changedPart(parts({}), parts({}, facts))).toBe(because);
  });
});

it("a key of other rules says so", () => {
  const before = parts({});
  expect(changedPart({ ...before, format: before.format - 1 }, before)).toBe(
    "the rules of cache keys changed",
  );
});

describe("two keys are the same", () => {
  it("whatever the bundle, where the code does not count", () => {
    const noCode = { run: undefined, cache: { ...CACHE, includeStepCode: false } };
    expect(parts({ ...noCode, code: { ...CODE, bundle: "c" } })).toEqual(
      parts({ ...noCode, code: CODE }),
    );
  });

  it("wherever a module lies, where its code counts", () => {
    expect(parts({ run: undefined, code: { ...CODE, source: "./moved.ts" } })).toEqual(
      parts({ run: undefined, code: CODE }),
    );
  });

  it("in every slot under acrossSlots, and whatever an ignored input holds", () => {
    const cache = { ...CACHE, acrossSlots: true, ignoredInputs: ["x"] };
    const later = { scheduledFor: "2026-11-24T02:00:00.000Z", inputs: { x: "h9", y: "h2" } };
    expect(parts({ cache }, later)).toEqual(parts({ cache }));
  });
});

describe("the parts of two keys are the same", () => {
  const made = (): CacheKeyParts => parts({ params: { a: { b: [1] } } }, { inputs: { x: "h" } });
  /** Another value of each member: a member that is new has to be named here too. */
  const others = {
    format: 0,
    project: "other",
    code: null,
    export: "export:other",
    params: { a: { b: [2] } },
    inputs: { x: "i" },
    outputs: ["o"],
    env: { A: "other" },
    files: [["/f", "h"]],
    cacheFunction: "other",
    scheduledFor: "2026-11-24T02:00:00.000Z",
  } satisfies { readonly [name in keyof Required<CacheKeyParts>]: CacheKeyParts[name] };

  it("where all of them are equal", () => {
    expect(areSameParts(made(), made())).toBe(true);
  });

  it.each(Object.entries(others))("and not where %s differs", (name, value) => {
    const other = { ...made(), [name]: value };
    expect(Object.keys(made())).toContain(name);
    expect(areSameParts(made(), other)).toBe(false);
    expect(areSameParts(other, made())).toBe(false);
    expect(Object.keys(others)).toEqual(Object.keys(made()));
  });
});
