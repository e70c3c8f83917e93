/** Which bundles may start processes: only their threads pay for the watch. */
import { describe, expect, it } from "vitest";
import { importsPackages, maySpawn } from "../../src/steps/spawn-watch.ts";

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
