/** What is asked of an engine, and what counts as its answer. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Engine, findEngine, type EngineName } from "../../src/places/container/engine.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Has the program of an engine print this, and end with a status. */
function says(name: EngineName, { stdout = "", stderr = "", status = 0 }): Engine {
  const { root } = tempRoot();
  mkdirSync(join(root, "bin"));
  writeFileSync(join(root, "stdout"), stdout);
  writeFileSync(join(root, "stderr"), stderr);
  const program = join(root, "bin", name);
  writeFileSync(program, `#!/bin/sh\ncat ${root}/stdout\ncat ${root}/stderr >&2\nexit ${status}\n`);
  chmodSync(program, 0o755);
  const path = process.env["PATH"];
  process.env["PATH"] = `${join(root, "bin")}${delimiter}${path}`;
  onTestFinished(() => void (process.env["PATH"] = path));
  return new Engine(name, "1");
}

const STATE = { Running: true, StartedAt: "2026-01-01T00:00:00Z", ExitCode: 0 };
const SILENT =
  "Cannot connect to the Docker daemon at unix:///d.sock. Is the docker daemon running?";

it("a docker that cannot be reached does not say that containers are gone", async () => {
  const engine = says("docker", { stdout: "[]\n", stderr: `${SILENT}\n`, status: 1 });
  await expect(engine.inspect(["a", "b"])).rejects.toThrow(/^docker does not answer: Cannot conn/);
  expect(await engine.remove(["a"])).toMatch(/^docker does not answer: Cannot connect/);
});

it.each<[EngineName, string]>([
  ["docker", "Error response from daemon: No such container: b"],
  ["docker", "Error: No such container: b"],
  ["podman", "Error: inspecting object: no such container b"],
  ["podman", 'time="…" level=warning msg="old"\nError: no such container "b"'],
])("%s says which containers are gone: %s", async (name, stderr) => {
  const stdout = JSON.stringify([{ Name: "/a", State: STATE }]);
  const engine = says(name, { stdout, stderr: `${stderr}\n`, status: 1 });
  expect((await engine.inspect(["a", "b"])).map((state) => state.name)).toEqual(["a"]);
  // The third one it did not tell of.
  await expect(engine.inspect(["a", "b", "c"])).rejects.toThrow("does not answer");
});

it("tells of as many containers as failed steps have kept", async () => {
  const engine = says("podman", {});
  const { root } = tempRoot();
  // Podman prints some 10 KiB of each.
  writeFileSync(join(root, "pad"), "x".repeat(10_000));
  const program = process.env["PATH"]!.split(delimiter, 1)[0]!;
  writeFileSync(
    join(program, "podman"),
    `#!/bin/sh
shift 2
read -r pad <${join(root, "pad")}
separator='['
for name; do
  printf '%s{"Name":"%s","Config":{"Labels":{"pad":"%s"}},"State":%s}' \
    "$separator" "$name" "$pad" '${JSON.stringify(STATE)}'
  separator=','
done
echo ']'
`,
  );
  const names = Array.from({ length: 501 }, (_, index) => `c${index}`);
  expect((await engine.inspect(names)).map(({ name }) => name)).toEqual(names);
  expect(await engine.inspect([])).toEqual([]);
});

it("an engine that is asked for its version and cannot be reached says why", async () => {
  says("docker", { stdout: "\n", stderr: `${SILENT}\n`, status: 1 });
  await expect(findEngine("docker")).rejects.toThrow(
    `no container engine answers (docker: ${SILENT})`,
  );
});
