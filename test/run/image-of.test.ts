/** What a step in a container is given: its registry's secret, its environment, its image's id. */
import { describe, expect, it } from "vitest";
import type { ContainerSpec } from "../../src/core/container.ts";
import type { SecretSource } from "../../src/core/secret-source.ts";
import type { ShellTask } from "../../src/core/task.ts";
import { containerTask, registryAuth } from "../../src/run/container-task.ts";
import { farTask } from "../../src/run/far-task.ts";
import { imageOf } from "../../src/run/image-of.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const AUTH = { secret: "REGISTRY" };
const image = { image: "r.lan/tool:1", auth: AUTH } as unknown as ContainerSpec;
const secrets: SecretSource = {
  get: (name: string) => {
    if (name !== "REGISTRY") throw new Error(`the secret "${name}" is not there`);
    return "user:hunter2x";
  },
};
const task = (env: Record<string, string>): ShellTask => ({ kind: "shell", env }) as never;

describe("the registry's secret", () => {
  it("is read for an image that has one, and is to be masked", () => {
    const found = ["before"];
    expect(registryAuth(image, secrets, found)).toBe("user:hunter2x");
    expect(found).toEqual(["before", "user:hunter2x"]);
  });

  it("is none without an image, or without auth", () => {
    const found: string[] = [];
    for (const spec of [{ exec: "box", auth: AUTH }, { image: "x" }])
      expect(registryAuth(spec as never, secrets, found)).toBeUndefined();
    expect(found).toEqual([]);
    const other = { image: "x", auth: { secret: "NO" } } as never;
    expect(() => registryAuth(other, secrets, found)).toThrow('the secret "NO" is not there');
  });
});

describe("the task of a step", () => {
  const env = { PATH: "/bin", HOME: "/root", TZ: "UTC" };

  it("has this machine's PATH and HOME in a container only where somebody set them", () => {
    const inIt = containerTask(task(env), image, { HOME: "/data" }, secrets, []);
    expect(inIt).toEqual({
      kind: "shell",
      env: { HOME: "/root", TZ: "UTC" },
      container: image,
      registryAuth: "user:hunter2x",
      secrets: ["user:hunter2x"],
    });
    const plain = containerTask(task(env), { image: "x" } as never, {}, secrets, []);
    expect(plain).toEqual({ kind: "shell", env: { TZ: "UTC" }, container: { image: "x" } });
    const known = containerTask(task(env), { image: "x" } as never, {}, secrets, ["other"]);
    expect(known.secrets).toEqual(["other"]);
  });

  it("has the labels that it wants on another machine, and neither PATH nor HOME", () => {
    expect(farTask(task(env), ["gpu"], { PATH: "/opt" })).toEqual({
      kind: "shell",
      env: { PATH: "/bin", TZ: "UTC" },
      on: ["gpu"],
    });
  });
});

describe("the id of an image", () => {
  it("is asked of the place with the secret, and a pull is told without it", async () => {
    const clock = new VirtualClock();
    const { signal } = new AbortController();
    const printed: unknown[] = [];
    const asked: unknown[] = [];
    const place = {
      imageId: (
        spec: unknown,
        auth: unknown,
        more: { signal: AbortSignal; tell(lines: string[]): void },
      ) => {
        asked.push(spec, auth, more.signal === signal);
        more.tell(["pulls as user:hunter2x", "done"]);
        return Promise.resolve("sha256:1");
      },
    };
    const id = await imageOf(
      image,
      { step: "a", attempt: 2 },
      {
        deps: { clock, place } as never,
        secrets,
        signal,
        output: (lines) => void printed.push(...lines),
      },
    );
    expect([id, asked]).toEqual(["sha256:1", [image, "user:hunter2x", true]]);
    const own = { at: expect.any(String) as string, step: "a", attempt: 2, stream: "orchd" };
    expect(printed).toEqual([
      { ...own, line: "pulls as ***" },
      { ...own, line: "done" },
    ]);
  });

  it("is unknown where no step runs in a container", async () => {
    const deps = { clock: new VirtualClock(), place: {} } as never;
    const asker = { deps, secrets, signal: new AbortController().signal, output: () => undefined };
    expect(await imageOf(image, { step: "a", attempt: 1 }, asker)).toBeUndefined();
  });
});
