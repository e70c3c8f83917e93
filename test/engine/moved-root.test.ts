/** A re-run after its root was moved: all that says where its files are says it anew. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CodeRef, Snapshot } from "../../src/core/snapshot.ts";
import { movedSnapshot } from "../../src/engine/moved-root.ts";
import { bundlePath, storeBundle } from "../../src/schedules/bundle-store.ts";
import { snapshotOf, stepSpec } from "../support/given-run.ts";
import { tempRoot } from "../support/temp-root.ts";

/** What a bundle of that root holds, with a line of the user's own that names the same path. */
const bundleOf = (root: string, nth: number): string =>
  [
    `const __orchd_file_${nth} = "${root}/schedules/a.ts";`,
    `globalThis[Symbol.for("orchd.runtime")].at("file://${root}/a.ts", "${root}/b", "${root}y/c");`,
    `export default () => "${root}/schedules/a.ts";`,
  ].join("\n");

function rig() {
  const { root } = tempRoot();
  const [from, to] = [join(root, "old$&"), join(root, "new$&")];
  const bundles = join(to, "runs/.orchd/bundles");
  const path = (base: string): string => join(base, "schedules/night/p.yaml");
  mkdirSync(dirname(path(to)), { recursive: true });
  mkdirSync(bundles, { recursive: true });
  writeFileSync(path(to), "");
  const shas: string[] = [];
  const code = (): CodeRef => {
    const bundle = storeBundle(bundles, bundleOf(from, shas.length));
    shas.push(bundle);
    return { bundle, pick: "export:default", source: "a.ts" };
  };
  return { root, from, to, bundles, path, code, shas };
}

/** Every sha256 in a value, wherever it is. */
const shasIn = (value: unknown): string[] =>
  (JSON.stringify(value).match(/"bundle":"[0-9a-f]{64}"/g) ?? []).map((text) => text.slice(10, -1));

describe("a root that was moved", () => {
  it("has its code, its file and its folders in the new place, and nothing else is touched", () => {
    const { root, from, to, bundles, path, code, shas } = rig();
    const hooks = { onSuccess: code(), onFailure: code() };
    const { run: _, ...module } = stepSpec("a");
    const cache = {
      acrossSlots: false,
      fileDependencies: [],
      ignoredInputs: [],
      includeStepCode: true,
      cacheFunction: code(),
    };
    const likeCode = { bundle: shas[0]!, pick: "export:default" };
    const before: Snapshot = snapshotOf(
      [
        { ...module, code: code(), hooks, cache, params: { likeCode } },
        stepSpec("in", { cwd: `${from}/data` }),
        stepSpec("top", { cwd: from }),
        stepSpec("beside", { cwd: `${from}y/data` }),
        stepSpec("far", { cwd: "/srv" }),
        stepSpec("none"),
      ],
      {
        file: path(from),
        hooks: { init: code(), onMissed: code() },
        orchestrator: { flavor: "code", code: code(), config: { likeCode } },
        dynamic: code(),
      },
    );
    const after = movedSnapshot(before, path(to), bundles);
    expect(after.file).toBe(path(to));
    expect(after.steps.map(({ cwd }) => cwd)).toEqual([
      undefined,
      `${to}/data`,
      to,
      `${from}y/data`,
      "/srv",
      undefined,
    ]);
    const shaOf = (nth: number): string => {
      const text = bundleOf(from, nth).split("\n");
      text[0] = bundleOf(to, nth).split("\n")[0]!;
      text[1] = text[1]!.replaceAll(`"${from}/`, () => `"${to}/`);
      text[1] = text[1].replaceAll(`"file://${from}/`, () => `"file://${to}/`);
      const sha = storeBundle(join(root, "expected"), text.join("\n"));
      expect(readFileSync(bundlePath(bundles, sha), "utf8")).toBe(text.join("\n"));
      return sha;
    };
    // What only looks like code is the user's.
    const left = (snapshot: Snapshot) =>
      shasIn([snapshot.steps[0]!.params, snapshot.orchestrator.config]);
    expect(left(after)).toEqual([shas[0], shas[0]]);
    const codeOf = ({ steps, hooks: own, orchestrator, dynamic }: Snapshot): unknown => [
      steps.map((step) => [step.code, step.hooks, step.cache]),
      own,
      orchestrator.code,
      dynamic,
    ];
    const moved = new Map(shas.map((sha, nth) => [sha, shaOf(nth)]));
    expect(new Set(moved.values()).size).toBe(shas.length);
    expect(shasIn(codeOf(after))).toEqual(shasIn(codeOf(before)).map((sha) => moved.get(sha)));
    expect(shasIn(codeOf(before))).toHaveLength(shas.length);
    const shape = (snapshot: Snapshot): string =>
      JSON.stringify(snapshot)
        .replaceAll(/[0-9a-f]{64}/g, "")
        .replaceAll(`${from}/`, () => `${to}/`);
    expect(shape({ ...after, steps: [] })).toBe(shape({ ...before, steps: [] }));
  });

  it("has the hooks of a dynamic pipeline's steps in the new place", () => {
    const { from, to, bundles, path, code } = rig();
    const dynamic = code();
    const { retry, onInterruption } = stepSpec("a");
    const stepDefaults = { retry, onInterruption, hooks: { onFailure: dynamic } };
    const before = snapshotOf([], { file: path(from), dynamic, stepDefaults });
    const after = movedSnapshot(before, path(to), bundles);
    expect(after.dynamic!.bundle).not.toBe(dynamic.bundle);
    expect(after.stepDefaults).toEqual({ ...stepDefaults, hooks: { onFailure: after.dynamic } });
  });

  it("keeps the name of code that was pruned, and all code that names no path", () => {
    const { from, to, bundles, path } = rig();
    const gone = { bundle: "c".repeat(64), pick: "export:default", source: "a.ts" };
    const plain = { ...gone, bundle: storeBundle(bundles, `export default "${from}/x";`) };
    const hooks = { init: gone, cleanup: plain };
    const before = snapshotOf([stepSpec("a", { cwd: from })], { file: path(from), hooks });
    const after = movedSnapshot(before, path(to), bundles);
    expect(after).toEqual({ ...before, file: path(to), steps: [{ ...before.steps[0], cwd: to }] });
  });
});

it.each(["has no file", "is still there", "has a file that is nowhere either"])(
  "a pipeline that %s keeps its snapshot",
  (how) => {
    const { from, to, bundles, path } = rig();
    const [before, now] = {
      "has no file": [path(from), undefined],
      "is still there": [path(to), path(to)],
      "has a file that is nowhere either": [path(from), path(`${to}y`)],
    }[how] as [string, string | undefined];
    const snapshot = snapshotOf([stepSpec("a", { cwd: from })], { file: before });
    expect(movedSnapshot(snapshot, now, bundles)).toBe(snapshot);
  },
);

it.each([
  ["/a/schedules/p.yaml", "/b/schedules/p.yaml", "/a/data", "/b/data"],
  ["/a/schedules/p.yaml", "/x/y/schedules/p.yaml", "/a/data", "/x/y/data"],
  ["/a/b/schedules/p.yaml", "/a/schedules/p.yaml", "/a/b/data", "/a/data"],
  // Another folder within the same root is no move of the root.
  ["/a/s/old/p.yaml", "/a/s/new/p.yaml", "/a/s/data", "/a/s/data"],
  ["/a/s/old/p.yaml", "/a/s/new/p.yaml", "/a/s/old/data", "/a/s/new/data"],
])("%s that is %s now works in the same folder of it", (before, after, cwd, expected) => {
  const { root, bundles } = rig();
  const now = join(root, after);
  mkdirSync(dirname(now), { recursive: true });
  writeFileSync(now, "");
  const snapshot = snapshotOf([stepSpec("a", { cwd: join(root, cwd) })], {
    file: join(root, before),
  });
  const moved = movedSnapshot(snapshot, now, bundles);
  expect(moved.steps[0]!.cwd).toBe(join(root, expected));
  expect(moved.file).toBe(now);
});
