/** The words of the engine's command, and what never stands among them. */
import { describe, expect, it } from "vitest";
import type { ImageContainer } from "../../src/core/container.ts";
import {
  givenVariables,
  pullWords,
  runnerWords,
  runWords,
} from "../../src/places/container/container-command.ts";
import { NotGivable } from "../../src/places/shell-environment.ts";
import { endError } from "../../src/places/container/container-end.ts";
import { containerName } from "../../src/places/container/container-name.ts";
import { sentenceOf } from "../../src/places/container/engine.ts";
import { authText } from "../../src/places/container/image-pull.ts";

const CONTAINER: ImageContainer = {
  image: "tool:1",
  pull: "missing",
  volumes: ["/data:/data:ro"],
  keep: "never",
  options: ["--cap-drop=ALL"],
};

function words(more: Partial<ImageContainer> = {}, engine: "podman" | "docker" = "podman") {
  return runWords({ ...CONTAINER, ...more }, { memoryMb: 64 }, ["/bin/sh", "-eu", "-c", "true"], {
    engine,
    name: "orchd-1",
    labels: { "orchd.token": "p@1#3" },
    files: "/scratch/files",
    variables: givenVariables({ SECRET: "hidden" }),
    envFile: "/scratch/environment",
    relabels: false,
  });
}

describe("a runner's run", () => {
  const runner = (folder: string): string[] =>
    runnerWords(CONTAINER, {
      engine: "podman",
      name: "orchd-1",
      labels: {},
      image: "sha256:1",
      package: folder,
      program: "dist/daemon/runner.js",
      wire: "/wire",
      relabels: false,
    });

  it("mounts the package, and starts the program in it", () => {
    const words = runner("/srv/orchd");
    expect(words).toContain("--volume=/srv/orchd:/orchd-package:ro");
    expect(words.slice(-2)).toEqual(["/orchd-package/dist/daemon/runner.js", "--stdio"]);
  });

  it("mounts a folder of packages under its name, where packages find one another", () => {
    const words = runner("/srv/node_modules");
    expect(words).toContain("--volume=/srv/node_modules:/orchd-package/node_modules:ro");
    expect(words.at(-2)).toBe("/orchd-package/node_modules/dist/daemon/runner.js");
  });
});

describe("run", () => {
  it("has each setting as one word, then the image, then the shell", () => {
    expect(words({ user: "1000", network: "none", workdir: "/w", cpus: 0.5 })).toEqual([
      "run",
      "--init",
      "--pull=never",
      "--sig-proxy=false",
      "--log-driver=json-file",
      "--log-opt=max-size=64m",
      "--http-proxy=false",
      "--name=orchd-1",
      "--label=orchd.token=p@1#3",
      "--volume=/scratch/files:/orchd",
      "--volume=/data:/data:ro",
      "--network=none",
      "--user=1000",
      "--workdir=/w",
      "--memory=64m",
      "--cpus=0.5",
      "--env-file=/scratch/environment",
      "--entrypoint=/bin/sh",
      "--env",
      "SECRET",
      "--cap-drop=ALL",
      "tool:1",
      "-eu",
      "-c",
      "true",
    ]);
  });

  it("gives the shell to the entrypoint, where there is one", () => {
    const given = words({ entrypoint: ["/entry.sh", "--quiet"] });
    expect(given).toContain("--entrypoint=/entry.sh");
    const after = ["tool:1", "--quiet", "/bin/sh", "-eu", "-c", "true"];
    expect(given.slice(given.indexOf("tool:1"))).toEqual(after);
  });

  it("asks each engine for graphics processors in its own words", () => {
    expect(words({ gpus: 2 })).toEqual(
      expect.arrayContaining(["--device=nvidia.com/gpu=0", "--device=nvidia.com/gpu=1"]),
    );
    expect(words({ gpus: 2 }, "docker")).toContain("--gpus=2");
    expect(words({}, "docker")).not.toContain("--http-proxy=false");
  });

  it("pulls for the platform", () => {
    const words = ["pull", "--platform=linux/arm64", "tool:1"];
    expect(pullWords({ ...CONTAINER, platform: "linux/arm64" })).toEqual(words);
  });
});

describe("a variable", () => {
  it("is named among the words, and its value is the engine's own environment", () => {
    expect(givenVariables({ A: "x\ny", B: "" })).toEqual({
      words: ["--env", "A", "--env", "B"],
      env: { A: "x\ny", B: "" },
      file: "",
    });
  });

  it("that the engine reads itself is in a file", () => {
    expect(givenVariables({ PATH: "/x", HTTPS_PROXY: "http://p", DOCKER_HOST: "d" })).toEqual({
      words: [],
      env: {},
      file: "PATH=/x\nHTTPS_PROXY=http://p\nDOCKER_HOST=d\n",
    });
    expect(() => givenVariables({ HOME: "a\nb" })).toThrow(/env HOME is a name that the container/);
  });
});

describe("a value under a name of the engine's own", () => {
  const given = (value: string) => givenVariables({ HOME: value });
  it("may have 32 KiB, and no line break", () => {
    expect(given("x".repeat(32_768)).file).toHaveLength("HOME=\n".length + 32_768);
    expect(() => given("x".repeat(32_769))).toThrow(NotGivable);
    for (const value of ["\n", "a\rb"]) expect(() => given(value)).toThrow(NotGivable);
    expect(givenVariables({ OWN: "x".repeat(32_769) }).words).toEqual(["--env", "OWN"]);
  });
});

it.each([
  [undefined, []],
  ["linux/arm64", ["--platform=linux/arm64"]],
])("an image of the platform %s is pulled with %j", (platform, more) => {
  const container = { ...CONTAINER, ...(platform === undefined ? {} : { platform }) };
  expect(pullWords(container)).toEqual(["pull", ...more, "tool:1"]);
});

describe("the end of a container", () => {
  const fine = { outOfMemory: false };

  it.each([
    [134, "SIGABRT"],
    [137, "SIGKILL"],
    [139, "SIGSEGV"],
    [143, "SIGTERM"],
  ])("with %i was by %s, and only SIGKILL is perhaps a lack of memory", (status, signal) => {
    const own = endError(status, fine, { step: "a", memoryMb: 64 }, "");
    const perhaps = "; perhaps it wanted more than its 64 MiB of memory";
    expect(own).toMatchObject({
      message:
        `the command was ended by ${signal} (status ${status})` +
        (signal === "SIGKILL" ? perhaps : ""),
      exitStatus: status,
    });
  });

  it("is a status, a signal, or memory, as far as the engine says", () => {
    expect(endError(3, fine, { step: "a" }, "last words")).toEqual({
      name: "ExitError",
      message: "the command ended with status 3: last words",
      code: "ORCHD_EXIT_STATUS",
      exitStatus: 3,
    });
    expect(endError(137, fine, { step: "a" }, "")).toEqual({
      name: "ExitError",
      message: "the command was ended by SIGKILL (status 137)",
      code: "ORCHD_SIGNAL",
      exitStatus: 137,
    });
    expect(endError(137, fine, { step: "a", memoryMb: 64 }, "").message).toMatch(
      /perhaps it wanted more than its 64 MiB of memory$/,
    );
    expect(endError(137, { outOfMemory: true }, { step: "a", memoryMb: 64 }, "")).toMatchObject({
      name: "OutOfMemory",
      code: "ORCHD_OUT_OF_MEMORY",
    });
    expect(endError(255, fine, { step: "a" }, "").code).toBe("ORCHD_EXIT_STATUS");
  });

  it.each([
    [[], "this machine has no memory left"],
    [["--memory-swap=1g"], "this machine has no memory left"],
    [
      ["--memory=32m"],
      "it wants more than its container may have (container.options: --memory=32m)",
    ],
    [["-m", "32m"], "it wants more than its container may have (container.options: -m 32m)"],
  ])("with options %j says whose memory ran out", (options, why) => {
    const container = { ...CONTAINER, options };
    expect(endError(137, { outOfMemory: true }, { step: "a", container }, "").message).toBe(
      `step "a" was ended by the kernel: ${why}`,
    );
  });
});

it("what an engine said is its last line, without its hints", () => {
  const said = (stderr: string) => sentenceOf({ status: 125, stdout: "", stderr });
  expect(said("Error: localhost/nope:1: image not known\n")).toBe(
    "localhost/nope:1: image not known",
  );
  expect(
    said("docker: Error response from daemon: no such image.\nSee 'docker run --help'.\n"),
  ).toBe("Error response from daemon: no such image");
  expect(said("")).toBe("status 125");
  const hint = "\n\nUsage:  docker run [OPTIONS] IMAGE\n\nRun 'docker run --help' for more\n";
  expect(said(`unknown flag: --no-such-flag${hint}`)).toBe("unknown flag: --no-such-flag");
});

it("credentials are for the registry of the image", () => {
  const hosts = (image: string) =>
    Object.keys((JSON.parse(authText(image, "me:word")) as { auths: object }).auths);
  expect(hosts("ghcr.io/me/tool:1")).toEqual(["ghcr.io"]);
  expect(hosts("localhost/tool")).toEqual(["localhost"]);
  expect(hosts("registry:5000/tool")).toEqual(["registry:5000"]);
  expect(hosts("me/tool")).toEqual(["docker.io", "https://index.docker.io/v1/"]);
  expect(hosts("postgres:16")).toEqual(["docker.io", "https://index.docker.io/v1/"]);
  expect(authText("ghcr.io/a/b", "me:word")).toContain(Buffer.from("me:word").toString("base64"));
});

it("no two attempts of any root have the same name", () => {
  const names = ["p@1#2", "p@1-2", "p-1#2"].flatMap((id) => [
    containerName("/a", id),
    containerName("/b", id),
  ]);
  expect(new Set(names).size).toBe(6);
  expect(names.every((name) => /^orchd-[A-Za-z0-9_.-]+$/.test(name))).toBe(true);
});
