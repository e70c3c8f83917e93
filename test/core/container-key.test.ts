/** What of a container decides a step's result, and so its cache key; and what does not. */
import { describe, expect, it } from "vitest";
import { cacheKey, cacheKeyParts } from "../../src/core/cache-key.ts";
import type { ContainerSpec, ImageContainer, RunningContainer } from "../../src/core/container.ts";
import { stepSpec } from "../support/given-run.ts";

const IMAGE: ImageContainer = {
  image: "tool:1",
  pull: "missing",
  volumes: ["/data:/data"],
  network: "front",
  user: "1000",
  auth: { secret: "registry" },
  keep: "never",
  entrypoint: ["/entry"],
  workdir: "/srv",
  platform: "linux/amd64",
  options: ["--init"],
  cpus: 1,
  gpus: 1,
};
const EXEC: RunningContainer = { exec: "db", user: "postgres", workdir: "/srv" };

function keyOf(container: ContainerSpec, image: string | undefined = "sha256:1"): string {
  const facts = { project: "default", params: {}, inputs: {}, files: [], image };
  return cacheKey(cacheKeyParts(stepSpec("s", { run: "make", container }), facts));
}

describe("a key is another one", () => {
  it.each<[keyof ImageContainer, Partial<ImageContainer>]>([
    ["volumes", { volumes: ["/data:/data:ro"] }],
    ["volumes", { volumes: [] }],
    ["network", { network: "back" }],
    ["network", { network: undefined }],
    ["user", { user: "0" }],
    ["user", { user: undefined }],
    ["entrypoint", { entrypoint: ["/other"] }],
    ["entrypoint", { entrypoint: undefined }],
    ["workdir", { workdir: "/" }],
    ["workdir", { workdir: undefined }],
    ["platform", { platform: "linux/arm64" }],
    ["platform", { platform: undefined }],
    ["options", { options: [] }],
  ])("for another %s of an image: %j", (_name, more) => {
    expect(keyOf({ ...IMAGE, ...more })).not.toBe(keyOf(IMAGE));
  });

  it.each<[keyof RunningContainer, Partial<RunningContainer> & { exec?: string }]>([
    ["exec", { exec: "other" }],
    ["user", { user: "root" }],
    ["user", { user: undefined }],
    ["workdir", { workdir: "/" }],
    ["workdir", { workdir: undefined }],
  ])("for another %s of a container that runs: %j", (_name, more) => {
    expect(keyOf({ ...EXEC, ...more })).not.toBe(keyOf(EXEC));
  });

  it.each([
    ["an image", IMAGE],
    ["a container that runs", EXEC],
  ])("for another image's id in %s", (_what, container) => {
    const keys = ["sha256:1", "sha256:2"].map((id) => keyOf(container, id));
    expect(new Set(keys).size).toBe(2);
  });
});

it.each<[string, Partial<ImageContainer>]>([
  ["name of the image", { image: "tool:latest" }],
  ["time of pulling", { pull: "always" }],
  ["right to pull", { auth: undefined }],
  ["end of the container", { keep: "on-failure" }],
  ["processors", { cpus: 8 }],
  ["graphics cards", { gpus: undefined }],
])("a key stays the same for another %s", (_what, more) => {
  expect(keyOf({ ...IMAGE, ...more })).toBe(keyOf(IMAGE));
});
