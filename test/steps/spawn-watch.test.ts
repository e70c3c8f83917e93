/**
 * Which bundles may start processes (only their threads pay for the watch), and what is seen of the
 * processes that they start.
 */
import type childProcess from "node:child_process";
import { createRequire } from "node:module";
import { beforeEach, describe, expect, it } from "vitest";
import { TOKEN_VARIABLE } from "../../src/core/task.ts";
import { importsPackages, maySpawn, watchSpawns } from "../../src/steps/spawn-watch.ts";

describe("a bundle imports packages", () => {
  it.each([
    'import x from "left-pad";',
    "import x from 'left-pad'",
    'import "left-pad";',
    'export * from "left-pad";',
    'const x = require("left-pad");',
    "const x = await import('left-pad');",
    'import x from "orchd-plugin";',
    'import x from "./beside.js";',
    "await import(name);",
    "require(name)",
    "import ( name )",
    "import(\n  /* chosen by hand */\n  name\n)",
    'import fs from "node:fs"; import x from "left-pad";',
  ])("%s", (text) => {
    expect(importsPackages(text)).toBe(true);
    expect(maySpawn(text)).toBe(true);
  });

  it.each([
    'import fs from "node:fs";',
    'import fs from "fs";',
    'import { step } from "orchd";',
    'import { step } from "orchd"; import path from "node:path"; require("node:os");',
    "export default async () => 1;",
    "const important = from(name);",
    "x.requires(name)",
    "",
  ])("and not: %s", (text) => {
    expect(importsPackages(text)).toBe(false);
    expect(maySpawn(text)).toBe(false);
  });
});

it.each([
  'import { spawn } from "node:child_process";',
  'import { spawn } from "child_process";',
  'process.getBuiltinModule("child_process")',
  'process.binding("spawn_sync")',
])("a bundle may start processes that names how: %s", (text) => {
  expect(maySpawn(text)).toBe(true);
});

describe("a process that a step starts", () => {
  const seen = { spawned: 0, stdout: "", stderr: "" };
  watchSpawns({
    token: () => "own-token",
    spawned: () => void (seen.spawned += 1),
    output: (stream, chunk) => void (seen[stream] += chunk.toString()),
  });
  const TALK = ["-c", "echo out; echo err >&2"];

  beforeEach(() => void Object.assign(seen, { spawned: 0, stdout: "", stderr: "" }));

  // Steps find what is there now.
  const { spawn, spawnSync, execFileSync } = createRequire(import.meta.url)(
    "node:child_process",
  ) as typeof childProcess;
  async function started(stdio: unknown): Promise<[stdout: unknown, stderr: unknown]> {
    const child = spawn("sh", TALK, { stdio } as never);
    const streams = [child.stdout, child.stderr] as [unknown, unknown];
    await new Promise((resolve) => child.on("close", resolve));
    return streams;
  }

  it.each([
    ["inherit", "out\n", "err\n"],
    [["ignore", "inherit", "inherit"], "out\n", "err\n"],
    [[0, 1, 2], "out\n", "err\n"],
    [["ignore", 1, "ignore"], "out\n", ""],
    [["ignore", "ignore", "inherit"], "", "err\n"],
    [["ignore", "ignore", "ignore"], "", ""],
  ])("with stdio %j prints through the capture", async (stdio, stdout, stderr) => {
    expect(await started(stdio)).toEqual([null, null]);
    expect(seen).toEqual({ spawned: 1, stdout, stderr });
  });

  it("keeps the pipes that the step asked for", async () => {
    const [stdout, stderr] = await started(["ignore", "pipe", "pipe"]);
    expect([stdout, stderr].every((stream) => stream !== null)).toBe(true);
    expect(seen).toEqual({ spawned: 1, stdout: "", stderr: "" });
  });

  it("carries the token, also in an environment of its own, but where it gives one", () => {
    const show = ["-c", `printf %s "$${TOKEN_VARIABLE}"`];
    const token = (env: Record<string, string>): string =>
      execFileSync("/bin/sh", show, { encoding: "utf8", env });
    expect(token({})).toBe("own-token");
    expect(token({ A: "b" })).toBe("own-token");
    expect(token({ [TOKEN_VARIABLE]: "given" })).toBe("given");
    expect(seen.spawned).toBe(3);
    expect(spawnSync("/bin/sh", show, { env: {}, encoding: "utf8" }).stdout).toBe("own-token");
    expect(seen.spawned).toBe(4);
  });
});
