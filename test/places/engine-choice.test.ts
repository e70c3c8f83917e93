/** Which container engine is used: the one that is named, else the first that answers. */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { findEngine, sentenceOf } from "../../src/places/container/engine.ts";
import { tempRoot } from "../support/temp-root.ts";

const PATH = process.env["PATH"];
let folder: string;

beforeEach(() => {
  folder = tempRoot().root;
  process.env["PATH"] = folder;
});
afterEach(() => void (process.env["PATH"] = PATH));

/** Makes an engine that says this. */
function engine(name: string, says: string, status = 0): void {
  const path = join(folder, name);
  const stream = status === 0 ? "" : " >&2";
  writeFileSync(path, `#!/bin/sh\necho "${says}"${stream}\nexit ${status}\n`);
  chmodSync(path, 0o755);
}

const found = async (wanted?: "podman" | "docker"): Promise<string> => {
  try {
    const { name, version } = await findEngine(wanted);
    return `${name} ${version}`;
  } catch (error) {
    return (error as Error).message;
  }
};

it("podman comes before docker, and only the named one is asked", async () => {
  engine("podman", "5.1");
  engine("docker", "27.0");
  expect([await found(), await found("podman"), await found("docker")]).toEqual([
    "podman 5.1",
    "podman 5.1",
    "docker 27.0",
  ]);
});

it("one that does not answer is passed over, but not where it is named", async () => {
  engine("podman", "Error: no cgroups", 125);
  engine("docker", "27.0");
  expect(await found()).toBe("docker 27.0");
  expect(await found("podman")).toBe("no container engine answers (podman: no cgroups)");
});

it("one that says nothing is none, and each says why", async () => {
  engine("podman", "");
  expect(await found()).toMatch(
    /^no container engine answers \(podman: status 0; docker: .*(ENOENT|not found|installed).*\)$/,
  );
});

it.each<[string, string, number | null, string]>([
  ["Error: no such image", "", 125, "no such image"],
  ["Error response from daemon: no", "", 1, "no"],
  ["docker: bad\nSee 'docker run --help'.\n", "", 125, "bad"],
  ["bad\n\nRun 'docker run --help' for more information\n", "", 125, "bad"],
  ["", "said on stdout", 1, "said on stdout"],
  ["", "", 3, "status 3"],
  ["", "", null, "it did not answer"],
])("of %j and %j, status %s, it tells %j", (stderr, stdout, status, sentence) => {
  expect(sentenceOf({ stderr, stdout, status })).toBe(sentence);
});
