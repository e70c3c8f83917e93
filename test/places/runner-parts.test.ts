/** The parts of a runner: both sides of each bound, and the second time of each. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { packagesLine } from "../../src/core/bundle-text.ts";
import { BundlePackages, LoadedPackages } from "../../src/places/runner/bundle-packages.ts";
import type { Guard } from "../../src/places/runner/guard.ts";
import { Scratch } from "../../src/places/runner/scratch.ts";
import { LeftBehind } from "../../src/places/runner/left-behind.ts";
import { tempRoot } from "../support/temp-root.ts";

describe("the packages of a thread", () => {
  it("suit a bundle whose packages are the loaded ones, or have not been loaded", () => {
    const loaded = new LoadedPackages();
    expect(loaded.suit({ "/a": "1" })).toBe(true);
    loaded.add({ "/a": "1", "/b": "1" });
    expect(loaded.suit({})).toBe(true);
    expect(loaded.suit({ "/a": "1" })).toBe(true);
    expect(loaded.suit({ "/a": "1", "/c": "9" })).toBe(true);
    expect(loaded.suit({ "/a": "1", "/b": "2" })).toBe(false);
    expect(loaded.suit({ "/b": "2" })).toBe(false);
    loaded.add({ "/b": "2" });
    expect([loaded.suit({ "/b": "2" }), loaded.suit({ "/b": "1" })]).toEqual([true, false]);
  });

  it.each([
    ["short", "export default 1;\n", 1],
    ["longer than what is read at first", `export default "${"x".repeat(70_000)}";\n`, 1],
    ["with a last line that is longer than that", "export default 1;\n", 5_000],
  ])("are read from a bundle's last line, where it is %s", (_, code, count) => {
    const { root } = tempRoot();
    const packages = Object.fromEntries(
      Array.from({ length: count }, (_one, index) => [`/node_modules/package-${index}`, "1"]),
    );
    writeFileSync(join(root, "b.mjs"), code + packagesLine(packages));
    const bundles = new BundlePackages(root);
    expect(bundles.of("b")).toEqual(packages);
    // Each is read once: a bundle never changes.
    writeFileSync(join(root, "b.mjs"), code);
    expect(bundles.of("b")).toEqual(packages);
    expect(new BundlePackages(root).of("b")).toEqual({});
    expect(bundles.of("none")).toEqual({});
  });
});

describe("what a step left behind", () => {
  const PAST_ANY = 4_194_303;
  /** Ends a step of this age whose shell had this pid. @returns whether a process was ended */
  async function isEnded(
    ageMs: number,
    pidOf: (left: number) => number,
    othersOf: (left: number) => readonly number[] = () => [],
  ): Promise<boolean> {
    const token = `left-${Math.random().toString().slice(2)}`;
    const child = spawn("sleep", ["60"], { env: { ORCHD_RUNNER_TOKEN: token, PATH: "/bin" } });
    onTestFinished(() => void child.kill("SIGKILL"));
    const over = once(child, "exit");
    await new Promise((resolve) => child.once("spawn", resolve));
    const left = new LeftBehind();
    const { begun } = left.began(spawn("true").pid!);
    const at = performance.now() - ageMs;
    const mark = { after: pidOf(child.pid!), at, forks: undefined, begun };
    left.end(mark, token, othersOf(child.pid!));
    const later = new Promise((resolve) => setTimeout(resolve, 300, "later"));
    return (await Promise.race([over, later])) !== "later";
  }

  it("is looked for behind the pid of its shell, where the step was brief", async () => {
    expect(await isEnded(0, (pid) => pid - 1)).toBe(true);
    expect(await isEnded(0, (pid) => pid)).toBe(false);
  });

  it("is not looked for among what no step started", async () => {
    expect(
      await isEnded(
        0,
        (pid) => pid - 1,
        (pid) => [pid],
      ),
    ).toBe(false);
  });

  it("is looked for from the first pid on, where pids began again meanwhile", async () => {
    expect(await isEnded(0, () => PAST_ANY)).toBe(true);
  });

  it("is looked for everywhere, where the step took a second or more", async () => {
    expect(await isEnded(1_000, (pid) => pid)).toBe(true);
  });
});

describe("a scratch folder", () => {
  const guard = { keeps: () => undefined } as unknown as Guard;
  it.each<[string, boolean, (folder: string) => void]>([
    ["that is as it was", true, () => undefined],
    ["that was opened to others", false, (folder) => chmodSync(folder, 0o755)],
    ["that has the sticky bit", false, (folder) => chmodSync(folder, 0o1700)],
    ["with a file in it", false, (folder) => writeFileSync(join(folder, "left"), "")],
    [
      "that was replaced",
      false,
      (folder) => {
        renameSync(folder, `${folder}-away`);
        mkdirSync(folder, { mode: 0o700 });
      },
    ],
  ])("%s is given to the next step: %s", (_, isGiven, change) => {
    const scratch = new Scratch(join(tempRoot().root, "scratch"), guard);
    const first = scratch.begin({}, false);
    change(first.folder);
    scratch.end(first);
    expect(scratch.begin({}, false).folder === first.folder).toBe(isGiven);
  });

  it.each<[string, boolean, (path: string) => void]>([
    ["that is as it was", true, () => undefined],
    ["with other bytes", false, (path) => writeFileSync(path, "[]")],
    ["with more bytes", false, (path) => writeFileSync(path, '{"a":1}')],
    ["that has another name too", false, (path) => linkSync(path, `${dirname(path)}-more`)],
    ["that others may read", false, (path) => chmodSync(path, 0o644)],
    ["that is gone", false, (path) => rmSync(path)],
    [
      "that is another one of its name",
      false,
      (path) => {
        renameSync(path, `${dirname(path)}-away`);
        writeFileSync(path, "{}", { mode: 0o600 });
      },
    ],
    [
      "that is a link",
      false,
      (path) => {
        renameSync(path, `${dirname(path)}-away`);
        symlinkSync(`${dirname(path)}-away`, path);
      },
    ],
  ])("with an empty object %s: the next step is given it: %s", (_, isGiven, change) => {
    const scratch = new Scratch(join(tempRoot().root, "scratch"), guard);
    const first = scratch.begin({}, false);
    const path = first.write("params", "{}");
    expect(first.write("inputs", "{}")).toBe(path);
    change(path);
    scratch.end(first);
    const second = scratch.begin({}, false);
    expect(second.folder).toBe(first.folder);
    const next = second.write("params", "{}");
    expect([next === path, readFileSync(next, "utf8")]).toEqual([isGiven, "{}"]);
    scratch.end(second);
    expect(readdirSync(first.folder)).toEqual([basename(next)]);
  });

  it("in memory has no file left, and is given to nobody", () => {
    const scratch = new Scratch(join(tempRoot().root, "scratch"), guard);
    const files = scratch.begin({ secrets: ["canary"] }, false);
    onTestFinished(() => rmSync(dirname(files.folder), { recursive: true, force: true }));
    files.write("params", "{}");
    scratch.end(files);
    expect(files.remove()).not.toBe("files");
    expect(scratch.begin({ secrets: ["canary"] }, false).folder).not.toBe(files.folder);
  });
});
